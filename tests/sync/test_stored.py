"""Remotes that are only storage: what each kind of it has to do, against real servers."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import fsspec.config
import pytest

from refstore.backends import Backends
from refstore.config import Endpoint, Settings
from refstore.errors import (
    CatalogTooNew,
    ChecksumMismatch,
    CredentialsMissing,
    InvalidSetting,
    InvalidURI,
    RefstoreError,
    RemoteCorrupt,
    SecretInURI,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    UnsupportedScheme,
    UsageError,
)
from refstore.manifest.entry import Checksum
from refstore.sync import remote as remote_module
from refstore.sync import stored
from refstore.sync.places.place import PART, part_size
from refstore.sync.stored import StoredRemote
from tests.servers import ftp as ftp_server
from tests.servers import sftp as sftp_server
from tests.servers.azurite import Azurite
from tests.servers.faults import FaultProxy
from tests.servers.gcs import Gcs
from tests.servers.running import Run
from tests.servers.s3 import S3Server


@pytest.fixture(autouse=True)
def fsspec_config() -> Iterator[dict[str, Any]]:
    before = dict(fsspec.config.conf)
    yield fsspec.config.conf
    fsspec.config.conf.clear()
    fsspec.config.conf.update(before)


def remote_at(url: str, *endpoints: Endpoint) -> StoredRemote:
    return StoredRemote(url, Backends(Settings(endpoints=endpoints)))


def pack(text: str = "a record\n") -> tuple[str, bytes]:
    data = text.encode()
    return hashlib.sha256(data).hexdigest(), data


def content(folder: Path, data: bytes, algorithm: str = "md5") -> tuple[Checksum, Path]:
    path = folder / uuid.uuid4().hex
    path.write_bytes(data)
    return Checksum(algorithm, hashlib.new(algorithm, data).hexdigest()), path


class Conformance:
    """To be subclassed with a fixture `url`: a fresh, empty place that takes files."""

    @pytest.fixture
    def remote(self, url: str) -> StoredRemote:
        return remote_at(url)

    def test_an_empty_place_has_no_identity_and_no_packs(self, remote: StoredRemote) -> None:
        assert remote.identity() is None
        assert list(remote.names()) == []

    def test_an_identity_is_made_once_and_is_the_same_for_all(self, remote: StoredRemote, url: str) -> None:
        made = remote.identity(create=True)
        assert made
        assert remote.identity(create=True) == made
        assert remote_at(url).identity() == made

    def test_first_writers_at_once_agree_on_the_identity_in_the_end(self, remote: StoredRemote) -> None:
        barrier = threading.Barrier(4)

        def begin(_: int) -> str | None:
            barrier.wait()
            return remote.identity(create=True)

        with ThreadPoolExecutor(4) as pool:
            made = set(pool.map(begin, range(4)))
        assert remote.identity() in made

    def test_a_pack_comes_back_as_it_was_written(self, remote: StoredRemote, url: str) -> None:
        name, data = pack("å\n" * 1000)
        remote.write(name, data)
        remote.write(name, data)
        assert list(remote_at(url).names()) == [name]
        assert remote_at(url).read(name) == data

    def test_many_threads_write_and_read_at_once(self, remote: StoredRemote) -> None:
        packs = dict(pack(f"record {number}\n") for number in range(24))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(remote.write, packs, packs.values()))
            assert sorted(remote.names()) == sorted(packs)
            assert dict(zip(packs, pool.map(remote.read, packs), strict=True)) == packs

    def test_a_pack_that_is_not_there_is_missing(self, remote: StoredRemote) -> None:
        remote.identity(create=True)
        name, _ = pack()
        with pytest.raises(SourceMissing, match=name):
            remote.read(name)

    def test_a_pack_that_is_another_than_its_name_says_is_refused(self, remote: StoredRemote) -> None:
        name, _ = pack()
        remote.write(name, b"another record\n")
        with pytest.raises(RemoteCorrupt, match=name):
            remote.read(name)

    def test_content_comes_back_from_any_offset(self, remote: StoredRemote, tmp_path: Path) -> None:
        data = os.urandom(3_000_000)
        checksum, path = content(tmp_path, data, "sha256")
        remote.write_content(checksum, path)
        remote.write_content(checksum, path)
        assert b"".join(remote.read_content(checksum)) == data
        assert b"".join(remote.read_content(checksum, 2_999_990)) == data[-10:]
        assert b"".join(remote.read_content(checksum, len(data))) == b""

    def test_empty_content_is_content(self, remote: StoredRemote, tmp_path: Path) -> None:
        checksum, path = content(tmp_path, b"")
        remote.write_content(checksum, path)
        assert remote.has_content([checksum]) == {checksum}
        assert b"".join(remote.read_content(checksum)) == b""

    def test_long_content_goes_in_parts(self, remote: StoredRemote, tmp_path: Path) -> None:
        data = os.urandom(1 << 20) * 19 + b"end"
        assert len(data) > 2 * PART
        checksum, path = content(tmp_path, data)
        remote.write_content(checksum, path)
        assert hashlib.md5(b"".join(remote.read_content(checksum))).hexdigest() == checksum.value

    @pytest.mark.parametrize("size", [1000, 2 * PART + 1000])
    def test_a_file_that_is_not_the_content_is_never_written(
        self, remote: StoredRemote, tmp_path: Path, size: int
    ) -> None:
        checksum, path = content(tmp_path, b"x" * size)
        path.write_bytes(b"x" * (size - 1) + b"y")
        with pytest.raises(ChecksumMismatch, match=checksum.value):
            remote.write_content(checksum, path)
        assert remote.has_content([checksum]) == set()

    def test_it_knows_which_content_it_has(self, remote: StoredRemote, tmp_path: Path) -> None:
        there = []
        for number in range(3):
            checksum, path = content(tmp_path, b"%d" % number)
            remote.write_content(checksum, path)
            there.append(checksum)
        crowd = [Checksum("md5", f"ab{number:030x}") for number in range(20)]
        neighbour = tmp_path / "neighbour"
        neighbour.write_bytes(b"n")
        remote._place.put("content/md5/ab/" + crowd[7].value[2:], b"n")
        assert remote.has_content([*there, *crowd]) == {*there, crowd[7]}
        assert remote.has_content([]) == set()

    def test_content_that_is_not_there_is_missing(self, remote: StoredRemote) -> None:
        checksum = Checksum("md5", "0" * 32)
        with pytest.raises(SourceMissing, match=checksum.value):
            list(remote.read_content(checksum))

    def test_what_others_left_there_is_not_a_pack(self, remote: StoredRemote) -> None:
        remote._place.put("packs/README.txt", b"hello")
        remote._place.put("packs/" + "0" * 63 + ".jsonl.gz", b"hello")
        remote._place.put("packs/deeper/" + "0" * 64 + ".jsonl.gz", b"hello")
        assert list(remote.names()) == []

    def test_a_place_that_something_else_wrote_to_is_no_remote(self, remote: StoredRemote) -> None:
        for text in (b"", b"[]", b"\xff", b'{"refstore": "1"}', b'{"refstore": 1, "remote": 7}', b"x" * 100_000):
            remote._place.put("refstore.json", text)
            with pytest.raises(RemoteCorrupt, match="no refstore remote"):
                remote.identity()

    def test_a_newer_format_is_refused(self, remote: StoredRemote) -> None:
        remote._place.put("refstore.json", json.dumps({"refstore": 2, "remote": "x"}).encode())
        with pytest.raises(CatalogTooNew, match="format 2"):
            remote.identity(create=True)

    def test_the_url_is_in_every_message(self, remote: StoredRemote) -> None:
        remote._place.put("refstore.json", b"nothing")
        with pytest.raises(RemoteCorrupt) as raised:
            remote.identity()
        assert remote.url in str(raised.value)


class TestFolder(Conformance):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return str(tmp_path / "share")

    def test_nothing_unfinished_stays_behind(self, remote: StoredRemote, tmp_path: Path) -> None:
        checksum, path = content(tmp_path, b"x" * 100)
        path.write_bytes(b"y")
        remote.identity(create=True)
        with pytest.raises(ChecksumMismatch):
            remote.write_content(checksum, path)
        assert [p.name for p in (tmp_path / "share").rglob("*") if p.is_file()] == ["refstore.json"]

    def test_a_disk_that_is_not_mounted_is_not_taken_for_an_empty_remote(self, tmp_path: Path) -> None:
        remote = remote_at(str(tmp_path / "mnt" / "share"))
        for ask in (remote.identity, lambda: remote.identity(create=True), lambda: remote.write(*pack())):
            with pytest.raises(SourceMissing, match="is its disk mounted"):
                ask()
        assert not (tmp_path / "mnt").exists()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_read_only_folder_is_denied(self, tmp_path: Path) -> None:
        (tmp_path / "share").mkdir(mode=0o555)
        with pytest.raises(SourceDenied, match="No permission to write"):
            remote_at(str(tmp_path / "share")).write(*pack())

    def test_a_file_is_no_remote(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(SourceMissing, match="a file has that name"):
            remote_at(str(tmp_path / "file")).identity()


class TestMemory(Conformance):
    @pytest.fixture
    def url(self) -> str:
        return f"memory://{uuid.uuid4().hex}/team"


class TestFtp(Conformance):
    @pytest.fixture
    def url(self, run: Run, fsspec_config: dict[str, Any]) -> str:
        server = ftp_server.shared(run)
        fsspec_config["ftp"] = {"username": ftp_server.USER, "password": ftp_server.PASSWORD}
        return f"ftp://{server.address}/{server.folder().name}/team"


class TestSftp(Conformance):
    @pytest.fixture
    def url(self, run: Run, fsspec_config: dict[str, Any]) -> str:
        server = sftp_server.shared(run)
        fsspec_config["sftp"] = {"password": sftp_server.PASSWORD}
        return f"sftp://{server.address}/{server.folder().name}/team"

    def test_a_wrong_password_is_refused(self, url: str, fsspec_config: dict[str, Any]) -> None:
        fsspec_config["sftp"] = {"password": "wrong"}
        with pytest.raises(CredentialsMissing, match="does not accept the login") as raised:
            remote_at(url).identity()
        assert "wrong" not in str(raised.value)


class TestS3(Conformance):
    @pytest.fixture
    def url(self, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
        for name, value in seaweed.environment(logged=True).items():
            monkeypatch.setenv(name, value)
        return f"s3://{seaweed.make_bucket(versioned=False)}/team/data"

    def test_first_writers_at_once_all_get_the_same_identity(self, remote: StoredRemote) -> None:
        barrier = threading.Barrier(6)

        def begin(_: int) -> str | None:
            barrier.wait()
            return remote.identity(create=True)

        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(begin, range(6)))) == 1

    def test_as_few_requests_as_promised(self, seaweed: S3Server, url: str, tmp_path: Path) -> None:
        bucket = url.split("/")[2]
        remote = remote_at(url)
        name, data = pack()

        def asked(action: Callable[[], object]) -> list[str]:
            mark = seaweed.mark()
            action()
            return sorted(seaweed.operations_since(mark, bucket).elements())

        assert len(asked(lambda: remote.identity(create=True))) == 3
        assert len(asked(remote.identity)) == 1
        assert len(asked(lambda: remote.write(name, data))) == 1
        assert len(asked(lambda: list(remote.names()))) == 1
        assert len(asked(lambda: remote.read(name))) == 1
        checksum, path = content(tmp_path, b"x")
        assert len(asked(lambda: remote.write_content(checksum, path))) == 1
        crowd = [Checksum("md5", f"ab{number:030x}") for number in range(200)]
        assert len(asked(lambda: remote.has_content(crowd))) == 1

    def test_an_upload_that_fails_leaves_no_parts_behind(
        self, seaweed: S3Server, url: str, remote: StoredRemote, tmp_path: Path
    ) -> None:
        checksum, path = content(tmp_path, b"x" * (2 * PART))
        path.write_bytes(b"x" * (2 * PART - 1) + b"y")
        with pytest.raises(ChecksumMismatch):
            remote.write_content(checksum, path)
        left = seaweed.client().list_multipart_uploads(Bucket=url.split("/")[2])
        assert not left.get("Uploads")

    def test_a_whole_bucket_can_be_a_remote(self, url: str) -> None:
        remote = remote_at("/".join(url.split("/")[:3]))
        name, data = pack()
        remote.write(name, data)
        assert list(remote.names()) == [name]

    def test_a_bucket_that_does_not_exist_is_missing(self, url: str) -> None:
        remote = remote_at("s3://no-such-bucket-here/team")
        for ask in (remote.identity, lambda: list(remote.names())):  # SeaweedFS makes a bucket for an admin who writes
            with pytest.raises(SourceMissing, match="no bucket 'no-such-bucket-here'"):
                ask()

    def test_who_may_only_read_can_do_that(
        self, seaweed: S3Server, url: str, remote: StoredRemote, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name, data = pack()
        remote.write(name, data)
        for variable, value in seaweed.environment(reader=True).items():
            monkeypatch.setenv(variable, value)
        reader = remote_at(url)
        assert reader.read(name) == data
        with pytest.raises(SourceDenied, match="s3:PutObject"):
            reader.write(name, data)
        with pytest.raises(SourceDenied):
            reader.identity(create=True)

    def test_wrong_credentials_are_denied(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
        with pytest.raises(SourceDenied, match="secret key"):
            remote_at(url).identity()

    def test_no_credentials_are_named_as_that(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        with pytest.raises(CredentialsMissing, match="AWS_ACCESS_KEY_ID"):
            remote_at(url).identity()

    def test_a_network_that_is_gone_is_unavailable(
        self, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch, run: Run
    ) -> None:
        bucket = seaweed.make_bucket(versioned=False)
        for name, value in seaweed.environment(url=f"http://127.0.0.1:{run.port()}").items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SourceUnavailable, match="can't be reached"):
            remote_at(f"s3://{bucket}/team").identity()

    def test_an_endpoint_of_the_settings_is_used(self, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        environment = seaweed.environment()
        del environment["AWS_ENDPOINT_URL"]
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        bucket = seaweed.make_bucket(versioned=False)
        lab = Endpoint("lab", "s3", seaweed.url, match=(f"s3://{bucket}",), region="us-east-1")
        assert remote_at(f"s3://{bucket}/team", lab).identity(create=True)

    def test_overloaded_servers_are_asked_again(
        self, seaweed: S3Server, flaky: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in seaweed.environment(url=flaky(seaweed.url)).items():
            monkeypatch.setenv(name, value)
        remote = remote_at(f"s3://{seaweed.make_bucket(versioned=False)}/team")
        packs = dict(pack(f"record {number}\n") for number in range(8))
        for name, data in packs.items():
            remote.write(name, data)
        assert {name: remote.read(name) for name in remote.names()} == packs


class TestGcs(Conformance):
    @pytest.fixture
    def url(self, gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> str:
        for name, value in gcs.environment().items():
            monkeypatch.setenv(name, value)
        return f"gs://{gcs.make_bucket(versioned=False)}/team"

    def test_a_bucket_that_does_not_exist_is_missing(self, url: str) -> None:
        remote = remote_at("gs://no-such-bucket-here/team")
        for ask in (lambda: list(remote.names()), lambda: remote.write(*pack())):
            with pytest.raises(SourceMissing, match="does not exist"):
                ask()


class TestAzure(Conformance):
    @pytest.fixture
    def url(self, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> str:
        for name, value in azurite.environment().items():
            monkeypatch.setenv(name, value)
        return f"az://{azurite.make_container()}/team"

    def test_first_writers_at_once_all_get_the_same_identity(self, remote: StoredRemote) -> None:
        with ThreadPoolExecutor(6) as pool:
            assert len(set(pool.map(lambda _: remote.identity(create=True), range(6)))) == 1

    def test_a_container_that_does_not_exist_is_missing(self, url: str) -> None:
        remote = remote_at("az://no-such-container/team")
        for ask in (remote.identity, lambda: list(remote.names()), lambda: remote.write(*pack())):
            with pytest.raises(SourceMissing, match="container"):
                ask()

    def test_a_wrong_key_is_denied(self, azurite: Azurite, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        text = azurite.connection_string.replace(azurite.key, "d3Jvbmc=")
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
        with pytest.raises(SourceDenied) as raised:
            remote_at(url).identity()
        assert "d3Jvbmc" not in str(raised.value)

    def test_two_who_send_the_same_long_content_both_succeed(self, url: str, tmp_path: Path) -> None:
        data = os.urandom(1 << 20) * 18
        checksum, path = content(tmp_path, data)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda _: remote_at(url).write_content(checksum, path), range(2)))
        assert remote_at(url).has_content([checksum]) == {checksum}


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("https://example.org/team", InvalidURI),
        ("s3://", InvalidURI),
        ("s3://b/k?versionId=1", InvalidURI),
        ("s3://me:hunter2@b/k", SecretInURI),
        ("sftp://me:hunter2@h/k", SecretInURI),
        ("nonsense://b/k", UnsupportedScheme),
        ("az://container/team", InvalidURI),
    ],
)
def test_what_can_not_be_a_remote_is_refused_before_any_request(url: str, error: type[RefstoreError]) -> None:
    with pytest.raises(error) as raised:
        remote_at(url)
    assert "hunter2" not in str(raised.value)


def test_an_endpoint_that_is_not_set_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(InvalidSetting, match="AWS_ENDPOINT_URL"):
        remote_at("s3://b/k")


def test_a_pack_beyond_all_measure_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_PACK", 1 << 20)
    remote = remote_at(str(tmp_path / "share"))
    name = "0" * 64
    remote._place.put(f"packs/{name}.jsonl.gz", gzip.compress(bytes(2 << 20)))
    with pytest.raises(RemoteCorrupt, match=f"{name}.*larger"):
        remote.read(name)
    assert remote_module.MAX_PACK > 16 << 20


def test_a_pack_that_is_cut_off_or_no_gzip_is_refused(tmp_path: Path) -> None:
    remote = remote_at(str(tmp_path / "share"))
    name, data = pack()
    for broken in (gzip.compress(data)[:-5], b"plain text", b""):
        remote._place.put(f"packs/{name}.jsonl.gz", broken)
        with pytest.raises(RemoteCorrupt, match=name):
            remote.read(name)


def test_names_that_would_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    remote = remote_at(str(tmp_path / "share"))
    with pytest.raises(UsageError):
        remote.read("../../etc/passwd")
    with pytest.raises(UsageError):
        remote.read_content(Checksum("md5", "../../../etc/passwd"))
    with pytest.raises(UsageError):
        remote.has_content([Checksum("..", "0" * 32)])


def test_the_same_pack_is_the_same_bytes_whoever_writes_it(tmp_path: Path) -> None:
    name, data = pack()
    written = []
    for place in ("one", "two"):
        remote_at(str(tmp_path / place)).write(name, data)
        written.append((tmp_path / place / "packs" / f"{name}.jsonl.gz").read_bytes())
    assert written[0] == written[1]


def test_parts_are_few_enough_for_every_service() -> None:
    assert part_size(1) == PART
    assert (5 << 40) / part_size(5 << 40) < 10_000


def test_a_connection_that_breaks_in_the_middle_is_an_error(
    seaweed: S3Server, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    url = f"s3://{seaweed.make_bucket(versioned=False)}/team"
    checksum, path = content(tmp_path, os.urandom(4 << 20))
    remote_at(url).write_content(checksum, path)
    broken = faults(seaweed.url, cut=1, after=2_000_000)
    monkeypatch.setenv("AWS_ENDPOINT_URL", broken.url)
    with pytest.raises(SourceUnavailable):
        list(remote_at(url).read_content(checksum))
