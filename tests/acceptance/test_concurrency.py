"""Eight processes that add to one store at once."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import refstore
from tests.acceptance.killing import check_whole

from .conftest import NewStore, write_tree
from .process import REFSTORE

PROCESSES = 8


def add_at_once(store: Path, commands: list[list[str]]) -> list[dict[str, object]]:
    """Run commands in the same moment; the JSON that each printed. All have to succeed."""
    started = [
        subprocess.Popen([*REFSTORE, *words], cwd=store, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in commands
    ]
    ended = [(*process.communicate(timeout=200), process.returncode) for process in started]
    assert [code for _, _, code in ended] == [0] * len(commands), [err for _, err, _ in ended]
    return [json.loads(out) for out, _, _ in ended]


def test_eight_adds_at_once_all_land_with_numbers_of_their_own(tmp_path: Path, new_store: NewStore) -> None:
    store = new_store("store")
    trees = [tmp_path / f"tree-{number}" for number in range(PROCESSES)]
    for number, tree in enumerate(trees):
        write_tree(tree, 200, start=1000 * number)
    added = add_at_once(store, [["add", str(tree), "--name", "data", "--json"] for tree in trees])

    assert sorted(str(one["name"]) for one in added) == sorted(f"uncategorized/data:v{n}" for n in range(PROCESSES))
    with refstore.open(store) as opened:
        versions = opened.versions("data")
        assert [version.number for version in versions] == list(reversed(range(PROCESSES)))
        assert {source for version in versions for source in version.sources} == {f"{t.as_uri()}" for t in trees}
        assert all(version.file_count == len(list(version.files())) == 200 for version in versions)
    check_whole(store, "data")


def test_eight_adds_of_the_same_at_once_make_one_version(tmp_path: Path, new_store: NewStore) -> None:
    store = new_store("store")
    write_tree(tmp_path / "tree", 200)
    words = ["add", str(tmp_path / "tree"), "--name", "data", "--json"]
    added = add_at_once(store, [[*words, "--alias", f"a{number}"] for number in range(PROCESSES)])

    assert sorted(bool(one["new"]) for one in added) == [False] * (PROCESSES - 1) + [True]
    with refstore.open(store) as opened:
        (version,) = opened.versions("data")
        assert sorted(version.aliases) == sorted(["latest", *(f"a{number}" for number in range(PROCESSES))])
    check_whole(store, "data")


def test_the_first_eight_commands_in_a_fresh_clone_build_its_index_once_and_right(
    tmp_path: Path, new_store: NewStore
) -> None:
    store = new_store("store")
    write_tree(tmp_path / "tree", 200)
    add_at_once(store, [["add", str(tmp_path / "tree"), "--name", "data", "--json"]])
    for file in (store / ".refstore").glob("catalog.db*"):
        file.unlink()
    shown = add_at_once(store, [["show", "data", "--json"] for _ in range(PROCESSES)])
    assert len({str(one["digest"]) for one in shown}) == 1
