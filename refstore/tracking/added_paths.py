"""Which local file has which path in an artifact, for the process that put it there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath


class AddedPaths:
    """Local files and folders with the paths that they were given. A folder costs one line, whatever is in it."""

    def __init__(self) -> None:
        self._given: list[tuple[Path, str, bool]] = []

    def file(self, local: str | os.PathLike[str], path: str) -> None:
        """Note a file."""
        self._given.append((_absolute(local), path, False))

    def folder(self, local: str | os.PathLike[str], before: str) -> None:
        """Note a folder, and what stands before the paths of its files."""
        self._given.append((_absolute(local), before.strip("/"), True))

    def path_of(self, local: str | os.PathLike[str], has: Callable[[str], bool]) -> str | None:
        """The path that a file was given last; None where it was given none.

        Args:
            local: The file.
            has: Whether the artifact has a path.
        """
        wanted = _absolute(local)
        for given, path, folder in reversed(self._given):
            if not folder and given == wanted:
                return path
            if folder and given in wanted.parents:
                inside = str(PurePosixPath(path, *wanted.relative_to(given).parts))
                if has(inside):
                    return inside
        return None


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
