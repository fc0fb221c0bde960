"""Packs that can't be believed: refused by name, nothing of them taken in, and all others taken."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

import refstore
from refstore.catalog.applying import apply
from refstore.catalog.connection import connect
from refstore.catalog.schema import prepare
from refstore.errors import RemoteCorrupt
from refstore.records.checks import MAX_CLOCK
from refstore.sync import fetch as fetching
from refstore.sync.pull import Pulled, pull
from refstore.sync.push import push
from refstore.sync.stored import StoredRemote

from .clones import TIME, add, folder_remote, pack, state
from .conftest import NewStore

ID = "ab" * 32
PUT = {"put": {"path": "a", "scheme": "s3", "bucket": "b", "key": "k", "size": 3, "etag": "e"}}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_AGAIN", (0.0,))


@pytest.fixture
def remote(tmp_path: Path, new_store: NewStore) -> StoredRemote:
    """A remote that holds one honest version."""
    store = new_store("honest")
    add(store)
    remote = folder_remote(tmp_path / "remote", store)
    push(store.catalog, remote)
    return remote


def built(folder: Path, *lines: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The record of the manifest that some change lines make, with other fields where they are given."""
    db = connect(folder / "scratch.db")
    prepare(db, "scratch.db")
    db.execute("BEGIN")
    root = apply(db, None, lines)
    db.close()
    (folder / "scratch.db").unlink()
    return {
        "kind": "manifest", "time": TIME, "clock": 1, "manifest": root.id.hex(), "changes": len(lines),
        "entries": root.entries, "size": root.size,
    } | fields  # fmt: skip


def version(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "version", "time": TIME, "clock": 1, "project": "p", "artifact": "a", "type": "dataset", "number": 0,
        "manifest": ID,
    } | fields  # fmt: skip


def run(**fields: Any) -> dict[str, Any]:
    return {"kind": "run started", "time": TIME, "clock": 1, "project": "p", "run": "abcd1234"} | fields


def refuses(store: refstore.Store, remote: StoredRemote, name: str, why: str) -> Pulled:
    """The pack is refused by name in one sentence, nothing of it is taken in, and the honest version is."""
    got = pull(store.catalog, remote)
    (error,) = got.refused
    assert isinstance(error, RemoteCorrupt)
    assert error.exit_code == 8
    assert name in str(error)
    assert why in str(error)
    assert len(str(error).splitlines()) == 1
    assert [info.name.artifact for info in store.artifacts()] == ["data"]
    assert not (store.folder / "records" / f"{name}.jsonl").exists()
    assert not list((store.folder / "incoming").rglob(f"{name}*"))
    assert store.catalog.problems() == []
    # It is named again as long as it is there, and never believed.
    assert [str(again) for again in pull(store.catalog, remote).refused] == [str(error)]
    return got


def store_raw(remote: StoredRemote, name: str, stored: bytes) -> None:
    folder = Path(remote.url.removeprefix("file://")) / "packs"
    (folder / f"{name}.jsonl.gz").write_bytes(stored)


RECORDS: dict[str, tuple[dict[str, Any], str]] = {
    "an artifact that would leave its folder": (version(artifact="../../x"), "'artifact'"),
    "an artifact that is a folder above": (version(artifact=".."), "'artifact'"),
    "a project with a slash": (version(project="a/b"), "'project'"),
    "an entity with a slash": (version(entity="/etc"), "'entity'"),
    "a type with a slash": (version(type="a/b"), "'type'"),
    "an alias that is a version": (
        {"kind": "alias", "time": TIME, "clock": 1, "project": "p", "artifact": "a", "alias": "v3", "version": ID},
        "'alias'",
    ),
    "a tag with a slash": (
        {"kind": "tag", "time": TIME, "clock": 1, "version": ID, "tag": "a/b", "present": True},
        "'tag'",
    ),
    "a run that would leave its folder": (run(run="../x"), "'run'"),
    "a negative number": (version(number=-1), "'number'"),
    "a number beyond what a name can say": (version(number=10**18), "'number'"),
    "a clock that nobody could follow": (version(clock=2**63), "'clock'"),
    "a clock beyond the highest": (version(clock=MAX_CLOCK + 1), "'clock'"),
    "a negative clock": (version(clock=-1), "'clock'"),
    "a number that is a fraction": (version(number=1.5), "'number'"),
    "a number that is a truth": (version(number=True), "'number'"),
    "a time that is none": (version(time="yesterday"), "'time'"),
    "a time that no calendar has": (version(time="2026-02-31T00:00:00.000000Z"), "'time'"),
    "a time in another zone": (version(time="2026-01-01T00:00:00+02:00"), "'time'"),
    "a time far ahead": (version(time="2999-01-01T00:00:00.000000Z"), "a day ahead"),
    "a manifest that is no id": (version(manifest="../x"), "'manifest'"),
    "a run that is no id": (version(run="x"), "'run'"),
    "a source that is no id": (version(source="x"), "'source'"),
    "a process below zero": (run(pid=-1), "'pid'"),
    "a lifetime below zero": (
        {"kind": "lifetime", "time": TIME, "clock": 1, "version": ID, "seconds": -1},
        "'seconds'",
    ),
    "a lifetime beyond all time": (
        {"kind": "lifetime", "time": TIME, "clock": 1, "version": ID, "seconds": 10**15},
        "'seconds'",
    ),
    "an end that is none": ({"kind": "run finished", "time": TIME, "clock": 1, "run": ID, "state": "?"}, "'state'"),
    "a kind that nobody knows": (version(kind="wormhole"), "wormhole"),
    "a field that nobody knows": (version(colour="red"), "colour"),
    "a field that is missing": ({"kind": "version", "time": TIME, "clock": 1}, "lacks"),
    "an empty field": (version(prefix=""), "one form"),
    "what is no record": ([1, 2], "not a record"),  # type: ignore[dict-item]
    "a part that is no name": (
        {"kind": "manifest", "time": TIME, "clock": 1, "manifest": ID, "changes": 0, "entries": 0, "size": 0,
         "parts": ["../x"]},
        "'parts'",
    ),
    "a manifest that rests on itself": (
        {"kind": "manifest", "time": TIME, "clock": 1, "manifest": ID, "base": ID, "changes": 0, "entries": 0,
         "size": 0},
        "'base'",
    ),
    "a manifest of less than nothing": (
        {"kind": "manifest", "time": TIME, "clock": 1, "manifest": ID, "changes": 0, "entries": -1, "size": 0},
        "'entries'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", list(RECORDS))
def test_a_record_that_says_what_no_record_may_is_refused(what: str, remote: StoredRemote, new_store: NewStore) -> None:
    record, why = RECORDS[what]
    name, data = pack(record)
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, why)


ENTRIES: dict[str, Any] = {
    "a size below zero": PUT["put"] | {"size": -1},
    "a size beyond all": PUT["put"] | {"size": 2**60},
    "a size that is text": PUT["put"] | {"size": "3"},
    "a path that is no text": PUT["put"] | {"path": 3},
    "no path": {"scheme": "s3"},
    "no scheme": {"path": "a"},
    "a scheme that is none": PUT["put"] | {"scheme": "../x"},
    "a checksum that would leave the cache": PUT["put"] | {"checksum": "sha256:../../../x"},
    "a hash that would leave the cache": PUT["put"] | {"checksum": "..:abcdef01"},
    "a time that is none": PUT["put"] | {"mtime": "now"},
    "a field that nobody knows": PUT["put"] | {"colour": "red"},
    "an empty field": PUT["put"] | {"endpoint": ""},
    "what is no entry": [],
}


@pytest.mark.parametrize("what", list(ENTRIES))
def test_an_entry_that_says_what_no_entry_may_is_refused(what: str, remote: StoredRemote, new_store: NewStore) -> None:
    record = {"kind": "manifest", "time": TIME, "clock": 1, "manifest": ID, "changes": 1, "entries": 1, "size": 0}
    name, data = pack(record, {"put": ENTRIES[what]})
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, "change line")


@pytest.mark.parametrize("line", [{}, {"drop": 3}, {"put": PUT["put"], "drop": "a"}, {"move": "a"}])
def test_a_change_that_is_none_is_refused(line: dict[str, Any], remote: StoredRemote, new_store: NewStore) -> None:
    record = {"kind": "manifest", "time": TIME, "clock": 1, "manifest": ID, "changes": 1, "entries": 1, "size": 0}
    name, data = pack(record, line)
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, "change line")


@pytest.mark.parametrize(
    "line",
    [
        f'{{"clock": 1,"kind":"run finished","run":"{ID}","state":"failed","time":"{TIME}"}}\n'.encode(),
        b"not json\n",
        b'{"a":NaN}\n',
        b'{"a":1e999}\n',
        b'{"a":"\\ud800"}\n',
        b'{"kind":"tag","kind":"tag"}\n',
        b"[" * 100_000 + b"\n",
        b"9" * 10_000 + b"\n",
        b"\xff\xfe\n",
        b"{}\r\n",
        b'{"cut":',
    ],
    ids=["spaces", "text", "nan", "infinity", "surrogate", "twice", "deep", "digits", "bytes", "crlf", "cut"],
)  # fmt: skip
def test_a_line_that_is_not_canonical_is_refused(line: bytes, remote: StoredRemote, new_store: NewStore) -> None:
    name, data = pack(line)
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, "ine 2")


@pytest.mark.parametrize(
    "header",
    [
        {"refstore": 2, "summary": [], "time": TIME},
        {"refstore": 0, "summary": [], "time": TIME},
        {"refstore": True, "summary": [], "time": TIME},
        {"refstore": 1},
        {"refstore": 1, "summary": "text", "time": TIME},
        {"refstore": 1, "summary": [], "time": "now"},
        {"refstore": 1, "summary": [], "time": TIME, "more": 1},
        {"refstore": 1, "part": -1},
        {"refstore": 1, "part": 7},
        {},
        [],
    ],
)
def test_a_header_that_is_none_is_refused(header: Any, remote: StoredRemote, new_store: NewStore) -> None:
    name, data = pack(header=header)
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, name)


def test_bytes_that_are_not_what_their_name_says_are_refused(remote: StoredRemote, new_store: NewStore) -> None:
    name, _ = pack(run())
    _, other = pack(run(name="other"))
    store_raw(remote, name, gzip.compress(other))
    refuses(new_store("victim"), remote, name, "name says")


def test_what_is_not_compressed_or_cut_off_is_refused(remote: StoredRemote, new_store: NewStore) -> None:
    name, data = pack(run())
    for number, stored in enumerate((data, gzip.compress(data)[:-9], b"", os.urandom(100))):
        store_raw(remote, name, stored)
        refuses(new_store(f"victim-{number}"), remote, name, name)


def test_a_pack_that_unpacks_without_end_is_refused_before_it_is_in_memory(
    remote: StoredRemote, new_store: NewStore
) -> None:
    import resource

    # a thousand times as long as it is stored: 1 GiB
    squeezed = gzip.compress(bytes(1 << 20))
    store_raw(remote, ID, gzip.compress(bytes(256 << 20)))
    store_raw(remote, "cd" * 32, squeezed * 256)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    got = pull(new_store("victim").catalog, remote)
    assert len(got.refused) == 2
    assert "MiB" in str(got.refused[0])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 << 10


def test_a_manifest_that_is_not_what_its_lines_make_is_refused(
    remote: StoredRemote, new_store: NewStore, tmp_path: Path
) -> None:
    honest = built(tmp_path, PUT)
    lies: tuple[dict[str, Any], ...] = ({"manifest": ID}, {"entries": 2}, {"size": 4})
    for number, lie in enumerate(lies):
        record: dict[str, Any] = {**honest, **lie}
        name, data = pack(record, PUT, version(manifest=record["manifest"]))
        remote.write(name, data)
        refuses(new_store(f"victim-{number}"), remote, name, "not proven")
        Path(remote.url.removeprefix("file://"), "packs", f"{name}.jsonl.gz").unlink()


def test_a_manifest_whose_lines_are_in_disorder_is_refused(
    remote: StoredRemote, new_store: NewStore, tmp_path: Path
) -> None:
    one, two = ({"put": PUT["put"] | {"path": path}} for path in "ab")
    honest = built(tmp_path, one, two)
    for number, lines in enumerate(((two, one), (one, one))):
        name, data = pack(honest, *lines)
        remote.write(name, data)
        refuses(new_store(f"victim-{number}"), remote, name, "not proven")
        Path(remote.url.removeprefix("file://"), "packs", f"{name}.jsonl.gz").unlink()


def test_sizes_that_no_index_could_add_up_are_refused(remote: StoredRemote, new_store: NewStore) -> None:
    lines = [{"put": PUT["put"] | {"path": f"{n:05}", "size": 2**53 - 1}} for n in range(5000)]
    record = {"kind": "manifest", "time": TIME, "clock": 1, "manifest": ID, "changes": 5000, "entries": 5000, "size": 0}
    name, data = pack(record, *lines)
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, "not proven")


def test_manifests_that_rest_on_each_other_are_refused(remote: StoredRemote, new_store: NewStore) -> None:
    other = "cd" * 32
    common: dict[str, Any] = {"kind": "manifest", "time": TIME, "clock": 1, "changes": 0, "entries": 0, "size": 0}
    one, two = pack(common | {"manifest": ID, "base": other}), pack(common | {"manifest": other, "base": ID})
    remote.write(*one)
    remote.write(*two)
    store = new_store("victim")
    got = pull(store.catalog, remote)
    assert len(got.refused) == 2
    assert all("can't be built" in str(error) for error in got.refused)
    assert [info.name.artifact for info in store.artifacts()] == ["data"]


def test_a_part_that_is_none_is_not_believed(remote: StoredRemote, new_store: NewStore, tmp_path: Path) -> None:
    no_part, data = pack(run())
    remote.write(no_part, data)
    name, data = pack(built(tmp_path, PUT, parts=[no_part], changes=0))
    remote.write(name, data)
    got = pull(new_store("victim").catalog, remote)
    assert [name in str(one) for one in (*got.refused, *got.held_back)] == [True]
    assert not got.held_back or no_part in got.held_back[0]


def test_a_part_may_have_no_more_lines_than_it_says(remote: StoredRemote, new_store: NewStore) -> None:
    name, data = pack(PUT, PUT, header={"refstore": 1, "part": 1})
    remote.write(name, data)
    refuses(new_store("victim"), remote, name, "behind the last line")


def test_what_rests_on_a_refused_pack_waits(remote: StoredRemote, new_store: NewStore, tmp_path: Path) -> None:
    liar = built(tmp_path, PUT, manifest=ID)
    remote.write(*pack(liar, PUT))
    name, data = pack(version(manifest=ID))
    remote.write(name, data)
    store = new_store("victim")
    got = pull(store.catalog, remote)
    assert len(got.refused) == 1
    (sentence,) = got.held_back
    assert name in sentence
    assert [info.name.artifact for info in store.artifacts()] == ["data"]


def test_a_lie_about_a_manifest_does_not_stop_its_owner_from_pushing_it(tmp_path: Path, new_store: NewStore) -> None:
    one, two = new_store("one"), new_store("two")
    remote = folder_remote(tmp_path / "remote", one)
    remote.identity(create=True)
    add(one)
    manifest = one.version("data").digest
    name, data = pack(built(tmp_path, PUT, manifest=manifest), PUT)
    remote.write(name, data)
    sent = push(one.catalog, remote)
    assert len(sent.refused) == 1
    assert sent.records == 5
    assert len(pull(two.catalog, remote).refused) == 1
    assert state(two) == state(one)


def test_the_highest_clock_stops_nobody(remote: StoredRemote, new_store: NewStore) -> None:
    store = new_store("victim")
    pull(store.catalog, remote)
    id = store.version("data:v0").id
    alias = {"kind": "alias", "time": TIME, "project": "uncategorized", "artifact": "data", "alias": "best"}
    remote.write(*pack(alias | {"clock": MAX_CLOCK, "version": id}))
    assert pull(store.catalog, remote).refused == ()
    add(store, 7)
    store.set_alias("data:v1", "best")
    assert store.version("data:best").number == 1
    push(store.catalog, remote)
    other = new_store("other")
    assert pull(other.catalog, remote).refused == ()
    assert state(other) == state(store)


def test_what_a_remote_may_not_say_git_may_not_either(new_store: NewStore) -> None:
    store = new_store("victim")
    add(store)
    for record, why in (RECORDS["an artifact that would leave its folder"], RECORDS["a clock beyond the highest"]):
        name, data = pack(record)
        path = store.folder / "records" / f"{name}.jsonl"
        path.write_bytes(data)
        os.utime(path.parent)
        store.catalog.refresh()
        (problem,) = store.catalog.problems()
        assert why in problem
        assert name in problem
        assert [info.name.artifact for info in store.artifacts()] == ["data"]
        path.unlink()
