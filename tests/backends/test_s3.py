"""The S3 backend against SeaweedFS and Ceph's RADOS Gateway."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from refstore.backends.base import Location
from refstore.backends.s3 import S3Backend
from refstore.config import Settings
from refstore.manifest.entry import Pin
from tests.backends.conformance import ODD_KEYS, Conformance, Source
from tests.servers.s3 import S3Server

# SeaweedFS joins `//`, turns `\` into `/`, refuses `.` and `..` as parts of keys, and loses a bell.
SEAWEED_KEYS = [key for key in ODD_KEYS if not any(odd in key for odd in ("//", "\\", "/.", "\x07"))]


class S3Source(Source):
    page = 1000
    secret_uris = (
        ("s3://AKIAKEY:hunter2@bucket/key", "hunter2"),
        ("s3://bucket/key?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0123abcd", "0123abcd"),
    )

    def __init__(
        self, server: S3Server, monkeypatch: pytest.MonkeyPatch, *, versioned: bool, odd_keys: Sequence[str]
    ) -> None:
        for name, value in server.environment(reader=True).items():
            monkeypatch.setenv(name, value)
        self.server = server
        self.backend = S3Backend(Settings())
        self.bucket = server.make_bucket(versioned=versioned)
        self.odd_keys = odd_keys
        self.pin = Pin.VERSION if versioned else Pin.ETAG
        self.has_versions = versioned
        self.bogus_version = "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrH"

    def put(self, key: str, data: bytes) -> None:
        self.server.put(self.bucket, key, data)

    def delete(self, key: str) -> None:
        self.server.delete(self.bucket, key)

    def uri(self, key: str) -> str:
        return self.backend.uri(Location("s3", "", self.bucket, key))


class TestSeaweedWithVersions(Conformance):
    @pytest.fixture
    def source(self, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Source:
        return S3Source(seaweed, monkeypatch, versioned=True, odd_keys=SEAWEED_KEYS)


class TestSeaweedWithoutVersions(Conformance):
    @pytest.fixture
    def source(self, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Source:
        source = S3Source(seaweed, monkeypatch, versioned=False, odd_keys=SEAWEED_KEYS)
        source.known_faults = {("empty", "etag")}  # listed with the ETag `""`
        return source


class TestRGWWithVersions(Conformance):
    @pytest.fixture
    def source(self, rgw: S3Server, monkeypatch: pytest.MonkeyPatch) -> Source:
        return S3Source(rgw, monkeypatch, versioned=True, odd_keys=ODD_KEYS)


class TestRGWWithoutVersions(Conformance):
    @pytest.fixture
    def source(self, rgw: S3Server, monkeypatch: pytest.MonkeyPatch) -> Source:
        return S3Source(rgw, monkeypatch, versioned=False, odd_keys=ODD_KEYS)
