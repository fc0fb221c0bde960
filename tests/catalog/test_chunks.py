"""Manifests as trees of chunks: one identity however reached, cheap to change, cheap to compare."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refstore.catalog import chunks
from refstore.catalog.applying import apply
from refstore.catalog.schema import prepare
from refstore.errors import CatalogCorrupt, DuplicatePath, UsageError
from refstore.manifest.entry import Entry, Object
from refstore.manifest.tree import Chunk, TreeBuilder


class Closing(sqlite3.Connection):
    """Closes itself, so that an example of Hypothesis may just drop it."""

    def __del__(self) -> None:
        self.close()


def a_database() -> sqlite3.Connection:
    # The collector may drop one while another thread of the same worker runs, and closes it there.
    db = sqlite3.connect(":memory:", isolation_level=None, factory=Closing, check_same_thread=False)
    prepare(db, ":memory:")
    return db


def entry(path: str, token: int = 0) -> Entry:
    return Entry(path, Object("s3", "", "b", f"k/{path}", token, f"v{token}", f"e{token}"))


def build(db: sqlite3.Connection, content: dict[str, int]) -> Chunk:
    sink = chunks.ChunkSink(db)
    builder = TreeBuilder(sink)
    for path in sorted(content):
        builder.add(entry(path, content[path]))
    root = builder.finish()
    sink.flush()
    return root


def number(db: sqlite3.Connection, root: Chunk) -> int:
    found = chunks.root_number(db, root.id.hex())
    assert found is not None
    return found


def lines(old: dict[str, int], new: dict[str, int]) -> Iterable[dict[str, object]]:
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield {"drop": path}
        elif old.get(path) != new[path]:
            yield {"put": entry(path, new[path]).to_json()}


MANY = {f"d{i % 7}/f{i:05d}": i for i in range(10_000)}

paths = st.one_of(st.sampled_from(sorted(MANY)[:3000]), st.text(st.characters(codec="utf-8"), min_size=1, max_size=5))
contents = st.dictionaries(paths, st.integers(0, 5), max_size=300)


@settings(deadline=None, max_examples=60)
@given(contents, contents)
def test_a_change_makes_the_same_manifest_as_building_it_anew(old: dict[str, int], new: dict[str, int]) -> None:
    db = a_database()
    base, expected = build(db, old), build(a_database(), new)
    assert apply(db, number(db, base), lines(old, new)) == expected
    assert {e.path: e.object.size for e in chunks.read_entries(db, number(db, expected))} == new


@settings(deadline=None, max_examples=60)
@given(contents, contents)
def test_a_diff_by_chunks_finds_what_a_plain_comparison_finds(old: dict[str, int], new: dict[str, int]) -> None:
    db = a_database()
    a, b = number(db, build(db, old)), number(db, build(db, new))
    found = [(c.path, c.kind) for c in chunks.diff(db, a, b)]
    plain = [
        (path, "added" if path not in old else "removed" if path not in new else "changed")
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]
    assert found == plain


def test_a_small_change_to_a_large_manifest_writes_few_chunks() -> None:
    db = a_database()
    base = build(db, MANY)
    before = db.execute("SELECT count(*) FROM chunks").fetchone()[0]
    opened: list[str] = []
    db.set_trace_callback(opened.append)
    after = dict(MANY)
    after["d3/f00003"] = 77
    del after["d5/f09994"]
    root = apply(db, number(db, base), lines(MANY, after))
    db.set_trace_callback(None)
    assert root == build(a_database(), after)
    assert db.execute("SELECT count(*) FROM chunks").fetchone()[0] - before <= 8
    leaves = [s for s in opened if "FROM entries" in s]
    assert len(leaves) <= 6


def test_one_entry_and_a_folder_are_found_without_reading_the_rest() -> None:
    db = a_database()
    root = number(db, build(db, MANY))
    assert chunks.read_entry(db, root, "d3/f00003") == entry("d3/f00003", 3)
    assert chunks.read_entry(db, root, "d3/f0000") is None
    assert [e.path for e in chunks.read_prefix(db, root, "d6/")] == sorted(p for p in MANY if p.startswith("d6/"))
    plan = " ".join(str(row) for row in db.execute(f"EXPLAIN QUERY PLAN {chunks._IN_ORDER}", {"root": 1, "first": ""}))
    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan


def test_an_empty_manifest_has_an_identity_and_can_grow() -> None:
    db = a_database()
    empty = build(db, {})
    assert empty.entries == 0
    assert list(chunks.read_entries(db, number(db, empty))) == []
    assert apply(db, number(db, empty), lines({}, {"a": 1})) == build(a_database(), {"a": 1})
    grown = number(db, build(db, {"a": 1}))
    assert apply(db, grown, lines({"a": 1}, {})) == empty


def test_a_change_that_does_not_fit_its_base_is_refused() -> None:
    db = a_database()
    base = number(db, build(db, {"a": 1}))
    with pytest.raises(CatalogCorrupt, match="which its base does not have"):
        apply(db, base, [{"drop": "b"}])
    with pytest.raises(CatalogCorrupt, match="damaged"):
        apply(db, base, [{"put": {"scheme": "s3"}}])
    with pytest.raises(CatalogCorrupt, match="out of order"):
        apply(db, base, [{"put": entry("c").to_json()}, {"put": entry("b").to_json()}])


def test_a_path_twice_and_a_name_outside_unicode_are_refused() -> None:
    builder = TreeBuilder(chunks.ChunkSink(a_database()))
    builder.add(entry("a"))
    with pytest.raises(DuplicatePath):
        builder.add(entry("a"))
    with pytest.raises(UsageError, match="not valid Unicode"):
        builder.add(entry("b\udcff"))
