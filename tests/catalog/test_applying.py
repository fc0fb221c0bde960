"""Manifests are made one after the other in memory: what is not proven leaves nothing, what is proven is all there."""

from __future__ import annotations

import pytest

from refstore.catalog import chunks
from refstore.catalog.applying import Applying
from refstore.errors import CatalogCorrupt
from refstore.manifest.tree import Chunk
from tests.catalog.test_chunks import MANY, a_database, build, lines, number


def refused(root: Chunk) -> None:
    raise CatalogCorrupt("not that one")


def test_a_chain_of_manifests_is_what_building_each_makes() -> None:
    db = a_database()
    base = build(db, MANY)
    db.execute("BEGIN")
    applying = Applying(db)
    content, at, roots = dict(MANY), number(db, base), []
    for step in range(40):
        changed = dict(content)
        for place in range(10):
            changed[sorted(MANY)[(place * 1000 + step * 97) % len(MANY)]] = step
        changed.pop(sorted(MANY)[step * 31], None)
        changed[f"d{step % 7}/new{step}"] = step
        root = applying.apply(at, lines(content, changed))
        at = applying.root(root.id.hex())
        content = changed
        roots.append((root, dict(content)))
    applying.flush()
    for root, wanted in (roots[0], roots[20], roots[-1]):
        assert root == build(a_database(), wanted)
        assert {e.path: e.object.size for e in chunks.read_entries(db, number(db, root))} == wanted
    assert not list(chunks.damaged(db))


@pytest.mark.parametrize("count", [10, 20_000])
def test_what_is_not_proven_leaves_nothing_and_what_follows_it_holds(count: int) -> None:
    db = a_database()
    db.execute("BEGIN")
    applying = Applying(db)
    small, large = {"a": 1}, {f"f{n:06}": n for n in range(count)}
    first = applying.apply(None, lines({}, small))
    with pytest.raises(CatalogCorrupt, match="not that one"):
        applying.apply(None, lines({}, large), refused)
    second = applying.apply(applying.root(first.id.hex()), lines(small, small | {"b": 2}))
    applying.flush()
    db.execute("COMMIT")
    assert second == build(a_database(), small | {"b": 2})
    assert db.execute("SELECT count(*) FROM chunks").fetchone()[0] == 6
    assert db.execute("SELECT count(*) FROM entries").fetchone()[0] == 3
    assert not list(chunks.damaged(db))
