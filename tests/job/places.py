"""The six kinds of places that the main job has to work on, each empty, real, and changed from outside refstore."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from refstore.manifest.entry import Pin

KINDS = ("s3 with versions", "s3 without versions", "gcs", "azure", "http", "files")


@dataclass(frozen=True)
class Place:
    """A folder somewhere.

    Attributes:
        uri: Of the folder, without a slash at its end where the service knows no folders.
        put: Store bytes under a path in the folder.
        delete: Remove what is there.
        keeps_versions: What is overwritten or deleted can still be read.
        pin: How objects there are pinned.
    """

    uri: str
    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]
    keeps_versions: bool
    pin: Pin


def _web(folder: Path) -> Callable[[str, bytes], None]:
    tick = itertools.count(1_700_000_000)

    def put(path: str, data: bytes) -> None:
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        # nginx's ETag is made of size and whole seconds; without this an overwrite within one could not be seen
        time = next(tick)
        os.utime(file, (time, time))

    return put


def make(kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A new place of one of the `KINDS`; its server's variables are set."""
    if kind.startswith("s3"):
        server, versioned = request.getfixturevalue("seaweed"), kind == "s3 with versions"
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        bucket = server.make_bucket(versioned=versioned)
        return Place(
            f"s3://{bucket}/data",
            lambda path, data: server.put(bucket, f"data/{path}", data),
            lambda path: server.delete(bucket, f"data/{path}"),
            versioned,
            Pin.VERSION if versioned else Pin.ETAG,
        )
    if kind == "gcs":
        gcs = request.getfixturevalue("gcs")
        for name, value in gcs.environment().items():
            monkeypatch.setenv(name, value)
        bucket = gcs.make_bucket()
        return Place(
            f"gs://{bucket}/data",
            lambda path, data: gcs.put(bucket, f"data/{path}", data),
            lambda path: gcs.delete(bucket, f"data/{path}"),
            True,
            Pin.VERSION,
        )
    if kind == "azure":
        azurite = request.getfixturevalue("azurite")
        for name, value in azurite.environment().items():
            monkeypatch.setenv(name, value)
        container = azurite.make_container()
        return Place(
            f"az://{container}/data",
            lambda path, data: azurite.put(container, f"data/{path}", data),
            lambda path: azurite.delete(container, f"data/{path}"),
            False,
            Pin.CHECKSUM,
        )
    if kind == "http":
        nginx = request.getfixturevalue("nginx")
        web = nginx.folder()
        (web.path / "data").mkdir()
        return Place(
            nginx.href(web, "data/"),
            _web(web.path / "data"),
            lambda path: (web.path / "data" / path).unlink(),
            False,
            Pin.ETAG,
        )
    folder = request.getfixturevalue("tmp_path") / "data"
    folder.mkdir()
    return Place(str(folder), _web(folder), lambda path: (folder / path).unlink(), False, Pin.CHECKSUM)
