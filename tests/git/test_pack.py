"""Folding files changes none of what they say, on any branch, in any order, and whatever ends it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import refstore
from refstore.errors import CatalogCorrupt, UsageError
from refstore.records import transaction
from refstore.sync import pack as pack_module
from tests.git.clone import Clone, clone_of


def fold(clone: Clone, keep: int = 0) -> refstore.Store:
    with refstore.open(clone.root) as store:
        store.pack(keep=keep)
        return store


def work(clone: Clone, label: str, times: int = 3) -> None:
    """A few transactions, committed."""
    for i in range(times):
        clone.record("mnist", {"a": f"{label}{i}", "b": "b", "c": "c"}, aliases=["best"], tags=[label])
    with refstore.open(clone.root) as store:
        store.describe("mnist:v0", label)
    clone.commit(label)


def test_folding_changes_nothing_but_the_files(ada: Clone, tmp_path: Path) -> None:
    work(ada, "x")
    expected = ada.state()
    with refstore.open(ada.root) as store:
        done = store.pack(keep=0)
    assert (done.folded, done.packs, done.kept) == (5, 1, 0)
    assert len(ada.names()) == 1
    assert ada.state() == expected
    assert ada.fresh_state(tmp_path / "index") == expected
    assert ada.cli("fsck").returncode == 0
    (path,) = ada.records.iterdir()
    header = json.loads(path.read_bytes().splitlines()[0])
    assert len(header["summary"]) == 5
    assert "uncategorized/mnist:v0" in header["summary"][0]
    assert header["summary"][0].startswith("20")
    with refstore.open(ada.root) as store:
        assert not store.pack(keep=0).folded


def test_the_newest_files_stay_as_they_are(ada: Clone) -> None:
    work(ada, "x")
    before = ada.names()
    expected = ada.state()
    with refstore.open(ada.root) as store:
        assert store.pack(keep=2, dry_run=True).folded == 3
        assert ada.names() == before
        assert store.pack(keep=2).folded == 3
    assert len(ada.names()) == 3
    assert len(ada.names() & before) == 2
    assert ada.state() == expected


def test_two_branches_that_fold_the_same_records_write_the_same_file(ada: Clone, tmp_path: Path) -> None:
    work(ada, "x")
    bob = clone_of(ada, tmp_path / "bob")
    before = ada.names()
    fold(ada)
    fold(bob)
    assert bob.names() == ada.names() != before


def test_two_branches_that_fold_a_large_file_with_others_do_not_conflict(ada: Clone, tmp_path: Path) -> None:
    ada.add("big", **{f"f{i}": str(i) for i in range(40)})
    ada.commit()
    large = max(ada.records.iterdir(), key=lambda path: path.stat().st_size)
    for name in ("left", "right"):
        ada.branch(name)
        work(ada, name)
        fold(ada)
        ada.commit("folded")
    assert large.exists(), "git would take the pack for this file, moved to two places"
    ada.git("merge", "-q", "--no-edit", "left")
    assert ada.fresh_state(tmp_path / "index") == ada.state()


def test_a_folded_branch_merges_with_one_that_was_not_and_with_one_folded_otherwise(ada: Clone, tmp_path: Path) -> None:
    work(ada, "x")
    ada.branch("left")
    work(ada, "left")
    fold(ada)
    ada.commit("folded")
    ada.branch("right", "main")
    work(ada, "right")
    plain = ada.commit_of("right")
    fold(ada, keep=2)
    ada.commit("folded otherwise")
    ada.git("checkout", "-q", "-b", "expected", "left~1")
    ada.git("merge", "-q", "--no-edit", plain)
    expected = ada.state()
    for one, other in (("left", plain), (plain, "left"), ("left", "right"), ("right", "left")):
        ada.git("checkout", "-q", "--detach", one)
        ada.git("merge", "-q", "--no-edit", other)
        assert ada.state() == expected
    assert ada.fresh_state(tmp_path / "index") == expected
    before = len(ada.names())
    fold(ada)
    assert len(ada.names()) <= before
    assert ada.state() == expected
    assert ada.cli("fsck").returncode == 0


def test_a_change_of_branch_between_folded_and_not_shows_the_same(ada: Clone) -> None:
    work(ada, "x")
    expected = ada.state()
    ada.branch("folded")
    fold(ada)
    ada.commit("folded")
    ada.go("main")
    assert ada.state() == expected
    ada.go("folded")
    assert ada.state() == expected


def test_a_fold_does_not_read_manifests_again(ada: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    work(ada, "x")
    with refstore.open(ada.root) as store:
        store.catalog.refresh()
        before = store.catalog._db.execute("SELECT max(id), count(*) FROM chunks").fetchone()
        monkeypatch.setattr("refstore.catalog.ingest._build", None)
        store.pack(keep=0)
        assert store.catalog._db.execute("SELECT max(id), count(*) FROM chunks").fetchone() == before


def test_packs_are_cut_at_four_mebibytes_and_full_ones_stay(
    ada: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pack_module, "PART_SIZE", 9000)
    work(ada, "x", 9)
    expected = ada.state()
    fold(ada)
    ada.commit("folded")
    first = ada.names()
    assert len(first) > 2
    assert all(path.stat().st_size < 12000 for path in ada.records.iterdir())
    assert ada.state() == expected
    work(ada, "y")
    fold(ada)
    assert len(first & ada.names()) >= len(first) - 1


def test_part_files_stay_as_they_are(ada: Clone, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(transaction, "PART_SIZE", 300)
    ada.add("big", **{f"f{i}": str(i) for i in range(9)})
    ada.commit()
    parts = {path.name for path in ada.records.iterdir() if b'"part"' in path.read_bytes()[:20]}
    expected = ada.state()
    fold(ada)
    assert parts
    assert parts < ada.names()
    assert ada.fresh_state(tmp_path / "index") == expected
    assert ada.cli("fsck").returncode == 0


def test_what_is_not_committed_stays_as_it_is(ada: Clone) -> None:
    work(ada, "x")
    before = ada.names()
    ada.add("mnist", a="new")
    (new,) = ada.names() - before
    ran = ada.cli("pack", "--keep", "0")
    assert "Folded 5 files" in ran.stdout
    assert "1 old file not committed to git yet" in ran.stderr
    assert new in ada.names()


def test_a_damaged_file_is_refused_by_name_and_nothing_is_folded(ada: Clone) -> None:
    work(ada, "x")
    before = ada.names()
    path = ada.records / sorted(before)[0]
    path.write_bytes(path.read_bytes()[:-5])
    ada.commit("broken")
    with refstore.open(ada.root) as store, pytest.raises(CatalogCorrupt, match=path.name):
        store.pack(keep=0)
    assert ada.names() == before


def test_a_negative_number_of_files_to_keep_is_refused(ada: Clone) -> None:
    with refstore.open(ada.root) as store, pytest.raises(UsageError):
        store.pack(keep=-1)


KILLED = """
import os, signal, sys
import refstore
from pathlib import Path
left = int(sys.argv[2])
def dying(function):
    def step(*args, **kwargs):
        global left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return function(*args, **kwargs)
    return step
Path.replace, Path.unlink, os.fsync = dying(Path.replace), dying(Path.unlink), dying(os.fsync)
from refstore.sync import pack
pack.PART_SIZE = 7000
with refstore.open(sys.argv[1]) as store:
    store.pack(keep=0)
"""


def test_a_kill_at_any_step_loses_nothing(ada: Clone, tmp_path: Path) -> None:
    work(ada, "x", 5)
    expected = ada.state()
    for step in range(200):
        ended = subprocess.run([sys.executable, "-c", KILLED, str(ada.root), str(step)], check=False).returncode
        assert ada.state() == expected
        assert ada.fresh_state(tmp_path / f"index{step}") == expected
        ada.git("reset", "-q", "--hard")
        ada.git("clean", "-q", "-fd", ".refstore/records")
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
    else:
        raise AssertionError("it never came to its end")
    assert step > 5
    assert not [path for path in (ada.root / ".refstore" / "tmp").iterdir() if "refstore-" in path.name]
