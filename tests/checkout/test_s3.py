"""Checkouts from S3: pinned versions, preconditions, digests that are none, archived objects, broken connections."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from refstore.errors import CheckoutIncomplete, SourceUnreadable
from refstore.manifest.entry import Checksum, Entry, Object, Pin
from tests.checkout.workshop import Workshop, moved, tree
from tests.servers.faults import FaultProxy
from tests.servers.s3 import S3Server

FILES = {"p/a.txt": b"alpha", "p/sub/b.bin": b"beta" * 9000, "p/empty": b""}
NAMES = {name.removeprefix("p/"): data for name, data in FILES.items()}


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in seaweed.environment(reader=True, logged=True).items():
        monkeypatch.setenv(name, value)
    return seaweed


@pytest.fixture
def workshop(s3: S3Server, tmp_path: Path) -> Iterator[Workshop]:
    with Workshop(tmp_path) as shop:
        yield shop


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.make_bucket()


def test_old_versions_come_back_after_the_bucket_changed(workshop: Workshop, s3: S3Server, bucket: str) -> None:
    s3.put_many(bucket, FILES)
    entries = workshop.entries(f"s3://{bucket}/p/")
    assert {entry.object.pin for entry in entries} == {Pin.VERSION}
    s3.put(bucket, "p/a.txt", b"ALPHA")
    s3.delete(bucket, "p/sub/b.bin")
    result = workshop.checkout(entries)
    assert tree(workshop.out) == NAMES
    assert (result.written, result.unverified) == (3, 0)


def test_each_file_costs_one_request_and_a_second_checkout_none(workshop: Workshop, s3: S3Server, bucket: str) -> None:
    s3.put_many(bucket, FILES)
    entries = workshop.entries(f"s3://{bucket}/p/")
    mark = s3.mark()
    workshop.checkout(entries)
    assert s3.operations_since(mark, bucket) == {"GetObject": 3}
    mark = s3.mark()
    assert workshop.checkout(entries).kept == 3
    assert s3.requests_since(mark, bucket) == []


def test_an_object_without_versions_that_was_overwritten_is_refused_and_said_so(
    workshop: Workshop, s3: S3Server
) -> None:
    bucket = s3.make_bucket(versioned=False)
    s3.put_many(bucket, FILES)
    entries = workshop.entries(f"s3://{bucket}/p/")
    s3.put(bucket, "p/a.txt", b"ALPHA")
    s3.delete(bucket, "p/empty")
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    kinds = {failure.path: (failure.kind, failure.found is not None) for failure in error.value.failures}
    assert kinds == {"a.txt": ("overwritten", True), "empty": ("gone", False)}
    assert error.value.failures[0].uri == f"s3://{bucket}/p/a.txt"
    assert error.value.failures[0].found is not None
    assert error.value.failures[0].found.etag != error.value.failures[0].recorded.etag
    assert set(tree(workshop.out)) == {"sub/b.bin"}


def test_a_version_that_was_deleted_is_gone(workshop: Workshop, s3: S3Server, bucket: str) -> None:
    version = s3.put(bucket, "p/a.txt", b"alpha")
    entries = workshop.entries(f"s3://{bucket}/p/")
    s3.put(bucket, "p/a.txt", b"newer")
    s3.delete(bucket, "p/a.txt", version)
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    (failure,) = error.value.failures
    assert failure.kind == "gone"
    assert failure.found is not None
    assert failure.found.version != version


def test_who_may_not_read_is_told_so(
    workshop: Workshop, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_many(bucket, FILES)
    entries = workshop.entries(f"s3://{bucket}/p/")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with Workshop(workshop.root / "other") as other, pytest.raises(CheckoutIncomplete) as error:
        other.checkout(entries)
    assert {failure.kind for failure in error.value.failures} == {"denied"}
    assert "wrong" not in str(error.value)


def test_a_multipart_object_is_proven_or_read_twice_and_then_trusted(
    workshop: Workshop, s3: S3Server, bucket: str
) -> None:
    parts = [os.urandom(5 << 20), os.urandom(5 << 20), b"tail"]
    s3.put_multipart(bucket, "p/big", parts)
    result = workshop.checkout(workshop.entries(f"s3://{bucket}/p/"))
    assert tree(workshop.out) == {"big": b"".join(parts)}
    assert result.unverified == 0


def test_wrong_bytes_are_refused_after_a_second_look(workshop: Workshop, s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "p/a.txt", b"alpha")
    (entry,) = workshop.entries(f"s3://{bucket}/p/")
    wrong = replace(entry, object=replace(entry.object, checksum=Checksum("sha256", "0" * 64)))
    mark = s3.mark()
    with pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout([wrong])
    assert [failure.kind for failure in error.value.failures] == ["mismatch"]
    assert s3.operations_since(mark, bucket)["GetObject"] == 2
    assert tree(workshop.out) == {}


def test_objects_in_archived_storage_are_checked_out_where_they_can_be_read(
    workshop: Workshop, s3: S3Server, bucket: str
) -> None:
    # this server hands archived objects out at once, as S3 does once they are restored
    s3.put(bucket, "p/a.txt", b"alpha", StorageClass="GLACIER")
    entries = workshop.entries(f"s3://{bucket}/p/")
    archived = [replace(entry, object=replace(entry.object, storage_class="DEEP_ARCHIVE")) for entry in entries]
    workshop.checkout(archived)
    assert tree(workshop.out) == {"a.txt": b"alpha"}


def test_archived_objects_that_are_not_restored_are_all_named_before_anything_is_transferred(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archive: str
) -> None:
    s3.put_many(bucket, FILES)
    with Workshop(tmp_path / "before") as before:
        entries = before.entries(f"s3://{bucket}/p/")
    monkeypatch.setenv("AWS_ENDPOINT_URL", archive)
    entries = moved(entries, archive)
    archived = [replace(entry, object=replace(entry.object, storage_class="GLACIER")) for entry in entries]
    with Workshop(tmp_path) as workshop:
        with pytest.raises(SourceUnreadable) as error:
            workshop.checkout(archived)
        assert all(f"s3://{bucket}/{name}" in str(error.value) for name in FILES)
        assert "RestoreObject" in str(error.value)
        assert not workshop.out.exists()


@pytest.fixture
def archive() -> Iterator[str]:
    """An endpoint where every object is in archived storage, as the S3 documentation words the answer."""
    body = b"<Error><Code>InvalidObjectState</Code><Message>Not valid for the storage class</Message></Error>"

    class Archive(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(403)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("fault", ["cut", "truncate"])
def test_broken_streams_are_taken_up_where_they_stopped(
    s3: S3Server,
    bucket: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    faults: Callable[..., FaultProxy],
    fault: str,
) -> None:
    data = os.urandom(6 << 20)
    s3.put(bucket, "big", data)
    with Workshop(tmp_path / "before") as before:
        entries = before.entries(f"s3://{bucket}/big")
    proxy = faults(s3.logged_url, **{fault: 1}, after=3 << 20, first=2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    entries = moved(entries, proxy.url)
    with Workshop(tmp_path) as workshop:
        mark = s3.mark()
        result = workshop.checkout(entries)
        assert tree(workshop.out) == {"big": data}
        assert result.bytes_transferred == len(data)
        requests = s3.requests_since(mark, bucket)
        assert any(request.range not in ("", "bytes=0-") for request in requests)


def test_a_server_that_answers_slow_down_is_asked_again(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flaky: Callable[..., str]
) -> None:
    files = {f"p/{n}": os.urandom(500) for n in range(30)}
    s3.put_many(bucket, files)
    with Workshop(tmp_path / "before") as before:
        entries = before.entries(f"s3://{bucket}/p/")
    url = flaky(s3.url, slow_down=0.1, drop=0.05)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    entries = moved(entries, url)
    with Workshop(tmp_path) as workshop:
        assert workshop.checkout(entries).written == 30
        assert tree(workshop.out) == {name[2:]: data for name, data in files.items()}


def test_a_server_that_is_down_ends_it_with_every_file_listed(
    s3: S3Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3.put_many(bucket, FILES)
    with Workshop(tmp_path / "before") as before:
        entries = before.entries(f"s3://{bucket}/p/")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    entries = moved(entries, "http://127.0.0.1:9")
    with Workshop(tmp_path) as workshop, pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(entries)
    assert [failure.kind for failure in error.value.failures] == ["unavailable"] * 3


def answered(count: int) -> list[Entry]:
    return [
        Entry(f"{n}", Object("s3", "", "bucket", f"{n}", size=5, etag="0" * 32, mtime="2026-01-01T00:00:00Z"))
        for n in range(count)
    ]


def test_an_etag_that_is_no_digest_is_found_out_once_for_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server, stub: Stub
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    stub.bodies = itertools.repeat(b"alpha")
    with Workshop(tmp_path) as workshop:
        result = workshop.checkout(moved(answered(3), stub.url), jobs=1)
        assert (result.written, result.unverified) == (3, 0)
        assert stub.requests == 4
        assert set(tree(workshop.out).values()) == {b"alpha"}


def test_an_etag_that_looks_like_a_digest_and_bytes_that_differ_from_read_to_read_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: S3Server, stub: Stub
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
    stub.bodies = itertools.cycle([b"alpha", b"omega"])
    with Workshop(tmp_path) as workshop, pytest.raises(CheckoutIncomplete) as error:
        workshop.checkout(moved(answered(1), stub.url))
    assert [failure.kind for failure in error.value.failures] == ["mismatch"]


class Stub:
    """An endpoint whose ETags are 32 hex digits and no MD5: S3's are so under SSE-KMS, and some servers' always.

    None of the real servers at hand does that.
    """

    def __init__(self) -> None:
        self.bodies: Iterator[bytes] = iter(())
        self.requests = 0
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if "?" in self.path:
                    self.do_HEAD()
                    return
                stub.requests += 1
                body = next(stub.bodies)
                self.send_response(200)
                self.send_header("ETag", f'"{"0" * 32}"')
                self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    thread = threading.Thread(target=stub.server.serve_forever)
    thread.start()
    yield stub
    stub.server.shutdown()
    thread.join()
    stub.server.server_close()
