"""Versions of a bucket that does not exist, recorded without a listing: for what is measured of the catalog alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import refstore
from refstore.manifest.entry import Entry, Object
from refstore.names import ArtifactName
from refstore.tracking.record import Labels, record


def entry(number: int, state: Mapping[int, int]) -> Entry:
    """An entry as a listing with versions gives it; `state` says how often its object was overwritten."""
    path = f"d{number // 1000:04d}/f{number:07d}.bin"
    token = hashlib.md5(f"{number} {state.get(number, 0)}".encode(), usedforsecurity=False).hexdigest()
    key, written = f"data/{path}", "2026-01-01T00:00:00Z"
    return Entry(path, Object("s3", "", "bucket", key, 4096, token[::-1], token, None, written))


def add(root: Path, count: int, state: Mapping[int, int]) -> None:
    """Record a version of `data` with so many entries."""
    with refstore.open(root) as store:
        made = record(
            store.catalog,
            ArtifactName("", store.settings.project, "data"),
            (entry(number, state) for number in range(count)),
            Labels(),
            job_type="add",
            sources=["s3://bucket/data/"],
            markers=0,
            notes=(),
            dry_run=False,
        )
    assert made.new


def lines(numbers: Iterable[int], state: Mapping[int, int]) -> Iterator[str]:
    """Entries as lines of JSON."""
    return (json.dumps(entry(number, state).to_json(), separators=(",", ":")) + "\n" for number in numbers)
