"""From URIs to staged entries: the listing half of `add`, which holds a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from refstore.backends.registry import Backends
from refstore.backends.sources import Choice, sources
from refstore.catalog.staging import Staging
from refstore.errors import SourceMissing, TooManyObjects
from refstore.progress import Progress


@dataclass(slots=True)
class Gathered:
    """What a listing told besides its entries.

    Attributes:
        sources: The URIs, without credentials.
        markers: How many directory markers were left out.
        notes: Sentences for people.
        forgetful: Sentences for people who record references: where nothing keeps old versions.
    """

    sources: list[str] = field(default_factory=list)
    markers: int = 0
    notes: list[str] = field(default_factory=list)
    forgetful: list[str] = field(default_factory=list)

    def note(self, sentence: str) -> None:
        """Keep a sentence, once."""
        if sentence not in self.notes:
            self.notes.append(sentence)


def gather(
    backends: Backends,
    uris: Sequence[str],
    staging: Staging,
    choice: Choice,
    *,
    checksum: bool,
    max_objects: int,
    allow_empty: bool,
    progress: Progress | None,
) -> Gathered:
    """List everything that some URIs name into `staging`.

    Raises:
        TooManyObjects: More than `max_objects` were found.
        SourceMissing: One of them names nothing.
    """
    found = Gathered()
    for source in sources(backends, uris, choice):
        found.sources.append(source.uri)
        seen = False
        for page, entries in source.pages(checksum=checksum):
            found.markers += page.markers
            for note in page.notes:
                found.note(note)
            seen = seen or bool(page.entries)
            if entries and source.backend.forgets and source.backend.forgets not in found.forgetful:
                found.forgetful.append(source.backend.forgets)
            staging.add(entries)
            if staging.count > max_objects:
                raise TooManyObjects(
                    f"{source.uri} has more objects than the limit of {max_objects:,}; nothing was recorded. "
                    "Raise it with --max-objects (in Python max_objects=), or choose fewer with --include."
                )
            if progress is not None:
                progress.advance(len(entries), entries.size)
        if not seen and not allow_empty:
            markers = f" but directory markers ({found.markers:,})" if found.markers else ""
            raise SourceMissing(
                f"There is nothing at {source.uri}{markers}: check the spelling, or record it as empty with "
                "--allow-empty."
            )
    if not staging.count and not allow_empty:
        listed = ", ".join(found.sources)
        raise SourceMissing(f"None of the objects at {listed} is taken by --include and --exclude.")
    return found
