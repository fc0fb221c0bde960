"""Transaction files: written at once, read back whole, and honest about damage."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from refstore.errors import CatalogCorrupt, CatalogTooNew, UsageError
from refstore.records import transaction
from refstore.records.encoding import canonical
from refstore.records.transaction import TransactionWriter, read, read_changes
from refstore.records.types import Alias, Manifest, Record, Tag, Version, parse

TIME = "2026-11-23T06:13:20.000000Z"


def a_version(number: int = 0) -> Version:
    return Version(
        time=TIME, clock=1, project="vision", artifact="mnist", type="dataset", number=number, manifest="0" * 64,
        sources=("s3://b/p/",), metadata={"camera": 3},
    )  # fmt: skip


def write(folder: Path, *records: Record, changes: int = 0) -> Path:
    with TransactionWriter(folder, folder / "tmp") as writer:
        if changes:
            manifest = Manifest(time=TIME, clock=1, manifest="0" * 64, changes=0, entries=changes, size=0)
            writer.add_manifest(manifest, ({"put": {"path": f"{i:09d}", "scheme": "s3"}} for i in range(changes)))
        for record in records:
            writer.add(record)
        name, _ = writer.commit(TIME, ["a summary"])[-1]
    return folder / f"{name}.jsonl"


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    records = [a_version(), Tag(time=TIME, clock=2, version="ab" * 32, tag="good", present=False)]
    path = write(tmp_path, *records)
    assert [placed.record for placed in read(path)] == records


def test_the_id_of_a_record_does_not_depend_on_how_it_was_made() -> None:
    one = a_version()
    assert parse(one.to_json(), "here").id == one.id
    assert one.id == hashlib.sha256(canonical(one.to_json())).hexdigest()
    assert one.id != a_version(1).id


def test_a_file_is_named_by_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, a_version())
    assert path.stem == hashlib.sha256(path.read_bytes()).hexdigest()


def test_nothing_is_left_behind_without_a_commit(tmp_path: Path) -> None:
    with TransactionWriter(tmp_path, tmp_path / "tmp") as writer:
        manifest = Manifest(time=TIME, clock=1, manifest="0" * 64, changes=0, entries=1, size=0)
        writer.add_manifest(manifest, ({"drop": "x" * 1000} for _ in range(5000)))
        assert list((tmp_path / "tmp").iterdir())
    assert not list((tmp_path / "tmp").iterdir())
    assert not list(tmp_path.glob("*.jsonl"))


def test_a_large_change_is_split_and_its_lines_come_back_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "PART_SIZE", 10_000)
    path = write(tmp_path, a_version(), changes=1000)
    assert len(list(tmp_path.glob("*.jsonl"))) > 3
    placed = next(iter(read(path)))
    lines = list(read_changes(tmp_path, path.stem, placed))
    assert [line["put"]["path"] for line in lines] == [f"{i:09d}" for i in range(1000)]
    for part in placed.record.parts:  # type: ignore[attr-defined]
        assert list(read(tmp_path / f"{part}.jsonl")) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda data: data[:-10], "cut off"),
        (lambda data: data.replace(b"\n", b"\r\n"), "CRLF"),
        (lambda data: b"<<<<<<< HEAD\n" + data, "unfinished merge"),
        (lambda data: data.replace(b'"kind"', b'kind"'), "not JSON"),
        (lambda data: data.replace(b'"number":0', b'"number":"0"'), "wrong type"),
        (lambda data: data.replace(b'"number":0,', b""), "lacks number"),
        (lambda data: b"[]\n", "not a transaction file"),
    ],
)
def test_damage_is_named_with_its_file(tmp_path: Path, damage, sentence: str) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path, a_version())
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CatalogCorrupt, match=sentence) as caught:
        list(read(path))
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    "newer",
    [
        lambda data: data.replace(b'"refstore":1', b'"refstore":2'),
        lambda data: data.replace(b'"kind":"version"', b'"kind":"wormhole"'),
        lambda data: data.replace(b'"number":0', b'"colour":"red","number":0'),
    ],
)
def test_what_a_newer_refstore_wrote_is_refused(tmp_path: Path, newer) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path, a_version())
    path.write_bytes(newer(path.read_bytes()))
    with pytest.raises(CatalogTooNew, match="refstore"):
        list(read(path))


def test_lines_that_a_manifest_lacks_are_missed(tmp_path: Path) -> None:
    path = write(tmp_path, changes=5)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    with pytest.raises(CatalogCorrupt, match="2 lines of a manifest are missing"):
        list(read(path))


def test_what_has_no_form_in_json_is_refused() -> None:
    for value in (float("nan"), {1, 2}, "\udcff"):
        with pytest.raises(UsageError):
            canonical({"value": value})


def test_empty_fields_are_left_out() -> None:
    alias = Alias(time=TIME, clock=0, project="p", artifact="a", alias="best")
    assert alias.to_json() == {
        "kind": "alias", "time": TIME, "clock": 0, "project": "p", "artifact": "a", "alias": "best",
    }  # fmt: skip
