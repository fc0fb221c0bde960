"""The short way to objects: signed as botocore signs, and left when anything is odd."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

import pytest

from refstore.backends.s3 import S3Backend
from refstore.backends.s3.signing import Credentials, Signer
from refstore.backends.s3.throttle import Throttle
from refstore.backends.s3.wire import Broken, parsed
from refstore.config import Settings
from refstore.errors import SourceChanged, SourceMissing
from refstore.manifest.entry import Object
from tests.servers.faults import FaultProxy
from tests.servers.s3 import S3Server

ODD = ["a b+c#d%e&f=g?h", "é/ü~(1)*'!", "a//b", "$:@,;", "\u4e2d/\U0001f600"]


@pytest.mark.parametrize("token", [None, "a/token+=="])
@pytest.mark.parametrize("key", ODD)
def test_a_signature_is_the_one_that_botocore_makes(key: str, token: str | None) -> None:
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials as Botocores

    path, query = f"/bucket/{quote(key, safe='/~')}", f"versionId={quote('v.1/+=', safe='-_.~')}"
    request = AWSRequest("GET", f"http://host:8333{path}?{query}", {"x-amz-request-payer": "requester"})
    request.context["payload_signing_enabled"] = True
    S3SigV4Auth(Botocores("KEY", "SECRET", token), "s3", "eu-west-1").add_auth(request)
    lines = Signer(Credentials("KEY", "SECRET", token), "eu-west-1").headers(
        "host:8333", path, query, {"x-amz-request-payer": "requester"}, at(request.headers["X-Amz-Date"])
    )
    assert f"Authorization: {request.headers['Authorization']}\r\n" in lines


def at(text: str) -> float:
    import calendar
    import time

    return calendar.timegm(time.strptime(text, "%Y%m%dT%H%M%SZ"))


@pytest.fixture
def backend(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Backend:
    for name, value in seaweed.environment(reader=True, logged=True).items():
        monkeypatch.setenv(name, value)
    return S3Backend(Settings())


def found(backend: S3Backend, uri: str) -> dict[str, Object]:
    return {e.path: e.object for page in backend.find(backend.parse(uri)) for e in page.entries}


def content(backend: S3Backend, obj: Object, start: int = 0, length: int | None = None) -> bytes:
    with backend.open(obj, start=start, length=length) as reading:
        return b"".join(reading.chunks)


def is_direct(backend: S3Backend, obj: Object, start: int = 0, length: int | None = None) -> bool:
    with backend.open(obj, start=start, length=length) as reading:
        return hasattr(reading.chunks, "readinto")


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("plain", [True, False])
def test_from_the_first_object_of_a_bucket_on_or_the_second_where_it_is_not_plain_the_short_way_is_taken(
    backend: S3Backend, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, versioned: bool, plain: bool
) -> None:
    if not plain:
        monkeypatch.setenv("AWS_DEFAULTS_MODE", "legacy")
    bucket = seaweed.make_bucket(versioned=versioned)
    files = {f"p/{key}": key.encode() * 100_000 for key in ODD if "//" not in key}
    seaweed.put_many(bucket, files)
    objects = found(backend, f"s3://{bucket}/p/")
    first, *others = objects.values()
    assert is_direct(backend, first) == plain
    for obj in others:
        assert is_direct(backend, obj)
        assert content(backend, obj) == files[obj.key]
        assert is_direct(backend, obj, 5, 10)
        assert content(backend, obj, 5, 10) == files[obj.key][5:15]
        assert content(backend, obj, 7) == files[obj.key][7:]
        assert content(backend, obj, 7, 10**9) == files[obj.key][7:]


def test_an_object_that_was_overwritten_or_deleted_is_refused_as_by_the_long_way(
    backend: S3Backend, seaweed: S3Server
) -> None:
    bucket = seaweed.make_bucket(versioned=False)
    seaweed.put_many(bucket, {"p/a": b"a", "p/b": b"b", "p/c": b"c"})
    objects = found(backend, f"s3://{bucket}/p/")
    content(backend, objects["a"])
    seaweed.put(bucket, "p/b", b"other")
    seaweed.delete(bucket, "p/c")
    with pytest.raises(SourceChanged, match="was overwritten since it was recorded"):
        content(backend, objects["b"])
    with pytest.raises(SourceMissing):
        content(backend, objects["c"])


def test_a_version_that_is_gone_is_refused_as_by_the_long_way(backend: S3Backend, seaweed: S3Server) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"p/a": b"a", "p/b": b"b"})
    objects = found(backend, f"s3://{bucket}/p/")
    content(backend, objects["a"])
    seaweed.delete(bucket, "p/b", objects["b"].version)
    with pytest.raises(SourceMissing, match="recorded version"):
        content(backend, objects["b"])


def test_an_answer_about_another_object_than_the_recorded_one_is_never_handed_out(
    backend: S3Backend, seaweed: S3Server
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"p/a": b"a", "p/b": b"b"})
    objects = found(backend, f"s3://{bucket}/p/")
    content(backend, objects["a"])
    for wrong in (replace(objects["b"], etag="0" * 32), replace(objects["b"], size=2)):
        with pytest.raises(SourceChanged):
            content(backend, wrong)


def test_connections_are_used_again(
    backend: S3Backend, seaweed: S3Server, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {f"p/{n}": b"x" * 3000 for n in range(20)})
    proxy = faults(seaweed.logged_url)

    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    objects = found(backend, f"s3://{bucket}/p/")
    for obj in objects.values():
        content(backend, obj)
    assert sum(proxy.seen.values()) <= 4


class Busy:
    """An endpoint that answers the short way with SlowDown, and the long way with the object."""

    def __init__(self) -> None:
        self.refused = 0
        busy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                refuse = self.headers["User-Agent"] == "refstore"
                busy.refused += refuse
                body = b"<Error><Code>SlowDown</Code></Error>" if refuse else b"alpha"
                self.send_response(503 if refuse else 200)
                self.send_header("ETag", f'"{"0" * 32}"')
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    thread = threading.Thread(target=busy.server.serve_forever)
    thread.start()
    yield busy
    busy.server.shutdown()
    thread.join()
    busy.server.server_close()


def test_slow_down_on_the_short_way_leads_to_the_long_one_and_to_fewer_requests_at_once(
    busy: Busy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", busy.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    backend = S3Backend(Settings())
    obj = Object("s3", busy.url, "bucket", "k", size=5, etag="0" * 32)
    assert [content(backend, obj) for _ in range(3)] == [b"alpha"] * 3
    assert busy.refused == 3
    (client,) = backend._clients.values()
    assert client.throttle.limit is not None


def test_a_throttle_lets_only_half_as_many_on_and_grows_again() -> None:
    throttle, peak, running, lock = Throttle(), 0, 0, threading.Lock()
    turns = [Throttle.__enter__(throttle) for _ in range(8)]
    throttle.slow_down()
    for turn in turns:
        turn.__exit__(None, None, None)
    assert throttle.limit is not None
    before = throttle.limit
    assert 4 <= before < 8

    def ask() -> None:
        nonlocal peak, running
        with throttle:
            with lock:
                running += 1
                peak = max(peak, running)
            threading.Event().wait(0.01)
            with lock:
                running -= 1

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peak < 30
    assert throttle.limit > before


@pytest.mark.parametrize(
    "lines", ["A: b\rc\r\nD: e", "A : b", "A: b\r\n folded", "none", ": b", "Content-Length: 1\r\ncontent-length: 2"]
)
def test_a_head_that_two_readers_could_take_for_two_things_is_refused(lines: str) -> None:
    assert parsed("HTTP/1.1 200 OK\r\nA: b \r\nEmpty:\r\nX:c:d").headers == {"a": "b", "empty": "", "x": "c:d"}
    with pytest.raises(Broken):
        parsed(f"HTTP/1.1 200 OK\r\n{lines}")
