"""After a complete checkout, the next one looks closely at what changed alone, and comes to the same."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from refstore.checkout.since import Manifest
from refstore.errors import DestinationConflict, UnsafePath
from refstore.manifest.diff import changes
from refstore.manifest.entry import Entry
from tests.checkout.workshop import Workshop, ordered, tree

FILES = {"a": b"a", "d/b": b"b", "d/e/c": b"c", "z//odd": b"odd"}


def manifest(id: str, entries: Sequence[Entry], **others: Sequence[Entry]) -> Manifest:
    by_path = {entry.path: entry for entry in entries}
    return Manifest(
        id,
        lambda other: changes(others[other], entries) if other in others else None,
        by_path.get,
    )


def never() -> Iterator[Entry]:
    raise AssertionError("all entries were read")
    yield


@pytest.fixture
def entries(workshop: Workshop) -> list[Entry]:
    root = workshop.write({name.replace("//", "/"): data for name, data in FILES.items()})
    found = workshop.entries(f"{root}/")
    renamed = [Entry(e.path.replace("z/odd", "z//odd"), e.object) for e in found]
    return ordered(renamed)


def again(workshop: Workshop, entries: Sequence[Entry] | None, known: Manifest, **options: object) -> tuple[int, ...]:
    from refstore.checkout.checkout import checkout

    result = checkout(
        never() if entries is None else iter(entries),
        workshop.out,
        label="m:v0",
        backends=workshop.backends,
        cache=workshop.cache,
        ledger=workshop.ledger,
        manifest=known,
        **options,  # type: ignore[arg-type]
    )
    return result.written, result.kept, result.removed, result.escaped


def test_the_second_time_no_entry_is_read(workshop: Workshop, entries: list[Entry]) -> None:
    known = manifest("one", entries)
    assert again(workshop, entries, known) == (4, 0, 0, 1)
    assert again(workshop, None, known) == (0, 4, 0, 1)


def test_a_file_that_was_removed_or_touched_is_looked_at(workshop: Workshop, entries: list[Entry]) -> None:
    known = manifest("one", entries)
    again(workshop, entries, known)
    (workshop.out / "a").unlink()
    os.utime(workshop.out / "d/b")
    assert again(workshop, None, known) == (1, 3, 0, 1)
    assert (workshop.out / "a").read_bytes() == b"a"


def test_an_edited_file_is_a_conflict_and_force_replaces_it(workshop: Workshop, entries: list[Entry]) -> None:
    known = manifest("one", entries)
    again(workshop, entries, known)
    (workshop.out / "d/b").write_bytes(b"mine")
    with pytest.raises(DestinationConflict, match="d/b"):
        again(workshop, entries, known)
    assert again(workshop, None, known, force=True) == (1, 3, 0, 1)
    assert (workshop.out / "d/b").read_bytes() == b"b"


def test_another_version_costs_what_changed(workshop: Workshop, entries: list[Entry]) -> None:
    again(workshop, entries, manifest("one", entries))
    root = workshop.write({"new": b"new", "d/b2": b"B"}, "other")
    new = {e.path: e.object for e in workshop.entries(f"{root}/")}
    later = [e for e in entries if e.path not in ("d/e/c", "d/b", "z//odd")]
    later = ordered([*later, Entry("d/b", new["d/b2"]), Entry("new", new["new"])])
    known = manifest("two", later, one=entries)
    assert again(workshop, None, known) == (2, 1, 2, 0)
    assert tree(workshop.out) == {"a": b"a", "d/b": b"B", "new": b"new"}
    assert not (workshop.out / "d/e").exists()
    assert again(workshop, None, known) == (0, 3, 0, 0)


def test_a_version_that_can_not_exist_there_is_refused_as_ever(workshop: Workshop, entries: list[Entry]) -> None:
    again(workshop, entries, manifest("one", entries))
    later = ordered([*entries, Entry("a/below", entries[0].object)])
    with pytest.raises(UnsafePath):
        again(workshop, later, manifest("two", later, one=entries), force=True)
    assert tree(workshop.out).keys() >= {"a", "d/b"}


def test_after_a_checkout_of_a_part_all_is_compared(workshop: Workshop, entries: list[Entry]) -> None:
    known = manifest("one", entries)
    again(workshop, entries, known)
    (workshop.out / "a").unlink()
    workshop.checkout(entries, paths=["a"])
    with pytest.raises(AssertionError, match="all entries were read"):
        again(workshop, None, known)
    assert again(workshop, entries, known)[:2] == (0, 4)


def test_a_folder_that_became_a_link_is_not_followed(workshop: Workshop, entries: list[Entry], tmp_path: Path) -> None:
    known = manifest("one", entries)
    again(workshop, entries, known)
    (workshop.out / "d").rename(tmp_path / "moved")
    (workshop.out / "d").symlink_to(tmp_path / "moved")
    with pytest.raises(UnsafePath):
        again(workshop, entries, known)
