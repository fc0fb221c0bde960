"""What `refstore://` hands out is what was recorded, from every kind of storage; anything else is refused."""

from __future__ import annotations

import io
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from refstore import Store
from refstore.checkout import proven
from refstore.errors import ChecksumMismatch, RefstoreError, SourceChanged, SourceGone
from refstore.filesystem import RefstoreFileSystem
from tests.filesystem.conftest import write
from tests.servers.azurite import Azurite
from tests.servers.faults import FaultProxy
from tests.servers.gcs import Gcs
from tests.servers.nginx import Nginx
from tests.servers.s3 import S3Server

DATA = random.Random(7).randbytes(9 << 20)
OTHER = DATA[::-1]

READS: dict[str, Callable[[RefstoreFileSystem, str], bytes]] = {
    "cat_file": lambda fs, path: fs.cat_file(path),
    "a range": lambda fs, path: fs.cat_file(path, 0, 5_000_000) + fs.cat_file(path, 5_000_000),
    "cat_ranges": lambda fs, path: b"".join(
        fs.cat_ranges([path] * 3, [0, 70, -(6 << 20)], [70, 3 << 20, None], on_error="raise")
    ),
    "cat": lambda fs, path: fs.cat([path])[path],
    "open": lambda fs, path: in_pieces(fs.open(path), -1),
    "open in pieces": lambda fs, path: in_pieces(fs.open(path)),
    "open by lines": lambda fs, path: b"".join(fs.open(path)),
    "seek": lambda fs, path: at_random(fs.open(path)),
    **{
        f"cache {name}": lambda fs, path, name=name: at_random(fs.open(path, cache_type=name, block_size=1 << 20))
        for name in ("none", "readahead", "blockcache", "background")
    },
    "get_file": lambda fs, path: got(fs, path),
}


def at_random(file: io.BufferedIOBase) -> bytes:
    """All of a file, by reads from the back to the front that overlap."""
    with file:
        size = file.seek(0, io.SEEK_END)
        out = bytearray(size)
        for start in range(size // 700_000 * 700_000, -1, -700_000):
            assert file.seek(start) == start
            part = file.read(700_100)
            out[start : start + len(part)] = part
        return bytes(out)


def in_pieces(file: io.BufferedIOBase, size: int = 777_777) -> bytes:
    with file:
        return b"".join(iter(lambda: file.read(size), b""))


def got(fs: RefstoreFileSystem, path: str) -> bytes:
    target = Path("got") / "here" / "it"
    fs.get_file(path, target)
    assert [file.name for file in target.parent.iterdir()] == ["it"]
    return target.read_bytes()


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket()


@pytest.mark.parametrize("how", READS)
def test_an_object_that_was_overwritten_is_read_as_recorded(
    how: str, store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str
) -> None:
    s3.put(bucket, "p/big", DATA)
    store.add(f"s3://{bucket}/p/", name="big")
    s3.put(bucket, "p/big", OTHER)
    assert READS[how](fs, "big:v0/big") == DATA


@pytest.mark.parametrize("how", READS)
def test_an_object_without_versions_that_was_overwritten_is_refused(
    how: str, store: Store, fs: RefstoreFileSystem, s3: S3Server
) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put(bucket, "big", DATA)
    store.add(f"s3://{bucket}/big", name="big")
    assert READS[how](fs, "big:v0/big") == DATA
    s3.put(bucket, "big", OTHER)
    with pytest.raises(SourceChanged):
        READS[how](fs, "big:v0/big")
    assert not list(Path.cwd().rglob(".refstore-*"))


@pytest.mark.parametrize("how", READS)
def test_a_local_file_that_was_overwritten_behind_its_times_is_refused(
    how: str, store: Store, fs: RefstoreFileSystem, tmp_path: Path
) -> None:
    file = write(tmp_path / "data", {"big": DATA}) / "big"
    store.add(file, name="big")
    assert READS[how](fs, "big:v0/big") == DATA
    before = file.stat()
    file.write_bytes(OTHER)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ChecksumMismatch):
        READS[how](fs, "big:v0/big")


@pytest.mark.parametrize("how", READS)
def test_stored_content_comes_from_the_cache(how: str, store: Store, fs: RefstoreFileSystem, tmp_path: Path) -> None:
    file = write(tmp_path / "data", {"big": DATA}) / "big"
    store.put(file, name="big")
    file.unlink()
    assert READS[how](fs, "big:v0/big") == DATA
    assert fs.info("big:v0/big")["uri"] is None


@pytest.mark.parametrize("odd", ["", "bare", "weak"])
@pytest.mark.parametrize("how", ["cat_file", "a range", "cat_ranges", "open in pieces", "seek", "get_file"])
def test_a_page_that_was_replaced_is_refused(
    odd: str, how: str, store: Store, fs: RefstoreFileSystem, nginx: Nginx
) -> None:
    folder = nginx.folder({"big": DATA})
    store.add(nginx.odd(odd, folder, "big") if odd else nginx.href(folder, "big"), name="big")
    assert READS[how](fs, "big:v0/big") == DATA
    folder.write({"big": OTHER[1:]})
    with pytest.raises((SourceChanged, ChecksumMismatch)):
        READS[how](fs, "big:v0/big")


@pytest.mark.parametrize("how", ["cat_file", "a range", "open in pieces"])
def test_an_old_generation_is_read_from_google(
    how: str, store: Store, fs: RefstoreFileSystem, gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in gcs.environment().items():
        monkeypatch.setenv(name, value)
    bucket = gcs.make_bucket()
    gcs.put(bucket, "big", DATA)
    store.add(f"gs://{bucket}/big", name="big")
    gcs.put(bucket, "big", OTHER)
    assert READS[how](fs, "big:v0/big") == DATA


@pytest.mark.parametrize("how", ["cat_file", "a range", "open in pieces"])
def test_a_blob_that_was_overwritten_is_refused(
    how: str, store: Store, fs: RefstoreFileSystem, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in azurite.environment().items():
        monkeypatch.setenv(name, value)
    container = azurite.make_container()
    azurite.put(container, "big", DATA)
    store.add(f"az://{container}/big", name="big")
    assert READS[how](fs, "big:v0/big") == DATA
    azurite.put(container, "big", OTHER)
    with pytest.raises(SourceChanged):
        READS[how](fs, "big:v0/big")


def test_what_is_gone_from_its_source_is_no_missing_file(
    store: Store, fs: RefstoreFileSystem, s3: S3Server, tmp_path: Path
) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put(bucket, "k", b"data")
    file = write(tmp_path / "data", {"k": b"data"}) / "k"
    store.add(f"s3://{bucket}/k", name="remote")
    store.add(file, name="local")
    store.put(write(tmp_path / "kept", {"k": b"other"}), name="kept")
    s3.delete(bucket, "k")
    file.unlink()
    for content in (store.cache.root / "md5").rglob("*"):
        if content.is_file():
            content.unlink()
    for name in ("remote", "local", "kept"):
        for how in ("cat_file", "a range", "open", "seek", "get_file", "cat"):
            with pytest.raises(SourceGone) as error:
                READS[how](fs, f"{name}:v0/k")
            assert isinstance(error.value, OSError)
            assert not isinstance(error.value, FileNotFoundError | KeyError)
        with pytest.raises(SourceGone):
            fs.get_mapper(f"{name}:v0")["k"]
    with pytest.raises(KeyError):
        fs.get_mapper("remote:v0")["no such chunk"]


def test_a_local_file_is_read_in_full_once_and_in_place_from_then_on(
    store: Store, fs: RefstoreFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "data", {"big": DATA}) / "big"
    store.add(file, name="big")
    read = 0

    class Counted(proven.Digests):
        def update(self, data: bytes) -> None:
            nonlocal read
            read += len(data)
            super().update(data)

    monkeypatch.setattr(proven, "Digests", Counted)
    for start in range(0, 8 << 20, 1 << 19):
        assert fs.cat_file("big:v0/big", start, start + 100) == DATA[start : start + 100]
    assert read == len(DATA)
    os.utime(file, (1, 1))
    assert fs.cat_file("big:v0/big", 5, 9) == DATA[5:9]
    assert read == 2 * len(DATA)
    assert not (store.cache.root / "tmp").exists()


def test_a_local_file_that_changes_while_it_is_open_is_refused(
    store: Store, fs: RefstoreFileSystem, tmp_path: Path
) -> None:
    file = write(tmp_path / "data", {"big": DATA}) / "big"
    store.add(file, name="big")
    before = file.stat()
    with fs.open("big:v0/big") as opened:
        assert opened.read(10) == DATA[:10]
        with file.open("r+b") as edited:
            edited.seek(8 << 20)
            edited.write(b"edited")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        opened.seek(8 << 20)
        with pytest.raises(SourceChanged, match="while it was read"):
            opened.read(10)


def test_bytes_that_are_not_those_of_the_digest_are_found_out_by_a_read_to_the_end(
    store: Store, fs: RefstoreFileSystem, nginx: Nginx
) -> None:
    # a server that gives a strong ETag back for other bytes: its time in seconds and its size are the same
    folder = nginx.folder({"big": DATA})
    os.utime(folder.path / "big", (10**9, 10**9))
    store.add(nginx.href(folder, "big"), name="big")
    folder.write({"big": OTHER})
    os.utime(folder.path / "big", (10**9, 10**9))
    if store.version("big:v0").entry("big").object.checksum is None:
        assert fs.cat_file("big:v0/big") == OTHER  # nothing was recorded that could prove it
        return
    with pytest.raises(ChecksumMismatch):
        fs.open("big:v0/big").read()


def test_many_files_are_read_at_once_and_each_costs_one_request(
    store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str
) -> None:
    files = {f"p/{n:03d}": b"content %d" % n for n in range(60)}
    s3.put_many(bucket, files)
    store.add(f"s3://{bucket}/p/", name="many")
    s3.put_many(bucket, dict.fromkeys(files, b"newer"))
    mark = s3.mark()
    found = fs.cat("many:v0", recursive=True)
    assert found == {f"many:v0/{name[2:]}": data for name, data in files.items()}
    assert s3.operations_since(mark, bucket) == {"GetObject": 60}
    mark = s3.mark()
    names = list(found)
    assert fs.cat_ranges(names, 0, 7) == [b"content"] * 60
    assert s3.operations_since(mark, bucket) == {"GetObject": 60}
    s3.delete(bucket, "p/005", store.version("many").entry("005").object.version)
    with pytest.raises(SourceGone):
        fs.cat(names)
    assert set(names) - set(fs.cat(names, on_error="omit")) == {"many:v0/005"}
    assert isinstance(fs.cat(names, on_error="return")["many:v0/005"], SourceGone)
    answers = fs.cat_ranges([*names, "many:v0/none"], 0, 3)
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [5, 60]


def test_listing_and_looking_make_no_request(store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str) -> None:
    s3.put_many(bucket, {"p/a": b"1", "p/b/c": b"22"})
    store.add(f"s3://{bucket}/p/", name="data")
    mark = s3.mark()
    assert fs.find("data:v0") == ["data:v0/a", "data:v0/b/c"]
    info = fs.info("data:v0/b/c")
    assert (info["size"], info["pin"]) == (2, "version")
    assert info["uri"] == f"s3://{bucket}/p/b/c?versionId={info['version']}"
    with fs.open("data:v0/a") as file:
        assert file.size == 1
    assert s3.requests_since(mark, bucket) == []


def test_a_file_read_from_its_first_byte_to_its_last_takes_few_requests(
    store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str
) -> None:
    s3.put(bucket, "big", DATA)
    store.add(f"s3://{bucket}/big", name="big")
    for read in (READS["open in pieces"], READS["open by lines"]):
        mark = s3.mark()
        assert read(fs, "big:v0/big") == DATA
        assert s3.operations_since(mark, bucket) == {"GetObject": 2}
    for read in (READS["open"], READS["cat_file"]):
        mark = s3.mark()
        assert read(fs, "big:v0/big") == DATA
        assert s3.operations_since(mark, bucket) == {"GetObject": 1}


@pytest.mark.parametrize("how", ["cat_file", "a range", "open in pieces", "get_file"])
def test_a_connection_that_breaks_is_taken_up_again(
    how: str,
    store: Store,
    fs: RefstoreFileSystem,
    s3: S3Server,
    bucket: str,
    faults: Callable[..., FaultProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3.put(bucket, "big", DATA)
    proxy = faults(s3.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    store.add(f"s3://{bucket}/big", name="big")
    store.backends._made.clear()
    from tests.servers.faults import Faults

    proxy.faults = Faults(cut=1, after=3 << 20, first=sum(proxy.seen.values()) + 2)
    assert READS[how](fs, "big:v0/big") == DATA
    assert proxy.seen["cut"]


def test_an_open_file_is_pickled_as_the_bytes_that_it_is_open_on(
    store: Store, fs: RefstoreFileSystem, tmp_path: Path
) -> None:
    file = write(tmp_path / "data", {"a": b"first of all"}) / "a"
    store.put(file, name="x")
    with fs.open("x:latest/a") as opened:
        assert opened.read(6) == b"first "
        file.write_bytes(b"and then other")
        store.put(file, name="x")
        with pickle.loads(pickle.dumps(opened)) as again:
            assert again.read() == b"of all"
    assert fs.cat_file("x:latest/a") == b"and then other"


def test_text_and_offsets_are_as_in_every_file(store: Store, fs: RefstoreFileSystem, tmp_path: Path) -> None:
    store.put(write(tmp_path / "data", {"a": "éa\nb\n\nc".encode(), "empty": b""}), name="x")
    with fs.open("x:v0/a", "r", encoding="utf-8") as text:
        assert list(text) == ["éa\n", "b\n", "\n", "c"]
    with fs.open("x:v0/a") as file:
        assert file.readline() == "éa\n".encode()
        assert file.readlines() == [b"b\n", b"\n", b"c"]
        assert file.read(5) == b""
        file.seek(-1, io.SEEK_END)
        assert (file.tell(), file.read(), file.tell()) == (7, b"c", 8)
        assert file.info()["name"] == "x:v0/a"
    with pytest.raises(ValueError, match="closed"):
        file.read()
    assert fs.cat_file("x:v0/a", -3, -1) == b"\n\n"
    assert fs.cat_file("x:v0/a", 100) == fs.cat_file("x:v0/a", 3, 2) == fs.cat_file("x:v0/empty") == b""
    assert fs.open("x:v0/empty").read() == b""
    assert fs.head("x:v0/a", 2) == "é".encode()
    assert fs.tail("x:v0/a", 1) == b"c"
    assert fs.read_block("x:v0/a", 1, 4, delimiter=b"\n") == b"b\n"


def test_a_version_is_copied_with_get(store: Store, fs: RefstoreFileSystem, tmp_path: Path) -> None:
    files = {"a": b"1", "b/c": b"22", "b/d/e": b""}
    store.put(write(tmp_path / "data", files), name="x")
    fs.get("x:v0/", str(tmp_path / "out"), recursive=True)
    out = tmp_path / "out"
    assert {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()} == files
    buffer = io.BytesIO()
    fs.get_file("x:v0/b/c", buffer)
    assert buffer.getvalue() == b"22"


def test_an_error_is_one_of_refstores_own_and_names_the_source(
    store: Store, fs: RefstoreFileSystem, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put(bucket, "k", b"data")
    store.add(f"s3://{bucket}/k", name="x")
    s3.client().delete_object(Bucket=bucket, Key="k", VersionId=store.version("x").entry("k").object.version)
    with pytest.raises(RefstoreError, match=f"s3://{bucket}/k"):
        fs.cat_file("x:v0/k")
