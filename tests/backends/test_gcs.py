"""Google Cloud Storage, against fake-gcs-server."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from refstore.backends.base import Location
from refstore.backends.gcs import GCSBackend
from refstore.backends.gcs import backend as gcs_module
from refstore.backends.gcs.client import GCSClient
from refstore.config import Endpoint, Settings
from refstore.errors import (
    CredentialsMissing,
    InvalidSetting,
    InvalidURI,
    SecretInURI,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
)
from refstore.manifest.entry import Checksum, Object, Pin
from tests.backends.conformance import Conformance, Source, entries, find, only, read
from tests.servers.faults import FaultProxy
from tests.servers.gcs import Gcs
from tests.servers.scripted import Answer, Asked, ScriptedServer


class GCSSource(Source):
    """A new bucket, found through STORAGE_EMULATOR_HOST."""

    pin = Pin.VERSION
    bogus_version = "1234567890123456"
    secret_uris = (
        ("gs://user:hunter2@bucket/key", "hunter2"),
        ("gs://bucket/key?X-Goog-Algorithm=A&X-Goog-Signature=abad1dea", "abad1dea"),
    )

    def __init__(self, server: Gcs, settings: Settings | None = None, *, versioned: bool = True) -> None:
        self.server = server
        self.backend = GCSBackend(settings or Settings())
        self.has_versions = versioned
        self.bucket = server.make_bucket(versioned=versioned)

    def put(self, key: str, data: bytes) -> None:
        self.server.put(self.bucket, key, data)

    def delete(self, key: str) -> None:
        self.server.delete(self.bucket, key)

    def uri(self, key: str) -> str:
        return self.backend.uri(Location("gs", "", self.bucket, key))


@pytest.fixture(autouse=True)
def emulator(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in gcs.environment(logged=True).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def source(gcs: Gcs) -> GCSSource:
    return GCSSource(gcs)


class TestGCS(Conformance):
    @pytest.fixture
    def source(self, gcs: Gcs) -> GCSSource:
        return GCSSource(gcs)


class TestGCSWithoutVersioning(Conformance):
    @pytest.fixture
    def source(self, gcs: Gcs) -> GCSSource:
        return GCSSource(gcs, versioned=False)


# -- URIs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "key", "version"),
    [
        ("gs://b/k#123", "k", "123"),
        ("gcs://b/k#123", "k", "123"),
        ("gs://b/k#1#2", "k#1", "2"),
        ("gs://b/k%231", "k#1", None),
        ("gs://b/a#b.txt", "a#b.txt", None),
        ("gs://b/a?generation=5", "a?generation=5", None),
        ("gs://b/k#", "k#", None),
        ("gs://b/#12", "#12", None),
        ("gs://b//k", "/k", None),
        ("gs://b/100%", "100%", None),
        ("gs://b/a%20b", "a%20b", None),
        ("gs://b/a%252Fb", "a%2Fb", None),
        ("gs://b/k\u0664#\u0664", "k\u0664#\u0664", None),
    ],
)
def test_a_key_is_what_was_typed_and_only_digits_behind_a_hash_are_a_generation(
    uri: str, key: str, version: str | None
) -> None:
    location = GCSBackend(Settings()).parse(uri)
    assert (location.bucket, location.key, location.version, location.directory) == ("b", key, version, False)


def test_a_bucket_or_a_slash_at_the_end_can_only_mean_a_directory() -> None:
    backend = GCSBackend(Settings())
    assert [backend.parse(uri).directory for uri in ("gs://b", "gs://b/", "gs://b/d/", "gs://b/d")] == [
        True, True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("uri", ["gs://", "gs:///key", "gs://b c/key", "gs://b#1"])
def test_a_uri_without_a_bucket_is_refused(uri: str) -> None:
    with pytest.raises(InvalidURI):
        GCSBackend(Settings()).parse(uri)


# -- generations -------------------------------------------------------------------------------------------------------


def test_every_field_comes_from_the_listing(source: GCSSource) -> None:
    generation = source.server.put(source.bucket, "d/a.txt", b"hello")
    source.server.put(source.bucket, "d/b.txt", b"there")
    found = entries(source, source.uri("d"))["a.txt"]
    assert found.version == generation
    assert found.checksum == Checksum("md5", hashlib.md5(b"hello").hexdigest())
    assert (found.size, found.etag, found.storage_class) == (5, None, None)
    assert found.mtime is not None


def test_a_deleted_generation_is_missing_and_never_the_latest_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    latest = {**_row("k", b"other"), "generation": "78"}

    def script(asked: Asked) -> Answer:
        if "generation=77" in asked.path:
            return _error(404, "No such object: b/k", "notFound")
        return Answer(200, json.dumps(latest if "/o/" in asked.path else {"versioning": {"enabled": True}}).encode())

    with ScriptedServer(script) as server:
        backend = _backend_at(server, monkeypatch)
        with pytest.raises(
            SourceMissing, match="that generation was deleted, and there is generation 78 now"
        ) as caught:
            backend.open(Object("gs", "stub", "b", "k", 5, "77"))
        assert "gs://b/k#77" in str(caught.value)


def test_a_bucket_that_keeps_no_old_generations_is_noted_once(gcs: Gcs) -> None:
    unversioned, versioned = GCSSource(gcs, versioned=False), GCSSource(gcs)
    for place in (unversioned, versioned):
        place.put("d/a.txt", b"x")
    notes = [note for page in find(unversioned, unversioned.uri("d/")) for note in page.notes]
    assert len(notes) == 1
    assert f"gs://{unversioned.bucket} keeps no old generations" in notes[0]
    assert [note for page in find(versioned, versioned.uri("d/")) for note in page.notes] == []


def test_a_listing_costs_one_request_a_page_and_at_most_two_others(
    source: GCSSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gcs_module, "PAGE", 4)
    source.put_many([f"d/{number}" for number in range(10)], b"x")
    for uri, most in ((source.uri("d"), 5), (source.uri("d/"), 3)):
        mark = source.server.mark()
        pages = find(source, uri)
        assert [len(page.entries) for page in pages] == [4, 4, 2]
        assert len(source.server.requests_since(mark, source.bucket)) <= most


def test_a_read_is_one_request(source: GCSSource) -> None:
    source.put("k", b"x" * 100)
    found = only(source, "k")
    mark = source.server.mark()
    assert read(source, found, start=10, length=20) == b"x" * 20
    (request,) = source.server.requests_since(mark, source.bucket)
    assert f"generation={found.version}" in request.target


def test_the_key_is_pinned_to_another_size_or_checksum_and_is_refused(source: GCSSource) -> None:
    from dataclasses import replace

    source.put("k", b"hello")
    found = only(source, "k")
    with pytest.raises(SourceChanged):
        read(source, replace(found, size=6))
    assert read(source, replace(found, version=None)) == b"hello"
    source.put("k", b"other")
    with pytest.raises(SourceChanged, match="md5"):
        read(source, replace(found, version=None))


def test_a_missing_generation_says_how_to_write_a_name_that_ends_like_one(source: GCSSource) -> None:
    source.put("img#1", b"x")
    with pytest.raises(SourceMissing, match="img%231"):
        find(source, f"gs://{source.bucket}/img#1")
    assert set(entries(source, f"gs://{source.bucket}/img%231")) == {"img#1"}


def test_a_bucket_that_does_not_exist_is_named(source: GCSSource) -> None:
    for uri in ("gs://no-such-bucket-here/d/", "gs://no-such-bucket-here/k", "gs://no-such-bucket-here/k#1"):
        with pytest.raises(SourceMissing, match="gs://no-such-bucket-here"):
            find(source, uri)


# -- endpoints and credentials -----------------------------------------------------------------------------------------


def test_the_emulator_is_recorded_by_its_url_and_no_other_is_asked_in_its_place(
    gcs: Gcs, source: GCSSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.put("k", b"x")
    found = only(source, "k")
    assert found.endpoint == gcs.logged_url
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    with pytest.raises(InvalidSetting, match=re.escape(f"STORAGE_EMULATOR_HOST={gcs.logged_url}")):
        GCSBackend(Settings()).open(found)


def test_a_configured_endpoint_serves_what_it_matches_and_is_recorded_by_name(
    gcs: Gcs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    bucket = gcs.make_bucket()
    gcs.put(bucket, "d/k", b"hello")
    backend = GCSBackend(Settings(endpoints=(Endpoint("lab", "gs", url=gcs.url, match=(f"gs://{bucket}/d",)),)))
    assert backend.parse(f"gs://{bucket}/d2/k").endpoint == ""
    (page,) = backend.find(backend.parse(f"gs://{bucket}/d"))
    (entry,) = page.entries
    assert entry.object.endpoint == "lab"
    with backend.open(entry.object) as reading:
        assert b"".join(reading.chunks) == b"hello"
    with pytest.raises(InvalidSetting, match=r"endpoints\.lab"):
        GCSBackend(Settings()).open(entry.object)


def test_a_token_is_never_sent_without_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda asked: Answer(200, b"{}")) as server:
        _service_account(tmp_path, monkeypatch, server.url)
        GCSClient(server.url).get(("b", "bucket"), {}, "gs://bucket")
        assert [asked.path for asked in server.asked] == ["/storage/v1/b/bucket"]
        assert "authorization" not in server.asked[0].headers


def test_revoked_credentials_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(lambda asked: Answer(400, b'{"error": "invalid_grant"}')) as server:
        _service_account(tmp_path, monkeypatch, server.url)
        with pytest.raises(CredentialsMissing, match="expired or were revoked") as caught:
            GCSClient("https://127.0.0.1:1").get(("b", "bucket"), {}, "gs://bucket")
        assert "PRIVATE" not in str(caught.value)


def test_a_credentials_file_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/no/such/file.json")
    with pytest.raises(CredentialsMissing, match=r"/no/such/file\.json"):
        GCSClient("https://127.0.0.1:1").get(("b", "bucket"), {}, "gs://bucket")


def test_without_credentials_requests_are_anonymous() -> None:
    assert GCSClient("https://127.0.0.1:1").credentials == "anonymous (no credentials were found)"


def _service_account(folder: Path, monkeypatch: pytest.MonkeyPatch, token_url: str) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account", "project_id": "p", "private_key_id": "1", "private_key": key.decode(),
        "client_email": "robot@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": f"{token_url}/token",
    }  # fmt: skip
    file = folder / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))


# -- what the service may refuse ---------------------------------------------------------------------------------------


def _error(status: int, message: str, reason: str = "") -> Answer:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    return Answer(status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json"})


def _row(key: str, data: bytes, **more: str) -> dict[str, Any]:
    return {"name": key, "size": str(len(data)), "generation": "77", "timeCreated": "2026-01-02T03:04:05.678Z", **more}


def _backend_at(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, **options: Any) -> GCSBackend:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    return GCSBackend(Settings(endpoints=(Endpoint("stub", "gs", url=server.url, match=("gs://b",), **options),)))


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (_error(403, "robot does not have storage.objects.list access.", "forbidden"), SourceDenied, "storage.objects"),
        (_error(401, "Anonymous caller does not have access.", "required"), SourceDenied, "not public"),
        (_error(400, "Bucket is requester pays bucket but no user project provided.", "required"), SourceDenied,
         "requester_pays"),
        (_error(400, "Invalid bucket name: 'b'", "invalid"), InvalidURI, "bucket's name"),
        (Answer(200, b"<html>not an API</html>"), SourceUnavailable, "does not answer as Google Cloud Storage"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_one_sentence(
    answer: Answer, error: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(lambda asked: answer) as server:
        backend = _backend_at(server, monkeypatch)
        with pytest.raises(error, match=said) as caught:
            list(backend.find(backend.parse("gs://b/d/")))
        assert "gs://b" in str(caught.value)
        assert len(server.asked) == 1


def test_who_may_read_but_not_list_can_add_one_object(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(asked: Asked) -> Answer:
        if asked.path.startswith("/storage/v1/b/b/o/k?"):
            return Answer(200, json.dumps(_row("k", b"12345", crc32c="AAAAAA==")).encode())
        return _error(403, "no", "forbidden")

    with ScriptedServer(script) as server:
        backend = _backend_at(server, monkeypatch)
        (page,) = backend.find(backend.parse("gs://b/k"))
        assert [entry.object.checksum for entry in page.entries] == [Checksum("crc32c", "00000000")]
        assert page.entries[0].object.mtime == "2026-01-02T03:04:05.678Z"
        with pytest.raises(SourceDenied, match=r"storage\.objects\.list"):
            list(backend.find(backend.parse("gs://b/other")))


def test_a_busy_server_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [_error(503, "busy"), _error(429, "slow down"), Answer(200, json.dumps(_row("k", b"1")).encode())]
    with ScriptedServer(lambda asked: answers.pop(0)) as server:
        backend = _backend_at(server, monkeypatch)
        assert backend.stat(backend.parse("gs://b/k")).size == 1
        assert len(server.asked) == 3


def test_a_listing_that_does_not_advance_is_an_error_and_no_endless_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    page = {"items": [_row("d/k", b"1")], "nextPageToken": "again"}
    with ScriptedServer(lambda asked: Answer(200, json.dumps(page).encode())) as server:
        backend = _backend_at(server, monkeypatch)
        with pytest.raises(SourceUnavailable, match="does not advance"):
            list(backend.find(backend.parse("gs://b/d/")))


@pytest.mark.parametrize(
    "headers", [{"x-goog-generation": "78"}, {"x-goog-hash": "crc32c=AAAAAA==,md5=AAAAAAAAAAAAAAAAAAAAAA=="}]
)
def test_an_answer_that_says_it_is_something_else_is_refused(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    md5 = "mZFLkyvTelC5g8XnyQrpOw=="

    def script(asked: Asked) -> Answer:
        if "alt=media" in asked.path:
            return Answer(200, b"hello", headers)
        return Answer(200, json.dumps(_row("k", b"hello", md5Hash=md5)).encode())

    with ScriptedServer(script) as server:
        backend = _backend_at(server, monkeypatch)
        found = backend.stat(backend.parse("gs://b/k"))
        with pytest.raises(SourceChanged):
            backend.open(found)


def test_what_is_stored_with_gzip_comes_as_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"hello" * 100)

    def script(asked: Asked) -> Answer:
        assert asked.headers["accept-encoding"] == "gzip"
        if "alt=media" in asked.path:
            return Answer(200, packed, {"Content-Encoding": "gzip", "x-goog-generation": "77"})
        body = gzip.compress(json.dumps(_row("k", packed)).encode())
        return Answer(200, body, {"Content-Encoding": "gzip"})

    with ScriptedServer(script) as server:
        backend = _backend_at(server, monkeypatch)
        with backend.open(backend.stat(backend.parse("gs://b/k"))) as reading:
            assert b"".join(reading.chunks) == packed


# -- the network -------------------------------------------------------------------------------------------------------


def _at(url: str, monkeypatch: pytest.MonkeyPatch) -> GCSBackend:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    return GCSBackend(Settings())


def test_a_server_that_is_not_there_is_unavailable_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    for host in (f"127.0.0.1:{port}", "no-such-host.invalid:80"):
        backend = _at(f"http://{host}", monkeypatch)
        with pytest.raises(SourceUnavailable, match=host.partition(":")[0]) as caught:
            list(backend.find(backend.parse("gs://b/k")))
        assert "gs://b/k" in str(caught.value)
    assert time.monotonic() - began < 30


def test_a_body_that_breaks_off_is_never_taken_for_whole(
    gcs: Gcs, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = gcs.make_bucket()
    gcs.put(bucket, "k", b"x" * 3_000_000)
    for fault in ("cut", "truncate"):
        proxy = faults(gcs.url, after=1_500_000, **{fault: 1})
        backend = _at(proxy.url, monkeypatch)
        found = backend.stat(backend.parse(f"gs://{bucket}/k"))
        with backend.open(found) as reading, pytest.raises(SourceUnavailable, match=bucket):
            list(reading.chunks)


def test_errors_of_single_requests_are_outlived(
    gcs: Gcs, flaky: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = gcs.make_bucket()
    gcs.put_many(bucket, {f"d/{number}": b"x" for number in range(5)})
    backend = _at(flaky(gcs.url), monkeypatch)
    for page in backend.find(backend.parse(f"gs://{bucket}/d")):
        for entry in page.entries:
            with backend.open(entry.object) as reading:
                assert list(reading.chunks) == [b"x"]


# -- diagnosis ---------------------------------------------------------------------------------------------------------


def test_a_diagnosis_tells_versioning_and_credentials(gcs: Gcs, source: GCSSource) -> None:
    source.put("d/k", b"x")
    checks = {check.name: check for check in source.backend.diagnose(source.backend.parse(source.uri("d/"))).checks}
    assert {"credentials", "versioning", "list", "read"} <= set(checks)
    assert "anonymous" in checks["credentials"].detail
    assert checks["versioning"].ok
    plain = GCSSource(gcs, versioned=False)
    diagnosis = plain.backend.diagnose(plain.backend.parse(plain.uri("")))
    assert diagnosis.url == gcs.logged_url
    assert any("versioning is off" in check.detail for check in diagnosis.checks)


def test_a_diagnosis_names_the_permissions_that_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def script(asked: Asked) -> Answer:
        if "testPermissions" in asked.path:
            return Answer(200, json.dumps({"permissions": ["storage.objects.get"]}).encode())
        return _error(403, "robot has no access", "forbidden")

    with ScriptedServer(script) as server:
        backend = _backend_at(server, monkeypatch)
        checks = {check.name: check for check in backend.diagnose(backend.parse("gs://b/d/")).checks}
        assert checks["list"].ok is False
        assert "storage.objects.list" in checks["permissions"].detail
        assert "storage.objects.get " not in checks["permissions"].detail


def test_a_diagnosis_of_a_server_that_is_not_there_does_not_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = _at("http://127.0.0.1:1", monkeypatch)
    assert any(check.ok is False for check in backend.diagnose(backend.parse("gs://b/k")).checks)


def test_a_secret_in_a_uri_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(SecretInURI):
        GCSBackend(Settings()).parse(f"gs://b/k?GoogleAccessId=x&Signature={quote('a/b')}")


def test_a_process_that_ends_leaves_nothing_open(source: GCSSource) -> None:
    import subprocess
    import sys

    source.put("k", b"hello")
    code = (
        "import sys\n"
        "from refstore.backends.gcs import GCSBackend\n"
        "from refstore.config import Settings\n"
        "backend = GCSBackend(Settings())\n"
        "(page,) = backend.find(backend.parse(sys.argv[1]))\n"
        "reading = backend.open(page.entries[0].object)\n"
        "print(next(reading.chunks))\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, source.uri("k")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("b'hello'\n", "")
