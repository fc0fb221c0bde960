"""What stands in the way of a checkout, gathered so that one error names all of it."""

from __future__ import annotations

from pathlib import Path

from refstore.errors import DestinationConflict, UnsafePath

LISTED = 100
"""The most paths that one error lists."""


class Listed:
    """Things to list in one error: the first hundred, and how many there are."""

    def __init__(self) -> None:
        self._first: list[str] = []
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, text: str) -> None:
        """One more: a path, or a clause."""
        self._count += 1
        if len(self._first) < LISTED and text not in self._first:
            self._first.append(text)

    def raise_as(self, cls: type[DestinationConflict] | type[UnsafePath], what: str, do: str) -> None:
        """Raise an error if there is anything to list.

        Args:
            cls: The error.
            what: The sentence before the list, without its full stop.
            do: What the person may do about it.

        Raises:
            DestinationConflict, UnsafePath: As `cls` says.
        """
        if self._count:
            more = f"\n  and {self._count - len(self._first)} more" if self._count > len(self._first) else ""
            raise cls(f"{what}. {do}\n" + "\n".join(f"  {text}" for text in self._first) + more)


def through_link(path: Path) -> str:
    """A sentence on a symbolic link that stands where a folder has to be."""
    return f"{path} is a symbolic link, and a checkout never writes through one: remove it, or give another DEST."
