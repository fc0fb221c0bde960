"""Web servers: nginx and Caddy for real, a small server of our own where those can't be made to misbehave."""

from __future__ import annotations

import gc
import hashlib
import os
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import fsspec.config
import pytest

from refstore.backends.base import Location
from refstore.backends.http import HTTPBackend
from refstore.backends.http.index import read_index
from refstore.backends.http.url import segment_of
from refstore.config import Settings
from refstore.errors import (
    InvalidURI,
    RefstoreError,
    SecretInURI,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
)
from refstore.manifest.entry import Checksum, Entry, Object, Pin
from tests.servers.caddy import Caddy
from tests.servers.faults import FaultProxy
from tests.servers.nginx import Nginx, WebServer

from .conformance import ODD_KEYS, Conformance, Source


class HTTPSource(Source):
    pin = Pin.ETAG
    flat = False
    exact_directories = True
    odd_keys = tuple(key for key in ODD_KEYS if "//" not in key and not {"..", "."} & set(key.split("/")))
    secret_uris = (
        ("http://me:hunter2@example.org/a", "hunter2"),
        ("https://example.org/a?X-Amz-Credential=c&X-Amz-Signature=hunter2", "hunter2"),
    )

    def __init__(self, server: WebServer, url: str | None = None) -> None:
        self.backend = HTTPBackend(Settings())
        self.folder = server.folder()
        self.base = f"{url or server.url}/{self.folder.name}/"
        self.written = 0

    def put(self, key: str, data: bytes) -> None:
        self.folder.write({key: data})
        # The ETags of web servers are size and time, and some know only whole seconds.
        self.written += 1
        os.utime(self.folder.path / key, (1_700_000_000 + self.written, 1_700_000_000 + self.written))

    def delete(self, key: str) -> None:
        (self.folder.path / key).unlink()

    def uri(self, key: str) -> str:
        return self.base + "/".join(segment_of(part) for part in key.split("/"))


class HTTPConformance(Conformance):
    def test_a_uri_that_is_shown_reads_back_as_the_same_place(self, source: Source) -> None:
        # Keys of this scheme are percent-encoded, as they go over the wire.
        for key in source.odd_keys:
            location = source.backend.parse(source.uri(key))
            assert location.key.endswith("/".join(segment_of(part) for part in key.split("/")))
            shown = source.backend.uri(location)
            assert shown == source.uri(key)
            assert source.backend.parse(shown) == location


class TestNginx(HTTPConformance):
    @pytest.fixture
    def source(self, nginx: Nginx) -> HTTPSource:
        return HTTPSource(nginx)


class TestNginxJSON(HTTPConformance):
    @pytest.fixture
    def source(self, nginx: Nginx) -> HTTPSource:
        return HTTPSource(nginx, nginx.json_url)


class TestCaddy(HTTPConformance):
    @pytest.fixture
    def source(self, caddy: Caddy) -> HTTPSource:
        return HTTPSource(caddy)


@pytest.fixture
def backend() -> HTTPBackend:
    return HTTPBackend(Settings())


def find(backend: HTTPBackend, uri: str, *, checksum: bool = True) -> dict[str, Object]:
    pages = backend.find(backend.parse(uri), checksum=checksum)
    return {entry.path: entry.object for page in pages for entry in page.entries}


def only(backend: HTTPBackend, uri: str, *, checksum: bool = True) -> Object:
    (obj,) = find(backend, uri, checksum=checksum).values()
    return obj


def notes(backend: HTTPBackend, uri: str) -> str:
    return "\n".join(note for page in backend.find(backend.parse(uri)) for note in page.notes)


def read(backend: HTTPBackend, obj: Object, start: int = 0, length: int | None = None) -> bytes:
    with backend.open(obj, start=start, length=length) as reading:
        return b"".join(reading.chunks)


def md5(data: bytes) -> Checksum:
    return Checksum("md5", hashlib.md5(data).hexdigest())


# -- URLs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "bucket", "key", "directory"),
    [
        ("http://Example.ORG", "example.org", "", True),
        ("HTTP://example.org:80/a/", "example.org", "a/", True),
        ("https://example.org:443/a", "example.org", "a", False),
        ("https://example.org:8443/a?id=3&x=", "example.org:8443", "a?id=3&x=", False),
        ("http://example.org/a/?id=3", "example.org", "a/?id=3", False),
        ("http://[::1]:8080/a", "[::1]:8080", "a", False),
        ("http://bücher.example/ü b/100%.txt", "xn--bcher-kva.example", "%C3%BC%20b/100%25.txt", False),
        ("http://example.org/a%2Fb%20c;d=1", "example.org", "a%2Fb%20c;d=1", False),
        ("http://example.org/x/../a/./b/%2e%2E/c", "example.org", "a/c", False),
        ("http://example.org/../..", "example.org", "", True),
        ("http://example.org//a//b", "example.org", "/a//b", False),
    ],
)
def test_a_url_is_taken_apart(backend: HTTPBackend, uri: str, bucket: str, key: str, directory: bool) -> None:
    location = backend.parse(uri)
    assert location == Location(uri[:5].rstrip(":").lower(), "", bucket, key, directory=directory)
    assert backend.parse(backend.uri(location)) == location


@pytest.mark.parametrize("uri", ["http:/a", "http://", "http:///a", "http://a b/c", "http://h:port/", "http://h/a#b"])
def test_what_is_no_url_is_refused(backend: HTTPBackend, uri: str) -> None:
    with pytest.raises(InvalidURI):
        backend.parse(uri)


@pytest.mark.parametrize(
    "query",
    [
        "X-Amz-Signature=S3CRET",
        "a=1&x-goog-signature=S3CRET",
        "sv=2020&sig=S3CRET",
        "Signature=S3CRET&Expires=1",
        "AWSAccessKeyId=S3CRET",
        "token=S3CRET",
        "access_token=S3CRET",
        "key=S3CRET",
        "api_key=S3CRET",
        "apikey=S3CRET",
        "a=1;password=S3CRET",
        "%74oken=S3CRET",
        "client_secret=S3CRET",
        "hdnts=S3CRET",
    ],
)
def test_a_credential_in_a_query_is_refused_and_not_repeated(backend: HTTPBackend, query: str) -> None:
    with pytest.raises(SecretInURI) as caught:
        backend.parse(f"https://example.org/data.bin?{query}")
    assert "S3CRET" not in str(caught.value)
    assert "https://example.org/data.bin" in str(caught.value)


def test_a_login_before_the_host_is_refused_and_not_repeated(backend: HTTPBackend) -> None:
    for login in ("me:S3CRET", "S3CRET", "a@b:S3CRET", ":S3CRET"):
        with pytest.raises(SecretInURI) as caught:
            backend.parse(f"https://{login}@example.org/data.bin")
        assert "S3CRET" not in str(caught.value)


def test_an_ordinary_query_is_part_of_the_key(backend: HTTPBackend) -> None:
    for query in ("download=1", "format=csv&year=2020", "keyword=a", "monkey=1", "page_token_count=3"):
        assert backend.parse(f"http://example.org/a?{query}").key == f"a?{query}"


# -- what is asked of the server ---------------------------------------------------------------------------------------


def test_a_file_with_a_strong_etag_costs_one_head(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.bin": b"x" * 1000})
    mark = nginx.log.mark()
    obj = only(backend, nginx.href(folder, "a.bin"))
    assert [(r.method, r.sent) for r in nginx.log.since(mark, f"/{folder.name}")] == [("HEAD", 0)]
    assert (obj.pin, obj.size, obj.checksum) == (Pin.ETAG, 1000, None)
    assert obj.bucket == urlsplit(nginx.url).netloc
    assert obj.mtime
    assert obj.mtime.endswith("Z")


def test_a_directory_costs_one_listing_a_folder_and_one_head_a_file(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({f"{n % 3}/{n}.bin": b"x" for n in range(30)})
    mark = nginx.log.mark()
    for checksum in (True, False):
        assert len(find(backend, nginx.href(folder), checksum=checksum)) == 30
        requests = nginx.log.since(mark, f"/{folder.name}")
        assert sorted(r.method for r in requests) == ["GET"] * 4 + ["HEAD"] * 30
        mark = nginx.log.mark()


def test_a_read_goes_under_the_recorded_etag(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.bin": b"0123456789"})
    obj = only(backend, nginx.href(folder, "a.bin"))
    mark = nginx.log.mark()
    assert read(backend, obj, 2, 3) == b"234"
    (request,) = nginx.log.since(mark, f"/{folder.name}")
    assert (request.method, request.if_match, request.range) == ("GET", f'"{obj.etag}"', "bytes=2-4")


def test_a_file_is_read_once_where_no_strong_etag_pins_it(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.bin": b"first" * 100, "b.bin": b"second"})
    for odd, etag in (("bare", None), ("weak", "W/weak")):
        mark = nginx.log.mark()
        found = find(backend, nginx.odd(odd, folder))
        assert found["a.bin"].checksum == md5(b"first" * 100)
        assert (found["a.bin"].etag, found["a.bin"].size, found["a.bin"].pin) == (etag, 500, Pin.CHECKSUM)
        requests = nginx.log.since(mark, f"/-/{odd}/{folder.name}")
        assert sorted(r.method for r in requests) == ["GET"] * 3 + ["HEAD"] * 2
        with backend.open(found["a.bin"]) as reading:
            assert [proof.checksum for proof in reading.proofs] == [md5(b"first" * 100)]
            assert b"".join(reading.chunks) == b"first" * 100


def test_without_checksums_no_body_is_read(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.bin": b"x" * 100_000})
    mark = nginx.log.mark()
    obj = only(backend, nginx.odd("weak", folder, "a.bin"), checksum=False)
    assert (obj.pin, obj.size, obj.checksum) == (Pin.NONE, 100_000, None)
    assert [r.method for r in nginx.log.since(mark, f"/-/weak/{folder.name}")] == ["HEAD"]


def test_a_body_that_changed_where_the_server_tells_nothing_is_never_called_good(
    backend: HTTPBackend, nginx: Nginx
) -> None:
    folder = nginx.folder({"a.bin": b"first"})
    obj = only(backend, nginx.odd("bare", folder, "a.bin"))
    folder.write({"a.bin": b"other"})
    with backend.open(obj) as reading:
        data = b"".join(reading.chunks)
        assert reading.proofs[0].checksum != md5(data)
    folder.write({"a.bin": b"longer now"})
    with pytest.raises(SourceChanged, match="size was 5 and is 10"):
        backend.open(obj)


def test_an_unproven_file_is_refused_when_its_time_differs(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.bin": b"first"})
    os.utime(folder.path / "a.bin", (1_600_000_000, 1_600_000_000))
    with_etag = only(backend, nginx.href(folder, "a.bin"))
    unproven = Object(with_etag.scheme, "", with_etag.bucket, with_etag.key, 5, mtime=with_etag.mtime)
    assert read(backend, unproven) == b"first"
    os.utime(folder.path / "a.bin", (1_600_000_009, 1_600_000_009))
    with pytest.raises(SourceChanged, match="its time was 2020-09-13T12:26:40Z"):
        backend.open(unproven)
    with pytest.raises(SourceChanged, match=f"its ETag was {with_etag.etag}"):
        backend.open(with_etag)


def test_head_refused_is_no_obstacle_and_is_remembered(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({f"{n}.bin": b"%d" % n for n in range(40)})
    mark = nginx.log.mark()
    found = find(backend, nginx.odd("nohead", folder))
    assert {path: (obj.size, obj.pin) for path, obj in found.items()} == {
        f"{n}.bin": (len(str(n)), Pin.ETAG) for n in range(40)
    }
    assert sum(r.method == "HEAD" for r in nginx.log.since(mark, f"/-/nohead/{folder.name}")) <= 16
    obj = backend.stat(backend.parse(nginx.odd("nohead", folder, "17.bin")))
    assert (obj.size, obj.etag) == (2, found["17.bin"].etag)
    assert nginx.log.since(mark, f"/-/nohead/{folder.name}")[-1].range == "bytes=0-0"


def test_gzip_is_not_asked_for(backend: HTTPBackend, nginx: Nginx) -> None:
    data = b"compress me " * 1000
    folder = nginx.folder({"a.txt": data})
    mark = nginx.log.mark()
    obj = only(backend, nginx.odd("gzip", folder, "a.txt"))
    assert obj.size == len(data)
    assert read(backend, obj) == data
    assert {r.accept_encoding for r in nginx.log.since(mark, f"/-/gzip/{folder.name}")} == {"identity"}


def test_a_missing_length_is_counted(backend: HTTPBackend, nginx: Nginx) -> None:
    data = b"how long am I? " * 500
    folder = nginx.folder({"a.txt": data})
    uri = nginx.odd("chunked", folder, "a.txt")
    obj = only(backend, uri)
    assert (obj.size, obj.checksum) == (len(data), md5(data))
    assert read(backend, obj, 15, 15) == data[15:30]
    assert backend.stat(backend.parse(uri)).size is None
    for changed in (data + b"more", data[:-1]):
        folder.write({"a.txt": changed})
        with pytest.raises(SourceChanged), backend.open(obj) as reading:
            list(reading.chunks)


def test_a_server_without_ranges_is_read_from_the_beginning(backend: HTTPBackend, nginx: Nginx) -> None:
    data = bytes(range(256)) * 4000
    folder = nginx.folder({"a.bin": data})
    obj = only(backend, nginx.odd("noranges", folder, "a.bin"))
    assert read(backend, obj, 300_000) == data[300_000:]
    assert read(backend, obj, 300_000, 10) == data[300_000:300_010]


# -- redirects ---------------------------------------------------------------------------------------------------------


def test_a_redirect_is_followed_and_not_recorded(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"f.bin": b"signed"})
    for odd in ("redirect", "signed"):
        uri = nginx.odd(odd, folder, "f.bin")
        found = find(backend, uri)
        assert list(found) == ["f.bin"]
        assert backend.uri(found["f.bin"]) == uri
        assert "secret" not in str(Entry("f.bin", found["f.bin"]).to_json())
        assert read(backend, found["f.bin"]) == b"signed"


def test_no_error_repeats_the_signature_that_a_redirect_brought(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"f.bin": b"signed"})
    obj = only(backend, nginx.odd("signed", folder, "f.bin"))
    (folder.path / "f.bin").unlink()
    for call in (lambda: backend.open(obj), lambda: find(backend, backend.uri(obj))):
        with pytest.raises(SourceMissing) as caught:
            call()
        assert "ignature" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_directory_that_is_redirected_keeps_its_own_urls(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.txt": b"a", "sub/b.txt": b"b"})
    found = find(backend, nginx.odd("redirect", folder))
    assert {path: backend.uri(obj) for path, obj in found.items()} == {
        "a.txt": nginx.odd("redirect", folder, "a.txt"),
        "sub/b.txt": nginx.odd("redirect", folder, "sub/b.txt"),
    }


def test_redirects_in_a_circle_end(backend: HTTPBackend, nginx: Nginx) -> None:
    with pytest.raises(SourceUnreadable, match="redirects too many times"):
        find(backend, nginx.odd("loop", nginx.folder(), "a.txt"))


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_missing_denied_and_broken_are_told_apart(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.txt": b"a"})
    for uri, error in (
        (nginx.href(folder, "none.txt"), SourceMissing),
        (nginx.odd("forbidden", folder, "a.txt"), SourceDenied),
        (nginx.odd("forbidden", folder), SourceDenied),
        (nginx.odd("broken", folder, "a.txt"), SourceUnavailable),
    ):
        with pytest.raises(error) as caught:
            find(backend, uri)
        assert uri in str(caught.value)


def test_no_server_and_no_host_are_unavailable(backend: HTTPBackend) -> None:
    for uri, says in (("http://127.0.0.1:9/a.txt", "refused"), ("http://no-such-host.invalid/a.txt", "no address")):
        with pytest.raises(SourceUnavailable, match=f"(?i){says}") as caught:
            find(backend, uri)
        assert uri in str(caught.value)


def test_a_page_of_links_elsewhere_is_no_listing(backend: HTTPBackend, nginx: Nginx) -> None:
    page = b"<html><body><a href='https://example.org/x'>x</a> <a href='/y'>y</a></body></html>"
    folder = nginx.folder({"index.html": page})
    with pytest.raises(SourceUnreadable, match="does not list"):
        find(backend, nginx.href(folder))


def test_an_empty_directory_is_empty(backend: HTTPBackend, nginx: Nginx, caddy: Caddy) -> None:
    folder = nginx.folder()
    for uri in (nginx.href(folder), nginx.json_href(folder), caddy.href(folder)):
        assert find(backend, uri) == {}


def test_a_web_page_under_a_name_of_data_is_pointed_out(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"page.html": b"<p>hi"})
    assert notes(backend, nginx.href(folder)) == ""
    script = {"train.csv": (200, {"Content-Type": "text/html; charset=utf-8"}, b"<p>Please log in")}
    with scripted(script) as url:
        assert "login" in notes(backend, url + "train.csv")
        assert only(backend, url + "train.csv").size == 16


# -- servers that break ------------------------------------------------------------------------------------------------


def test_a_server_that_slows_down_is_asked_again(backend: HTTPBackend, nginx: Nginx, flaky: Callable[..., str]) -> None:
    folder = nginx.folder({f"{n}.bin": b"x" * n for n in range(1, 30)})
    found = find(backend, f"{flaky(nginx.url, slow_down=0.15, drop=0.05)}/{folder.name}/")
    assert {path: obj.size for path, obj in found.items()} == {f"{n}.bin": n for n in range(1, 30)}


def test_a_body_that_breaks_off_is_an_error_and_never_short(
    backend: HTTPBackend, nginx: Nginx, faults: Callable[..., FaultProxy]
) -> None:
    folder = nginx.folder({"a.bin": bytes(3 << 20)})
    obj = only(backend, nginx.href(folder, "a.bin"))
    for kind in ("cut", "truncate"):
        proxy = faults(nginx.url, after=1 << 20, **{kind: 1})
        behind = Object("http", "", urlsplit(proxy.url).netloc, obj.key, obj.size, etag=obj.etag)
        with backend.open(behind) as reading, pytest.raises(SourceUnavailable, match=re.escape(proxy.url)):
            list(reading.chunks)


def test_a_server_that_hangs_is_given_up(nginx: Nginx, faults: Callable[..., FaultProxy], fsspec_config: None) -> None:
    fsspec.config.conf["http"] = {"client_kwargs": {"timeout": 0.2}}
    folder = nginx.folder({"a.bin": b"x"})
    proxy = faults(nginx.url, hang=1)
    with pytest.raises(SourceUnavailable, match="in time"):
        find(HTTPBackend(Settings()), f"{proxy.url}/{folder.name}/a.bin")


@pytest.fixture
def fsspec_config() -> Iterator[None]:
    before = dict(fsspec.config.conf)
    yield
    fsspec.config.conf.clear()
    fsspec.config.conf.update(before)


def test_headers_from_the_configuration_of_fsspec_are_sent(fsspec_config: None) -> None:
    fsspec.config.conf["http"] = {"client_kwargs": {"headers": {"Authorization": "Bearer abc"}}}
    with scripted({"a.bin": (200, {}, b"for friends")}, authorization="Bearer abc") as url:
        assert only(HTTPBackend(Settings()), url + "a.bin").size == 11
        fsspec.config.conf["http"] = {}
        with pytest.raises(SourceDenied, match="login"):
            find(HTTPBackend(Settings()), url + "a.bin")


def test_a_login_is_not_taken_along_to_another_host(fsspec_config: None) -> None:
    fsspec.config.conf["http"] = {"client_kwargs": {"headers": {"Authorization": "Bearer abc"}}}
    elsewhere = scripted({"a.bin": (200, {"ETag": '"x"'}, b"public")})
    with elsewhere as target, scripted({"a.bin": (302, {"Location": target + "a.bin"}, b"")}) as url:
        assert only(HTTPBackend(Settings()), url + "a.bin").size == 6
    assert elsewhere.logins == [None]


def test_a_login_from_netrc_is_sent(isolated: Path) -> None:
    (isolated / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (isolated / ".netrc").chmod(0o600)
    with scripted({"a.bin": (200, {}, b"for friends")}, authorization="Basic bWU6aHVudGVyMg==") as url:
        assert only(HTTPBackend(Settings()), url + "a.bin").size == 11


# -- a small server of our own, for what real ones don't do ------------------------------------------------------------


class scripted:  # noqa: N801 - used as a function
    """A server that gives fixed answers, ignores conditions and ranges, and says the same to HEAD without the body."""

    def __init__(
        self, answers: Mapping[str, tuple[int, Mapping[str, str], bytes]], *, authorization: str | None = None
    ) -> None:
        self.answers = dict(answers)
        self.authorization = authorization
        self.logins: list[str | None] = []

    def __enter__(self) -> str:
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = script.answers.get(self.path[1:], (404, {}, b""))
                script.logins.append(self.headers["Authorization"])
                if script.authorization not in (None, self.headers["Authorization"]):
                    status, headers, body = 401, {}, b""
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_an_etag_is_compared_where_the_server_ignores_conditions(backend: HTTPBackend) -> None:
    script = scripted({"a.bin": (200, {"ETag": '"one"'}, b"first")})
    with script as url:
        obj = only(backend, url + "a.bin")
        assert (obj.etag, obj.pin) == ("one", Pin.ETAG)
        assert read(backend, obj, 2, 2) == b"rs"
        script.answers["a.bin"] = (200, {"ETag": '"two"'}, b"other")
        with pytest.raises(SourceChanged, match="ETag was one and is two"):
            backend.open(obj)
        script.answers["a.bin"] = (200, {}, b"other")
        with pytest.raises(SourceChanged, match="no longer tells its ETag"):
            backend.open(obj)


def test_what_is_encoded_all_the_same_is_recorded_as_sent(backend: HTTPBackend) -> None:
    with scripted({"a.txt": (200, {"Content-Encoding": "gzip"}, b"\x1f\x8bnot really")}) as url:
        obj = only(backend, url + "a.txt")
        assert obj.checksum == md5(b"\x1f\x8bnot really")
        assert "gzip-encoded" in notes(backend, url + "a.txt")
        assert read(backend, obj) == b"\x1f\x8bnot really"


def test_the_time_of_an_answer_is_utc(backend: HTTPBackend) -> None:
    headers = {"Last-Modified": "Mon, 23 Nov 2026 06:13:20 GMT"}
    with scripted({"a": (200, headers, b"x"), "b": (200, {"Last-Modified": "soon"}, b"x")}) as url:
        assert only(backend, url + "a").mtime == "2026-11-23T06:13:20Z"
        assert only(backend, url + "b").mtime is None


def test_a_name_in_a_query_is_kept_out_of_the_path(backend: HTTPBackend) -> None:
    with scripted({"get/data%20set.csv?year=2020": (200, {}, b"2020"), "?all": (200, {}, b"all")}) as url:
        found = find(backend, url + "get/data%20set.csv?year=2020")
        assert list(found) == ["data set.csv"]
        assert read(backend, found["data set.csv"]) == b"2020"
        assert list(find(backend, url + "?all")) == ["index"]


def test_a_server_that_says_zero_to_head_is_not_believed(backend: HTTPBackend) -> None:
    with scripted({"a.bin": (200, {"ETag": '"x"'}, b"")}) as url:
        obj = only(backend, url + "a.bin")
        assert (obj.size, obj.etag) == (0, "x")
        assert read(backend, obj) == b""


def test_https_never_leads_down_to_http(backend: HTTPBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ssl
    import subprocess

    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    keys = ["-keyout", tmp_path / "key", "-out", tmp_path / "cert"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *keys],
        check=True,
        capture_output=True,
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    script = scripted({"a": (302, {"Location": "http://127.0.0.1:9/a"}, b""), "b": (200, {"ETag": '"b"'}, b"b")})
    with script as url:
        script.server.socket = server.wrap_socket(script.server.socket, server_side=True)
        url = url.replace("http://127.0.0.1", "https://localhost")
        with pytest.raises(SourceUnavailable, match="certificate"):
            find(backend, url + "b")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert"))
        import aiohttp.connector

        monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context())
        trusting = HTTPBackend(Settings())
        assert only(trusting, url + "b").scheme == "https"
        with pytest.raises(SourceUnreadable, match="from https to http"):
            find(trusting, url + "a")


# -- listings ----------------------------------------------------------------------------------------------------------


def test_html_and_json_listings_give_the_same_entries(backend: HTTPBackend, nginx: Nginx, caddy: Caddy) -> None:
    folder = nginx.folder({f"sub dir/{key.removeprefix('odd/')}": key.encode() for key in HTTPSource.odd_keys})
    html, json_, third = (
        find(backend, uri) for uri in (nginx.href(folder), nginx.json_href(folder), caddy.href(folder))
    )
    assert len(html) == len(HTTPSource.odd_keys)
    assert {path: obj.key for path, obj in html.items()} == {path: obj.key for path, obj in json_.items()}
    assert {path: obj.key for path, obj in html.items()} == {path: obj.key for path, obj in third.items()}
    assert {path: obj.etag for path, obj in html.items()} == {path: obj.etag for path, obj in json_.items()}


def test_names_that_are_not_utf8_can_be_read(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"plain": b"p"})
    (folder.path / os.fsdecode(b"caf\xe9")).write_bytes(b"latin")
    for uri in (nginx.href(folder), nginx.json_href(folder)):
        found = find(backend, uri)
        assert found["caf%E9"].key == f"{folder.name}/caf%E9"
        assert read(backend, found["caf%E9"]) == b"latin"


def test_a_link_that_leads_up_does_not_go_on_for_ever(backend: HTTPBackend, nginx: Nginx, caddy: Caddy) -> None:
    folder = nginx.folder({"a.txt": b"a", "sub/b.txt": b"b"})
    (folder.path / "again").symlink_to(".")
    (folder.path / "sub/up").symlink_to("..")
    for uri in (nginx.href(folder), nginx.json_href(folder), caddy.href(folder)):
        pages = list(backend.find(backend.parse(uri)))
        paths = [entry.path for page in pages for entry in page.entries]
        assert {"a.txt", "sub/b.txt"} <= set(paths)
        assert len(paths) < 500
        assert any("again" in note for page in pages for note in page.notes)


def test_directories_that_resemble_each_other_are_all_read(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a/x": b"1", "a/a/x": b"2", "a/a/a/x": b"3", "b/x": b"4", "b/b/b/b/b/b/y": b"5"})
    for path in folder.path.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))
    assert set(find(backend, nginx.href(folder))) == {"a/x", "a/a/x", "a/a/a/x", "b/x", "b/b/b/b/b/b/y"}


def test_the_listing_of_pythons_own_server_is_read(backend: HTTPBackend, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a b#.txt").write_text("a")
    (tmp_path / "sub/b.txt").write_text("bb")

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        found = find(backend, uri)
        assert {path: obj.checksum for path, obj in found.items()} == {"a b#.txt": md5(b"a"), "sub/b.txt": md5(b"bb")}
        assert find(backend, f"{uri}/sub")["b.txt"].size == 2
        assert read(backend, found["sub/b.txt"]) == b"bb"
        server.shutdown()


APACHE = b"""<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /pub/data</title></head><body><h1>Index of /pub/data</h1><table>
<tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td><a href="/pub/">Parent Directory</a></td></tr>
<tr><td><a href="old/">old/</a></td><td>2024-01-01 10:00</td></tr>
<tr><td><a href="a%20long%20na..%3e">a long na..&gt;</a></td><td>1.2K</td></tr>
<tr><td><a href="x&amp;y.txt">x&amp;y.txt</a></td></tr>
<tr><td><a href="./dot.txt">dot.txt</a></td><td><a href="#top">top</a> <a href="mailto:me@example.org">me</a></td></tr>
<tr><td><a href="http://example.org/pub/data/full.txt">full</a></td></tr>
<tr><td><a href="https://example.org/pub/data/no.txt">no</a></td></tr>
<tr><td><a href="../up.txt">up</a><a href="deep/er.txt">deep</a><a href="/pub/database.txt">no</a>
<a href="..%2Fx">no</a></td>
</tr></table></body></html>"""


def test_only_links_directly_below_count() -> None:
    index = read_index("http://example.org/pub/data/", "text/html", APACHE)
    assert index is not None
    assert index.directories == ("old",)
    assert set(index.files) == {"a%20long%20na..%3E", "x&y.txt", "dot.txt", "full.txt", "..%2Fx"}


def test_what_is_no_listing_is_none() -> None:
    for kind, body in (
        ("application/json", b'{"a": 1}'),
        ("application/json", b"[1, 2]"),
        ("application/json", b"[{"),
        ("text/html", b"<p>Hello</p>"),
        ("text/plain", b"a.txt"),
    ):
        assert read_index("http://example.org/data/", kind, body) is None
    hostile = b'[{"name": "../x"}, {"name": ".."}, {"name": "a/b"}, {"name": "ok", "type": "other"}, {"name": "f"}]'
    index = read_index("http://example.org/data/", "application/json", hostile)
    assert index is not None
    assert (index.files, index.directories, index.others) == (("f",), (), ("ok",))


# -- diagnosis, and the end --------------------------------------------------------------------------------------------


def test_a_diagnosis_tells_what_a_server_can_not(backend: HTTPBackend, nginx: Nginx) -> None:
    folder = nginx.folder({"a.txt": b"aaa"})

    def checks(uri: str) -> dict[str, bool | None]:
        return {check.name: check.ok for check in backend.diagnose(backend.parse(uri)).checks}

    good = checks(nginx.href(folder, "a.txt"))
    assert good["HEAD"]
    assert good["ranges"]
    assert good["ETag"]
    assert good["If-Match"]
    assert checks(nginx.odd("nohead", folder, "a.txt"))["HEAD"] is None
    assert checks(nginx.odd("noranges", folder, "a.txt"))["ranges"] is None
    assert checks(nginx.odd("weak", folder, "a.txt"))["ETag"] is None
    assert checks(nginx.odd("chunked", folder))["length"] is None
    assert checks(nginx.odd("forbidden", folder))["list"] is False
    assert checks("http://127.0.0.1:9/")["list"] is False
    missing = checks(nginx.href(folder, "b.txt"))
    assert missing["read"] is False
    assert "HEAD" not in missing


def test_nothing_is_left_open(nginx: Nginx, recwarn: pytest.WarningsRecorder) -> None:
    folder = nginx.folder({"a.bin": bytes(5 << 20)})
    warnings.simplefilter("always")
    backend = HTTPBackend(Settings())
    obj = only(backend, nginx.href(folder, "a.bin"))
    reading = backend.open(obj)
    next(reading.chunks)
    del reading, backend
    gc.collect()
    assert [str(w.message) for w in recwarn if issubclass(w.category, ResourceWarning)] == []


def test_only_errors_of_refstore_leave_a_backend(backend: HTTPBackend) -> None:
    for answer in ((200, {"Content-Length": "abc"}, b""), (206, {}, b"x"), (304, {}, b""), (418, {}, b"")):
        with scripted({"a": answer}) as url, pytest.raises(RefstoreError):
            find(backend, url + "a")
