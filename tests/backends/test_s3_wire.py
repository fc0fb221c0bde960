"""What no S3 server of the tests does, but some service says on the wire, as its documentation tells."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from refstore.backends.base import Location
from refstore.backends.s3 import S3Backend
from refstore.backends.s3.client import S3Client
from refstore.backends.s3.endpoint import AWS
from refstore.config import Endpoint, Settings
from refstore.errors import SourceChanged, SourceDenied, SourceMissing, SourceUnavailable, SourceUnreadable
from refstore.manifest.entry import Object, Pin

MD5 = hashlib.md5(b"hello").hexdigest()
DATE = "Mon, 23 Nov 2026 06:13:20 GMT"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]


@dataclass
class Answer:
    status: int = 200
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)


Script = Callable[[Request], Answer]


class Stub:
    """An HTTP server that answers as it is told, and keeps what it was asked."""

    def __init__(self) -> None:
        self.script: Script = lambda request: Answer(500)
        self.requests: list[Request] = []
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                parts = urlsplit(self.path)
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                request = Request(self.command, parts.path, query, {k.lower(): v for k, v in self.headers.items()})
                stub.requests.append(request)
                answer = stub.script(request)
                body = answer.body.encode()
                self.send_response(answer.status)
                for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = _answer  # noqa: N815 - http.server looks for these names

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    stub = Stub()
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    yield stub
    stub.stop()


@pytest.fixture
def backend() -> S3Backend:
    return S3Backend(Settings())


def error(status: int, code: str, extra: str = "", **headers: str) -> Answer:
    return Answer(status, f"<Error><Code>{code}</Code><Message>m</Message>{extra}</Error>", headers)


def content(key: str) -> str:
    return f'<Key>{key}</Key><LastModified>2026-11-23T06:13:20.123Z</LastModified><ETag>"{MD5}"</ETag><Size>5</Size>'


def plain(*keys: str, token: str = "") -> Answer:
    more = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>" if token else ""
    rows = "".join(f"<Contents>{content(key)}<StorageClass>STANDARD</StorageClass></Contents>" for key in keys)
    return Answer(body=f"<?xml version='1.0'?><ListBucketResult><Name>b</Name>{more}{rows}</ListBucketResult>")


def versions(*keys: str, marker: str | None = None) -> Answer:
    more = "<IsTruncated>true</IsTruncated>" if marker is not None else ""
    more += f"<NextKeyMarker>{marker}</NextKeyMarker><NextVersionIdMarker>v</NextVersionIdMarker>" if marker else ""
    rows = "".join(
        f"<Version>{content(key)}<VersionId>v-{key}</VersionId><IsLatest>true</IsLatest></Version>" for key in keys
    )
    return Answer(body=f"<ListVersionsResult><Name>b</Name>{more}{rows}</ListVersionsResult>")


def found(backend: S3Backend, uri: str) -> tuple[list[Object], list[str]]:
    pages = list(backend.find(backend.parse(uri)))
    return [e.object for page in pages for e in page.entries], [note for page in pages for note in page.notes]


def recorded(stub: Stub, **fields: object) -> Object:
    return Object("s3", stub.url, "b", "k", **{"size": 5, "etag": MD5, **fields})  # type: ignore[arg-type]


# -- listing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal", [error(501, "NotImplemented"), error(405, "MethodNotAllowed"), error(403, "AccessDenied"), plain("p/a")]
)
def test_a_service_that_lists_no_versions_is_listed_without_them_and_that_is_said(
    stub: Stub, backend: S3Backend, refusal: Answer
) -> None:
    pages = {"": plain("p/a", token="t1"), "t1": plain("p/b")}
    stub.script = lambda r: refusal if "versions" in r.query else pages[r.query.get("continuation-token", "")]
    objects, notes = found(backend, "s3://b/p/")
    assert [(o.key, o.etag, o.size, o.mtime, o.storage_class, o.pin) for o in objects] == [
        (key, MD5, 5, "2026-11-23T06:13:20Z", None, Pin.ETAG) for key in ("p/a", "p/b")
    ]
    assert len(notes) == 1
    assert "not by version" in notes[0]
    # a refusal is heard a second time from the library, which knows what it means
    assert len(stub.requests) == 3 + (refusal.status == 403)


@pytest.mark.parametrize("second", [versions("p/c", marker="p/b"), versions("p/c", marker="")])
def test_a_listing_that_goes_in_circles_or_breaks_off_is_an_error(
    stub: Stub, backend: S3Backend, second: Answer
) -> None:
    stub.script = lambda r: second if "key-marker" in r.query else versions("p/a", "p/b", marker="p/b")
    with pytest.raises(SourceUnavailable, match="s3://b/p/"):
        found(backend, "s3://b/p/")
    assert len(stub.requests) <= 3


def test_an_object_that_comes_on_two_pages_is_taken_once(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: versions("p/b", "p/c") if "key-marker" in r.query else versions("p/a", "p/b", marker="p/b")
    assert [o.key for o in found(backend, "s3://b/p/")[0]] == ["p/a", "p/b", "p/c"]


def test_encoded_keys_are_decoded_once(stub: Stub, backend: S3Backend) -> None:
    answer = versions("p/a%2520b%0Ac+d")
    answer.body = answer.body.replace("<Name>", "<EncodingType>url</EncodingType><Name>")
    stub.script = lambda r: answer
    assert [o.key for o in found(backend, "s3://b/p/")[0]] == ["p/a%20b\nc d"]
    assert stub.requests[0].query["encoding-type"] == "url"


def test_a_listing_denied_half_way_is_an_error(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: error(403, "AccessDenied") if "key-marker" in r.query else versions("p/a", marker="p/a")
    with pytest.raises(SourceDenied):
        found(backend, "s3://b/p/")


# -- options -----------------------------------------------------------------------------------------------------------


def test_who_agrees_to_pay_says_so_in_every_request(stub: Stub) -> None:
    backend = S3Backend(Settings(endpoints=(Endpoint("paid", "s3", stub.url, match=("s3://b",), requester_pays=True),)))
    hello = Answer(body="hello", headers={"ETag": f'"{MD5}"', "Last-Modified": DATE})
    stub.script = lambda r: hello if r.path == "/b/k" else versions() if "versions" in r.query else plain("k")
    objects, _ = found(backend, "s3://b/k")
    with backend.open(objects[0]) as reading:
        assert b"".join(reading.chunks) == b"hello"
    assert len(stub.requests) == 3
    assert {request.headers.get("x-amz-request-payer") for request in stub.requests} == {"requester"}


def test_anonymous_requests_carry_no_signature(stub: Stub) -> None:
    backend = S3Backend(Settings(endpoints=(Endpoint("open", "s3", stub.url, match=("s3://b",), anonymous=True),)))
    stub.script = lambda r: versions("p/a")
    found(backend, "s3://b/p/")
    assert "authorization" not in stub.requests[0].headers


def test_the_region_is_that_of_the_endpoint_then_of_the_environment(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub.script = lambda r: versions("p/a")
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    found(S3Backend(Settings()), "s3://b/p/")
    lab = Endpoint("lab", "s3", stub.url, match=("s3://b",), region="eu-north-1")
    found(S3Backend(Settings(endpoints=(lab,))), "s3://b/p/")
    regions = [request.headers["authorization"].split("/")[2] for request in stub.requests]
    assert regions == ["eu-west-3", "eu-north-1"]


def test_the_bucket_stands_in_the_path_where_an_endpoint_has_a_url(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: versions("p/a")
    found(backend, "s3://b/p/")
    assert stub.requests[0].path == "/b"


def test_aws_itself_is_asked_for_what_was_recorded_there_whatever_the_environment_says(stub: Stub) -> None:
    client = S3Client(AWS).filesystem.s3
    assert client.meta.endpoint_url.endswith("amazonaws.com")


def test_another_region_is_followed_where_it_is_told(stub: Stub, backend: S3Backend) -> None:
    malformed = error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")
    stub.script = lambda r: versions("p/a") if "/eu-west-1/" in r.headers["authorization"] else malformed
    assert [o.key for o in found(backend, "s3://b/p/")[0]] == ["p/a"]


def test_another_region_is_said_where_it_is_not_told(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(403) if r.method == "HEAD" else error(301, "PermanentRedirect")
    with pytest.raises(SourceDenied, match="AWS_REGION"):
        found(backend, "s3://b/p/")


# -- reading -----------------------------------------------------------------------------------------------------------


def test_archived_objects_are_unreadable_with_the_class_and_what_to_do(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: error(403, "InvalidObjectState", "<StorageClass>GLACIER</StorageClass>")
    with pytest.raises(SourceUnreadable, match=r"GLACIER.*restore"):
        backend.open(recorded(stub))


@pytest.mark.parametrize(
    ("headers", "proofs"),
    [
        ({}, [("md5", False)]),
        ({"x-amz-server-side-encryption": "AES256"}, [("md5", True)]),
        ({"x-amz-server-side-encryption": "aws:kms"}, []),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, []),
        (
            {"x-amz-server-side-encryption": "aws:kms", "x-amz-checksum-crc64nvme": "AAAAAAAAAAA="},
            [("crc64nvme", True)],
        ),
        (
            {"x-amz-checksum-sha256": base64.b64encode(hashlib.sha256(b"hello").digest()).decode() + "-2"},
            [("md5", False)],
        ),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "COMPOSITE"}, [("md5", False)]),
    ],
)
def test_an_etag_proves_only_what_the_encryption_lets_it(
    stub: Stub, backend: S3Backend, headers: dict[str, str], proofs: list[tuple[str, bool]]
) -> None:
    stub.script = lambda r: Answer(body="hello", headers={"ETag": f'"{MD5}"', **headers})
    with backend.open(recorded(stub)) as reading:
        assert b"".join(reading.chunks) == b"hello"
        assert [(proof.checksum.algorithm, proof.certain) for proof in reading.proofs] == proofs
    assert stub.requests[0].headers["x-amz-checksum-mode"] == "ENABLED"
    assert stub.requests[0].headers["if-match"] == f'"{MD5}"'


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (Answer(body="other", headers={"ETag": '"x"'}), {}),
        (Answer(body="hello!", headers={"ETag": f'"{MD5}"'}), {}),
        (Answer(body="hello", headers={"ETag": f'"{MD5}"'}), {"version": "v1"}),
        (Answer(body="hello", headers={"ETag": f'"{MD5}"', "x-amz-version-id": "v2"}), {"version": "v1"}),
    ],
)
def test_an_answer_about_something_else_is_refused_before_a_byte_is_handed_out(
    stub: Stub, backend: S3Backend, answer: Answer, fields: dict[str, str]
) -> None:
    stub.script = lambda r: answer
    with pytest.raises(SourceChanged, match="s3://b/k"):
        backend.open(recorded(stub, **fields))


def test_a_service_without_ranges_is_not_read_in_part(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(body="hello", headers={"ETag": f'"{MD5}"'})
    with pytest.raises(SourceUnavailable, match="ranges"):
        backend.open(recorded(stub), start=2)


def test_a_delete_marker_is_known_by_its_header(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(404, headers={"x-amz-delete-marker": "true"})
    with pytest.raises(SourceMissing, match="delete marker"):
        backend.stat(Location("s3", stub.url, "b", "k"))
    assert len(stub.requests) == 1


def test_a_version_id_of_another_service_is_a_missing_version(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(400) if r.method == "HEAD" else error(400, "InvalidArgument")
    with pytest.raises(SourceMissing, match="bogus"):
        backend.stat(Location("s3", stub.url, "b", "k", "bogus"))


def test_a_head_that_says_nothing_is_explained_by_a_get(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(400) if r.method == "HEAD" else error(400, "ExpiredToken")
    with pytest.raises(SourceDenied, match="aws sso login"):
        backend.stat(Location("s3", stub.url, "b", "k"))


def test_what_is_denied_may_be_missing(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(403) if r.method == "HEAD" else error(403, "AccessDenied")
    with pytest.raises(SourceDenied, match=r"s3:GetObject.*missing"):
        backend.stat(Location("s3", stub.url, "b", "k"))


def test_a_service_that_takes_no_notice_of_versions_has_none(stub: Stub, backend: S3Backend) -> None:
    stub.script = lambda r: Answer(headers={"ETag": f'"{MD5}"', "Last-Modified": DATE})
    with pytest.raises(SourceMissing, match="version"):
        backend.stat(Location("s3", stub.url, "b", "k", "v1"))
