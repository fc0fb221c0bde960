"""`kill -9` of a push or a pull at any moment: both sides stay whole, and the next one moves the rest."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import refstore
from refstore.records import transaction
from refstore.sync.pull import pull
from refstore.sync.push import push

from .clones import Watched, add, check_whole, folder_remote, state
from .conftest import NewStore
from .forked import Forked

pytestmark = pytest.mark.timeout(600)

ENTRIES = 150
VERSIONS = 8
MOMENTS = 6


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    with Forked() as forked:
        yield forked


@pytest.fixture
def full(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> refstore.Store:
    """A store with parts and several transactions."""
    monkeypatch.setattr(transaction, "PART_SIZE", 8 << 10)
    store = new_store("full")
    for number in range(VERSIONS):
        add(store, ENTRIES, {number: 1}, aliases=["last"])
    return store


def kills(seconds: float, changes: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Before each change of a file system, and at random moments of the time that it takes."""
    draw = random.Random(1)
    for number in range(1, changes, 2):
        yield f"change-{number}", {"kill_at_change": number}
    for number in range(MOMENTS):
        yield f"moment-{number}", {"kill_after": draw.uniform(0, seconds)}


def test_a_push_survives_a_kill_at_any_moment(
    forked: Forked, full: refstore.Store, tmp_path: Path, new_store: NewStore
) -> None:
    whole = shutil.copytree(full.root, tmp_path / "whole")
    code, seconds = forked.run("push", whole, tmp_path / "all")
    assert code == 0
    expected = set(folder_remote(tmp_path / "all", full).names())
    assert len(expected) > 4
    before, hits = state(full), 0
    for name, kill in kills(seconds, 3 * len(expected)):
        root = shutil.copytree(full.root, tmp_path / f"pusher-{name}")
        remote = folder_remote(tmp_path / f"remote-{name}", full)
        code, _ = forked.run("push", root, tmp_path / f"remote-{name}", **kill)  # type: ignore[arg-type]
        assert code in (0, -9)
        hits += code == -9
        # what is there is whole, at whatever moment that was
        early = new_store(f"early-{name}")
        got = pull(early.catalog, remote)
        assert (got.refused, got.held_back) == ((), ())
        assert early.catalog.problems() == []
        written = set(remote.names())
        code, _ = forked.run("push", root, tmp_path / f"remote-{name}")
        assert code == 0
        assert written <= set(remote.names())
        assert len(set(remote.names())) <= len(expected) + 1, "and little is there twice"
        pull(early.catalog, remote)
        assert state(early) == before
        shutil.rmtree(root)
    assert hits > 5


def test_a_pull_survives_a_kill_at_any_moment(forked: Forked, full: refstore.Store, tmp_path: Path) -> None:
    remote = tmp_path / "remote"
    for number in range(3):
        add(full, ENTRIES, {number: 7})
        push(full.catalog, folder_remote(remote, full))
    expected = state(full)
    with refstore.create(tmp_path / "empty") as empty:
        root = empty.root
    whole = shutil.copytree(root, tmp_path / "whole")
    code, seconds = forked.run("pull", whole, remote)
    assert code == 0
    hits = 0
    for name, kill in kills(seconds, 40):
        one = shutil.copytree(root, tmp_path / f"puller-{name}")
        code, _ = forked.run("pull", one, remote, **kill)  # type: ignore[arg-type]
        assert code in (0, -9)
        hits += code == -9
        with refstore.open(one) as store:
            now = state(store)
            assert all(row in expected for row in now if row[0] == "record"), "nothing that was never pushed"
            assert store.catalog.problems() == [], "what is there has all that it refers to"
            again = Watched(folder_remote(remote, store))
            pull(store.catalog, again)
            assert state(store) == expected
            assert not list((store.folder / "tmp").glob("*"))
            check_whole(store)
        shutil.rmtree(one)
    assert hits > 10
