"""What twenty small changes of a large artifact add to the catalog."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import refstore
from refstore.manifest.entry import Entry, Object
from refstore.names import ArtifactName
from refstore.tracking.record import Labels, record

from .conftest import NewStore

ENTRIES, VERSIONS, CHANGES = 20_000, 20, 10
RECORDS_A_VERSION = 10_000  # bytes
INDEX_A_VERSION = 300_000


def bucket(state: Mapping[int, int]) -> Iterator[Entry]:
    """What a listing of a bucket with versions gives, in order; `state` says how often an object was overwritten."""
    for number in range(ENTRIES):
        path = f"d{number // 1000:04d}/f{number:07d}.bin"
        token = hashlib.md5(f"{number} {state.get(number, 0)}".encode()).hexdigest()
        yield Entry(
            path, Object("s3", "", "bucket", f"data/{path}", 4096, token[::-1], token, None, "2026-01-01T00:00:00Z")
        )


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def test_ten_changes_in_20_000_files_add_little_to_the_catalog(new_store: NewStore) -> None:
    root, state = new_store("store"), dict[int, int]()
    folder, name = root / ".refstore", ArtifactName("", "p", "data")

    def add() -> None:
        with refstore.open(root) as store:
            made = record(
                store.catalog,
                name,
                bucket(state),
                Labels(),
                job_type="add",
                sources=["s3://bucket/data/"],
                markers=0,
                notes=(),
                dry_run=False,
            )
            assert made.new
            assert made.file_count == ENTRIES

    add()
    records, index = size(folder, "records/*"), size(folder, "catalog.db*")
    for number in range(1, VERSIONS + 1):
        for place in range(CHANGES):
            changed = (place * ENTRIES // CHANGES + number * 97) % ENTRIES
            state[changed] = state.get(changed, 0) + 1
        add()
        assert size(folder, "records/*") - records < number * RECORDS_A_VERSION
        assert size(folder, "catalog.db*") - index < number * INDEX_A_VERSION
    with refstore.open(root) as store:
        changes = store.diff("p/data:v19", "p/data:v20")
        assert len(list(changes)) == CHANGES
