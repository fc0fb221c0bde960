"""Objects, checksums and proofs out of S3's answers."""

from __future__ import annotations

import base64
import binascii
import re
from datetime import datetime
from typing import Any

from refstore.backends.base import Proof
from refstore.backends.times import iso_from_datetime
from refstore.manifest.entry import Checksum, Object

_CHECKSUMS = (
    ("ChecksumSHA256", "sha256"),
    ("ChecksumSHA1", "sha1"),
    ("ChecksumCRC64NVME", "crc64nvme"),
    ("ChecksumCRC32C", "crc32c"),
    ("ChecksumCRC32", "crc32"),
)
_MD5 = re.compile(r"[0-9a-f]{32}")
_MULTIPART = re.compile(r"([0-9a-f]{32})-([1-9][0-9]{0,4})")


def etag(text: str | None) -> str | None:
    """An ETag without its quotes; None for none."""
    if not text:
        return None
    weak = text.startswith("W/")
    bare = text.removeprefix("W/").strip('"')
    return (f"W/{bare}" if weak else bare) or None


def version(text: str | None) -> str | None:
    """A version id that stays; `null` is overwritten in place, so it is none.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/AddingObjectstoVersionSuspendedBuckets.html
    """
    return text if text and text != "null" else None


def time(value: str | datetime | None) -> str | None:
    """A time to the second: LIST may have milliseconds where HEAD has none."""
    if isinstance(value, datetime):
        return iso_from_datetime(value.replace(microsecond=0))
    return f"{value[:19]}Z" if value else None


def storage_class(text: str | None) -> str | None:
    """A storage class; None for the standard one."""
    return text if text != "STANDARD" else None


def listed(endpoint: str, bucket: str, row: dict[str, Any]) -> Object:
    """One row of ListObjectVersions or ListObjectsV2."""
    return Object(
        "s3",
        endpoint,
        bucket,
        row["Key"],
        row.get("Size"),
        version(row.get("VersionId")),
        etag(row.get("ETag")),
        None,
        time(row.get("LastModified")),
        storage_class(row.get("StorageClass")),
    )


def headed(endpoint: str, bucket: str, key: str, answer: dict[str, Any]) -> Object:
    """The answer of HeadObject."""
    return Object(
        "s3",
        endpoint,
        bucket,
        key,
        answer.get("ContentLength"),
        version(answer.get("VersionId")),
        etag(answer.get("ETag")),
        next(iter(checksums(answer)), None),
        time(answer.get("LastModified")),
        storage_class(answer.get("StorageClass")),
    )


def checksums(answer: dict[str, Any]) -> list[Checksum]:
    """The checksums over the whole content that an answer carries, strongest first; one composed of parts is not one.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
    """
    if answer.get("ChecksumType") == "COMPOSITE":
        return []
    found = []
    for field, algorithm in _CHECKSUMS:
        text = answer.get(field)
        if text and "-" not in text:
            try:
                found.append(Checksum(algorithm, base64.b64decode(text, validate=True).hex()))
            except binascii.Error:
                continue
    return found


def proofs(obj: Object, answer: dict[str, Any], *, whole: bool, part_size: int | None) -> tuple[Proof, ...]:
    """What can prove an object's content, strongest first.

    Args:
        obj: As recorded.
        answer: Of GetObject.
        whole: Whether the answer is about all bytes: only then are its checksums.
        part_size: In bytes, of a multipart object, where it is known.
    """
    certain = [obj.checksum] if obj.checksum else []
    certain += [checksum for checksum in (checksums(answer) if whole else []) if checksum not in certain]
    strong = [Proof(checksum) for checksum in certain if checksum.algorithm in ("sha256", "sha1", "md5")]
    weak = [Proof(checksum) for checksum in certain if checksum.algorithm not in ("sha256", "sha1", "md5")]
    by_etag = _from_etag(obj.etag, answer, part_size)
    return (*strong, *by_etag, *weak)


def parts(tag: str | None) -> int | None:
    """How many parts an object was uploaded in, if its ETag looks as if made of their MD5s."""
    match = _MULTIPART.fullmatch(tag or "")
    return int(match[2]) if match else None


def _from_etag(tag: str | None, answer: dict[str, Any], part_size: int | None) -> tuple[Proof, ...]:
    """An ETag is an MD5 for single uploads with no encryption or SSE-S3, says AWS; others may put anything there.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if not tag or _opaque(answer):
        return ()
    if _MD5.fullmatch(tag):
        return (Proof(Checksum("md5", tag), certain=answer.get("ServerSideEncryption") == "AES256"),)
    match = _MULTIPART.fullmatch(tag)
    if match and part_size:
        return (Proof(Checksum("md5", match[1]), part_size, certain=False),)
    return ()


def _opaque(answer: dict[str, Any]) -> bool:
    return answer.get("ServerSideEncryption") not in (None, "AES256") or bool(answer.get("SSECustomerAlgorithm"))
