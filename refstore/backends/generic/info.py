"""What the many implementations of fsspec call size, ETag, checksum and time in their listings, read as one."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from refstore.backends.times import iso_from_any
from refstore.manifest.entry import Checksum, Object

_ETAGS = ("ETag", "etag", "e_tag", "blob_id")
# There is no common way to read an old version, so a version only serves to notice a change, as an ETag does.
_VERSIONS = ("version_id", "VersionId", "versionId", "version", "generation")
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "lastModified", "updated", "modify", "created")
_CHECKSUMS = {
    "sha256": ("sha256", "SHA256", "sha256Hash"),
    "sha1": ("sha1", "SHA1"),
    "md5": ("md5", "MD5", "content_md5", "Content-MD5", "contentMd5", "md5Hash", "md5_hash"),
}
_LENGTHS = {"sha256": 32, "sha1": 20, "md5": 16}


def object_of(scheme: str, bucket: str, key: str, info: Mapping[str, Any]) -> Object:
    """The object for one row of `ls(detail=True)`, or for what `info()` gives."""
    size = info.get("size")
    return Object(
        scheme,
        "",
        bucket,
        key,
        int(size) if isinstance(size, (int, str)) and str(size).isdigit() else None,
        etag=_etag(info),
        checksum=_checksum(info),
        mtime=next((iso for name in _TIMES if (iso := iso_from_any(info.get(name)))), None),
    )


def _etag(info: Mapping[str, Any]) -> str | None:
    for name in (*_ETAGS, *_VERSIONS):
        value = info.get(name)
        if isinstance(value, (str, int)) and value != "":
            text = str(value).strip()
            weak = "W/" if text.startswith("W/") else ""
            return weak + text.removeprefix("W/").removeprefix('"').removesuffix('"')
    return None


def _checksum(info: Mapping[str, Any]) -> Checksum | None:
    large = info.get("lfs")
    if large is not None:
        # Hugging Face: a pointer's own hash is no hash of the content.
        value = large.get("sha256") if isinstance(large, Mapping) else getattr(large, "sha256", None)
        return Checksum("sha256", value.lower()) if isinstance(value, str) else None
    for algorithm, names in _CHECKSUMS.items():
        for name in names:
            digest = _hex(info.get(name), _LENGTHS[algorithm])
            if digest:
                return Checksum(algorithm, digest)
    return None


def _hex(value: object, length: int) -> str | None:
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).hex() if len(value) == length else None
    if not isinstance(value, str):
        return None
    if re.fullmatch(f"[0-9A-Fa-f]{{{2 * length}}}", value):
        return value.lower()
    try:
        raw = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw.hex() if len(raw) == length else None
