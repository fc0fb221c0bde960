"""Any other protocol of fsspec: `memory://`, and FTP as a real one over a network."""

from __future__ import annotations

import hashlib
import os
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import fsspec.config
import pytest
from fsspec.registry import _registry

from refstore.backends.base import Location
from refstore.backends.generic import GenericBackend
from refstore.backends.generic.fs import translated
from refstore.backends.generic.info import object_of
from refstore.backends.registry import Backends
from refstore.config import Settings
from refstore.errors import (
    CredentialsMissing,
    InvalidSetting,
    InvalidURI,
    SecretInURI,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
    UnsupportedScheme,
)
from refstore.manifest.entry import Checksum, Object, Pin
from tests.servers import ftp as ftp_server
from tests.servers.ftp import Ftp
from tests.servers.running import Run

from .conformance import ODD_KEYS, Conformance, Source


@pytest.fixture(autouse=True)
def fsspec_config() -> Iterator[dict[str, Any]]:
    before = dict(fsspec.config.conf)
    yield fsspec.config.conf
    fsspec.config.conf.clear()
    fsspec.config.conf.update(before)


class MemorySource(Source):
    pin = Pin.CHECKSUM
    flat = False
    exact_directories = True
    odd_keys = tuple(key for key in ODD_KEYS if "//" not in key and not {"..", "."} & set(key.split("/")))
    secret_uris = (("memory://me:hunter2@a/b", "hunter2"), ("memory://a/b?token=hunter2", "hunter2"))

    def __init__(self) -> None:
        self.backend = GenericBackend(Settings(), "memory")
        self.fs = fsspec.filesystem("memory")
        self.root = uuid.uuid4().hex

    def put(self, key: str, data: bytes) -> None:
        self.fs.pipe_file(f"/{self.root}/{key}", data)

    def delete(self, key: str) -> None:
        self.fs.rm_file(f"/{self.root}/{key}")

    def uri(self, key: str) -> str:
        directory = not key or key.endswith("/")
        return self.backend.uri(Location("memory", "", "", f"/{self.root}/{key}".rstrip("/"), directory=directory))


class TestMemory(Conformance):
    @pytest.fixture
    def source(self) -> MemorySource:
        return MemorySource()


@pytest.fixture(scope="session")
def ftp(run: Run) -> Ftp:
    return ftp_server.shared(run)


@pytest.fixture
def logged_in(fsspec_config: dict[str, Any]) -> None:
    fsspec_config["ftp"] = {"username": ftp_server.USER, "password": ftp_server.PASSWORD}


class FTPSource(Source):
    pin = Pin.CHECKSUM
    flat = False
    exact_directories = True
    # A line of the protocol is a line, and its listings strip names.
    odd_keys = tuple(key for key in MemorySource.odd_keys if key.isprintable() and key == key.strip())
    secret_uris = (("ftp://me:hunter2@host/a", "hunter2"),)

    def __init__(self, server: Ftp) -> None:
        self.backend = GenericBackend(Settings(), "ftp")
        self.folder = server.folder()
        self.host = server.address
        self.written = 0

    def put(self, key: str, data: bytes) -> None:
        path = self.folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.written += 1
        os.utime(path, (1_700_000_000 + self.written, 1_700_000_000 + self.written))

    def delete(self, key: str) -> None:
        (self.folder / key).unlink()

    def uri(self, key: str) -> str:
        directory = not key or key.endswith("/")
        at = Location("ftp", "", self.host, f"/{self.folder.name}/{key}".rstrip("/"), directory=directory)
        return self.backend.uri(at)


@pytest.mark.usefixtures("logged_in")
class TestFTP(Conformance):
    @pytest.fixture
    def source(self, ftp: Ftp) -> FTPSource:
        return FTPSource(ftp)


def find(backend: GenericBackend, uri: str, *, checksum: bool = True) -> dict[str, Object]:
    pages = backend.find(backend.parse(uri), checksum=checksum)
    return {entry.path: entry.object for page in pages for entry in page.entries}


def notes(backend: GenericBackend, uri: str, *, checksum: bool = True) -> str:
    return "\n".join(note for page in backend.find(backend.parse(uri), checksum=checksum) for note in page.notes)


def read(backend: GenericBackend, obj: Object) -> bytes:
    with backend.open(obj) as reading:
        return b"".join(reading.chunks)


# -- protocols ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("s33://bucket/a", "did you mean s3://"),
        ("sftpp://host/a", "did you mean sftp://"),
        ("qwertyuiop://host/a", "qwertyuiop"),
        ("zip://a.txt", "another file system"),
        ("simplecache://a.txt", "another file system"),
        ("local://tmp/a", "path of the file"),
    ],
)
def test_a_scheme_that_nothing_serves_is_refused(uri: str, says: str) -> None:
    with pytest.raises(UnsupportedScheme, match=says):
        Backends(Settings()).for_uri(uri)


def test_a_protocol_without_its_package_names_it() -> None:
    with pytest.raises(UnsupportedScheme, match="dropboxdrivefs"):
        GenericBackend(Settings(), "dropbox")


def test_chains_are_refused() -> None:
    backend = GenericBackend(Settings(), "memory")
    for uri in ("memory://a::file:///b", "memory://x/y::z"):
        with pytest.raises(InvalidURI, match="chain"):
            backend.parse(uri)


def test_options_that_are_missing_are_named() -> None:
    backend = GenericBackend(Settings(), "github")
    with pytest.raises(InvalidSetting, match="FSSPEC_GITHUB_"):
        backend.stat(backend.parse("github://a/b"))


# -- URIs --------------------------------------------------------------------------------------------------------------


def test_a_uri_with_a_host_keeps_it_and_its_user() -> None:
    backend = GenericBackend(Settings(), "ftp")
    assert backend.parse("ftp://me@host:2121/a b/c#1.txt") == Location("ftp", "", "me@host:2121", "/a b/c#1.txt")
    assert backend.parse("ftp://host/a/") == Location("ftp", "", "host", "/a", directory=True)
    assert backend.parse("ftp://host").directory
    with pytest.raises(InvalidURI, match="no host"):
        backend.parse("ftp:///a")


def test_a_uri_without_hosts_is_all_path() -> None:
    backend = GenericBackend(Settings(), "memory")
    for uri in ("memory://a/b", "memory:///a/b"):
        assert backend.parse(uri) == Location("memory", "", "", "/a/b")
    assert backend.uri(backend.parse("memory:///a/b")) == "memory://a/b"
    assert backend.parse("memory://").directory


@pytest.mark.parametrize("uri", ["ftp://me:hunter2@host/a", "ftp://:hunter2@host/a", "ftp://host/a?password=hunter2"])
def test_a_password_in_a_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SecretInURI) as caught:
        GenericBackend(Settings(), "ftp").parse(uri)
    assert "hunter2" not in str(caught.value)


def test_a_user_that_may_be_a_token_is_refused() -> None:
    with pytest.raises(SecretInURI):
        GenericBackend(Settings(), "memory").parse("memory://S3CRET@repo/a")


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_memory_is_hashed_and_says_so() -> None:
    source = MemorySource()
    source.put("a.bin", b"x" * 3_000_000)
    obj = find(source.backend, source.uri(""))["a.bin"]
    assert obj.checksum == Checksum("md5", hashlib.md5(b"x" * 3_000_000).hexdigest())
    assert "pinned by a checksum" in notes(source.backend, source.uri(""))
    unhashed = find(source.backend, source.uri(""), checksum=False)["a.bin"]
    assert (unhashed.pin, unhashed.size) == (Pin.NONE, 3_000_000)
    assert "only size and time" in notes(source.backend, source.uri(""), checksum=False)
    assert read(source.backend, unhashed) == b"x" * 3_000_000
    source.put("a.bin", b"y" * 3_000_000)
    with pytest.raises(SourceChanged):
        source.backend.open(unhashed)


def test_what_was_rewritten_with_the_same_bytes_is_still_what_was_recorded() -> None:
    source = MemorySource()
    source.put("a.bin", b"same")
    obj = find(source.backend, source.uri(""))["a.bin"]
    source.put("a.bin", b"same")
    assert read(source.backend, obj) == b"same"


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"size": 3, "ETag": '"abc"'}, {"size": 3, "etag": "abc", "pin": Pin.ETAG}),
        ({"size": 3, "etag": 'W/"abc"', "modified": "2026-11-23T06:13:20Z"}, {"etag": "W/abc", "pin": Pin.NONE}),
        ({"size": 3, "version_id": "v7"}, {"etag": "v7", "version": None}),
        ({"size": 3, "generation": 17}, {"etag": "17", "version": None}),
        ({"size": 3, "md5": "0" * 32}, {"checksum": Checksum("md5", "0" * 32)}),
        ({"size": 3, "content_md5": bytearray(16)}, {"checksum": Checksum("md5", "0" * 32)}),
        ({"size": 3, "md5Hash": "AAAAAAAAAAAAAAAAAAAAAA=="}, {"checksum": Checksum("md5", "0" * 32)}),
        ({"size": 3, "blob_id": "b1", "lfs": {"sha256": "A" * 64}}, {"checksum": Checksum("sha256", "a" * 64)}),
        ({"size": 3, "blob_id": "b1", "lfs": SimpleNamespace(sha256="a" * 64)}, {"etag": "b1", "pin": Pin.CHECKSUM}),
        ({"size": None, "mtime": 1_700_000_000.5}, {"size": None, "mtime": "2023-11-14T22:13:20.5Z"}),
        ({"LastModified": "Tue, 14 Nov 2023 22:13:20 GMT"}, {"mtime": "2023-11-14T22:13:20Z"}),
        ({"modify": "20231114221320"}, {"mtime": "2023-11-14T22:13:20Z"}),
        ({"mtime": "soon", "md5": "no", "ETag": ""}, {"mtime": None, "checksum": None, "etag": None}),
    ],
)
def test_what_implementations_tell_is_read_whatever_they_call_it(
    info: dict[str, Any], expected: dict[str, Any]
) -> None:
    obj = object_of("hf", "", "a", info)
    assert {name: getattr(obj, name) for name in expected} == expected


# -- a protocol with links, and one that misbehaves --------------------------------------------------------------------


@pytest.fixture
def odd_protocol() -> Iterator[type[Any]]:
    """A file system of our own, registered with fsspec as any package may do."""
    from fsspec.implementations.local import LocalFileSystem

    class Odd(LocalFileSystem):
        protocol = "odd"
        cachable = False
        fails: Exception | None = None
        connections = 0

        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            type(self).connections += 1

        @classmethod
        def _strip_protocol(cls, path: str) -> str:
            return "/" + path.removeprefix("odd://").strip("/")

        def _act(self) -> None:
            failed, type(self).fails = type(self).fails, None
            if failed:
                raise failed

        def ls(self, path: str, detail: bool = False, **_: Any) -> list[Any]:
            self._act()
            with os.scandir(path) as entries:
                return [self._row(entry.path) for entry in entries]

        def info(self, path: str, **_: Any) -> dict[str, Any]:
            self._act()
            return {**self._row(os.path.realpath(path, strict=True)), "name": path}

        def _row(self, path: str) -> dict[str, Any]:
            kind = "link" if Path(path).is_symlink() else "directory" if Path(path).is_dir() else "file"
            kind = "other" if Path(path).is_fifo() else kind
            return {"name": path, "type": kind, "size": os.lstat(path).st_size, "mtime": os.lstat(path).st_mtime}

    fsspec.register_implementation("odd", Odd, clobber=True)
    yield Odd
    _registry.pop("odd")


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "link").symlink_to("a.txt")
    (tmp_path / "sub/up").symlink_to("..")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.mark.usefixtures("odd_protocol")
def test_links_follow_the_setting(linked: Path) -> None:
    uri = f"odd://{str(linked)[1:]}"
    follow = GenericBackend(Settings(), "odd")
    assert set(find(follow, uri)) == {"a.txt", "link"}
    said = notes(follow, uri)
    assert "sub/up" in said
    assert "fifo" in said
    assert set(find(GenericBackend(Settings(symlinks="skip"), "odd"), uri)) == {"a.txt"}
    with pytest.raises(SourceUnreadable, match="symbolic link"):
        find(GenericBackend(Settings(symlinks="error"), "odd"), uri)
    (linked / "broken").symlink_to("nowhere")
    with pytest.raises(SourceUnreadable, match="broken"):
        find(follow, uri)


def test_a_connection_that_broke_is_made_anew_once(linked: Path, odd_protocol: type[Any]) -> None:
    backend = GenericBackend(Settings(), "odd")
    uri = f"odd://{str(linked)[1:]}/a.txt"
    for error in (ConnectionResetError(104, "reset"), EOFError()):
        odd_protocol.fails = error
        before = odd_protocol.connections
        assert find(backend, uri)["a.txt"].size == 1
        assert odd_protocol.connections - before <= 2


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (FileNotFoundError("x"), SourceMissing),
        (PermissionError("x"), SourceDenied),
        (IsADirectoryError("x"), SourceUnreadable),
        (NotImplementedError(), SourceUnreadable),
        (TimeoutError("hunter2"), SourceUnavailable),
        (RuntimeError("https://u:hunter2@host"), SourceUnavailable),
        (type("AuthenticationException", (Exception,), {})("hunter2"), CredentialsMissing),
        (Exception("550 No such file."), SourceMissing),
        (Exception("550 Permission denied."), SourceDenied),
    ],
)
def test_errors_of_implementations_become_ours_without_their_text(error: Exception, expected: type[Exception]) -> None:
    ours = translated(error, "odd://host/a")
    assert type(ours) is expected
    assert "odd://host/a" in str(ours)
    assert "hunter2" not in str(ours)


# -- FTP ---------------------------------------------------------------------------------------------------------------


def test_a_login_that_is_not_accepted_is_told_from_a_missing_file(ftp: Ftp, fsspec_config: dict[str, Any]) -> None:
    fsspec_config["ftp"] = {"username": ftp_server.USER, "password": "wr0ng"}
    with pytest.raises(CredentialsMissing) as caught:
        find(GenericBackend(Settings(), "ftp"), f"ftp://{ftp.address}/")
    assert "wr0ng" not in str(caught.value)


def test_a_server_that_is_not_there_is_unavailable() -> None:
    backend = GenericBackend(Settings(), "ftp")
    with pytest.raises(SourceUnavailable, match=r"ftp://127\.0\.0\.1:9/a"):
        backend.stat(backend.parse("ftp://127.0.0.1:9/a"))


@pytest.mark.usefixtures("logged_in")
def test_a_large_file_comes_over_ftp_whole_and_from_any_offset(ftp: Ftp) -> None:
    source = FTPSource(ftp)
    data = os.urandom(9_000_000)
    source.put("large.bin", data)
    obj = find(source.backend, source.uri("large.bin"))["large.bin"]
    assert obj.checksum == Checksum("md5", hashlib.md5(data).hexdigest())
    for start, length in ((0, None), (5_000_001, None), (8_999_999, 1), (10, 5_000_000)):
        with source.backend.open(obj, start=start, length=length) as reading:
            end = None if length is None else start + length
            assert b"".join(reading.chunks) == data[start:end]


READ_ONLY = """
import sys
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user("reader", "reader", sys.argv[2], perm="elr")
FTPServer(("127.0.0.1", int(sys.argv[1])), FTPHandler).serve_forever()
"""


def test_a_login_that_may_only_read_is_enough(tmp_path: Path, fsspec_config: dict[str, Any], run: Run) -> None:
    port, folder = run.port(), run.server_folder(f"ftp-{uuid.uuid4().hex[:8]}")
    (tmp_path / "a.txt").write_text("a")
    run.spawn(folder, [sys.executable, "-c", READ_ONLY, str(port), str(tmp_path)], port=port)
    fsspec_config["ftp"] = {"username": "reader", "password": "reader"}
    backend = GenericBackend(Settings(), "ftp")
    uri = f"ftp://127.0.0.1:{port}/"
    assert read(backend, find(backend, uri)["a.txt"]) == b"a"
    assert [check.ok for check in backend.diagnose(backend.parse(uri)).checks if check.ok is False] == []
