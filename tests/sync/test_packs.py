"""What a push makes of the records of a catalog: few packs, in an order in which each can be believed."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import refstore
from refstore.errors import CatalogCorrupt
from refstore.names import ArtifactName
from refstore.records.types import Alias, Version
from refstore.sync.arrivals import Pack
from refstore.sync.bundles import BUNDLE, Piece, bundles, in_order, read_source
from refstore.sync.known import Known
from refstore.sync.pack import pack as fold
from refstore.sync.pack_reader import Reader
from refstore.sync.pull import pull
from refstore.sync.push import push
from refstore.sync.references import needs
from tests.acceptance.synthetic import entry

from .clones import TIME, Watched, add, check_whole, folder_remote, pack, state
from .conftest import NewStore

VERSIONS = 1_000
ENTRIES = int(os.environ.get("REFSTORE_TEST_ENTRIES", "30000"))
"""A hundred thousand take a minute, and pass as well."""


def piece(id: int, *needed: int, rank: int = 1, time: str = TIME, file: str = "") -> Piece:
    return Piece(rank, time, bytes([id]) * 32, file, 0, 1, tuple(bytes([one]) * 32 for one in needed), ())


def ids(pieces: list[Piece]) -> list[int]:
    return [one.id[0] for one in pieces]


def test_records_come_after_what_they_refer_to_in_an_order_of_their_own() -> None:
    some = [piece(1, 2), piece(2, 3), piece(3), piece(4, 1, rank=0), piece(5, rank=3), piece(6, 9, rank=2)]
    expected = [3, 2, 1, 4, 6, 5]
    for seed in range(20):
        random.Random(seed).shuffle(some)
        assert ids(in_order(some, {b"\x09" * 32})) == expected


def test_what_refers_to_nothing_that_is_there_is_left_out() -> None:
    assert ids(in_order([piece(1, 8), piece(2, 1), piece(3)], set())) == [3]


def test_records_that_refer_to_each_other_are_left_out() -> None:
    assert ids(in_order([piece(1, 2), piece(2, 1), piece(3)], set())) == [3]


def test_of_two_changes_that_make_one_manifest_the_one_is_taken_whose_base_is_there() -> None:
    first, second, other = piece(1, 2, file="a"), piece(1, file="b"), piece(2, 1)
    assert in_order([first, second, other], set()) == [second, other]


def build(store: refstore.Store, versions: int, at_once: int = 100, entries: int = 20) -> None:
    """So many versions, some transactions of many each."""
    name, before, changed = ArtifactName("", "p", "data"), None, {}
    for start in range(0, versions, at_once):
        with store.catalog.writing() as writing:
            for number in range(start, start + at_once):
                changed[number % entries] = number
                built = writing.build((entry(n, changed) for n in range(entries)), before)
                before = writing.add_manifest(built)
                version = writing.add(
                    Version(**writing.stamp, **name.parts, type="dataset", number=number, manifest=before)
                )
                writing.add(Alias(**writing.stamp, **name.parts, alias=f"a{number}", version=version))
                writing.summarise(f"p/data:v{number}: {'changed ' * 40}")
            writing.commit()


def test_a_thousand_versions_travel_in_as_many_packs_as_they_have_bytes_for(
    new_store: NewStore, tmp_path: Path
) -> None:
    one, two = new_store("one"), new_store("two")
    build(one, VERSIONS)
    remote = Watched(folder_remote(tmp_path / "remote", one))
    sent = push(one.catalog, remote)
    assert sent.records == 3 * VERSIONS
    assert sent.packs == 1 + sent.size // BUNDLE
    assert remote.asked == {"identity": 1, "names": 1, "write": sent.packs}
    got = pull(two.catalog, folder_remote(tmp_path / "remote", two))
    assert (got.records, got.refused, got.held_back) == (3 * VERSIONS, (), ())
    assert len(got.summary) == VERSIONS
    assert state(two) == state(one)
    add(one)
    remote = Watched(folder_remote(tmp_path / "remote", one))
    assert push(one.catalog, remote).records == 5
    assert remote.asked == {"identity": 1, "write": 1}


def test_a_bundle_holds_every_record_once_and_nothing_before_what_it_refers_to(new_store: NewStore) -> None:
    store = new_store("store")
    build(store, 60, 20)
    records = store.folder / "records"
    with store.catalog.exclusive() as db:
        wanted = {id for id, _ in Known.of(db, "x", "y").to_push()}
    found = [read_source(records, path.stem, wanted) for path in records.iterdir()]
    ordered = in_order((one for _, pieces in found for one in pieces), set())
    seen: list[str] = []
    for bundle in bundles(records, {source.name: source for source, _ in found}, ordered):
        for placed in Reader(io.BytesIO(bundle.data), bundle.name).records():
            assert {other for _, other in needs(placed.record)} <= set(seen)
            seen.append(placed.id)
    assert len(seen) == len(set(seen)) == 180
    assert {bytes.fromhex(id) for id in seen} == wanted


def test_a_manifest_of_many_entries_travels_in_its_parts(new_store: NewStore, tmp_path: Path) -> None:
    one, two = new_store("one"), new_store("two")
    add(one, ENTRIES)
    sent = push(one.catalog, folder_remote(tmp_path / "remote", one))
    assert sent.packs == len(list((one.folder / "records").iterdir())) > 1
    assert pull(two.catalog, folder_remote(tmp_path / "remote", two)).records == 5
    assert two.version("data:v0").file_count == ENTRIES
    assert state(two) == state(one)
    add(two, ENTRIES, {5: 1})
    sent = push(two.catalog, folder_remote(tmp_path / "remote", two))
    assert (sent.packs, sent.records) == (1, 5)
    assert sent.size < 5000
    pull(one.catalog, folder_remote(tmp_path / "remote", one))
    assert state(two) == state(one)
    check_whole(two)


PUSH = """
import sys, refstore
from refstore.sync.push import push
from refstore.sync.stored import StoredRemote
with refstore.open(sys.argv[1]) as store:
    push(store.catalog, StoredRemote(sys.argv[2], store.backends))
"""


def test_processes_that_push_at_once_do_not_undo_each_other(new_store: NewStore, tmp_path: Path) -> None:
    stores = [new_store(name) for name in "abc"]
    for number, store in enumerate(stores):
        for change in range(4):
            add(store, 20, {number: change + 1})
    roots = [*(store.root for store in stores), stores[0].root]
    pushes = [subprocess.Popen([sys.executable, "-c", PUSH, str(root), str(tmp_path / "remote")]) for root in roots]
    assert [process.wait(120) for process in pushes] == [0, 0, 0, 0]
    for store in stores:
        pull(store.catalog, folder_remote(tmp_path / "remote", store))
    assert state(stores[0]) == state(stores[1]) == state(stores[2])
    assert len(stores[0].versions("data")) == 12


def test_a_reader_gives_each_record_and_where_it_stands() -> None:
    run = {"kind": "run started", "time": TIME, "clock": 1, "project": "p", "run": "abcd1234"}
    manifest = {
        "kind": "manifest", "time": TIME, "clock": 1, "manifest": "ab" * 32, "changes": 2, "entries": 0, "size": 0,
    }  # fmt: skip
    name, data = pack(run, manifest, {"drop": "a"}, {"drop": "b"}, run | {"run": "other"})
    placed = list(Reader(io.BytesIO(data), name).records())
    assert [one.record.kind for one in placed] == ["run started", "manifest", "run started"]
    assert data[placed[1].lines : placed[1].end] == b'{"drop":"a"}\n{"drop":"b"}\n'
    assert [data[one.start : one.end].count(b"\n") for one in placed] == [1, 3, 1]
    found = Pack.of(name, Reader(io.BytesIO(data), name))
    assert (found.part, len(found.ids), found.size) == (False, 3, len(data))


def test_a_change_that_is_cut_off_is_missed() -> None:
    manifest = {
        "kind": "manifest", "time": TIME, "clock": 1, "manifest": "ab" * 32, "changes": 3, "entries": 0, "size": 0,
    }  # fmt: skip
    name, data = pack(manifest, {"drop": "a"})
    with pytest.raises(CatalogCorrupt, match="cut off"):
        list(Reader(io.BytesIO(data), name).records())


def test_files_that_were_folded_are_pushed_like_any(new_store: NewStore, tmp_path: Path) -> None:
    one, two = new_store("one"), new_store("two")
    for number in range(6):
        add(one, 10, {number: 1})
    before = state(one)
    fold(one.catalog, keep=1)
    assert len(list((one.folder / "records").iterdir())) == 2
    assert push(one.catalog, folder_remote(tmp_path / "remote", one)).notes == ()
    assert pull(two.catalog, folder_remote(tmp_path / "remote", two)).refused == ()
    assert state(one) == state(two) == before


def test_a_file_with_damage_is_left_out_of_a_push_and_named(new_store: NewStore, tmp_path: Path) -> None:
    store = new_store("store")
    add(store)
    (path,) = (store.folder / "records").iterdir()
    add(store, 6, name="other")
    path.write_bytes(path.read_bytes().replace(b'"project"', b'"Project"', 1))
    sent = push(store.catalog, folder_remote(tmp_path / "remote", store))
    assert sent.records == 5
    assert path.name in str(sent.notes) or "damaged" in str(sent.notes).lower()
