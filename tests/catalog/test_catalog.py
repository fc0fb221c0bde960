"""The catalog is its files; the index follows them, whatever happens to either."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import refstore
from refstore.catalog import index_place
from refstore.errors import (
    ArtifactNotFound,
    CatalogTooNew,
    InvalidName,
    StorageFull,
    TypeConflict,
    UnsafePath,
    UsageError,
)
from refstore.records import transaction


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    for i in range(200):
        (folder / "sub" / f"f{i:03d}").write_text(str(i))
    (folder / "a.csv").write_text("x\n1\n")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[refstore.Store]:
    with refstore.create(tmp_path / "repo") as store:
        yield store


def describe(store: refstore.Store) -> object:
    """Everything that a person can see of a catalog."""
    return [
        (
            v.qualified_name, v.id, v.digest, v.aliases, v.tags, v.description, v.metadata, v.size, v.sources,
            list(v.files()),
        )
        for info in store.artifacts()
        for v in store.versions(str(info.name))
    ] + [list(store.log())]  # fmt: skip


def history(store: refstore.Store, data: Path) -> None:
    store.add(str(data), name="mnist", aliases=["first"], metadata={"n": 1})
    (data / "a.csv").write_text("x\n2\n")
    (data / "sub" / "f007").unlink()
    (data / "new").write_text("new")
    store.add(str(data), name="mnist", tags=["good"], description="second")
    store.add(str(data / "a.csv"), name="team/vision/table", type="table")
    store.set_alias("mnist:v0", "best")
    store.set_alias("mnist:v1", "best")
    store.remove_alias("mnist:first")
    store.describe("mnist:v0", "the first")
    (data / "a.csv").write_text("x\n1\n")
    store.add(str(data), name="mnist")
    store.remove("mnist:v2")


def test_deleting_the_index_loses_nothing(store: refstore.Store, data: Path) -> None:
    history(store, data)
    before = describe(store)
    store.close()
    (store.folder / "catalog.db").unlink()
    with refstore.open(store.root) as again:
        assert describe(again) == before


def test_a_damaged_index_is_made_again(store: refstore.Store, data: Path) -> None:
    history(store, data)
    before = describe(store)
    store.close()
    for name in ("catalog.db-wal", "catalog.db-shm"):
        (store.folder / name).unlink(missing_ok=True)
    (store.folder / "catalog.db").write_bytes(b"not a database at all, but long enough to be read as one" * 100)
    with refstore.open(store.root) as again:
        assert describe(again) == before


def test_the_order_in_which_files_come_does_not_matter(store: refstore.Store, data: Path, tmp_path: Path) -> None:
    history(store, data)
    before = describe(store)
    files = sorted((store.folder / "records").iterdir())
    for order, number in ((files, 1), (files[::-1], 2)):
        with refstore.create(tmp_path / f"copy{number}") as copy:
            for file in order:
                shutil.copy(file, copy.folder / "records")
                copy.catalog.refresh()
            copy.catalog.refresh()
            assert describe(copy) == before


def test_files_that_go_take_their_records_with_them(store: refstore.Store, data: Path) -> None:
    store.add(str(data), name="mnist")
    one = describe(store)
    there = set((store.folder / "records").iterdir())
    (data / "new").write_text("new")
    store.add(str(data), name="mnist", aliases=["best"])
    two = describe(store)
    (came,) = set((store.folder / "records").iterdir()) - there
    away = came.rename(store.root / "away")
    store.catalog.refresh()
    assert describe(store) == one
    away.rename(came)
    store.catalog.refresh()
    assert describe(store) == two


def test_a_damaged_file_is_named_and_the_rest_still_answers(store: refstore.Store, data: Path) -> None:
    store.add(str(data / "a.csv"), name="good")
    there = set((store.folder / "records").iterdir())
    store.add(str(data), name="bad")
    (came,) = set((store.folder / "records").iterdir()) - there
    store.close()
    text = came.read_text()
    came.write_text(text.replace('"path":"sub/f007"', '"path":"sub/f00x"'))
    (store.folder / "catalog.db").unlink()
    with refstore.open(store.root) as again:
        assert again.version("good:v0").file_count == 1
        (problem,) = again.catalog.problems()
        assert came.name in problem
        with pytest.raises(ArtifactNotFound):
            again.version("bad:v0")
        came.write_text(text)
        os.utime(came.parent)
        again.catalog.refresh()
        assert again.catalog.problems() == []
        assert again.version("bad:v0").file_count == 201


def test_a_catalog_from_a_newer_refstore_is_refused(store: refstore.Store, data: Path) -> None:
    store.add(str(data), name="mnist")
    file = next((store.folder / "records").iterdir())
    text = file.read_text()
    store.close()
    (store.folder / "catalog.db").unlink()
    file.write_text(text.replace('"refstore":1', '"refstore":9', 1))
    with refstore.open(store.root) as again, pytest.raises(CatalogTooNew, match="upgrade refstore"):
        again.artifacts()
    file.write_text(text)
    with refstore.open(store.root) as again:
        assert len(again.artifacts()) == 1
    with closing(sqlite3.connect(store.folder / "catalog.db")) as db:
        db.execute("PRAGMA user_version = 99")
        db.commit()
    with refstore.open(store.root) as again, pytest.raises(CatalogTooNew, match="upgrade refstore"):
        again.artifacts()


def test_the_files_view_answers_sql(store: refstore.Store, data: Path) -> None:
    history(store, data)
    store.close()
    with closing(sqlite3.connect(store.folder / "catalog.db")) as db:
        rows = db.execute("SELECT path, size, pin FROM files WHERE artifact = 'mnist' AND version = 1 ORDER BY path")
        found = rows.fetchall()
        assert len(found) == 201
        assert found[0] == ("a.csv", 4, "checksum")
        plan = db.execute(
            "EXPLAIN QUERY PLAN SELECT path FROM files WHERE artifact = 'mnist' AND version = 1"
        ).fetchall()
        assert not [row for row in plan if "SCAN e" in row[3] or "SCAN l" in row[3]]


def test_a_version_number_is_never_given_again(store: refstore.Store, data: Path) -> None:
    history(store, data)
    (data / "b").write_text("b")
    assert store.add(str(data), name="mnist").name.endswith(":v3")
    store.remove("mnist", force=True)
    assert "mnist" not in [a.name.artifact for a in store.artifacts()]
    assert store.add(str(data), name="mnist").name.endswith(":v4")
    with pytest.raises(ArtifactNotFound, match="was removed"):
        store.version("mnist:v3")


def test_names_find_versions(store: refstore.Store, data: Path) -> None:
    history(store, data)
    assert store.version("mnist").number == 1
    assert store.version("mnist:latest").number == 1
    assert store.version("uncategorized/mnist:best").number == 1
    assert store.version("team/vision/table:v0").type == "table"
    digest = store.version("mnist:v0").digest
    assert store.version(f"mnist@{digest[:8]}").number == 0
    for name, part in (
        ("mnst", "did you mean"),
        ("table", "team/vision/table"),
        ("mnist:v9", "it has v1, v0"),
        ("mnist:worst", "There is no uncategorized/mnist:worst"),
        ("mnist@ffff", "There is no"),
    ):
        with pytest.raises(ArtifactNotFound, match=part):
            store.version(name)
    for name in ("mn ist", "", "a/b/c/d", "mnist:", "mnist:a/b", "mnist@xyz", "../mnist", "..", "mnist:v1:v2"):
        with pytest.raises(InvalidName):
            store.version(name)


def test_an_alias_moves_and_reserved_ones_are_refused(store: refstore.Store, data: Path) -> None:
    history(store, data)
    assert store.artifact("mnist").aliases == {"latest": 1, "best": 1}
    for alias in ("latest", "v7", "a/b", "a b", ""):
        with pytest.raises(InvalidName):
            store.set_alias("mnist:v0", alias)
    with pytest.raises(UsageError, match="--force"):
        store.remove("mnist:v1")
    store.remove("mnist:v1", force=True)
    assert store.artifact("mnist").aliases == {"latest": 0}


def test_an_artifact_has_one_type(store: refstore.Store, data: Path) -> None:
    store.add(str(data), name="mnist", type="images")
    with pytest.raises(TypeConflict, match="images"):
        store.add(str(data / "sub"), name="mnist", type="model")
    assert store.version("mnist").number == 0


def test_what_is_there_already_is_not_recorded_again(store: refstore.Store, data: Path) -> None:
    first = store.add(str(data), name="mnist")
    files = sorted((store.folder / "records").iterdir())
    again = store.add(str(data), name="mnist")
    assert (again.new, again.name) == (False, first.name)
    for file in (data / "sub").iterdir():
        os.utime(file, (1, 1))
    touched = store.add(str(data), name="mnist")
    assert (touched.new, touched.name) == (False, first.name)
    assert sorted((store.folder / "records").iterdir()) == files
    labelled = store.add(str(data), name="mnist", aliases=["best"], description="good")
    assert labelled.new is False
    assert labelled.version is not None
    assert labelled.version.aliases == ["latest", "best"]
    assert labelled.version.description == "good"


def test_going_back_to_old_content_is_a_new_version_that_costs_little(store: refstore.Store, data: Path) -> None:
    store.add(str(data), name="mnist")
    times = (data / "a.csv").stat()
    (data / "a.csv").write_text("y")
    store.add(str(data), name="mnist")
    (data / "a.csv").write_text("x\n1\n")
    os.utime(data / "a.csv", ns=(times.st_atime_ns, times.st_mtime_ns))
    there = set((store.folder / "records").iterdir())
    back = store.add(str(data), name="mnist")
    assert back.new
    assert back.version is not None
    assert back.version.manifest == store.version("mnist:v0").digest
    (came,) = set((store.folder / "records").iterdir()) - there
    assert came.stat().st_size < 2000


ADD = """
import sys, refstore
with refstore.open(sys.argv[1]) as store:
    for uri in sys.argv[3:]:
        print(store.add(uri, name=sys.argv[2]).name)
"""


def test_eight_processes_add_at_once_and_none_is_lost(store: refstore.Store, tmp_path: Path) -> None:
    sources = []
    for i in range(24):
        folder = tmp_path / f"source{i}"
        folder.mkdir()
        (folder / "file").write_text(str(i))
        sources.append(str(folder))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ADD, str(store.root), "mnist", *sources[i::8]], stdout=subprocess.PIPE, text=True
        )
        for i in range(8)
    ]
    names = [line for process in started for line in process.communicate()[0].splitlines()]
    assert [process.returncode for process in started] == [0] * 8
    assert sorted(int(name.rpartition(":v")[2]) for name in names) == list(range(24))
    assert sorted(v.sources[0] for v in store.versions("mnist")) == sorted(Path(s).as_uri() for s in sources)
    assert not list((store.folder / "tmp").iterdir())


def test_what_a_killed_process_left_is_removed_by_the_next_one(store: refstore.Store, data: Path) -> None:
    code = f"""
import os, refstore
from refstore.manifest.entry import Entry, Object
store = refstore.open({str(store.root)!r})
def entries():
    for i in range(100_000):
        yield Entry(f"{{i:09d}}", Object("s3", "", "b", "k"))
    os._exit(9)
with store.catalog.writing() as writing:
    writing.build(entries(), None)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    assert list((store.folder / "tmp").iterdir())
    assert store.artifacts() == []
    assert store.add(str(data), name="mnist").name.endswith(":v0")
    assert not list((store.folder / "tmp").iterdir())


def test_parts_that_a_killed_command_had_placed_are_no_obstacle(
    store: refstore.Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transaction, "PART_SIZE", 5_000)
    with refstore.create(tmp_path / "other") as other:
        other.add(str(data), name="mnist")
        files = {path: path.read_text() for path in (other.folder / "records").iterdir()}
    parts = [path for path, text in files.items() if '"part":' in text.partition("\n")[0]]
    assert len(parts) > 2
    for path in parts:
        shutil.copy(path, store.folder / "records")
    assert store.artifacts() == []
    assert store.add(str(data), name="mnist").new
    before = describe(store)
    store.close()
    (store.folder / "catalog.db").unlink()
    with refstore.open(store.root) as again:
        assert describe(again) == before


def test_a_full_disk_records_nothing(store: refstore.Store, data: Path) -> None:
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(refstore.__file__).parent.parent)!r})
import refstore
from refstore.errors import StorageFull
store = refstore.open({str(store.root)!r})
store.artifacts()
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    store.add({str(data)!r}, name="mnist")
except StorageFull as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "no space left" in done.stdout, done.stderr
    assert store.artifacts() == []
    assert list((store.folder / "records").iterdir()) == []
    assert store.add(str(data), name="mnist").new
    assert StorageFull.exit_code == 8


def test_on_a_network_file_system_the_index_is_elsewhere(
    store: refstore.Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_place, "is_network", lambda path: True)
    store.add(str(data), name="mnist")
    assert not (store.folder / "catalog.db").exists()
    assert store.catalog.path.is_relative_to(Path(os.environ["XDG_CACHE_HOME"]))
    assert store.version("mnist").file_count == 201


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="nothing is read-only to root")
def test_a_store_that_may_not_be_written_can_be_read(store: refstore.Store, data: Path, tmp_path: Path) -> None:
    store.add(str(data), name="mnist")
    store.close()
    read_only = [store.folder / "records", store.folder, store.root]
    for folder in read_only:
        folder.chmod(0o555)
    weak = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if os.geteuid() == 0 else []
    refstore_ = [*weak, sys.executable, "-m", "refstore", "-C", str(store.root)]
    try:
        for words, code in (
            (["ls", "mnist:v0"], 0),
            (["log"], 0),
            (["status", "mnist"], 0),
            (["cache", "ls"], 0),
            (["cache", "gc"], 0),
            (["checkout", "mnist", str(tmp_path / "out")], 0),
            (["alias", "set", "mnist:v0", "best"], 8),
            (["add", str(data / "a.csv"), "--name", "other"], 8),
        ):
            done = subprocess.run([*refstore_, *words], capture_output=True, text=True, check=False)
            assert done.returncode == code, (words, done.stderr)
            assert code == 0 or "Permission denied" in done.stderr
    finally:
        for folder in read_only:
            folder.chmod(0o755)
    assert (tmp_path / "out" / "a.csv").read_text() == "x\n1\n"
    assert len(store.artifacts()) == 1


def test_the_index_can_be_put_elsewhere(tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSTORE_INDEX_DIR", str(tmp_path / "indexes"))
    with refstore.create(tmp_path / "repo") as store:
        store.add(str(data), name="mnist")
        assert store.catalog.path.is_relative_to(tmp_path / "indexes")
        assert not (store.folder / "catalog.db").exists()
        with pytest.raises(UnsafePath, match="inside the store"):
            store.version("mnist").checkout(store.folder / "records" / "x")
