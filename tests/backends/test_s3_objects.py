"""What the S3 backend does with versions, changes, checksums, permissions and broken connections, on real servers."""

from __future__ import annotations

import gzip
import hashlib
from collections import Counter
from collections.abc import Callable

import pytest

from refstore.backends.base import Location
from refstore.backends.s3 import S3Backend
from refstore.config import Endpoint, Settings
from refstore.errors import (
    AmbiguousURI,
    CredentialsMissing,
    RefstoreError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
)
from refstore.manifest.entry import Checksum, Object, Pin
from tests.servers.faults import FaultProxy
from tests.servers.s3 import S3Server

PART = 5 * 2**20


class Reader:
    """A backend with the read-only user's credentials, at a URL of the server."""

    def __init__(
        self, server: S3Server, monkeypatch: pytest.MonkeyPatch, url: str = "", settings: Settings | None = None
    ) -> None:
        for name, value in server.environment(reader=True, url=url).items():
            monkeypatch.setenv(name, value)
        self.backend = S3Backend(settings or Settings())

    def find(self, uri: str) -> dict[str, Object]:
        pages = self.backend.find(self.backend.parse(uri))
        return {entry.path: entry.object for page in pages for entry in page.entries}

    def only(self, uri: str) -> Object:
        (obj,) = self.find(uri).values()
        return obj

    def notes(self, uri: str) -> list[str]:
        return [note for page in self.backend.find(self.backend.parse(uri)) for note in page.notes]

    def read(self, obj: Object, start: int = 0) -> bytes:
        with self.backend.open(obj, start=start) as reading:
            return b"".join(reading.chunks)


@pytest.fixture
def reader(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Reader:
    return Reader(seaweed, monkeypatch)


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_listing_costs_one_request_for_a_thousand_objects(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {f"d/{number:05}": b"x" for number in range(2500)})
    reader = Reader(seaweed, monkeypatch, seaweed.logged_url)
    mark = seaweed.mark()
    assert len(reader.find(f"s3://{bucket}/d/")) == 2500
    assert seaweed.operations_since(mark, bucket) == {"ListObjectVersions": 3}
    mark = seaweed.mark()
    assert len(reader.find(f"s3://{bucket}/d")) == 2500
    assert seaweed.operations_since(mark, bucket) == {"ListObjectVersions": 3, "ListObjectsV2": 1}


def test_one_object_costs_a_list_and_a_head_and_a_read_costs_one_get(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a.txt", b"hello")
    reader = Reader(seaweed, monkeypatch, seaweed.logged_url)
    mark = seaweed.mark()
    obj = reader.only(f"s3://{bucket}/d/a.txt")
    assert seaweed.operations_since(mark, bucket) == {"ListObjectVersions": 1, "HeadObject": 1}
    mark = seaweed.mark()
    assert reader.read(obj) == b"hello"
    assert seaweed.operations_since(mark, bucket) == {"GetObject": 1}
    mark = seaweed.mark()
    reader.backend.stat(Location.of(obj))
    assert seaweed.operations_since(mark, bucket) == {"HeadObject": 1}


def test_nothing_that_a_backend_does_is_a_write(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a.txt", b"hello")
    reader = Reader(seaweed, monkeypatch, seaweed.logged_url)
    mark = seaweed.mark()
    obj = reader.only(f"s3://{bucket}/d/a.txt")
    reader.read(obj)
    reader.find(f"s3://{bucket}")
    reader.backend.diagnose(reader.backend.parse(f"s3://{bucket}/d"))
    requests = seaweed.requests_since(mark, bucket)
    assert {request.method for request in requests} == {"GET", "HEAD"}
    assert Counter(request.status for request in requests)[403] == 0


# -- versions ----------------------------------------------------------------------------------------------------------


def test_only_current_versions_are_listed_and_deleted_objects_are_not(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    for number in range(5):
        seaweed.put(bucket, "d/often", b"%d" % number)
    seaweed.put(bucket, "d/deleted", b"x")
    seaweed.delete(bucket, "d/deleted")
    last = seaweed.put(bucket, "d/often", b"last")
    found = reader.find(f"s3://{bucket}/d")
    assert {path: obj.version for path, obj in found.items()} == {"often": last}


def test_pages_full_of_old_versions_hide_nothing(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    for content in (b"old", b"new"):
        seaweed.put_many(bucket, {f"d/a{number:04}": content for number in range(600)})
    for number in range(600):
        seaweed.delete(bucket, f"d/a{number:04}")
    seaweed.put(bucket, "d/z", b"x")
    assert set(reader.find(f"s3://{bucket}/d")) == {"z"}
    seaweed.delete(bucket, "d/z")
    assert reader.find(f"s3://{bucket}/d/") == {}
    with pytest.raises(SourceMissing):
        reader.find(f"s3://{bucket}/d")


def test_a_delete_marker_is_mentioned(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a", b"x")
    obj = reader.only(f"s3://{bucket}/d/a")
    marker = seaweed.delete(bucket, "d/a")
    with pytest.raises(SourceMissing, match="delete marker"):
        reader.find(f"s3://{bucket}/d/a")
    assert reader.read(obj) == b"x"
    with pytest.raises(SourceMissing):
        reader.find(f"s3://{bucket}/d/a?versionId={marker}")


def test_a_version_of_a_directory_is_missing(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    version = seaweed.put(bucket, "d/a", b"x")
    with pytest.raises(SourceMissing):
        reader.find(f"s3://{bucket}/d?versionId={version}")


def test_a_recorded_version_that_was_removed_for_good_is_called_gone(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    version = seaweed.put(bucket, "d/a", b"x")
    obj = reader.only(f"s3://{bucket}/d/a")
    seaweed.put(bucket, "d/a", b"other")
    seaweed.delete(bucket, "d/a", version)
    with pytest.raises(SourceMissing, match="recorded version"):
        reader.read(obj)


@pytest.mark.parametrize("kind", ["seaweed", "rgw"])
def test_what_was_written_before_versioning_is_pinned_by_etag_and_still_read_after_an_overwrite(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: S3Server = request.getfixturevalue(kind)
    reader = Reader(server, monkeypatch)
    bucket = server.make_bucket(versioned=False)
    server.put(bucket, "d/a", b"before")
    server.set_versioning(bucket, "Enabled")
    version = server.put(bucket, "d/b", b"after")
    found = reader.find(f"s3://{bucket}/d")
    assert (found["a"].version, found["a"].pin) == (None, Pin.ETAG)
    assert found["b"].version == version
    server.put(bucket, "d/a", b"on top")
    assert reader.read(found["a"]) == b"before"
    server.delete(bucket, "d/a")
    assert reader.read(found["a"], start=2) == b"fore"
    assert reader.only(f"s3://{bucket}/d/a?versionId=null").etag == found["a"].etag


def test_a_bucket_without_versions_is_noted_once(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket(versioned=False)
    seaweed.put_many(bucket, {f"d/{number:05}": b"x" for number in range(1100)})
    (note,) = reader.notes(f"s3://{bucket}/d")
    assert reader.notes(f"s3://{bucket}/d/00001") == [note]
    assert bucket in note
    assert "ETag" in note
    assert reader.notes(f"s3://{seaweed.make_bucket()}/") == []


# -- changes -----------------------------------------------------------------------------------------------------------


def test_an_overwrite_between_listing_and_reading_is_told_with_both_sides(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket(versioned=False)
    seaweed.put(bucket, "d/a", b"first")
    obj = reader.find(f"s3://{bucket}/d")["a"]
    seaweed.put(bucket, "d/a", b"second!")
    with pytest.raises(SourceChanged) as caught:
        reader.read(obj)
    for fact in (f"s3://{bucket}/d/a", obj.etag, "5 bytes", hashlib.md5(b"second!").hexdigest(), "7 bytes"):
        assert str(fact) in str(caught.value)
    with pytest.raises(SourceChanged):
        reader.read(obj, start=2)


def test_same_bytes_written_again_still_hold(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket(versioned=False)
    seaweed.put(bucket, "d/a", b"first")
    obj = reader.only(f"s3://{bucket}/d/a")
    seaweed.put(bucket, "d/a", b"first")
    assert reader.read(obj) == b"first"


def test_an_object_with_neither_version_nor_etag_is_read_if_its_size_fits(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket(versioned=False)
    seaweed.put(bucket, "d/a", b"first")
    at = reader.backend.parse(f"s3://{bucket}/d/a")
    assert reader.read(Object("s3", at.endpoint, bucket, "d/a", None)) == b"first"
    assert reader.read(Object("s3", at.endpoint, bucket, "d/a", 5)) == b"first"
    with pytest.raises(SourceChanged):
        reader.read(Object("s3", at.endpoint, bucket, "d/a", 6))


def test_object_and_directory_of_one_name_can_each_be_meant(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    version = seaweed.put(bucket, "p", b"object")
    seaweed.put(bucket, "p/inside", b"x")
    with pytest.raises(AmbiguousURI, match=f"s3://{bucket}/p/"):
        reader.find(f"s3://{bucket}/p")
    assert set(reader.find(f"s3://{bucket}/p/")) == {"inside"}
    assert set(reader.find(f"s3://{bucket}/p?versionId={version}")) == {"p"}


# -- checksums ---------------------------------------------------------------------------------------------------------


def test_a_checksum_that_the_service_keeps_is_recorded_and_proves_the_bytes(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket(versioned=False)
    seaweed.put(bucket, "d/a", b"hello", ChecksumAlgorithm="SHA256")
    obj = reader.only(f"s3://{bucket}/d/a")
    expected = Checksum("sha256", hashlib.sha256(b"hello").hexdigest())
    assert obj.checksum == expected
    assert obj.pin is Pin.CHECKSUM
    listed = reader.find(f"s3://{bucket}/d/")["a"]
    assert listed.checksum is None
    for one in (obj, listed):
        with reader.backend.open(one) as reading:
            assert (reading.proofs[0].checksum, reading.proofs[0].certain) == (expected, True)
    with reader.backend.open(listed, start=1) as reading:
        assert b"".join(reading.chunks) == b"ello"
        assert expected not in [proof.checksum for proof in reading.proofs]


def test_a_single_upload_is_proved_by_its_etag_but_not_for_certain(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a", b"hello")
    with reader.backend.open(reader.only(f"s3://{bucket}/d/a")) as reading:
        (proof,) = [proof for proof in reading.proofs if proof.checksum.algorithm == "md5"]
    assert proof.checksum.value == hashlib.md5(b"hello").hexdigest()
    assert not proof.certain


@pytest.mark.parametrize("sizes", [(PART, 100), (PART, PART), (PART + 1, PART + 1, 7)])
def test_a_multipart_object_is_proved_by_its_parts(seaweed: S3Server, reader: Reader, sizes: tuple[int, ...]) -> None:
    bucket = seaweed.make_bucket()
    data = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    seaweed.put_multipart(bucket, "d/big", data)
    for obj in (reader.find(f"s3://{bucket}/d/")["big"], reader.only(f"s3://{bucket}/d/big")):
        with reader.backend.open(obj) as reading:
            whole = b"".join(reading.chunks)
        assert whole == b"".join(data)
        (proof,) = [proof for proof in reading.proofs if proof.checksum.algorithm == "md5"]
        assert proof.part_size == sizes[0]
        digests = b"".join(hashlib.md5(part).digest() for part in data)
        assert proof.checksum.value == hashlib.md5(digests).hexdigest()


def test_uneven_parts_are_no_proof(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_multipart(bucket, "d/big", [b"a" * PART, b"b" * (PART * 2), b"c" * (PART + 5)])
    with reader.backend.open(reader.only(f"s3://{bucket}/d/big")) as reading:
        assert [proof for proof in reading.proofs if proof.part_size] == []


def test_compressed_objects_are_handed_out_as_they_are_stored(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    stored = gzip.compress(b"hello " * 1000)
    seaweed.put(bucket, "d/a.txt", stored, ContentEncoding="gzip", ContentType="text/plain")
    obj = reader.only(f"s3://{bucket}/d/a.txt")
    assert obj.size == len(stored)
    assert reader.read(obj) == stored


# -- who asks ----------------------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_called_so(seaweed: S3Server, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a", b"x")
    obj = reader.only(f"s3://{bucket}/d/a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    stranger = S3Backend(Settings())
    at = stranger.parse(f"s3://{bucket}/d/a")
    for attempt in (lambda: list(stranger.find(at)), lambda: stranger.stat(at), lambda: stranger.open(obj)):
        with pytest.raises(SourceDenied, match="AWS_SECRET_ACCESS_KEY") as caught:
            attempt()
        assert "not-the-secret" not in str(caught.value)


def test_an_unknown_access_key_is_called_so(reader: Reader, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = seaweed.make_bucket()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    with pytest.raises(SourceDenied, match="AWS_ACCESS_KEY_ID"):
        reader.find(f"s3://{bucket}")


def test_no_credentials_at_all_is_called_so(seaweed: S3Server, reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsMissing, match="aws sso login"):
        reader.find("s3://bucket/d")
    diagnosis = reader.backend.diagnose(reader.backend.parse("s3://bucket/d"))
    assert [check.ok for check in diagnosis.checks if check.name == "credentials"] == [False]


def test_a_profile_that_does_not_exist_is_called_so(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CredentialsMissing, match="profile"):
        reader.find("s3://bucket/d")


def test_credentials_come_from_a_profile_of_the_endpoint(
    seaweed: S3Server, isolated: object, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("aws") / "credentials"
    file.write_text(
        f"[lab]\naws_access_key_id = {seaweed.reader_key}\naws_secret_access_key = {seaweed.reader_secret}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a", b"x")
    lab = Endpoint("lab", "s3", seaweed.url, match=(f"s3://{bucket}",), profile="lab")
    backend = S3Backend(Settings(endpoints=(lab,)))
    (page,) = backend.find(backend.parse(f"s3://{bucket}/d"))
    obj = page.entries[0].object
    assert obj.endpoint == "lab"
    with backend.open(obj) as reading:
        assert b"".join(reading.chunks) == b"x"
    (check,) = [c for c in backend.diagnose(backend.parse(f"s3://{bucket}")).checks if c.name == "credentials"]
    assert check.ok
    assert seaweed.reader_secret not in check.detail


def test_a_public_bucket_is_read_without_credentials(rgw: S3Server) -> None:
    bucket = rgw.make_bucket()
    rgw.put(bucket, "d/a", b"public")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", '
        '"s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"], '
        f'"Resource": ["arn:aws:s3:::{bucket}", "arn:aws:s3:::{bucket}/*"]}}]}}'
    )
    rgw.client().put_bucket_policy(Bucket=bucket, Policy=policy)
    public = Endpoint("public", "s3", rgw.url, match=(f"s3://{bucket}",), anonymous=True)
    backend = S3Backend(Settings(endpoints=(public,)))
    (page,) = backend.find(backend.parse(f"s3://{bucket}/d"))
    with backend.open(page.entries[0].object) as reading:
        assert b"".join(reading.chunks) == b"public"
    diagnosis = backend.diagnose(backend.parse(f"s3://{bucket}/d"))
    assert diagnosis.pin is Pin.VERSION
    assert diagnosis.url == rgw.url


def policy_for(server: S3Server, bucket: str, *actions: str) -> None:
    quoted = ", ".join(f'"s3:{action}"' for action in actions)
    server.client().put_bucket_policy(
        Bucket=bucket,
        Policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
        f'"Principal": {{"AWS": ["arn:aws:iam:::user/{server.reader_key}"]}}, "Action": [{quoted}], '
        f'"Resource": ["arn:aws:s3:::{bucket}", "arn:aws:s3:::{bucket}/*"]}}]}}',
    )


def test_who_may_not_list_versions_gets_objects_pinned_by_etag_and_a_note(
    rgw: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = rgw.make_bucket()
    policy_for(rgw, bucket, "ListBucket", "GetObject")
    rgw.put(bucket, "d/a", b"x")
    reader = Reader(rgw, monkeypatch)
    found = reader.find(f"s3://{bucket}/d")
    assert found["a"].pin is Pin.ETAG
    assert reader.read(found["a"]) == b"x"
    (note,) = reader.notes(f"s3://{bucket}/d")
    assert "s3:ListBucketVersions" in note
    failed = {
        c.name: c.detail
        for c in reader.backend.diagnose(reader.backend.parse(f"s3://{bucket}/d")).checks
        if c.ok is False
    }
    assert list(failed) == ["list versions"]
    assert "s3:ListBucketVersions" in failed["list versions"]


def test_who_may_only_get_objects_can_still_add_one(rgw: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = rgw.make_bucket()
    policy_for(rgw, bucket, "GetObject")
    rgw.put(bucket, "d/a", b"x")
    reader = Reader(rgw, monkeypatch)
    obj = reader.only(f"s3://{bucket}/d/a")
    assert obj.pin is Pin.VERSION
    assert reader.read(obj) == b"x"
    rgw.put(bucket, "d/a", b"y")
    with pytest.raises(SourceDenied, match="s3:GetObjectVersion"):
        reader.read(obj)
    for uri in (f"s3://{bucket}/d", f"s3://{bucket}/d/", f"s3://{bucket}"):
        with pytest.raises(SourceDenied, match="s3:ListBucket"):
            reader.find(uri)
    diagnosis = reader.backend.diagnose(reader.backend.parse(f"s3://{bucket}/d/a"))
    failed = {check.name for check in diagnosis.checks if check.ok is False}
    assert failed == {"list", "list versions"}
    assert {check.name for check in diagnosis.checks if check.ok} >= {"read"}


def test_who_may_not_get_objects_is_told_the_permission(rgw: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = rgw.make_bucket()
    policy_for(rgw, bucket, "ListBucket", "ListBucketVersions")
    rgw.put(bucket, "d/a", b"x")
    reader = Reader(rgw, monkeypatch)
    obj = reader.find(f"s3://{bucket}/d")["a"]
    with pytest.raises(SourceDenied, match="s3:GetObjectVersion"):
        reader.read(obj)
    with pytest.raises(SourceDenied, match="s3:GetObject"):
        reader.backend.stat(Location.of(obj, pinned=False))
    failed = {
        c.name: c.detail
        for c in reader.backend.diagnose(reader.backend.parse(f"s3://{bucket}/d")).checks
        if c.ok is False
    }
    assert set(failed) == {"read", "read versions"}


# -- where -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "uri", ["s3://no-such-bucket-here", "s3://no-such-bucket-here/d", "s3://no-such-bucket-here/d/"]
)
def test_a_missing_bucket_is_named(reader: Reader, uri: str) -> None:
    with pytest.raises(SourceMissing, match="'no-such-bucket-here'"):
        reader.find(uri)
    assert any(check.ok is False for check in reader.backend.diagnose(reader.backend.parse(uri)).checks)


def test_an_endpoint_where_nobody_listens_is_named_soon(monkeypatch: pytest.MonkeyPatch, seaweed: S3Server) -> None:
    reader = Reader(seaweed, monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"http://127\.0\.0\.1:9"):
        reader.find("s3://bucket/d")
    diagnosis = reader.backend.diagnose(reader.backend.parse("s3://bucket/d"))
    assert any(check.ok is False for check in diagnosis.checks)


def test_a_server_that_never_answers_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch, seaweed: S3Server, faults: Callable[..., FaultProxy]
) -> None:
    monkeypatch.setattr("refstore.backends.s3.client._READ_TIMEOUT", 0.5)
    monkeypatch.setattr("refstore.backends.s3.stream.READ_SECONDS", 0.5)
    silent = faults(seaweed.url, hang=1)
    reader = Reader(seaweed, monkeypatch, silent.url)
    with pytest.raises(SourceUnavailable, match="no answer in time"):
        reader.find("s3://bucket/d")
    assert 0 < silent.seen["hang"] <= 4


def test_a_host_that_does_not_exist_is_named(monkeypatch: pytest.MonkeyPatch, seaweed: S3Server) -> None:
    reader = Reader(seaweed, monkeypatch, "http://nowhere.invalid:9000")
    with pytest.raises(SourceUnavailable, match=r"http://nowhere\.invalid:9000"):
        reader.find("s3://bucket/d")


def test_a_bucket_name_that_no_service_takes_is_one_sentence(reader: Reader) -> None:
    with pytest.raises(RefstoreError, match="s3://x"):
        reader.find("s3://x/d")


def test_a_diagnosis_tells_how_requests_are_made_and_no_secret(seaweed: S3Server, reader: Reader) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a", b"x")
    diagnosis = reader.backend.diagnose(reader.backend.parse(f"s3://{bucket}/d/a"))
    assert diagnosis.url == seaweed.url
    assert diagnosis.pin is Pin.VERSION
    checks = {check.name: check for check in diagnosis.checks}
    assert {name for name, check in checks.items() if check.ok} >= {
        "endpoint",
        "credentials",
        "region",
        "versioning",
        "list",
        "list versions",
        "read",
        "read versions",
    }
    assert "env" in checks["credentials"].detail
    assert "ader" in checks["credentials"].detail
    assert "us-east-1" in checks["region"].detail
    assert all(seaweed.reader_secret not in check.detail for check in diagnosis.checks)


def test_a_diagnosis_warns_of_a_rule_that_expires_old_versions(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "d/a", b"x")
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": "d/"},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
    }
    seaweed.client().put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    backend = S3Backend(Settings())
    about = {c.name: c.detail for c in backend.diagnose(backend.parse(f"s3://{bucket}/d/")).checks}
    assert "30 days" in about["lifecycle"]
    assert "lifecycle" not in {c.name for c in backend.diagnose(backend.parse(f"s3://{bucket}/other/")).checks}


# -- broken connections ------------------------------------------------------------------------------------------------


def test_throttling_and_dropped_requests_are_survived(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, flaky: Callable[..., str]
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {f"d/{number}": b"%d" % number for number in range(12)})
    reader = Reader(seaweed, monkeypatch, flaky(seaweed.url))
    found = reader.find(f"s3://{bucket}/d")
    assert len(found) == 12
    assert all(reader.read(obj) == path.encode() for path, obj in found.items())


def test_a_listing_that_is_cut_or_reset_is_asked_for_again(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, faults: Callable[..., FaultProxy]
) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {f"d/{number:04}": b"x" for number in range(500)})
    for kind in ("reset", "cut", "truncate", "slow_down"):
        proxy = faults(seaweed.url, **{kind: 1, "first": 2, "after": 5000})
        reader = Reader(seaweed, monkeypatch, proxy.url)
        assert len(reader.find(f"s3://{bucket}/d/")) == 500
        assert proxy.seen[kind] == 2


@pytest.mark.parametrize("kind", ["cut", "truncate"])
def test_a_body_that_breaks_off_is_never_taken_for_the_whole(
    seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, faults: Callable[..., FaultProxy], kind: str
) -> None:
    bucket = seaweed.make_bucket()
    data = bytes(range(256)) * 4096
    seaweed.put(bucket, "d/a", data)
    proxy = faults(seaweed.url)
    reader = Reader(seaweed, monkeypatch, proxy.url)
    obj = reader.find(f"s3://{bucket}/d/")["a"]
    proxy.faults = type(proxy.faults)(**{kind: 1, "after": 300_000})
    fresh = S3Backend(Settings())
    pieces: list[bytes] = []
    with pytest.raises(SourceUnavailable, match=f"s3://{bucket}/d/a"), fresh.open(obj) as reading:
        pieces.extend(reading.chunks)
    received = b"".join(pieces)
    assert data.startswith(received)
    proxy.faults = type(proxy.faults)()
    with fresh.open(obj, start=len(received)) as reading:
        assert received + b"".join(reading.chunks) == data
