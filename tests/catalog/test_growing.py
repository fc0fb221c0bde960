"""The tree of a first version is made while its entries come, and is the tree that it would be anyway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import refstore
from refstore.catalog.staging import Staging
from refstore.errors import UsageError
from refstore.manifest.entry import Checksum, Entry, Object
from refstore.manifest.rows import row_of
from refstore.names import ArtifactName
from refstore.store import Store
from refstore.tracking.record import Labels, record
from refstore.tracking.result import Recorded

_TIME = "2026-11-23T06:13:20Z"
COUNT = 9_000  # more than two batches of leaves


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with refstore.create(tmp_path) as made:
        yield made


def entry(number: int, *, etag: str | None = None) -> Entry:
    checksum = Checksum("md5", f"{number:032x}") if number % 7 else None
    scheme, bucket = ("s3", "b") if number % 3 else ("file", "")
    return Entry(f"d/{number:06d}", Object(scheme, "", bucket, f"k{number}", number, None, etag, checksum, _TIME))


def made(store: Store, name: str, pages: list[list[Entry]], *, growing: bool, dry_run: bool = False) -> Recorded:
    with Staging(store.catalog.growing() if growing else None) as staging:
        for page in pages:
            staging.add(page)
        return recorded(store, name, staging, dry_run=dry_run)


def recorded(store: Store, name: str, staging: Staging, *, dry_run: bool = False) -> Recorded:
    return record(
        store.catalog,
        ArtifactName("", "p", name),
        staging.entries(),
        Labels(),
        job_type="add",
        sources=(),
        markers=0,
        notes=(),
        dry_run=dry_run,
    )


def paged(entries: list[Entry]) -> list[list[Entry]]:
    return [entries[start : start + 1000] for start in range(0, len(entries), 1000)]


def check(store: Store, name: str, entries: list[Entry]) -> None:
    rows = store.catalog._db.execute(
        """SELECT path, scheme, endpoint, bucket, key, size, object_version, etag, checksum, mtime, storage_class
           FROM files WHERE artifact = ? ORDER BY path""",
        (name,),
    ).fetchall()
    assert rows == [row_of(entry) for entry in entries]
    assert store.catalog.damage() is None
    left = store.catalog._db.execute("SELECT name FROM sqlite_temp_master WHERE name LIKE 'grown%'").fetchall()
    assert left == []
    assert list((store.folder / "tmp").iterdir()) == []


def test_a_tree_that_grew_is_the_one_that_is_made_of_sorted_entries(tmp_path: Path) -> None:
    entries = [entry(number) for number in range(COUNT)]
    manifests = set()
    for growing in (True, False):
        with refstore.create(tmp_path / str(growing)) as store:
            done = made(store, "data", paged(entries), growing=growing)
            assert done.version is not None
            manifests.add(done.version.manifest)
            check(store, "data", entries)
            assert done.added == COUNT
            store.catalog.rebuild()
            check(store, "data", entries)
    assert len(manifests) == 1


def test_it_is_planted_beside_what_the_index_has_and_adds_only_what_that_lacks(store: Store) -> None:
    entries = [entry(number) for number in range(COUNT)]
    other = [entry(number, etag="e" if number == COUNT // 2 else None) for number in range(COUNT)]
    made(store, "other", paged(other[3:]), growing=False)
    had = store.catalog._db.execute("SELECT count(*) FROM entries").fetchone()[0]
    made(store, "data", paged(entries), growing=True)
    check(store, "data", entries)
    assert store.catalog._db.execute("SELECT count(*) FROM entries").fetchone()[0] < had + 1_000
    made(store, "again", paged(entries), growing=True)
    check(store, "again", entries)


@pytest.mark.parametrize("pages", ["backwards", "repeated", "inside"])
def test_pages_out_of_order_are_sorted_as_ever(store: Store, pages: str) -> None:
    entries = [entry(number) for number in range(COUNT)]
    given = paged(entries)
    if pages == "backwards":
        given[5:] = given[:4:-1]
    elif pages == "repeated":
        given[6] = given[5][-1:] + given[6]
    else:
        given[7].reverse()
    made(store, "data", given, growing=True)
    check(store, "data", entries)


def test_a_version_that_another_made_meanwhile_is_what_it_is_compared_with(store: Store) -> None:
    entries = [entry(number) for number in range(COUNT)]
    with Staging(store.catalog.growing()) as staging:
        staging.add(entries)
        made(store, "data", [entries[:-1]], growing=False)
        done = recorded(store, "data", staging)
    assert (done.name, done.added, done.removed, done.changed) == ("p/data:v1", 1, 0, 0)
    assert list((store.folder / "tmp").iterdir()) == []


def test_nothing_stays_of_one_that_was_not_recorded(store: Store) -> None:
    entries = [entry(number) for number in range(COUNT)]
    assert made(store, "data", paged(entries), growing=True, dry_run=True).new
    check(store, "data", [])
    with pytest.raises(UsageError, match="not valid Unicode"):
        made(store, "data", [*paged(entries), [Entry("x\udc80", entry(1).object)]], growing=True)
    check(store, "data", [])
    made(store, "data", [], growing=True)
    assert list(store.version("p/data").files()) == []


@pytest.mark.parametrize("growing", [True, False])
def test_a_version_without_files_is_there_when_the_index_is_made_anew(store: Store, growing: bool) -> None:
    made(store, "data", [], growing=growing)
    store.catalog.rebuild()
    check(store, "data", [])
    assert list(store.version("p/data").files()) == []
