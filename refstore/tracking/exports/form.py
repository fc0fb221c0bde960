"""What a form of export is: entries go in, bytes come out, a page at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, ClassVar

from refstore.backends.registry import Backends
from refstore.checkout.result import uri_of
from refstore.manifest.entry import Entry


@dataclass(frozen=True, slots=True)
class Subject:
    """The version that is exported.

    Attributes:
        name: Its full name.
        digest: Its manifest's id, in hex.
        backends: What writes URIs.
    """

    name: str
    digest: str
    backends: Backends

    def uri(self, entry: Entry) -> str:
        """The URI of what an entry refers to, its version included."""
        return uri_of(entry.object, self.backends)


class Form(ABC):
    """One form of export.

    Attributes:
        name: As `--format` has it.
        endings: Of the names of files that are written in it if nobody says.
        picky: Whether there are entries that it can't say, so that `refusal` and `note` are to be asked.
    """

    name: ClassVar[str]
    endings: ClassVar[tuple[str, ...]] = ()
    picky: ClassVar[bool] = False

    def refusal(self, entry: Entry, *, allow_unpinned: bool) -> str | None:
        """Why the form can't say what an entry says, as the end of a sentence; None where it can."""
        return None

    def note(self, entry: Entry) -> str | None:
        """What a person has to know who uses an export with this entry in it, a sentence."""
        return None

    @abstractmethod
    def write(self, entries: Iterator[Entry], out: IO[bytes], subject: Subject) -> None:
        """Write all entries, and leave `out` open.

        Raises:
            UsageError: A package is missing.
        """
