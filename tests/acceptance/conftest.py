from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import refstore

NewStore = Callable[[str], Path]


@pytest.fixture
def new_store(tmp_path: Path) -> NewStore:
    """`new_store("a")` is a new folder with an empty store in it."""

    def make(name: str) -> Path:
        with refstore.create(tmp_path / name) as store:
            return store.root

    return make


def write_tree(folder: Path, count: int, start: int = 0, fanout: int = 1000) -> None:
    """Write small files `d0000/f0000000.bin`, so many in a folder, each with content of its own."""
    for number in range(start, start + count):
        below = folder / f"d{number // fanout:04d}"
        if number == start or number % fanout == 0:
            below.mkdir(parents=True, exist_ok=True)
        (below / f"f{number:07d}.bin").write_bytes(b"object %d\n" % number)
