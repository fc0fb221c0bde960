"""Which entries `--path GLOB` means."""

from __future__ import annotations

from collections.abc import Sequence

from refstore.errors import ArtifactNotFound
from refstore.globs import matcher


class Selection:
    """A set of globs over entry paths, as `refstore.globs` reads them. With no globs it takes everything.

    One that is exactly an entry's path, or a folder's, means that, whatever characters it holds.

    Attributes:
        globs: As given, without trailing slashes.
    """

    def __init__(self, globs: Sequence[str] = ()) -> None:
        self.globs = tuple(glob.rstrip("/") or glob for glob in globs)
        self._matchers = [matcher([glob]) for glob in self.globs]
        self._used: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self.globs)

    def takes(self, path: str) -> bool:
        """Whether an entry is meant."""
        if not self.globs:
            return True
        found = False
        for number, (glob, matches) in enumerate(zip(self.globs, self._matchers, strict=True)):
            if path == glob or path.startswith(glob + "/") or matches(path):
                self._used.add(number)
                found = True
        return found

    def check_used(self, label: str) -> None:
        """Refuse globs that no entry matched: they are most likely mistyped.

        Raises:
            ArtifactNotFound: There is one.
        """
        unused = [glob for number, glob in enumerate(self.globs) if number not in self._used]
        if unused:
            raise ArtifactNotFound(
                f"No file of {label} matches {', '.join(map(repr, unused))}: see `refstore ls {label}`."
            )
