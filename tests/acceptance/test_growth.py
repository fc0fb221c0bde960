"""What twenty small changes of a large artifact add to the catalog."""

from __future__ import annotations

from pathlib import Path

import refstore

from . import synthetic
from .conftest import NewStore

ENTRIES, VERSIONS, CHANGES = 20_000, 20, 10
RECORDS_A_VERSION = 10_000  # bytes
INDEX_A_VERSION = 300_000


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.glob(pattern))


def test_ten_changes_in_20_000_files_add_little_to_the_catalog(new_store: NewStore) -> None:
    root, state = new_store("store"), dict[int, int]()
    folder = root / ".refstore"
    synthetic.add(root, ENTRIES, state)
    records, index = size(folder, "records/*"), size(folder, "catalog.db*")
    for number in range(1, VERSIONS + 1):
        state |= {(place * ENTRIES // CHANGES + number * 97) % ENTRIES: number for place in range(CHANGES)}
        synthetic.add(root, ENTRIES, state)
        assert size(folder, "records/*") - records < number * RECORDS_A_VERSION
        assert size(folder, "catalog.db*") - index < number * INDEX_A_VERSION
    with refstore.open(root) as store:
        assert len(store.versions("data")) == VERSIONS + 1
        assert len(list(store.diff("data:v19", "data:v20"))) == CHANGES
