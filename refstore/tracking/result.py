"""What `add` and `put` found and made."""

from __future__ import annotations

from dataclasses import dataclass

from refstore.catalog.infos import VersionInfo
from refstore.manifest.diff import Change
from refstore.manifest.entry import Pin


@dataclass(frozen=True, slots=True)
class Recorded:
    """The outcome of an `add` or a `put`.

    Attributes:
        version: The version that holds what was found: a new one, or the latest where nothing changed. None after a dry
            run that found changes.
        new: Whether the version is new (after a dry run: would be).
        dry_run: Whether nothing was recorded on purpose.
        name: The full name with the number that the version has or would have.
        added: Paths that the version before lacks.
        removed: Paths that only the version before has.
        changed: Paths that refer to other bytes than before.
        file_count: How many files the version has.
        size: Their sizes, summed, in bytes.
        pins: How many of them are pinned in each way, strongest first.
        markers: How many directory markers were left out.
        notes: What a person should know: what is not pinned, what was skipped, and why.
        changes: After a dry run, what would change; else empty.
    """

    version: VersionInfo | None
    new: bool
    dry_run: bool
    name: str
    added: int
    removed: int
    changed: int
    file_count: int
    size: int
    pins: dict[Pin, int]
    markers: int
    notes: tuple[str, ...]
    changes: tuple[Change, ...] = ()
