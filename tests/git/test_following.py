"""What following the files costs, and what `sync` and `init` say."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import refstore
from tests.git.clone import Clone, clone_of

OPENED = """
import json, sys
seen = []
def hook(event, args):
    if event in ("open", "os.scandir", "os.listdir") and ".refstore/records" in str(args[0]):
        seen.append([event, str(args[0])])
sys.addaudithook(hook)
import refstore
with refstore.open(sys.argv[1]) as store:
    statements = []
    catalog = store.catalog
    opening = len(seen)
    catalog._db.set_trace_callback(statements.append)
    catalog.refresh()
    catalog._db.set_trace_callback(None)
print(json.dumps({"seen": seen, "statements": statements}))
"""


def opened(clone: Clone) -> dict[str, list[str]]:
    ran = subprocess.run([sys.executable, "-c", OPENED, str(clone.root)], capture_output=True, text=True, check=True)
    return dict(json.loads(ran.stdout))


def test_where_nothing_changed_no_file_is_opened_or_listed_and_one_row_is_read(ada: Clone) -> None:
    time.sleep(0.06)  # the folder's time must be old enough to tell a later change
    ada.state()
    assert opened(ada) == {"seen": [], "statements": ["SELECT value FROM meta WHERE key = 'stamp'"]}


def test_after_a_pull_only_what_came_is_read(ada: Clone, tmp_path: Path) -> None:
    for i in range(5):
        ada.add("mnist", a=str(i))
    ada.commit()
    bob = clone_of(ada, tmp_path / "bob")
    bob.state()
    before = ada.names()
    ada.add("mnist", a="new")
    ada.commit()
    bob.git("pull", "-q")
    (came,) = ada.names() - before
    assert {Path(path).name for event, path in opened(bob)["seen"] if event == "open"} == {came}


def test_one_more_version_writes_rows_for_itself_alone(ada: Clone) -> None:
    def written(clone: Clone, text: str) -> int:
        with refstore.open(clone.root) as store:
            before = store.catalog._db.total_changes
            (clone.data / "a").write_text(text)
            store.add(clone.data, name="mnist")
            return store.catalog._db.total_changes - before

    few = written(ada, "first")
    for i in range(40):
        written(ada, str(i))
    assert written(ada, "last") <= few + 3


def test_sync_says_what_came_and_went(ada: Clone) -> None:
    for name in ("left", "right"):
        ada.branch(name)
        ada.record("mnist", {"a": name}, aliases=["best"])
        ada.commit(name)
    assert ada.cli("sync").stdout == "Nothing came and nothing went.\n"
    ada.go("main")
    assert ada.cli("sync").stdout == "Went: mnist:v1\nAlias: mnist:best is gone\n"
    ada.go("right")
    ada.cli("sync")
    ada.git("merge", "-q", "--no-edit", "left")
    found = json.loads(ada.cli("sync", "--json").stdout)
    assert found["came"] == ["uncategorized/mnist:v1"]
    assert found["went"] == []
    assert found["renumbered"] == [{"was": "uncategorized/mnist:v1", "now": "uncategorized/mnist:v2"}]
    assert found["aliases"] == []


def test_sync_follows_in_a_process_that_goes_on(ada: Clone) -> None:
    with refstore.open(ada.root) as store:
        assert store.version("mnist").number == 0
        store.add(ada.data / "a", name="mnist")
        ada.git("stash", "-q", "--include-untracked")
        assert store.sync().went == ("uncategorized/mnist:v1",)
        ada.git("stash", "pop", "-q")
        assert store.sync().came == ("uncategorized/mnist:v1",)
        assert not store.sync()


def test_sync_notices_an_edit_in_place(ada: Clone) -> None:
    time.sleep(0.06)
    ada.state()
    (file,) = ada.records.iterdir()
    data = file.read_bytes()
    file.write_bytes(data.replace(b'"path":"a"', b'"path":"x"'))
    ran = ada.cli("sync")
    assert file.name in ran.stderr
    assert "Went: mnist:v0" in ran.stdout
    file.write_bytes(data)
    assert "Came: mnist:v0" in ada.cli("sync").stdout


def test_init_in_a_repository_says_what_to_commit(ada: Clone, tmp_path: Path) -> None:
    root = tmp_path / "new"
    root.mkdir()
    new = Clone(root, ada.data)
    new.git("init", "-q")
    assert new.cli("init").stdout.splitlines()[1] == "Commit it with your code: git add .refstore"
    new.add("mnist", a="a")
    new.git("add", ".refstore")
    assert len(new.git("diff", "--cached", "--name-only").split()) == 3
    (root / ".refstore.toml").write_text("")
    assert json.loads(new.cli("init", "--json").stdout)["commit"] == "git add .refstore .refstore.toml"
    (root / ".gitignore").write_text(".*\n")
    assert "Git ignores the catalog, by the rule .gitignore:1:.*" in new.cli("init").stderr
    (root / ".gitignore").write_text("*.jsonl\n")
    assert new.cli("init").stderr == ""


def test_a_pull_request_reads_well(ada: Clone) -> None:
    ada.branch("change")
    ada.add("mnist", a="a", b="changed", d="new")
    ada.commit()
    header = next(line for line in ada.git("diff", "main...change").splitlines() if line.startswith('+{"refstore"'))
    assert json.loads(header[1:])["summary"] == [
        "uncategorized/mnist:v1 (from v0): 1 added, 1 removed, 1 changed; 3 files: ~ b, - c, + d",
    ]
