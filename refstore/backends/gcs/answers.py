"""What Google's answers say of an object; and whether an answer is about the object that was recorded."""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Any

from refstore.backends.base import Location, Proof
from refstore.errors import SourceChanged
from refstore.manifest.entry import Checksum, Object

FIELDS = "name,size,generation,md5Hash,crc32c,timeCreated,updated,storageClass"
"""The fields of https://cloud.google.com/storage/docs/json_api/v1/objects#resource that are asked for."""

_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(?:Z|\+00:00)")


def object_of(location: Location, row: Mapping[str, Any]) -> Object:
    """One row of a listing, or the metadata of one object."""
    storage_class = row.get("storageClass")
    return Object(
        scheme="gs",
        endpoint=location.endpoint,
        bucket=location.bucket,
        key=str(row["name"]),
        size=int(row["size"]) if "size" in row else None,
        version=str(row["generation"]) if row.get("generation") else None,
        checksum=_checksum(row.get("md5Hash"), row.get("crc32c")),
        # `updated` moves with the metadata; a generation's bytes are as old as the generation.
        mtime=_time(row.get("timeCreated") or row.get("updated")),
        storage_class=None if storage_class in (None, "", "STANDARD") else str(storage_class),
    )


def _checksum(md5: str | None, crc32c: str | None) -> Checksum | None:
    for algorithm, text in (("md5", md5), ("crc32c", crc32c)):
        if text:
            try:
                return Checksum(algorithm, b64decode(text, validate=True).hex())
            except Base64Error:
                continue
    return None


def _time(text: str | None) -> str | None:
    match = _TIME.fullmatch(text or "")
    if not match:
        return None
    fraction = (match[2] or "").rstrip("0")
    return f"{match[1]}.{fraction}Z" if fraction else f"{match[1]}Z"


def _hashes(headers: Mapping[str, str]) -> dict[str, str]:
    getall = getattr(headers, "getall", None)
    lines = getall("x-goog-hash", []) if getall else []
    found = dict(item.strip().partition("=")[::2] for line in lines for item in line.split(","))
    return {name: text for name, text in found.items() if text}


def claims(headers: Mapping[str, str], *, whole: bool) -> Object:
    """What an answer says of the object that it holds, in the form of one."""
    sizes = [headers.get("x-goog-stored-content-length"), headers.get("Content-Range", "").rpartition("/")[2]]
    if whole:
        sizes.append(headers.get("Content-Length"))
    size = next((int(text) for text in sizes if text and text.isdigit()), None)
    hashes = _hashes(headers)
    return Object(
        "gs",
        "",
        "",
        "",
        size=size,
        version=headers.get("x-goog-generation"),
        checksum=_checksum(hashes.get("md5"), hashes.get("crc32c")),
    )


def refuse_other(recorded: Object, now: Object, where: str) -> None:
    """Compare what an answer says of itself with the record; what either does not say is not compared."""
    if recorded.version and now.version and recorded.version != now.version:
        raise SourceChanged(f"{where} was asked for, and the service answers with generation {now.version}.")
    if recorded.size is not None and now.size is not None and recorded.size != now.size:
        raise SourceChanged(f"{where} now has {now.size} bytes, and {recorded.size} were recorded.")
    mine, theirs = recorded.checksum, now.checksum
    if mine and theirs and mine.algorithm == theirs.algorithm and mine.value != theirs.value:
        raise SourceChanged(f"{where} now has the {theirs.algorithm} {theirs.value}, and {mine.value} was recorded.")


def proofs(obj: Object, headers: Mapping[str, str]) -> tuple[Proof, ...]:
    """What a whole object has to prove to be: as recorded, else as the answer for its very generation says."""
    if obj.checksum is not None:
        return (Proof(obj.checksum),)
    hashes = _hashes(headers) if obj.version else {}
    sent = _checksum(hashes.get("md5"), hashes.get("crc32c"))
    return (Proof(sent),) if sent else ()
