from __future__ import annotations

import sqlite3
from pathlib import Path

import refstore


def test_an_add_in_which_nothing_changed_writes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(200):
        (data / f"f{number:03d}").write_bytes(b"%d" % number)
    with refstore.create(tmp_path) as store:
        first = store.add(data, name="d")
        assert first.new
        index = store.catalog.path
        watch = sqlite3.connect(index)
        version = watch.execute("PRAGMA data_version").fetchone()
        files = {file: file.stat().st_mtime_ns for file in store.folder.glob("records/*")}
        log = Path(f"{index}-wal").read_bytes()

        again = store.add(data, name="d")

        assert not again.new
        assert again.version == first.version
        assert {file: file.stat().st_mtime_ns for file in store.folder.glob("records/*")} == files
        assert not list(store.folder.glob("tmp/*"))
        assert watch.execute("PRAGMA data_version").fetchone() == version
        assert Path(f"{index}-wal").read_bytes() == log
        (data / "f100").write_bytes(b"else")
        assert store.add(data, name="d").new
        assert watch.execute("PRAGMA data_version").fetchone() != version, "this would have been seen"
        watch.close()
