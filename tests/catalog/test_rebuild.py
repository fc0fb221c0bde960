from __future__ import annotations

import sqlite3
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from refstore.catalog.chunks import ChunkSink, diff, root_number
from refstore.catalog.rebuild import rebuild
from refstore.manifest.diff import pairs
from refstore.manifest.entry import Entry, Object
from refstore.manifest.tree import Chunk, TreeBuilder
from tests.catalog.test_chunks import a_database

ENTRIES = st.dictionaries(st.integers(0, 400), st.integers(0, 2), max_size=300)


def entries(numbers: dict[int, int], mtime: str | None = None) -> list[Entry]:
    made = [Entry(f"{n:04d}", Object("s3", "", "b", f"k{n}", n, f"v{v}", mtime=mtime)) for n, v in numbers.items()]
    return sorted(made, key=lambda entry: entry.path)


def build(db: sqlite3.Connection, some: list[Entry]) -> Chunk:
    sink = ChunkSink(db)
    builder = TreeBuilder(sink)
    for entry in some:
        builder.add(entry)
    root = builder.finish()
    sink.flush()
    return root


@given(ENTRIES, ENTRIES, st.booleans())
def test_a_manifest_built_beside_its_base_is_that_built_alone_and_counts_what_differs(
    before: dict[int, int], after: dict[int, int], similar: bool
) -> None:
    db = a_database()
    after = before | dict(list(after.items())[:5]) if similar else after
    old, new = entries(before, "2026-01-01T00:00:00Z"), entries(after)
    base = root_number(db, build(db, old).id.hex())
    assert base is not None

    sink = ChunkSink(db)
    builder = TreeBuilder(sink)
    counts = rebuild(db, base, new, builder)
    root = builder.finish()
    sink.flush()

    # what only lost its time is the same, and stays as the base has it
    kept = [a if a and a.object.same_as(b.object) else b for a, b in pairs(old, new) if b is not None]
    assert root == build(db, kept)
    kinds = [change.kind for change in diff(db, base, root_number(db, root.id.hex()) or 0)]
    assert counts == tuple(kinds.count(kind) for kind in ("added", "removed", "changed"))
    db.close()


def test_what_did_not_change_is_not_opened() -> None:
    db = a_database()
    some = entries(dict.fromkeys(range(400), 0))
    root = build(db, some)
    base = root_number(db, root.id.hex())
    assert base is not None
    asked: list[str] = []
    db.set_trace_callback(asked.append)
    written = db.total_changes
    for changed, opened in (
        (some, 0),
        ([replace(some[0], object=replace(some[0].object, version="new")), *some[1:]], 1),
    ):
        asked.clear()
        rebuild(db, base, changed, TreeBuilder(ChunkSink(db)))
        assert len([text for text in asked if "FROM entries" in text]) == opened
    assert db.total_changes == written
    db.close()
