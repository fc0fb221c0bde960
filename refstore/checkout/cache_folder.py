"""The folder that the cache is: where content is by its checksum, all that there is, and what nothing refers to."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from pathlib import Path

from refstore.checkout.disk import writing
from refstore.errors import UsageError
from refstore.manifest.entry import Checksum

STALE_SECONDS = 24 * 3600
"""Temporary files older than this belong to nobody any more."""

_ALGORITHM = re.compile(r"[a-z0-9]{2,16}")
_VALUE = re.compile(r"[0-9a-f]{8,128}")


@dataclass(frozen=True, slots=True)
class Cached:
    """One file in the cache.

    Attributes:
        checksum: What it is known by.
        size: In bytes.
        used: When it was last read through the cache, in seconds since 1970 (UTC).
    """

    checksum: Checksum
    size: int
    used: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache holds.

    Attributes:
        files: How many.
        bytes: The sum of their sizes.
    """

    files: int
    bytes: int


class CacheFolder:
    """A folder of content by checksum. Several processes may share it.

    Args:
        root: The folder, which need not be there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._root = os.fspath(root)

    def path(self, checksum: Checksum) -> Path:
        """Where content of this checksum is, or would be.

        Raises:
            UsageError: It is no checksum: such a name could lead out of the cache.
        """
        return Path(self._name(checksum))

    def _name(self, checksum: Checksum) -> str:
        """`path` as text, which takes a tenth of the time."""
        algorithm, value = checksum.algorithm, checksum.value
        if not _ALGORITHM.fullmatch(algorithm) or not _VALUE.fullmatch(value):
            raise UsageError(f"{str(checksum)!r} is not a checksum.")
        return os.path.join(self._root, algorithm, value[:2], value[2:])  # noqa: PTH118

    def checksum_at(self, path: Path) -> Checksum | None:
        """The reverse of `path`; None for a path that is not one of cached content."""
        try:
            algorithm, first, rest = path.relative_to(self.root.absolute()).parts
            checksum = Checksum(algorithm, first + rest)
            return checksum if self.path(checksum).absolute() == path else None
        except ValueError:
            return None

    def __iter__(self) -> Iterator[Cached]:
        """All content, a folder at a time, in no promised order."""
        for algorithm in _folders(self.root):
            if algorithm.name in ("tmp", "damaged") or not _ALGORITHM.fullmatch(algorithm.name):
                continue
            for first in _folders(algorithm):
                with contextlib.suppress(FileNotFoundError), os.scandir(first) as files:
                    for file in files:
                        value = first.name + file.name
                        if _VALUE.fullmatch(value) and file.is_file(follow_symlinks=False):
                            found = file.stat(follow_symlinks=False)
                            yield Cached(Checksum(algorithm.name, value), found.st_size, found.st_atime)

    def usage(self) -> Usage:
        """How much the cache holds."""
        files = size = 0
        for cached in self:
            files += 1
            size += cached.size
        return Usage(files, size)

    def remove_unreferenced(
        self, keep: Callable[[Checksum], bool] | Container[Checksum], *, dry_run: bool = False
    ) -> Iterator[Cached]:
        """Remove content that nothing refers to, and temporary files that a day ago were left behind.

        Args:
            keep: Which checksums are referred to; a set, or a function that tells.
            dry_run: Only tell what would go.

        Yields:
            What was removed. Nothing happens unless it is consumed.
        """
        keeps = keep if callable(keep) else keep.__contains__
        for cached in self:
            if keeps(cached.checksum):
                continue
            if not dry_run:
                with writing(self.root), contextlib.suppress(FileNotFoundError):
                    self.path(cached.checksum).unlink()
            yield cached
        if not dry_run:
            self._remove_stale()

    def _remove_stale(self) -> None:
        oldest = time.time() - STALE_SECONDS
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root / "tmp") as files:
            for file in files:
                with contextlib.suppress(OSError):
                    if file.stat(follow_symlinks=False).st_mtime < oldest:
                        Path(file.path).unlink()


def _folders(path: Path) -> list[Path]:
    try:
        with os.scandir(path) as found:
            return sorted(Path(item.path) for item in found if item.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []
