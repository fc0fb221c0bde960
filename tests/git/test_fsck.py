"""What `fsck` finds, what it repairs, and what it says of the rest; everything else still answers meanwhile."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import refstore
from refstore.catalog.catalog import Catalog
from refstore.records import transaction
from refstore.records.encoding import canonical, digest
from refstore.sync.finding import Finding
from tests.git.clone import Clone


def findings(clone: Clone, *, repair: bool = False, content: bool = True) -> list[Finding]:
    with refstore.open(clone.root) as store:
        return list(store.fsck(repair=repair, content=content))


def newest(clone: Clone, before: set[str]) -> Path:
    (name,) = clone.names() - before
    return clone.records / name


@pytest.fixture
def second(ada: Clone) -> Path:
    """The file of a second version of `mnist`, committed."""
    before = ada.names()
    ada.add("mnist", a="a2", b="b", c="c")
    ada.commit()
    return newest(ada, before)


def test_a_whole_store_has_nothing_wrong(ada: Clone, second: Path) -> None:
    with refstore.open(ada.root) as store:
        store.put(ada.data, name="kept")
        check = store.fsck()
        assert list(check) == []
        assert (check.files, check.contents) == (3, 3)
        assert check.records > 10
    assert "nothing is wrong" in ada.cli("fsck").stdout


def in_conflict(data: bytes) -> bytes:
    return b"<<<<<<< HEAD\n" + data + b"=======\n" + data + b">>>>>>> left\n"


def edited(data: bytes) -> bytes:
    assert b'"path":"a"' in data
    return data.replace(b'"path":"a"', b'"path":"x"')


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "conflict marks": (in_conflict, "conflict marks of an unfinished merge"),
    "cut off in a line": (lambda data: data[:-40], "cut off"),
    "cut off between lines": (lambda data: b"".join(data.splitlines(True)[:-1]), "was changed after it was written"),
    "edited": (edited, "was changed after it was written"),
    "a new field": (lambda data: data.replace(b'"number":1', b'"nombre":2,"number":1'), "was changed after it was"),
    "emptied": (lambda data: b"", "was changed after it was written"),
    "CRLF": (lambda data: data.replace(b"\n", b"\r\n"), "converted to CRLF"),
}


@pytest.mark.parametrize("kind", list(DAMAGE))
def test_a_damaged_file_is_named_left_out_and_restored(kind: str, ada: Clone, second: Path) -> None:
    damage, sentence = DAMAGE[kind]
    expected = ada.state()
    right = second.read_bytes()
    (ada.root / "new").write_bytes(damage(right))
    (ada.root / "new").replace(second)
    ran = ada.cli("ls", "mnist")
    assert "mnist:v0" in ran.stdout
    assert "mnist:v1" not in ran.stdout
    assert second.name in ran.stderr
    assert sentence in ran.stderr
    (found,) = findings(ada)
    assert (found.kind, found.where, found.repaired) == ("damaged file", second.name, False)
    assert sentence in found.message
    assert ada.cli("fsck", code=8).stdout.count(second.name) == 1
    (found,) = findings(ada, repair=True)
    assert found.repaired
    assert second.read_bytes() == right
    assert findings(ada) == []
    assert ada.state() == expected


def test_lines_that_only_were_converted_need_no_git(ada: Clone, tmp_path: Path) -> None:
    before = ada.names()
    ada.add("mnist", a="never committed")
    file = newest(ada, before)
    right = file.read_bytes()
    file.write_bytes(right.replace(b"\n", b"\r\n"))
    (found,) = findings(ada, repair=True)
    assert (found.repaired, found.sources) == (True, ())
    assert file.read_bytes() == right


def test_git_that_converts_line_ends_leaves_the_catalog_alone(ada: Clone, second: Path) -> None:
    ada.git("config", "core.autocrlf", "true")
    for name in ada.names():
        (ada.records / name).unlink()
    ada.git("checkout", "-q", "--", ".")
    assert findings(ada) == []


def test_without_its_attributes_every_converted_file_is_named_and_repaired(ada: Clone, second: Path) -> None:
    expected = ada.state()
    (ada.root / ".refstore" / ".gitattributes").unlink()
    ada.commit()
    ada.git("config", "core.autocrlf", "true")
    for name in ada.names():
        (ada.records / name).unlink()
    ada.git("checkout", "-q", "--", ".")
    assert b"\r\n" in second.read_bytes()
    assert {found.where for found in findings(ada)} == ada.names()
    assert all(found.repaired for found in findings(ada, repair=True))
    assert ada.state() == expected


def test_an_edit_in_place_is_found_though_the_folder_did_not_change(ada: Clone, second: Path) -> None:
    expected = ada.state()
    data = second.read_bytes()
    stamp = second.stat()
    second.write_bytes(edited(data))
    os.utime(second, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert ada.state() == expected  # the index holds what was proven when it came
    (found,) = [found for found in findings(ada) if found.kind == "damaged file"]
    assert found.where == second.name
    assert "It held uncategorized/mnist:v1." in found.message
    assert all(found.repaired for found in findings(ada, repair=True))
    assert second.read_bytes() == data
    assert findings(ada) == []


def test_a_file_that_may_not_be_read_is_named(ada: Clone, second: Path) -> None:
    (ada.root / "new").mkdir()
    second.unlink()
    (ada.root / "new").replace(second)  # not even root reads a folder as a file
    ran = ada.cli("ls", "mnist")
    assert "mnist:v0" in ran.stdout
    assert f"{second.name} can't be read: Is a directory" in ran.stderr
    (found,) = findings(ada)
    assert found.kind == "unreadable file"


def test_what_is_put_right_in_its_place_is_seen_by_the_next_command(ada: Clone, second: Path) -> None:
    data = second.read_bytes()
    (ada.root / "new").write_bytes(in_conflict(data))
    (ada.root / "new").replace(second)
    assert second.name in ada.cli("ls").stderr
    second.write_bytes(data)
    assert ada.cli("ls").stderr == ""


def test_a_deleted_file_is_brought_back_from_git(ada: Clone, second: Path) -> None:
    data = second.read_bytes()
    second.unlink()
    (found,) = findings(ada)
    assert (found.kind, found.where, found.sources) == ("missing file", second.name, ("the index of git",))
    (found,) = findings(ada, repair=True)
    assert found.repaired
    assert second.read_bytes() == data


def test_a_deletion_that_was_committed_is_found_by_what_refers_to_it(ada: Clone, second: Path) -> None:
    before = ada.names()
    ada.add("mnist", a="a3", b="b", c="c")
    third = newest(ada, before)
    ada.commit()
    assert b'"base":"' in third.read_bytes()
    second.unlink()
    ada.git("commit", "-qam", "oops")
    (ada.root / ".refstore" / "catalog.db").unlink()  # as in a clone: this index knows the manifest
    ran = ada.cli("ls", "mnist")
    assert f"{third.name} needs the manifest" in ran.stderr
    found = findings(ada)
    assert {f.kind for f in found} == {"missing record"}
    assert all(re.fullmatch("commit [0-9a-f]+", f.sources[0]) for f in found)
    assert all(f.where == third.name for f in found)
    assert all(f.repaired for f in findings(ada, repair=True))
    assert second.exists()
    assert findings(ada) == []
    assert sorted(ada.ids("mnist").values()) == [0, 1, 2]


def test_what_no_commit_has_is_said_to_be_lost(ada: Clone) -> None:
    before = ada.names()
    ada.add("mnist", a="never committed")
    file = newest(ada, before)
    (ada.root / "new").write_bytes(file.read_bytes()[:-40])
    (ada.root / "new").replace(file)
    (found,) = findings(ada, repair=True)
    assert (found.kind, found.repaired, found.sources) == ("damaged file", False, ())
    assert "What it held is lost here: git has no commit with the right bytes." in found.message
    ada.cli("fsck", "--repair", code=8)


def test_of_what_git_does_not_have_the_remotes_are_named(ada: Clone) -> None:
    (ada.root / ".refstore.toml").write_text('[remotes.origin]\nurl = "file:///mnt/share"\n')
    before = ada.names()
    ada.add("mnist", a="never committed")
    newest(ada, before).write_bytes(b"")
    assert findings(ada)[0].sources == ("the remote origin",)


def test_a_cherry_pick_without_what_it_builds_on_is_completed_from_the_other_branch(ada: Clone) -> None:
    ada.branch("left")
    ada.add("mnist", a="a2", b="b", c="c")
    ada.commit()
    ada.add("mnist", a="a3", b="b", c="c")
    tip = ada.commit()
    ada.go("main")
    ada.git("cherry-pick", tip)
    assert {f.kind for f in findings(ada)} == {"missing record"}
    (ada.root / ".refstore" / "catalog.db").unlink()  # as in a clone: this index knows the manifest
    ran = ada.cli("ls", "mnist")
    assert "mnist:v0" in ran.stdout
    assert "needs the manifest" in ran.stderr
    assert all(f.repaired for f in findings(ada, repair=True))
    assert findings(ada) == []
    assert sorted(ada.ids("mnist").values()) == [0, 1, 2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE versions SET number = 7",
        "DELETE FROM records WHERE kind = 'version'",
        "DELETE FROM edges",
        "UPDATE runs SET name = 'x'",
        "UPDATE entries SET size = 99 WHERE path = 'a'",
        "DELETE FROM links",
        "UPDATE chunks SET entries = entries + 1",
        "INSERT INTO aliases SELECT artifact_id, 'best', id FROM versions LIMIT 1",
    ],
)
def test_an_index_that_says_something_else_is_found_and_made_again(statement: str, ada: Clone, second: Path) -> None:
    expected = ada.state()
    with closing(sqlite3.connect(ada.root / ".refstore" / "catalog.db")) as db:
        db.execute(statement)
        db.commit()
    (found,) = findings(ada)
    assert (found.kind, found.repaired) == ("index", False)
    (found,) = findings(ada, repair=True)
    assert found.repaired
    assert findings(ada) == []
    assert ada.state() == expected


def test_damaged_content_is_found_taken_away_and_stored_again(ada: Clone) -> None:
    with refstore.open(ada.root) as store:
        store.put(ada.data, name="kept")
        cached = sorted(store.cache, key=str)[0]
        path = store.cache.path(cached.checksum)
        stamp = path.stat()
        path.chmod(0o644)
        path.write_bytes(b"x" * stamp.st_size)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        assert findings(ada, content=False) == []
        (found,) = findings(ada)
        assert (found.kind, found.where, found.repaired) == ("damaged content", str(cached.checksum), False)
        assert path.exists()
        (found,) = findings(ada, repair=True)
        assert found.repaired
        assert not path.exists()
        store.put(ada.data, name="kept")
        assert path.exists()
    assert findings(ada) == []


def test_a_part_file_that_nothing_names_is_found_and_removed_when_it_is_old(
    ada: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "PART_SIZE", 300)
    before = ada.names()
    ada.add("big", **{f"f{i}": str(i) for i in range(9)})
    parts = [ada.records / name for name in ada.names() - before]
    assert len(parts) > 1
    assert findings(ada) == []
    (main,) = [path for path in parts if b'"kind"' in path.read_bytes()]
    main.unlink()
    found = findings(ada, repair=True)
    assert {f.kind for f in found} == {"unused part"}
    assert not any(f.repaired for f in found)  # another process may just be writing what names them
    for path in parts:
        if path != main:
            os.utime(path, (0, 0))
    assert all(f.repaired for f in findings(ada, repair=True))
    assert findings(ada) == []


def test_a_missing_part_is_named_and_restored(ada: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "PART_SIZE", 300)
    ada.add("big", **{f"f{i}": str(i) for i in range(9)})
    ada.commit()
    part = next(ada.records / n for n in sorted(ada.names()) if b'"part"' in (ada.records / n).read_bytes()[:20])
    part.unlink()
    ada.git("commit", "-qam", "oops")
    with Catalog(ada.root / ".refstore", str(ada.data.parent / "index")) as catalog:
        (problem,) = catalog.problems()
        assert part.name in problem
    (found,) = [f for f in findings(ada) if f.kind == "missing record"]
    assert found.sources[0].startswith("commit ")
    assert all(f.repaired for f in findings(ada, repair=True))
    assert part.exists()
    assert findings(ada) == []


def test_a_line_that_is_not_canonical_is_found(ada: Clone) -> None:
    text = canonical({"refstore": 1, "summary": [], "time": "2026-01-01T00:00:00.000000Z"}) + b'\n{"kind": "alias"}\n'
    (ada.records / f"{digest(text)}.jsonl").write_bytes(text)
    (found, *_) = findings(ada)
    assert found.kind == "malformed file"
    assert "line 2, is not in canonical form" in found.message


def test_a_file_of_a_newer_refstore_is_named_and_the_index_left_alone(ada: Clone) -> None:
    text = canonical({"refstore": 9, "summary": [], "time": "2026-01-01T00:00:00.000000Z"}) + b"\n"
    (ada.records / f"{digest(text)}.jsonl").write_bytes(text)
    (found,) = findings(ada, repair=True)
    assert (found.kind, found.repaired) == ("newer file", False)
    ada.cli("fsck", code=8)


def test_fsck_outside_of_git_says_what_is_lost(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with refstore.create(tmp_path / "store") as store:
        store.add(tmp_path / "data", name="mnist")
        (file,) = (store.folder / "records").iterdir()
        file.write_bytes(b"")
        found = list(store.fsck(repair=True))
        assert found[0].kind == "damaged file"
        assert "this is no git repository" in found[0].message


def test_findings_are_json_lines(ada: Clone, second: Path) -> None:
    second.write_bytes(b"")
    lines = [json.loads(line) for line in ada.cli("fsck", "--json", code=8).stdout.splitlines()]
    assert lines[0]["kind"] == "damaged file"
    assert lines[0]["sources"]
    assert all(line.keys() == {"kind", "where", "message", "repaired", "sources"} for line in lines)


def test_fsck_writes_nothing_without_repair(ada: Clone, second: Path) -> None:
    second.write_bytes(b"")
    before = {path: path.read_bytes() for path in ada.records.iterdir()}
    findings(ada)
    assert {path: path.read_bytes() for path in ada.records.iterdir()} == before
    assert subprocess.run(["git", "diff", "--quiet"], cwd=ada.root, check=False).returncode == 1
