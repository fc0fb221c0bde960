"""What Azure's answers say of a blob, as objects; and whether an answer is about the blob that was recorded."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from refstore.backends.base import Location, Proof
from refstore.backends.times import iso_from_datetime
from refstore.errors import SourceChanged
from refstore.manifest.entry import Checksum, Object

_STANDARD_TIERS = ("", "hot", "none")


def object_of(location: Location, row: Any, *, key: str | None = None) -> tuple[Object, bool]:
    """A blob as the SDK describes it, and whether it only marks a directory."""
    name = str(row.name) if key is None else key
    tier = str(getattr(row.blob_tier, "value", row.blob_tier) or "")
    found = Object(
        scheme="az",
        endpoint=location.endpoint,
        bucket=location.bucket,
        key=name,
        size=row.size,
        version=row.version_id or None,
        etag=_plain(row.etag),
        checksum=_md5(row.content_settings.content_md5),
        mtime=iso_from_datetime(row.last_modified) if row.last_modified else None,
        storage_class=None if tier.lower() in _STANDARD_TIERS else tier,
    )
    folder = any(name.lower() == "hdi_isfolder" and text == "true" for name, text in (row.metadata or {}).items())
    return found, folder or (found.size == 0 and found.key.endswith(("/", "_$folder$")))


def _plain(etag: str | None) -> str | None:
    return etag.removeprefix('"').removesuffix('"') if etag else None


def _md5(raw: bytes | bytearray | None) -> Checksum | None:
    return Checksum("md5", bytes(raw).hex()) if raw else None


def claims(headers: Mapping[str, str]) -> Object:
    """What an answer says of the blob that it holds, in the form of one."""
    part = "Content-Range" in headers
    size = headers.get("Content-Range", "").rpartition("/")[2] if part else headers.get("Content-Length", "")
    md5 = headers.get("x-ms-blob-content-md5") or (None if part else headers.get("Content-MD5"))
    return Object(
        "az",
        "",
        "",
        "",
        size=int(size) if size.isdigit() else None,
        version=headers.get("x-ms-version-id"),
        etag=_plain(headers.get("ETag")),
        checksum=_md5(b64decode(md5)) if md5 else None,
    )


def refuse_other(recorded: Object, now: Object, where: str) -> None:
    """Compare what an answer says of itself with the record.

    An emulator, or an account that keeps no versions any more, leaves a version id unread: then only the ETag can tell
    that these are the recorded bytes.
    """
    if recorded.version is not None:
        same = now.version == recorded.version or (
            now.version is None and recorded.etag is not None and now.etag == recorded.etag
        )
        if not same:
            answer = f"version {now.version}" if now.version else "what is there now"
            raise SourceChanged(f"{where} was asked for, and the service answers with {answer}.")
    elif recorded.etag is not None and now.etag is not None and recorded.etag != now.etag:
        raise SourceChanged(f"{where} was overwritten: its ETag is {now.etag}, and {recorded.etag} was recorded.")
    if recorded.size is not None and now.size is not None and recorded.size != now.size:
        raise SourceChanged(f"{where} now has {now.size} bytes, and {recorded.size} were recorded.")
    mine, theirs = recorded.checksum, now.checksum
    if mine and theirs and mine.algorithm == theirs.algorithm and mine.value != theirs.value:
        raise SourceChanged(f"{where} now has the {theirs.algorithm} {theirs.value}, and {mine.value} was recorded.")


def proofs(obj: Object) -> tuple[Proof, ...]:
    """What a whole blob has to prove to be.

    Content-MD5 is checked by the service for what is written at once, and taken from the client unchecked with Put
    Block List, which can't be told apart afterwards: https://learn.microsoft.com/rest/api/storageservices/put-block-list
    """
    return (Proof(obj.checksum, certain=False),) if obj.checksum is not None else ()
