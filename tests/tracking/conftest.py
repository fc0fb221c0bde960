"""A folder of its own for each test, with no store in it or above it, and no run left over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from refstore.tracking import current


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, and of this test alone."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_ARTIFACT_DIR"):
        monkeypatch.delenv(name, raising=False)
    yield folder
    while current.run() is not None:
        current.finish()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of files outside the store."""
    folder = tmp_path / "data"
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "0.bin").write_bytes(b"zero")
    (folder / "train" / "1.bin").write_bytes(b"one")
    (folder / "labels.csv").write_bytes(b"label\n7\n")
    return folder


def tree(folder: str | Path) -> dict[str, bytes]:
    """The files of a folder."""
    root = Path(folder)
    return {f.relative_to(root).as_posix(): f.read_bytes() for f in root.rglob("*") if f.is_file()}
