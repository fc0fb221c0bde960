from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import refstore
from refstore import Store
from refstore.filesystem import RefstoreFileSystem
from tests.servers.s3 import S3Server


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def store(project: Path) -> Iterator[Store]:
    """A store in the current folder."""
    with refstore.create() as store:
        yield store


@pytest.fixture
def fs(store: Store) -> RefstoreFileSystem:
    return RefstoreFileSystem(store=store.root, skip_instance_cache=True)


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """SeaweedFS, which is where the environment of the test points to, as one who may only read, and is logged."""
    for name, value in seaweed.environment(reader=True, logged=True).items():
        monkeypatch.setenv(name, value)
    return seaweed


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """Make files below a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
