"""Whatever git does to the files, the index follows, and every way of joining two branches ends in one state."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import refstore
from tests.git.clone import Clone, clone_of


def work_on_both(ada: Clone) -> tuple[str, str]:
    """Two branches, `left` and `right`, each add mnist:v1, move an alias and log a run. The ids of their versions."""
    made = []
    for name in ("left", "right"):
        ada.branch(name)
        made.append(ada.record("mnist", {"a": name, "b": "b", "c": "c"}, aliases=["best"], tags=[name]).id)
        with refstore.open(ada.root) as store:
            store.describe("mnist:v0", f"as {name} says")
        with refstore.init(dir=str(ada.root), project="uncategorized") as run:
            run.use_artifact("mnist:v0")
            run.log_artifact(ada.data, name=f"model-{name}", type="model")
        ada.commit(name)
    return made[0], made[1]


def test_a_merge_ends_in_the_same_state_both_ways(ada: Clone, tmp_path: Path) -> None:
    left, right = work_on_both(ada)
    ada.git("merge", "-q", "--no-edit", "left")
    one = ada.state()
    ada.go("left")
    ada.git("merge", "-q", "--no-edit", "right~0")
    assert ada.state() == one
    assert ada.fresh_state(tmp_path / "index") == one
    assert ada.ids("mnist")[left] == 1
    assert ada.ids("mnist")[right] == 2
    with refstore.open(ada.root) as store:
        assert store.artifact("mnist").aliases["best"] == 2
        assert store.version("mnist:v0").description == "as right says"
        assert {run.project for run in store.runs()} == {"uncategorized"}
        assert {info.name.artifact for info in store.artifacts()} == {"mnist", "model-left", "model-right"}


def rebase(ada: Clone) -> None:
    ada.git("rebase", "-q", "left")


def squash(ada: Clone) -> None:
    ada.git("merge", "-q", "--squash", "left")
    ada.commit("squashed")


def cherry_pick(ada: Clone) -> None:
    ada.git("cherry-pick", "main..left")


def stash(ada: Clone) -> None:
    ada.git("reset", "-q", "--soft", "main")
    ada.git("stash", "-q", "--include-untracked")
    ada.git("merge", "-q", "--ff-only", "left")
    assert len(ada.ids("mnist")) == 2
    ada.git("stash", "pop", "-q")
    ada.commit("popped")


def no_fast_forward(ada: Clone) -> None:
    ada.git("merge", "-q", "--no-ff", "--no-edit", "left")


def hosting_site(ada: Clone) -> None:
    """As a site's merge button does it: in a bare repository, without files and without any driver."""
    tree = ada.git("merge-tree", "--write-tree", "left", "right").splitlines()[0]
    commit = ada.git("commit-tree", tree, "-p", "left", "-p", "right", "-m", "button").strip()
    ada.git("reset", "-q", "--hard", commit)


@pytest.mark.parametrize("way", [rebase, squash, cherry_pick, stash, no_fast_forward, hosting_site])
def test_every_way_to_join_two_branches_ends_in_the_state_of_a_merge(
    way: Callable[[Clone], None], ada: Clone, tmp_path: Path
) -> None:
    work_on_both(ada)
    ada.git("checkout", "-q", "-b", "merged", "left")
    ada.git("merge", "-q", "--no-edit", "right")
    expected = ada.state()
    ada.go("right")
    way(ada)
    assert ada.state() == expected
    assert ada.fresh_state(tmp_path / "index") == expected


def test_an_octopus_of_branches_that_gave_one_number_numbers_them_by_age(ada: Clone, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two", "three"):
        ada.branch(name)
        made.append(ada.add("mnist", a=name))
        ada.commit(name)
    ada.go("main")
    ada.git("merge", "-q", "--no-edit", "three", "one", "two")
    numbers = ada.ids("mnist")
    assert [numbers[id] for id in made] == [1, 2, 3]
    assert ada.fresh_state(tmp_path / "index") == ada.state()


def test_switching_branches_switches_what_the_catalog_shows(ada: Clone) -> None:
    on_main = ada.state()
    left, right = work_on_both(ada)
    for branch, id in (("left", left), ("right", right)):
        ada.go(branch)
        with refstore.open(ada.root) as store:
            assert store.version("mnist:v1").id == id
            assert store.version("mnist:best").id == id
            assert store.artifact(f"model-{branch}").versions == 1
    ada.go("main")
    assert ada.state() == on_main


def test_a_reset_takes_away_what_it_takes_from_the_files(ada: Clone) -> None:
    before = ada.state()
    ada.add("mnist", a="2")
    ada.commit()
    with refstore.open(ada.root) as store:
        store.set_alias("mnist:v0", "best")
    ada.commit()
    ada.git("reset", "-q", "--hard", "HEAD~2")
    assert ada.state() == before


def test_a_stash_hides_what_is_not_committed_and_brings_it_back(ada: Clone) -> None:
    before = ada.state()
    ada.add("mnist", a="2")
    after = ada.state()
    ada.git("stash", "-q", "--include-untracked")
    assert ada.state() == before
    ada.git("stash", "pop", "-q")
    assert ada.state() == after


def test_a_clone_just_works_and_a_pull_is_followed(ada: Clone, tmp_path: Path) -> None:
    bob = clone_of(ada, tmp_path / "bob")
    assert "mnist" in bob.cli("ls").stdout
    assert bob.state() == ada.state()
    ada.add("mnist", a="2")
    ada.commit()
    bob.git("pull", "-q")
    assert bob.state() == ada.state()
    assert bob.git("status", "--porcelain") == ""


def test_two_clones_that_pull_from_each_other_agree(ada: Clone, tmp_path: Path) -> None:
    bob = clone_of(ada, tmp_path / "bob")
    ada.add("mnist", a="ada")
    ada.commit()
    bob.add("mnist", a="bob")
    bob.commit()
    bob.git("pull", "-q", "--no-rebase", "--no-edit")
    # the next that writes records the renumbering, and it holds when still another comes
    bob.add("mnist", a="bob again")
    bob.commit()
    ada.add("mnist", a="ada again")
    ada.commit()
    ada.git("pull", "-q", "--no-rebase", "--no-edit", str(bob.root))
    bob.git("pull", "-q", "--no-rebase", "--no-edit")
    assert ada.state() == bob.state()
    assert sorted(ada.ids("mnist").values()) == [0, 1, 2, 3, 4]


def test_a_worktree_has_a_catalog_of_its_own(ada: Clone, tmp_path: Path) -> None:
    left, _ = work_on_both(ada)
    ada.go("main")
    ada.git("worktree", "add", "-q", str(tmp_path / "tree"), "left")
    with refstore.open(tmp_path / "tree") as store:
        assert store.version("mnist:v1").id == left
    assert len(ada.ids("mnist")) == 1


def test_the_index_and_the_cache_are_never_committed(ada: Clone) -> None:
    with refstore.open(ada.root) as store:
        store.put(ada.data, name="kept")
    ada.commit()
    tracked = ada.git("ls-files").split()
    assert {path for path in tracked if not path.endswith(".jsonl")} == {
        ".refstore/.gitignore",
        ".refstore/.gitattributes",
    }


def test_an_index_that_was_carried_along_by_hand_is_no_trouble(ada: Clone, tmp_path: Path) -> None:
    work_on_both(ada)
    expected = ada.state()
    copy = Clone(tmp_path / "copy", ada.data)
    shutil.copytree(ada.root, copy.root, symlinks=True)
    copy.go("left")
    ada.go("left")
    assert copy.state() == ada.state() != expected
