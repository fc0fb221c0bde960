"""Paths of `refstore://`, and what there is at them."""

from __future__ import annotations

import errno
import pickle
import shutil
import sqlite3
import zipfile
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import fsspec
import pytest

import refstore
from refstore import Store
from refstore.errors import EntryNotFound, ReadOnly, StoreNotFound, UnsafePath
from refstore.filesystem import RefstoreFileSystem
from refstore.manifest.entry import Entry, Object
from refstore.names import ArtifactName
from refstore.tracking.record import Labels, record
from tests.filesystem.conftest import write

FILES = {"a.csv": b"a,b\n1,2\n", "train/b.csv": b"b", "train/deep/c.csv": b"cc", "train-2/d.csv": b"d"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write(tmp_path / "data", FILES)


@pytest.fixture
def filled(store: Store, data: Path) -> Store:
    """Versions in the default project, in another one, and in one of an entity."""
    store.add(data, name="mnist")
    store.add(data / "train", name="mnist")
    store.add(data, name="vision/mnist", aliases=["best"])
    store.add(data, name="team/vision/mnist")
    return store


def read(url: str) -> bytes:
    with fsspec.open(url) as file:
        content: bytes = file.read()
    return content


def test_a_url_names_a_version_by_number_by_alias_or_by_digest(filled: Store) -> None:
    digest = filled.version("team/vision/mnist:v0").digest
    for url in (
        "refstore://mnist:v0/train/b.csv",
        "refstore://mnist:latest/b.csv",
        "refstore://vision/mnist:best/train/b.csv",
        "refstore://vision/mnist:latest/train/b.csv",
        f"refstore://team/vision/mnist@{digest[:6]}/train/b.csv",
        "simplecache::refstore://vision/mnist:v0/train/b.csv",
        "refstore://vision/mnist:v0/train/b.csv/",
    ):
        assert read(url) == b"b", url
    fs, path = fsspec.url_to_fs("refstore://vision/mnist:best/train/b.csv")
    assert path == "vision/mnist:best/train/b.csv"
    assert fs.unstrip_protocol(path) == "refstore://vision/mnist:best/train/b.csv"


def test_a_chain_leads_into_a_file_of_a_version(store: Store, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in/x.txt", "zipped")
    store.add(tmp_path / "x.zip", name="zips")
    assert read("zip://in/x.txt::refstore://zips:v0/x.zip") == b"zipped"
    assert read("filecache::refstore://zips:v0/x.zip") == (tmp_path / "x.zip").read_bytes()


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("mnist/a.csv", "names no version"),
        ("mnist", "names no version"),
        ("nothing:v0/a.csv", "no artifact"),
        ("mnist:v7/a.csv", "it has v1, v0"),
        ("mnist:v0/no.csv", "has no file 'no.csv'"),
        ("mnist:v0/train", "has no file 'train'"),
        ("mnist:v0", "is a folder"),
        ("mnist@xyz/a.csv", "hex digits"),
        ("bad name:v0/a", "not a valid"),
    ],
)
def test_what_is_not_there_is_a_file_not_found_that_says_why(
    filled: Store, fs: RefstoreFileSystem, path: str, told: str
) -> None:
    for ask in (fs.open, fs.cat_file):
        with pytest.raises(FileNotFoundError, match=told) as error:
            ask(path)
        assert isinstance(error.value, EntryNotFound)
    assert not fs.isfile(path)


def test_folders_are_listed_down_from_the_root(filled: Store, fs: RefstoreFileSystem) -> None:
    assert fs.ls("refstore://", detail=False) == ["mnist:v0", "mnist:v1", "team", "vision"]
    assert fs.ls("vision", detail=False) == ["vision/mnist:v0"]
    assert fs.ls("team", detail=False) == ["team/vision"]
    assert fs.ls("team/vision/", detail=False) == ["team/vision/mnist:v0"]
    assert fs.ls("mnist:v0", detail=False) == ["mnist:v0/a.csv", "mnist:v0/train-2", "mnist:v0/train"]
    assert fs.ls("mnist:v0/train", detail=False) == ["mnist:v0/train/b.csv", "mnist:v0/train/deep"]
    assert fs.ls("mnist:v0/a.csv", detail=False) == ["mnist:v0/a.csv"]
    for path in ("nothing", "team/nothing", "a/b/c/d", "mnist:v9", "mnist:v0/no"):
        with pytest.raises(FileNotFoundError):
            fs.ls(path)
    assert all(fs.isdir(path) for path in ("", "vision", "team", "team/vision", "mnist:v0", "mnist:v0/train/deep"))
    assert not any(fs.exists(path) for path in ("mnist", "mnist:v0/tra", "mnist:v0/train/b", "a/b/c"))


def test_find_walk_glob_and_du_agree(filled: Store, fs: RefstoreFileSystem) -> None:
    files = [f"mnist:v0/{name}" for name in sorted(FILES)]
    assert fs.find("mnist:v0") == files
    assert fs.find("mnist:v0/train") == ["mnist:v0/train/b.csv", "mnist:v0/train/deep/c.csv"]
    assert fs.find("mnist:v0/train/b.csv") == ["mnist:v0/train/b.csv"]
    assert fs.find("mnist:v9") == fs.find("mnist:v0/no") == []
    walked = [f"{folder}/{name}" for folder, _, names in fs.walk("mnist:v0") for name in names]
    assert sorted(walked) == files
    for path in ("mnist:v0", "mnist:v0/train", "mnist:v0/a.csv"):
        whole = fs.find(path, withdirs=True, detail=True)
        by_steps = super(RefstoreFileSystem, fs).find(path, maxdepth=99, withdirs=True, detail=True)
        assert list(whole) == list(by_steps)
        assert {name: whole[name]["type"] for name in whole} == {
            name: info.get("type", "file") for name, info in by_steps.items()
        }
    assert fs.glob("mnist:v0/*.csv") == ["mnist:v0/a.csv"]
    assert fs.glob("mnist:v0/**/c.csv") == ["mnist:v0/train/deep/c.csv"]
    assert fs.glob("*/mnist:v0/a.csv") == ["vision/mnist:v0/a.csv"]
    assert fs.glob("mnist:*/b.csv") == ["mnist:v1/b.csv"]
    assert fs.du("mnist:v0") == sum(map(len, FILES.values()))
    assert len(fs.find("")) == 3 * len(FILES) + 2


def test_info_tells_what_was_recorded(filled: Store, fs: RefstoreFileSystem, data: Path) -> None:
    info = fs.info("mnist:v0/a.csv")
    assert info == {
        "name": "mnist:v0/a.csv",
        "size": 8,
        "type": "file",
        "checksum": "md5:" + str(filled.version("mnist:v0").entry("a.csv").object.checksum).partition(":")[2],
        "etag": None,
        "version": None,
        "uri": (data / "a.csv").as_uri(),
        "pin": "checksum",
        "mtime": fs.modified("mnist:v0/a.csv"),
    }
    at = datetime.fromtimestamp((data / "a.csv").stat().st_mtime_ns // 1000 / 1e6, timezone.utc)
    assert abs(fs.modified("mnist:v0/a.csv") - at).total_seconds() < 0.001
    assert fs.created("mnist:v0/a.csv") == fs.modified("mnist:v0") > at
    assert fs.info("vision/mnist:best")["aliases"] == ["latest", "best"]
    assert fs.size("mnist:v0/a.csv") == 8


def test_ukey_and_checksum_follow_the_bytes(filled: Store, fs: RefstoreFileSystem) -> None:
    assert fs.ukey("mnist:v0/a.csv") == fs.ukey("vision/mnist:best/a.csv")
    assert fs.ukey("mnist:v0/a.csv") != fs.ukey("mnist:v0/train/b.csv")
    assert fs.checksum("mnist:v0/a.csv") == int(fs.ukey("mnist:v0/a.csv"), 16)


@pytest.mark.parametrize(
    "write",
    [
        lambda fs: fs.open("mnist:v0/a.csv", "wb"),
        lambda fs: fs.open("mnist:v0/a.csv", "ab"),
        lambda fs: fs.open("mnist:v0/a.csv", "xb"),
        lambda fs: fs.open("mnist:v0/a.csv", "w"),
        lambda fs: fs.open("mnist:v0/a.csv", "r+b"),
        lambda fs: fs.rm("mnist:v0", recursive=True),
        lambda fs: fs.rm_file("mnist:v0/a.csv"),
        lambda fs: fs.delete("mnist:v0/a.csv"),
        lambda fs: fs.mv("mnist:v0/a.csv", "mnist:v0/b.csv"),
        lambda fs: fs.cp_file("mnist:v0/a.csv", "mnist:v0/b.csv"),
        lambda fs: fs.copy("mnist:v0/a.csv", "mnist:v0/b.csv"),
        lambda fs: fs.pipe("mnist:v0/a.csv", b""),
        lambda fs: fs.pipe_file("mnist:v0/a.csv", b""),
        lambda fs: fs.put(__file__, "mnist:v0/a.csv"),
        lambda fs: fs.put_file(__file__, "mnist:v0/a.csv"),
        lambda fs: fs.write_text("mnist:v0/a.csv", ""),
        lambda fs: fs.write_bytes("mnist:v0/a.csv", b""),
        lambda fs: fs.touch("mnist:v0/a.csv"),
        lambda fs: fs.mkdir("mnist:v0/x"),
        lambda fs: fs.makedirs("mnist:v0/x"),
        lambda fs: fs.rmdir("mnist:v0/train"),
    ],
)
def test_whatever_would_write_is_refused(
    filled: Store, fs: RefstoreFileSystem, data: Path, write: Callable[[Any], None]
) -> None:
    with pytest.raises(ReadOnly, match="refstore add") as error:
        write(fs)
    assert isinstance(error.value, OSError)
    assert error.value.errno == errno.EROFS
    assert isinstance(pickle.loads(pickle.dumps(error.value)), ReadOnly)
    assert {str(p.relative_to(data)): p.read_bytes() for p in data.rglob("*.csv")} == FILES


def test_what_is_recorded_meanwhile_is_seen_by_an_instance_that_was_there_before(
    filled: Store, fs: RefstoreFileSystem, data: Path
) -> None:
    assert fs.cat_file("vision/mnist:best/a.csv") == FILES["a.csv"]
    (data / "a.csv").write_bytes(b"newer")
    filled.add(data, name="vision/mnist", aliases=["best"])
    assert fs.cat_file("vision/mnist:best/a.csv") == b"newer"
    assert fs.ls("vision", detail=False) == ["vision/mnist:v0", "vision/mnist:v1"]
    filled.remove("vision/mnist:v1", force=True)
    assert not fs.exists("vision/mnist:v1/a.csv")


def test_the_store_is_the_one_of_the_current_folder_or_the_one_that_is_named(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    with refstore.create(other) as store:
        store.put(write(tmp_path / "more", {"a.csv": b"of the other"}), name="mnist")
    assert read("refstore://mnist:v0/a.csv") == FILES["a.csv"]
    monkeypatch.chdir(other)
    assert read("refstore://mnist:v0/a.csv") == b"of the other"
    with fsspec.open("refstore://mnist:v0/a.csv", store=str(filled.root)) as file:
        assert file.read() == FILES["a.csv"]
    kept = fsspec.filesystem("refstore")
    monkeypatch.chdir(tmp_path)
    assert kept.cat_file("mnist:v0/a.csv") == b"of the other"
    with pytest.raises(StoreNotFound):
        fsspec.filesystem("refstore")
    monkeypatch.setenv("REFSTORE_STORE", str(filled.root))
    assert fsspec.filesystem("refstore").cat_file("mnist:v0/a.csv") == FILES["a.csv"]
    assert fsspec.filesystem("refstore") == fsspec.filesystem("refstore", store=filled.root)
    assert kept != fsspec.filesystem("refstore")


def test_the_project_of_the_settings_is_at_the_root(
    filled: Store, monkeypatch: pytest.MonkeyPatch, fs: RefstoreFileSystem
) -> None:
    (filled.root / ".refstore.toml").write_text('project = "vision"\n')
    monkeypatch.setenv("REFSTORE_STORE", str(filled.root))
    with refstore.open() as again:
        assert again.settings.project == "vision"
    from refstore.tracking import stores

    monkeypatch.setattr(stores, "_BY_ROOT", {})
    fs = RefstoreFileSystem(skip_instance_cache=True)
    assert fs.ls("", detail=False) == ["mnist:v0", "team", "uncategorized"]
    assert fs.cat_file("mnist:v0/train/b.csv") == b"b"
    assert fs.ls("uncategorized", detail=False) == ["uncategorized/mnist:v0", "uncategorized/mnist:v1"]


def test_a_number_that_a_merge_gave_to_another_version_is_warned_of_once(
    filled: Store, fs: RefstoreFileSystem, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with refstore.create(tmp_path / "branch") as other:
        other.add(write(tmp_path / "more", {"b.csv": b"of the branch"}), name="mnist")
        for file in (other.folder / "records").iterdir():
            shutil.copy(file, filled.folder / "records")
    assert [fs.cat_file(f"mnist:v{n}/{name}") for n, name in enumerate(("a.csv", "b.csv", "b.csv"))] == [
        FILES["a.csv"],
        b"b",
        b"of the branch",
    ]
    fs.info("mnist:v0/a.csv")
    assert [record.message for record in caplog.records if "v2" in record.message and "v0" in record.message]
    assert len({record.message for record in caplog.records}) == len(caplog.records)


def recorded(store: Store, name: str, entries: list[Entry]) -> None:
    """A version of entries that no backend found."""
    record(
        store.catalog,
        ArtifactName("", store.settings.project, name),
        entries,
        Labels(),
        job_type="add",
        sources=(),
        markers=0,
        notes=(),
        dry_run=False,
    )


class Steps:
    """How much SQLite does: counted in thousands of its own steps, on the connection of this thread."""

    def __init__(self, fs: RefstoreFileSystem) -> None:
        self.db: sqlite3.Connection = fs._stores.here.catalog._db
        self.count = 0

    def __enter__(self) -> Steps:
        self.db.set_progress_handler(self._step, 100)
        return self

    def _step(self) -> int:
        self.count += 1
        return 0

    def __exit__(self, *error: object) -> None:
        self.db.set_progress_handler(None, 0)


def test_a_small_folder_of_a_large_version_costs_what_it_holds(store: Store, fs: RefstoreFileSystem) -> None:
    folders = 100
    paths = sorted([f"d{n // 1000:03d}/f{n:06d}.bin" for n in range(folders * 1000)] + ["e/few/1", "e/few/2", "z.txt"])
    recorded(store, "big", [Entry(path, Object("s3", "", "b", path, size=5, version=f"v{path}")) for path in paths])
    with Steps(fs) as steps:
        list(fs.find("big:v0/d050"))
    many = steps.count
    for ask, found in (
        (lambda: fs.ls("big:v0/e/few", detail=False), ["big:v0/e/few/1", "big:v0/e/few/2"]),
        (lambda: fs.info("big:v0/d077/f077777.bin")["version"], "vd077/f077777.bin"),
        (lambda: fs.info("big:v0/d077")["type"], "directory"),
        (lambda: fs.exists("big:v0/d077/no"), False),
    ):
        with Steps(fs) as steps:
            assert ask() == found  # type: ignore[no-untyped-call]
        assert steps.count < many / 3
    with Steps(fs) as steps:
        assert len(fs.ls("big:v0")) == folders + 2
    assert steps.count < 20 * many


def test_odd_paths_are_found_by_listing_and_by_name(store: Store, fs: RefstoreFileSystem, tmp_path: Path) -> None:
    store.put(write(tmp_path / "data", {"f": b"odd"}), name="seed")
    content = store.version("seed:v0").entry("f").object
    paths = sorted(["a//b", "a/b", "a", "x:y@z/1", "../up", "per%20cent", "é/ü", "a/..", "h#1+2?.txt", "a/b/c"])
    recorded(store, "odd", [Entry(path, content) for path in paths])
    assert fs.find("odd:v0") == sorted(f"odd:v0/{path}" for path in paths)
    walked = [info["name"] for _, _, files in fs.walk("odd:v0", detail=True) for info in files.values()]
    # where `b` and `/b` stand in one folder, `walk` of fsspec itself, which goes by the last part, can show only one
    assert len(walked) == len(paths) - 1
    assert {*walked} < {*fs.find("odd:v0")}
    for path in paths:
        assert fs.cat_file(f"odd:v0/{path}") == b"odd"
        assert fs.info(f"odd:v0/{path}")["type"] == "file"
    out = tmp_path / "deep" / "out"
    with pytest.raises(ValueError, match="outside"):  # fsspec's own, of late
        fs.get("odd:v0", str(out), recursive=True)
    with pytest.raises(UnsafePath):
        fs.get_file("odd:v0/../up", out / "../up")
    assert not (out.parent / "up").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "project"]
