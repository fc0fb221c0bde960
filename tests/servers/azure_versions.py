"""The read side of Azure Blob Storage with versioning, which no emulator has.

It answers as Microsoft's documentation says, and no more than refstore asks: List Blobs with `include=versions`
(https://learn.microsoft.com/rest/api/storageservices/list-blobs), Get Blob and Get Blob Properties with `versionid`
(https://learn.microsoft.com/rest/api/storageservices/get-blob), and what versioning does on a write or a delete
(https://learn.microsoft.com/azure/storage/blobs/versioning-overview). It checks no signatures. Nothing of it was
compared with the real service: it shows that refstore does what the documentation asks for, and no more.
"""

from __future__ import annotations

import base64
import email.utils
import hashlib
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from .azurite import KEY
from .scripted import Answer, Asked, ScriptedServer

ACCOUNT = "versioned"


@dataclass(frozen=True)
class Version:
    """One state of a blob. `id` is None for what was written before versioning was turned on."""

    data: bytes
    id: str | None
    etag: str
    modified: datetime
    current: bool = True
    tier: str = "Hot"
    metadata: Mapping[str, str] = field(default_factory=dict)


class AzureVersions:
    """A storage account with versioning. Use it as a context manager.

    Attributes:
        hierarchical: True makes it refuse to list below a file, as a hierarchical namespace does.
        may_list_versions: False makes it refuse `include=versions`, as a signature without that permission does.
    """

    def __init__(self) -> None:
        self.hierarchical = False
        self.may_list_versions = True
        self._containers: dict[str, dict[str, list[Version]]] = {}
        self._clock = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
        self._lock = threading.Lock()
        self._server = ScriptedServer(self._answer)

    def __enter__(self) -> AzureVersions:
        self._server.__enter__()
        return self

    def __exit__(self, *reason: object) -> None:
        self._server.__exit__(None, None, None)

    @property
    def url(self) -> str:
        return f"{self._server.url}/{ACCOUNT}"

    @property
    def connection_string(self) -> str:
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.url};"

    @property
    def asked(self) -> list[Asked]:
        return self._server.asked

    def make_container(self) -> str:
        container = f"t-{uuid.uuid4().hex[:16]}"
        self._containers[container] = {}
        return container

    def put(
        self, container: str, key: str, data: bytes, *, versioned: bool = True, tier: str = "Hot",
        metadata: Mapping[str, str] | None = None,
    ) -> str | None:  # fmt: skip
        """Write a blob; what was there becomes a previous version. Its version id."""
        with self._lock:
            self._clock += timedelta(seconds=1, microseconds=7)
            number = f"{self._clock:%Y-%m-%dT%H:%M:%S.%f}0Z" if versioned else None
            etag = f"0x8D{self._clock.timestamp() * 1e6:.0f}"
            before = [replace(v, current=False) for v in self._blob(container, key) if v.id is not None]
            new = Version(data, number, etag, self._clock.replace(microsecond=0), True, tier, metadata or {})
            self._containers[container][key] = [*before, new]
            return number

    def delete(self, container: str, key: str) -> None:
        """Delete a blob: its current version becomes a previous one, and there is no current one then."""
        with self._lock:
            self._containers[container][key] = [
                replace(v, current=False) for v in self._blob(container, key) if v.id is not None
            ]

    def delete_version(self, container: str, key: str, version: str) -> None:
        with self._lock:
            self._containers[container][key] = [v for v in self._blob(container, key) if v.id != version]

    def _blob(self, container: str, key: str) -> list[Version]:
        return self._containers[container].get(key, [])

    def _answer(self, asked: Asked) -> Answer:
        parts = urlsplit(asked.path)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        _, _, container, *rest = parts.path.split("/", 3)
        with self._lock:
            if container not in self._containers:
                return _error(404, "ContainerNotFound")
            if query.get("comp") == "list":
                return self._list(container, query)
            return self._get(self._blob(container, unquote(rest[0])), query, asked)

    def _list(self, container: str, query: Mapping[str, str]) -> Answer:
        versions = "versions" in query.get("include", "").split(",")
        if versions and not self.may_list_versions:
            return _error(403, "AuthorizationPermissionMismatch")
        if self.hierarchical and query.get("prefix", "").rstrip("/") in self._containers[container]:
            return _error(409, "PathConflict")
        prefix, size = query.get("prefix", ""), int(query.get("maxresults", 5000))
        rows = [
            (key, version)
            for key, all_versions in sorted(self._containers[container].items())
            for version in all_versions
            if key.startswith(prefix) and (versions or version.current)
        ]
        start = int(query.get("marker") or 0)
        blobs = "".join(_row(key, version, versions) for key, version in rows[start : start + size])
        marker = str(start + size) if start + size < len(rows) else ""
        body = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="{self.url}/" '
            f'ContainerName="{container}"><Prefix>{escape(prefix)}</Prefix><MaxResults>{size}</MaxResults>'
            f"<Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
        )
        return Answer(200, body.encode(), {"Content-Type": "application/xml"})

    def _get(self, versions: list[Version], query: Mapping[str, str], asked: Asked) -> Answer:
        wanted = query.get("versionid")
        if wanted is not None and not wanted.endswith("Z"):
            return _error(400, "InvalidQueryParameterValue")
        found = next((v for v in versions if (v.current if wanted is None else v.id == wanted)), None)
        if found is None:
            return _error(404, "BlobNotFound")
        if asked.headers.get("if-match", f'"{found.etag}"') != f'"{found.etag}"':
            return _error(412, "ConditionNotMet")
        headers = {
            "ETag": f'"{found.etag}"',
            "Last-Modified": email.utils.format_datetime(found.modified, usegmt=True),
            "x-ms-blob-type": "BlockBlob",
            "x-ms-access-tier": found.tier,
            **{f"x-ms-meta-{name}": text for name, text in found.metadata.items()},
        }
        if found.id is not None:
            headers["x-ms-version-id"] = found.id
        if found.current:
            headers["x-ms-is-current-version"] = "true"
        md5 = base64.b64encode(hashlib.md5(found.data).digest()).decode()
        if asked.method == "HEAD":
            return Answer(200, b"", {**headers, "Content-MD5": md5, "Content-Length": str(len(found.data))})
        if found.tier == "Archive":
            return _error(409, "BlobArchived")
        span = (asked.headers.get("x-ms-range") or asked.headers.get("range") or "").removeprefix("bytes=")
        if not span:
            return Answer(200, found.data, {**headers, "Content-MD5": md5})
        first, _, last = span.partition("-")
        start, end = int(first), min(int(last) + 1 if last else len(found.data), len(found.data))
        if start >= len(found.data):
            return _error(416, "InvalidRange")
        headers |= {"Content-Range": f"bytes {start}-{end - 1}/{len(found.data)}", "x-ms-blob-content-md5": md5}
        return Answer(206, found.data[start:end], headers)


def _row(key: str, version: Version, versions: bool) -> str:
    identity = f"<VersionId>{version.id}</VersionId>" if versions and version.id is not None else ""
    if versions and version.current:
        identity += "<IsCurrentVersion>true</IsCurrentVersion>"
    md5 = base64.b64encode(hashlib.md5(version.data).digest()).decode()
    metadata = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in version.metadata.items())
    return (
        f"<Blob><Name>{escape(key)}</Name>{identity}<Properties>"
        f"<Last-Modified>{email.utils.format_datetime(version.modified, usegmt=True)}</Last-Modified>"
        f"<Etag>{version.etag}</Etag><Content-Length>{len(version.data)}</Content-Length>"
        f"<Content-Type>application/octet-stream</Content-Type><Content-MD5>{md5}</Content-MD5>"
        f"<BlobType>BlockBlob</BlobType><AccessTier>{version.tier}</AccessTier></Properties>"
        f"<Metadata>{metadata}</Metadata></Blob>"
    )


def _error(status: int, code: str) -> Answer:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Answer(status, body.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})
