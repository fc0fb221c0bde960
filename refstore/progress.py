"""How far a long command has come, for whoever draws a bar. Only the command line prints."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a long command reports to. It is called from one thread, and must be quick."""

    def total(self, objects: int, size: int, /) -> None:
        """How much there is to do in all. Called again when more is known; never, where it can't be known.

        Args:
            objects: How many objects.
            size: The sum of their sizes in bytes, without those whose size the service doesn't tell.
        """

    def advance(self, objects: int, size: int, /) -> None:
        """How much was done since the last call.

        Args:
            objects: How many objects were finished.
            size: How many bytes arrived. Negative where bytes have to be read again.
        """


class Silent:
    """Reports to nobody."""

    def total(self, objects: int, size: int, /) -> None:
        """Nothing."""

    def advance(self, objects: int, size: int, /) -> None:
        """Nothing."""
