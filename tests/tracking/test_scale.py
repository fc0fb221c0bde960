"""A large version is asked for what is wanted of it, and read a page at a time."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import refstore
from refstore.manifest.entry import Checksum, Entry, Object
from refstore.names import ArtifactName
from refstore.tracking.record import Labels, record

MANY = int(os.environ.get("REFSTORE_TEST_ENTRIES", "60000"))
"""A million takes some minutes, and passes within the same limits."""

ZERO = Checksum("md5", hashlib.md5(b"zero").hexdigest())
MEMORY = 4 << 20
"""The most that Python may hold more while all entries pass by, in bytes: a tenth of what they take."""


def entries(file: Path) -> Iterator[Entry]:
    for number in range(MANY):
        yield Entry(f"d{number // 1000:04d}/f{number:07d}.bin", Object("file", "", "", str(file), 4, checksum=ZERO))


@pytest.fixture
def large(project: Path, tmp_path: Path) -> refstore.Artifact:
    (tmp_path / "one.bin").write_bytes(b"zero")
    with refstore.create() as store:
        record(
            store.catalog, ArtifactName("", "vision", "large"), entries(tmp_path / "one.bin"), Labels(), job_type="add",
            sources=(), markers=0, notes=(), dry_run=False,
        )  # fmt: skip
    return refstore.Api().artifact("vision/large:v0")


def test_a_large_version_is_never_in_memory(large: refstore.Artifact) -> None:
    tracemalloc.start()
    try:
        assert len(large.manifest.entries) == MANY
        assert sum(entry.size or 0 for entry in large.manifest.entries.values()) == large.size == 4 * MANY
        assert sum(1 for _ in large.files()) == MANY
        assert len(large.digest) == 32
        draft = large.new_draft()
        assert draft.file_count == MANY
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


def test_one_file_of_a_large_version_costs_one_lookup(
    large: refstore.Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"d{(MANY - 1) // 1000:04d}/f{MANY - 1:07d}.bin"
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    db = large.store.catalog._db
    db.set_progress_handler(count, 100)
    assert Path(large.get_entry(path).download("out")).read_bytes() == b"zero"
    assert path in large.manifest.entries
    db.set_progress_handler(None, 0)
    # Of a hundred instructions of SQLite each: the tree's three levels, of which the root grows with the entries.
    assert steps < 100 + MANY // 2_000
