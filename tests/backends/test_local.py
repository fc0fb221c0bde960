"""Local files and trees: what is taken, what is left out and said so, and what is refused."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from refstore.backends.base import Location, Page
from refstore.backends.local import LocalBackend
from refstore.backends.local.left_out import MARK
from refstore.backends.local.paths import key_of, path_of
from refstore.checkout.artifacts_folder import in_artifacts
from refstore.config import Settings
from refstore.errors import (
    InvalidURI,
    SecretInURI,
    SourceChanged,
    SourceMissing,
    SourceUnreadable,
)
from refstore.manifest.entry import Checksum, Object, Pin

from .conformance import ODD_KEYS, Conformance, Source


class LocalSource(Source):
    pin = Pin.CHECKSUM
    flat = False
    exact_directories = True
    odd_keys = tuple(key for key in ODD_KEYS if "//" not in key and not {"..", "."} & set(key.split("/")))

    def __init__(self, root: Path) -> None:
        self.backend = LocalBackend(Settings())
        self.root = root

    def put(self, key: str, data: bytes) -> None:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def delete(self, key: str) -> None:
        (self.root / key).unlink()

    def uri(self, key: str) -> str:
        at = Location("file", "", "", f"{self.root}/{key}".rstrip("/"), directory=not key or key.endswith("/"))
        return self.backend.uri(at)


class TestLocal(Conformance):
    @pytest.fixture
    def source(self, tmp_path: Path) -> LocalSource:
        return LocalSource(tmp_path)


@pytest.fixture
def backend() -> LocalBackend:
    return LocalBackend(Settings())


def find(backend: LocalBackend, uri: object, *, checksum: bool = True) -> dict[str, Object]:
    pages = backend.find(backend.parse(str(uri)), checksum=checksum)
    return {entry.path: entry.object for page in pages for entry in page.entries}


def notes(backend: LocalBackend, uri: object) -> str:
    return "\n".join(note for page in backend.find(backend.parse(str(uri))) for note in page.notes)


def read(backend: LocalBackend, obj: Object) -> bytes:
    with backend.open(obj) as reading:
        return b"".join(reading.chunks)


# -- paths and URIs ----------------------------------------------------------------------------------------------------


def test_a_relative_path_counts_from_the_current_folder(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("data/a.txt", "./data/a.txt", "data//a.txt", "data/./a.txt"):
        assert backend.parse(text) == Location("file", "", "", f"{tmp_path}/data/a.txt")
    for text in (".", "./", "data/.."):
        assert backend.parse(text) == Location("file", "", "", str(tmp_path), directory=True)
    assert backend.parse("data/").directory
    assert backend.parse("/") == Location("file", "", "", "/", directory=True)
    assert backend.uri(backend.parse("/")) == "file:///"


def test_the_home_folder_may_be_written_with_a_tilde(backend: LocalBackend, isolated: Path) -> None:
    assert backend.parse("~/a.txt").key == f"{isolated}/a.txt"
    assert backend.parse("~").key == str(isolated)


def test_links_in_a_path_stay_but_for_those_before_dots(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "real/deep").mkdir(parents=True)
    (tmp_path / "real/a.txt").write_text("a")
    (tmp_path / "link").symlink_to("real/deep")
    assert backend.parse(f"{tmp_path}/link/a.txt").key == f"{tmp_path}/link/a.txt"
    assert backend.parse(f"{tmp_path}/link/../a.txt").key == f"{tmp_path}/real/a.txt"


def test_a_plain_path_is_taken_as_it_stands(backend: LocalBackend, tmp_path: Path) -> None:
    for name in ("a#b.txt", "what?", "100%25", "a b"):
        (tmp_path / name).write_text(name)
        obj = find(backend, tmp_path / name)[name]
        assert obj.key == f"{tmp_path}/{name}"
        assert backend.parse(backend.uri(obj)) == Location.of(obj)
        assert read(backend, obj) == name.encode()


@pytest.mark.parametrize("uri", ["file:///data/a%20b.txt", "file:/data/a%20b.txt", "file://localhost/data/a%20b.txt"])
def test_a_file_uri_is_decoded_once(backend: LocalBackend, uri: str) -> None:
    assert backend.parse(uri).key == "/data/a b.txt"


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("file:data/a.txt", "absolute"),
        ("file://server/share/a.txt", "host 'server'"),
        ("file://localhost", "no path"),
        ("file:///a.txt?versionId=3", "%3F"),
        ("file:///a.txt#3", "%23"),
        ("file:///a%00b", "zero byte"),
        ("simplecache::s3://bucket/a", "chain"),
    ],
)
def test_a_uri_that_names_no_local_path_is_refused(backend: LocalBackend, uri: str, says: str) -> None:
    with pytest.raises(InvalidURI, match=says):
        backend.parse(uri)


def test_a_login_in_a_file_uri_is_refused_and_not_repeated(backend: LocalBackend) -> None:
    with pytest.raises(SecretInURI) as caught:
        backend.parse("file://me:hunter2@server/share/a.txt")
    assert "hunter2" not in str(caught.value)


def test_names_that_are_not_utf8_keep_their_bytes(backend: LocalBackend, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9 100%.txt")
    (tmp_path / name).write_bytes(b"latin")
    (tmp_path / "plain.txt").write_bytes(b"plain")
    found = find(backend, tmp_path)
    assert set(found) == {"caf%E9 100%.txt", "plain.txt"}
    obj = found["caf%E9 100%.txt"]
    obj.key.encode("utf-8")
    assert obj.key.startswith("%/")
    assert path_of(obj.key) == f"{tmp_path}/{name}"
    assert read(backend, obj) == b"latin"
    assert backend.uri(obj).endswith("/caf%E9%20100%25.txt")
    assert backend.parse(backend.uri(obj)) == Location.of(obj)
    assert backend.parse(f"{tmp_path}/{name}") == Location.of(obj)
    assert "not UTF-8" in notes(backend, tmp_path)
    assert key_of("/caf\u00e9") == "/caf\u00e9"


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_the_checksum_is_of_the_content(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "a.bin").write_bytes(data)
    os.utime(tmp_path / "a.bin", ns=(0, 1_700_000_000_123_456_789))
    for algorithm in ("md5", "sha256"):
        obj = find(LocalBackend(Settings(hash=algorithm)), tmp_path)["a.bin"]
        assert obj.checksum == Checksum(algorithm, hashlib.new(algorithm, data).hexdigest())
        assert (obj.size, obj.mtime) == (2_500_000, "2023-11-14T22:13:20.123456Z")
        assert obj.pin is Pin.CHECKSUM


def test_without_checksums_no_content_is_read_and_a_changed_file_is_refused_all_the_same(
    backend: LocalBackend, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("first")
    os.utime(path, (1, 1))
    obj = find(backend, tmp_path, checksum=False)["a.txt"]
    assert (obj.checksum, obj.pin, obj.size) == (None, Pin.NONE, 5)
    assert path.stat().st_atime == 1
    assert read(backend, obj) == b"first"
    os.utime(path, (2, 2))
    with pytest.raises(SourceChanged):
        read(backend, obj)


def test_a_file_that_was_only_touched_is_still_what_was_recorded(backend: LocalBackend, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("first")
    obj = find(backend, path)["a.txt"]
    os.utime(path, (1, 1))
    assert read(backend, obj) == b"first"
    path.write_text("other")
    with pytest.raises(SourceChanged, match=path.as_uri()):
        read(backend, obj)


def test_a_large_tree_comes_in_pages_and_in_order(backend: LocalBackend, tmp_path: Path) -> None:
    for folder in range(3):
        (tmp_path / f"d{folder}").mkdir()
        for number in range(700):
            (tmp_path / f"d{folder}/{number:04d}").write_bytes(b"x")
    pages = list(backend.find(backend.parse(str(tmp_path)), checksum=False))
    assert [len(page.entries) for page in pages] == [1000, 1000, 100]
    paths = [entry.path for page in pages for entry in page.entries]
    assert paths == sorted(paths)


def test_a_folder_with_more_names_than_one_run_is_whole_and_takes_no_more_memory(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refstore.backends.local.walk.RUN", 100)
    monkeypatch.setattr("refstore.backends.local.backend._PAGE", 100)

    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / f"{number}").touch()
        tracemalloc.start()
        found = sum(len(page.entries) for page in backend.find(backend.parse(str(folder)), checksum=False))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found == count
        return peak

    peak(10)
    assert peak(1550) < 1.5 * peak(250)


def test_small_and_large_files_keep_their_own_digests(backend: LocalBackend, tmp_path: Path) -> None:
    contents = {f"{n:03d}": os.urandom(100 if n % 3 else 300_000 + n) for n in range(60)}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    for name, obj in find(backend, tmp_path).items():
        assert obj.checksum == Checksum("md5", hashlib.md5(contents[name]).hexdigest())


# -- what is left out, and what is refused -----------------------------------------------------------------------------


def test_special_files_are_never_opened_and_are_named(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for number in range(4):
        os.mkfifo(tmp_path / f"fifo{number}")
    (tmp_path / "zz-link-to-fifo").symlink_to("fifo0")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(os.path.relpath(tmp_path / "socket"))
        assert set(find(backend, tmp_path)) == {"a.txt"}
        said = notes(backend, tmp_path)
        assert "fifo0" in said
        assert "and 3 more" in said
        for name, kind in (("fifo0", "FIFO"), ("socket", "socket"), ("zz-link-to-fifo", "FIFO")):
            with pytest.raises(SourceUnreadable, match=kind):
                find(backend, tmp_path / name)
            with pytest.raises(SourceUnreadable, match=kind):
                backend.stat(backend.parse(str(tmp_path / name)))
    with pytest.raises(SourceUnreadable, match="a device"):
        find(backend, "/dev/null")


def test_a_recorded_file_that_became_a_fifo_is_not_waited_for(backend: LocalBackend, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    obj = find(backend, path)["a.txt"]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(SourceUnreadable, match="FIFO"):
        backend.open(obj)


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/b.txt").write_text("bb")
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("a")
    (tree / "link.txt").symlink_to("../outside/b.txt")
    (tree / "sub/up").symlink_to("..")
    return tree


def test_links_to_files_are_followed_and_links_to_folders_are_named(backend: LocalBackend, linked: Path) -> None:
    found = find(backend, linked)
    assert set(found) == {"a.txt", "link.txt"}
    assert found["link.txt"].key == f"{linked}/link.txt"
    assert found["link.txt"].checksum == Checksum("md5", hashlib.md5(b"bb").hexdigest())
    assert read(backend, found["link.txt"]) == b"bb"
    assert "sub/up" in notes(backend, linked)


def test_links_can_be_skipped_or_refused(linked: Path) -> None:
    skip, refuse = LocalBackend(Settings(symlinks="skip")), LocalBackend(Settings(symlinks="error"))
    (linked / "broken").symlink_to("nowhere")
    assert set(find(skip, linked)) == {"a.txt"}
    assert "link.txt" in notes(skip, linked)
    with pytest.raises(SourceUnreadable, match="symbolic link"):
        find(refuse, linked)
    for backend in (skip, refuse):
        with pytest.raises(SourceUnreadable, match="symbolic link"):
            find(backend, linked / "link.txt")


def test_a_file_that_became_a_link_is_not_followed_where_links_are_not(linked: Path) -> None:
    backend = LocalBackend(Settings(symlinks="skip"))
    obj = find(backend, linked)["a.txt"]
    (linked / "a.txt").unlink()
    (linked / "a.txt").symlink_to("../outside/b.txt")
    with pytest.raises(SourceUnreadable, match="symbolic link"):
        backend.open(obj)


def test_a_link_to_a_folder_may_be_what_is_asked_for(backend: LocalBackend, linked: Path) -> None:
    (linked.parent / "also").symlink_to(linked)
    assert set(find(backend, linked.parent / "also")) == {"a.txt", "link.txt"}
    assert find(backend, f"{linked.parent}/also/")["a.txt"].key == f"{linked.parent}/also/a.txt"


def test_a_broken_link_is_an_error(backend: LocalBackend, linked: Path) -> None:
    (linked / "broken").symlink_to("nowhere")
    (linked.parent / "self").symlink_to("self")
    for path in (linked, linked / "broken", linked.parent / "self"):
        with pytest.raises(SourceUnreadable, match="broken"):
            find(backend, path)


def test_a_store_inside_a_tree_is_left_out(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / ".refstore/cache").mkdir(parents=True)
    (tmp_path / ".refstore/cache/x").write_text("x")
    (tmp_path / ".refstore.toml").write_text("")
    assert set(find(backend, tmp_path)) == {".refstore.toml"}
    assert ".refstore" in notes(backend, tmp_path)


def test_gits_folder_and_that_of_checkouts_are_left_out_but_where_they_are_asked_for(
    backend: LocalBackend, tmp_path: Path
) -> None:
    for name in (".git", "made/artifacts", "kept/artifacts", "data"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").write_text("x")
    (tmp_path / "made/artifacts/.gitignore").write_text(f"{MARK}*\n")
    assert set(find(backend, tmp_path)) == {"data/x", "kept/artifacts/x"}
    said = notes(backend, tmp_path)
    assert f"git's history and no data (to take it, add it by its own path): file://{tmp_path}/.git." in said
    assert f"checks out into it (to take it, add it by its own path): file://{tmp_path}/made/artifacts." in said
    (tmp_path / "kept/.refstore").mkdir()
    assert set(find(backend, tmp_path)) == {"data/x"}
    assert set(find(backend, tmp_path / "kept/artifacts")) == set(find(backend, tmp_path / ".git")) == {"x"}


def test_a_checkout_makes_an_artifacts_folder_that_is_left_out(
    backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with in_artifacts("mnist:v0") as folder:
        folder.mkdir(parents=True)
        (folder / "x").write_text("x")
    assert set(find(backend, tmp_path)) == set()
    assert set(find(backend, tmp_path / "artifacts")) == {".gitignore", "mnist:v0/x"}


def test_a_file_asked_for_as_a_folder_is_missing(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(SourceMissing, match="it is a file"):
        find(backend, f"{tmp_path}/a.txt/")
    with pytest.raises(SourceMissing, match="a folder has that name"):
        backend.stat(backend.parse(str(tmp_path)))
    with pytest.raises(SourceMissing):
        find(backend, f"{tmp_path}/a.txt/b")


def test_a_path_that_is_too_long_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(InvalidURI, match="longer"):
        find(backend, "/tmp/" + "x" * 300)


def test_what_may_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree/shut").mkdir(parents=True)
    (tmp_path / "tree/secret.txt").write_text("s")
    (tmp_path / "tree/secret.txt").chmod(0)
    (tmp_path / "tree/shut").chmod(0)
    script = """
import os, sys
root = sys.argv[1]
from refstore.backends.local import LocalBackend
from refstore.config import Settings
from refstore.errors import SourceDenied
import refstore.backends.local.reading, encodings.unicode_escape
if os.getuid() == 0:
    os.setgroups([])
    os.setuid(65534)
backend = LocalBackend(Settings())
for path in ("tree/secret.txt", "tree/shut", "tree", "tree/shut/x"):
    try:
        list(backend.find(backend.parse(root + "/" + path)))
    except SourceDenied as error:
        print(path, "|", error)
print([check.detail for check in backend.diagnose(backend.parse(root + "/tree/secret.txt")).checks])
try:
    backend.stat(backend.parse(root + "/tree/secret.txt"))
except SourceDenied:
    print("stat is denied")
print([check.ok for check in backend.diagnose(backend.parse(root + "/tree/shut")).checks])
"""
    for folder in (tmp_path, *tmp_path.parents):
        if folder != Path("/tmp") and folder.is_relative_to("/tmp"):
            folder.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert "No permission to read" in lines[-3]
    assert lines[-2] == "stat is denied"
    assert [line.split(" | ")[0] for line in lines[:-3]] == ["tree/secret.txt", "tree/shut", "tree", "tree/shut/x"]
    assert "tree/secret.txt" in lines[0].split(" | ")[1]
    assert "tree/shut" in lines[1].split(" | ")[1]
    assert "False" in lines[-1]
    (tmp_path / "tree/shut").chmod(0o700)


# -- files that change while they are read -----------------------------------------------------------------------------


@pytest.fixture
def restless(tmp_path: Path) -> Callable[[Path], threading.Event]:
    """Rewrites a file's first byte for as long as the test runs."""
    stop = threading.Event()
    threads = []

    def start(path: Path) -> threading.Event:
        def write() -> None:
            with path.open("r+b") as f:
                while not stop.wait(0.001):
                    f.seek(0)
                    f.write(os.urandom(1))
                    f.flush()

        threads.append(threading.Thread(target=write))
        threads[-1].start()
        return stop

    yield start
    stop.set()
    for thread in threads:
        thread.join()


def test_a_file_that_keeps_changing_is_refused(
    backend: LocalBackend, tmp_path: Path, restless: Callable[[Path], threading.Event]
) -> None:
    path = tmp_path / "busy.bin"
    path.write_bytes(bytes(64 << 20))
    stop = restless(path)
    time.sleep(0.02)
    with pytest.raises(SourceUnreadable, match="changes while it is read"):
        find(backend, tmp_path)
    stop.set()
    time.sleep(0.05)
    assert find(backend, tmp_path)["busy.bin"].size == 64 << 20


def test_a_file_that_changes_half_way_through_a_reading_is_refused(backend: LocalBackend, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(3 << 20))
    obj = find(backend, path)["a.bin"]
    with backend.open(obj) as reading:
        next(reading.chunks)
        path.write_bytes(bytes(2 << 20))
        with pytest.raises(SourceChanged, match="while it was read"):
            list(reading.chunks)


def test_a_reading_that_is_closed_gives_its_descriptor_back(backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    obj = find(backend, tmp_path)["a.txt"]
    before = len(list(Path("/proc/self/fd").iterdir()))
    with backend.open(obj):
        pass
    backend.open(obj)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


# -- diagnosis ---------------------------------------------------------------------------------------------------------


def test_a_diagnosis_tells_the_file_system(backend: LocalBackend, tmp_path: Path) -> None:
    checks = {check.name: check for check in backend.diagnose(backend.parse(str(tmp_path))).checks}
    assert checks["list"].ok
    assert checks["file system"].ok


def test_a_page_without_entries_holds_only_notes(backend: LocalBackend, tmp_path: Path) -> None:
    assert list(backend.find(backend.parse(str(tmp_path)))) == []
    os.mkfifo(tmp_path / "fifo")
    (page,) = backend.find(backend.parse(str(tmp_path)))
    assert isinstance(page, Page)
    assert page.entries == []
    assert page.notes


def test_a_vanished_folder_is_missing(backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing, match="nothing"):
        find(backend, tmp_path / "nothing")
