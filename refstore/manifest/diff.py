"""What differs between two sorted streams of entries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from refstore.manifest.entry import Entry, Object


@dataclass(frozen=True, slots=True)
class Change:
    """One path that differs.

    Attributes:
        path: Inside the artifact.
        old: What it referred to; None where it was added.
        new: What it refers to; None where it was removed.
    """

    path: str
    old: Object | None
    new: Object | None

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        if self.old is None:
            return "added"
        return "removed" if self.new is None else "changed"


def change(old: Entry | None, new: Entry | None) -> Change:
    """The change at one path; at least one of the two is there."""
    either = new or old
    assert either is not None
    return Change(either.path, old.object if old else None, new.object if new else None)


def pairs(old: Iterable[Entry], new: Iterable[Entry]) -> Iterator[tuple[Entry | None, Entry | None]]:
    """Go along two streams, both sorted by path: what stands at each path in either. Holds one entry of each."""
    left, right = iter(old), iter(new)
    a, b = next(left, None), next(right, None)
    while a is not None or b is not None:
        if b is None or (a is not None and a.path < b.path):
            yield a, None
            a = next(left, None)
        elif a is None or b.path < a.path:
            yield None, b
            b = next(right, None)
        else:
            yield a, b
            a, b = next(left, None), next(right, None)


def changes(old: Iterable[Entry], new: Iterable[Entry]) -> Iterator[Change]:
    """The paths at which two sorted streams differ in anything."""
    for a, b in pairs(old, new):
        if a != b:
            yield change(a, b)
