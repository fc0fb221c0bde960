"""The short way to listings: signed and addressed as the library does it, from the first page on, left when it must be.

A backend whose client library was not needed has no `_filesystem` yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refstore.backends.s3 import S3Backend, listing
from refstore.backends.s3.client import S3Client
from refstore.backends.s3.direct import _route
from refstore.backends.s3.plain import Plain, Route
from refstore.backends.s3.signing import Credentials, Signer
from refstore.backends.s3.stream import Strange, Streams
from refstore.backends.s3.wire import Broken, Head, Origin
from refstore.config import Endpoint, Settings
from refstore.errors import SourceDenied
from tests.servers.faults import FaultProxy
from tests.servers.s3 import S3Server
from tests.servers.scripted import Answer, Asked, ScriptedServer

ODD = ["a b+c#d%e&f=g?h", "é/ü~(1)*'!", "$:@,;", "\u4e2d/\U0001f600", "%2F/%20+", "versions"]


def uses_library(backend: S3Backend) -> bool:
    return any(client._filesystem is not None for client in backend._clients.values())


def keys(backend: S3Backend, uri: str) -> list[str]:
    return [entry.object.key for page in backend.find(backend.parse(uri)) for entry in page.entries]


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ACCESS_KEY_ID": "KEY", "SECRET_ACCESS_KEY": "SECRET", "REGION": "eu-west-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)


# Against real servers


@pytest.fixture(params=["seaweed", "rgw"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    server: S3Server = request.getfixturevalue(request.param)
    for name, value in server.environment(reader=True).items():
        monkeypatch.setenv(name, value)
    return server


@pytest.mark.parametrize("versioned", [True, False])
def test_odd_keys_and_prefixes_are_listed_from_the_first_page_on_without_the_library(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, versioned: bool
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    bucket = server.make_bucket(versioned=versioned)
    files = {f"{folder}/{key}": b"x" for folder in ODD for key in ODD}
    server.put_many(bucket, files)
    backend = S3Backend(Settings())
    assert sorted(keys(backend, f"s3://{bucket}")) == sorted(files)
    for folder in ODD:
        uri = backend.uri(backend.parse(f"s3://{bucket}/")) + folder.replace("%", "%25").replace("?", "%3F")
        expected = sorted(key for key in files if key.startswith(f"{folder}/"))
        assert sorted(keys(backend, uri)) == expected
        assert sorted(keys(backend, uri.replace("#", "%23") + "/")) == expected
    assert not uses_library(backend)


def test_a_key_with_more_versions_than_a_page_has_is_gone_through_by_their_markers(
    server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 2)
    bucket = server.make_bucket()
    for n in range(5):
        server.put(bucket, "p/a b", b"%d" % n)
    latest = server.put(bucket, "p/a b", b"last")
    server.put(bucket, "p/b", b"b")
    backend = S3Backend(Settings())
    found = [entry.object for page in backend.find(backend.parse(f"s3://{bucket}/p/")) for entry in page.entries]
    assert [(obj.key, obj.version == latest) for obj in found] == [("p/a b", True), ("p/b", False)]
    assert not uses_library(backend)


def test_objects_of_a_listed_bucket_are_read_by_the_short_way_too(server: S3Server) -> None:
    bucket = server.make_bucket()
    server.put_many(bucket, {"p/a": b"a", "p/b": b"b"})
    backend = S3Backend(Settings())
    for page in backend.find(backend.parse(f"s3://{bucket}/p/")):
        for entry in page.entries:
            with backend.open(entry.object) as reading:
                assert b"".join(reading.chunks) == entry.object.key[-1].encode()
    assert not uses_library(backend)


def test_a_busy_server_that_hangs_up_at_times_is_listed_completely(
    seaweed: S3Server, flaky: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)
    bucket = seaweed.make_bucket()
    files = {f"p/{n:03d}": b"x" for n in range(100)}
    seaweed.put_many(bucket, files)
    for name, value in seaweed.environment(url=flaky(seaweed.url)).items():
        monkeypatch.setenv(name, value)
    assert keys(S3Backend(Settings()), f"s3://{bucket}/p/") == list(files)


@pytest.mark.parametrize("fault", ["reset", "slow_down", "cut", "truncate"])
def test_a_first_page_that_fails_is_asked_for_by_way_of_the_library(
    seaweed: S3Server, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    bucket = seaweed.make_bucket()
    files = {f"p/{n:03d}": b"x" for n in range(100)}
    seaweed.put_many(bucket, files)
    proxy = faults(seaweed.url, **{fault: 1}, after=5000, first=1)
    for name, value in seaweed.environment(url=proxy.url).items():
        monkeypatch.setenv(name, value)
    backend = S3Backend(Settings())
    assert keys(backend, f"s3://{bucket}/p/") == list(files)
    assert uses_library(backend)


def test_a_profile_in_a_file_is_taken_without_the_library(
    seaweed: S3Server, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "p/a")
    folder = isolated / ".aws"
    folder.mkdir()
    (folder / "config").write_text(
        f"[profile lab]\nregion = us-east-1\nendpoint_url = {seaweed.url}\ns3 =\n  max_concurrent_requests = 5\n"
    )
    (folder / "credentials").write_text(
        f"[lab]\naws_access_key_id = {seaweed.key}\naws_secret_access_key = {seaweed.secret}\n"
    )
    monkeypatch.setenv("AWS_PROFILE", "lab")
    backend = S3Backend(Settings())
    assert keys(backend, f"s3://{bucket}/p/") == ["p/a"]
    assert not uses_library(backend)


# What is sent


def listed(*names: str) -> Answer:
    rows = "".join(
        f"<Version><Key>{name}</Key><VersionId>1</VersionId><IsLatest>true</IsLatest><Size>1</Size></Version>"
        for name in names
    )
    return Answer(200, f"<ListVersionsResult><Name>b</Name>{rows}</ListVersionsResult>".encode())


@pytest.fixture
def scripted() -> Iterator[Callable[[Callable[[Asked], Answer]], ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(script: Callable[[Asked], Answer]) -> ScriptedServer:
        servers.append(ScriptedServer(script).__enter__())
        return servers[-1]

    yield start
    for server in servers:
        server.__exit__(None, None, None)


Scripted = Callable[[Callable[[Asked], Answer]], ScriptedServer]


def test_who_pays_is_said_and_signed(scripted: Scripted, signed_in: None) -> None:
    server = scripted(lambda asked: listed("p/a"))
    backend = S3Backend(Settings(endpoints=(Endpoint("lab", "s3", server.url, ("s3://b",), requester_pays=True),)))
    assert keys(backend, "s3://b/p/") == ["p/a"]
    (asked,) = server.asked
    assert asked.headers["x-amz-request-payer"] == "requester"
    assert "x-amz-request-payer" in asked.headers["authorization"]
    assert not uses_library(backend)


def test_an_anonymous_bucket_needs_neither_credentials_nor_the_library(scripted: Scripted) -> None:
    server = scripted(lambda asked: listed("p/a"))
    backend = S3Backend(Settings(endpoints=(Endpoint("open", "s3", server.url, ("s3://b",), anonymous=True),)))
    assert keys(backend, "s3://b/p/") == ["p/a"]
    assert "authorization" not in server.asked[0].headers
    assert not uses_library(backend)


def test_another_region_is_followed_by_the_library_and_not_asked_for_by_the_short_way_again(
    scripted: Scripted, signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-north-1</Region></Error>"
    first = listed("p/a").body.replace(
        b"</Name>", b"</Name><IsTruncated>true</IsTruncated><NextKeyMarker>p/a</NextKeyMarker>"
    )

    def script(asked: Asked) -> Answer:
        if "/eu-north-1/" not in asked.headers["authorization"]:
            return Answer(400, body)
        return listed("p/b") if "key-marker" in asked.path else Answer(200, first)

    server = scripted(script)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    backend = S3Backend(Settings())
    assert keys(backend, "s3://b/p/") == ["p/a", "p/b"]
    short = [asked for asked in server.asked if asked.headers["user-agent"] == "refstore"]
    assert len(short) == 1
    assert uses_library(backend)


def test_a_refusal_is_told_as_by_the_library_after_one_request_more(
    scripted: Scripted, signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = scripted(lambda asked: Answer(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    with pytest.raises(SourceDenied, match="does not know the access key id"):
        keys(S3Backend(Settings()), "s3://b/p/")
    assert [asked.headers["user-agent"] == "refstore" for asked in server.asked].count(True) == 1


@pytest.mark.parametrize("token", [None, "a/token+=="])
@pytest.mark.parametrize("odd", ODD)
def test_a_listing_is_signed_as_botocore_signs_it(
    scripted: Scripted, signed_in: None, monkeypatch: pytest.MonkeyPatch, odd: str, token: str | None
) -> None:
    """The library's own request, signed anew: what it sent is what would be sent, and so is the signature."""
    from refstore.backends.s3 import loop
    from tests.backends.test_s3_direct import at

    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    server = scripted(lambda asked: listed("x"))
    client = S3Client(Endpoint("lab", "s3", server.url))
    asks: dict[str, Any] = {"Prefix": odd, "KeyMarker": f"{odd}/x", "VersionIdMarker": "v.1/+=", "MaxKeys": 7}
    loop.run(client.list_page("list_object_versions", "b", **asks))
    client.run("list_object_versions", Bucket="b", **asks)
    short, long = server.asked
    assert sorted(short.path.partition("?")[2].split("&")) == sorted(long.path.partition("?")[2].split("&"))
    pairs = sorted(pair if "=" in pair else f"{pair}=" for pair in long.path.partition("?")[2].split("&"))
    lines = Signer(Credentials("KEY", "SECRET", token), "eu-west-1").headers(
        long.headers["host"], "/b", "&".join(pairs), {}, at(long.headers["x-amz-date"])
    )
    assert f"Authorization: {long.headers['authorization']}\r\n" in lines


# Where it is sent

AWS = Endpoint("", "s3")
PLACES = [
    (AWS, "bucket"),
    (AWS, "a-bucket-of-mine"),
    (Endpoint("", "s3", path_style=True), "bucket"),
    (Endpoint("a", "s3", region="us-east-1"), "bucket"),
    (Endpoint("a", "s3", region="ap-southeast-2"), "bucket"),
    (Endpoint("a", "s3", "http://127.0.0.1:8333"), "bucket"),
    (Endpoint("a", "s3", "http://127.0.0.1:8333"), "Bucket_with.dots"),
    (Endpoint("a", "s3", "https://minio.example.org/some/path"), "bucket"),
    (Endpoint("a", "s3", "https://minio.example.org:443"), "bucket"),
    (Endpoint("a", "s3", "http://[::1]:9000"), "bucket"),
    (Endpoint("a", "s3", "http://minio"), "bucket"),
    (Endpoint("a", "s3", "https://oss.example.org", path_style=False), "bucket"),
    (Endpoint("a", "s3", "https://oss.example.org:9000", path_style=False, region="cn-1"), "bucket"),
    (Endpoint("a", "s3", "https://oss.example.org", anonymous=True), "bucket"),
]


@pytest.mark.parametrize(("endpoint", "bucket"), PLACES)
def test_the_way_to_a_bucket_is_the_one_that_botocore_takes(signed_in: None, endpoint: Endpoint, bucket: str) -> None:
    from refstore.backends import aio

    sent: list[Any] = []
    client = S3Client(endpoint)

    class StopError(Exception):
        pass

    def note(request: Any, **_: Any) -> None:
        sent.append(request)
        raise StopError

    filesystem = client.filesystem
    client._session.register("before-send.s3", note)
    with pytest.raises(StopError):
        client.run("get_object", Bucket=bucket, Key="k")
    assert filesystem is client.filesystem
    aio.run(filesystem._s3.close())
    route = Plain(endpoint).route(bucket)
    assert isinstance(route, Route)
    assert route == _route("k", sent[0])


@pytest.mark.parametrize(
    "bucket",
    [
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/name",
        "with.dots",
        "Upper",
        "directory--euw1-az1--x-s3",
        "alias-s3alias",
        "xn--bucket",
    ],
)
def test_a_special_bucket_of_aws_is_left_to_the_library(signed_in: None, bucket: str) -> None:
    assert Plain(AWS).route(bucket) is None


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AWS_REGION", "cn-north-1"),
        ("AWS_REGION", "us-gov-west-1"),
        ("AWS_REGION", "aws-global"),
        ("AWS_REGION", ""),
        ("AWS_USE_FIPS_ENDPOINT", "true"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "true"),
        ("AWS_PROFILE", "that-does-not-exist"),
        ("FSSPEC_S3_ENDPOINT_URL", "http://127.0.0.1:1"),
    ],
)
def test_special_settings_are_left_to_the_library(
    signed_in: None, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    assert Plain(AWS).route("bucket") is not None
    monkeypatch.setenv(variable, value)
    assert Plain(AWS).route("bucket") is None


def test_a_proxy_is_left_to_the_library(signed_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert Plain(AWS).route("bucket") is not None
    monkeypatch.setenv("NO_PROXY", "")
    assert Plain(AWS).route("bucket") is None


@pytest.mark.parametrize(
    "option",
    [
        "use_dualstack_endpoint = true",
        "role_arn = arn:aws:iam::123456789012:role/r",
        "credential_process = /bin/false",
        "s3 =\n  use_accelerate_endpoint = true",
    ],
)
def test_special_options_of_a_profile_are_left_to_the_library(signed_in: None, isolated: Path, option: str) -> None:
    folder = isolated / ".aws"
    folder.mkdir()
    (folder / "config").write_text("[default]\nregion = eu-west-1\n")
    assert Plain(AWS).route("bucket") is not None
    (folder / "config").write_text(f"[default]\n{option}\n")
    assert Plain(AWS).route("bucket") is None


def test_half_of_the_credentials_and_temporary_ones_are_no_matter_of_the_short_way(
    signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Plain(AWS).credentials() == Credentials("KEY", "SECRET", None)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert Plain(AWS).credentials() is None


# Answers


def answered(pieces: list[bytes], times: int = 1) -> list[tuple[Head, bytes]]:
    """What is read where a server sends some bytes for each request, and then waits for the next."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if pieces[-1] == b"":
                break
        writer.close()

    async def ask() -> list[tuple[Head, bytes]]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        streams = Streams(lambda: pytest.fail("no TLS here"))
        port = server.sockets[0].getsockname()[1]
        try:
            return [
                await streams.ask(Origin(False, "127.0.0.1", port), b"GET / HTTP/1.1\r\n\r\n") for _ in range(times)
            ]
        finally:
            streams.close()
            await asyncio.sleep(0.01)
            server.close()
            await server.wait_closed()

    return asyncio.run(ask())


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"Content-Length: 6\r\n\r\nabc", b"def"],
        [CHUNKED + b"3\r\nabc\r\n", b"3;x=y\r\ndef\r\n0\r\n\r\n"],
        [CHUNKED + b"3\r", b"\nab", b"c\r\n00003\r\ndef\r\n0\r\nX: y\r", b"\n\r\n"],
        [HEAD + b"Content-Length: 6\r\nConnection: close\r\n\r\nabcdef", b""],
        [HEAD + b"Content-Length: 6\r\n\r\nabcdef", b""],
    ],
)
def test_a_body_is_read_to_its_end_however_it_is_sent_and_so_is_the_next(pieces: list[bytes]) -> None:
    assert [body for _, body in answered(pieces, times=3)] == [b"abcdef"] * 3


@pytest.mark.parametrize(
    "pieces",
    [
        [HEAD + b"\r\nabc", b""],
        [HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"],
        [HEAD + b"Content-Length: 3\r\nContent-Encoding: gzip\r\n\r\nabc"],
        [HEAD + b"Content-Length: -3\r\n\r\nabc"],
        [HEAD + b"Content-Length: 99999999999\r\n\r\nabc"],
        [CHUNKED + b"xyz\r\nabc\r\n"],
        [CHUNKED + b"-3\r\nabc\r\n"],
        [CHUNKED + b"3\r\nabcdef\r\n"],
        [b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"],
        [b"SSH-2.0-x\r\n\r\n"],
    ],
)
def test_an_answer_that_is_not_understood_is_no_answer(pieces: list[bytes]) -> None:
    with pytest.raises(Strange):
        answered(pieces)


@pytest.mark.parametrize(
    "pieces", [[HEAD, b""], [HEAD + b"Content-Length: 6\r\n\r\nabc", b""], [CHUNKED + b"3\r\nabc\r\n", b""], [b""]]
)
def test_an_answer_that_breaks_off_is_none(pieces: list[bytes]) -> None:
    with pytest.raises(Broken) as raised:
        answered(pieces)
    assert not isinstance(raised.value, Strange)


def test_a_refusal_is_not_read_further() -> None:
    ((head, body),) = answered([b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nabcde"])
    assert (head.status, body) == (403, b"")
