"""An object is one external file as a backend reports it; an entry gives it a path inside an artifact."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

STORED = "store"
"""The scheme of content that the store itself keeps (`refstore put`): found in the cache by its checksum."""


MAX_SIZE = (1 << 53) - 1
"""The most bytes that an object may have; the largest that any service takes is a hundredth of it."""

_FIELDS = frozenset(
    ("path", "scheme", "endpoint", "bucket", "key", "size", "version", "etag", "checksum", "mtime", "storage_class")
)
_SCHEME = re.compile(r"[a-z][a-z0-9+.\-]*")
_CHECKSUM = re.compile(r"[a-z0-9]{2,16}:[0-9a-f]{8,128}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z")


class Pin(str, Enum):
    """How well an object is pinned, weakest first: what will prove that the bytes are still those recorded."""

    NONE = "none"
    ETAG = "etag"
    CHECKSUM = "checksum"
    VERSION = "version"

    @property
    def strength(self) -> int:
        """0 for `none` up to 3 for `version`."""
        return _STRENGTH[self]


_STRENGTH = {pin: position for position, pin in enumerate(Pin)}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest of an object's bytes.

    Attributes:
        algorithm: `md5`, `sha1`, `sha256`, `crc32`, `crc32c` or `crc64nvme`.
        value: Lower-case hex.
    """

    algorithm: str
    value: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value}"

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """The reverse of `str`."""
        algorithm, _, value = text.partition(":")
        return cls(algorithm, value)


@dataclass(frozen=True, slots=True)
class Object:
    """One external file, all of it from one response of its service.

    Attributes:
        scheme: The backend's scheme: `s3`, `gs`, `az`, `http`, `https`, `file`, another fsspec protocol, or `STORED`.
        endpoint: The name of a configured endpoint, or "" for the provider's own. Never a credential. For `az` the
            account.
        bucket: Bucket or container; the host (and port) for HTTP and other network schemes; "" for files.
        key: The exact key inside the bucket, as the service has it, not escaped. For `file` the absolute POSIX path.
        size: In bytes; None where the service doesn't tell.
        version: The object version (S3 version id, GCS generation, Azure version id); None where there is none that
            is immutable (so S3's `null` version is None).
        etag: Without the quotes that HTTP puts around it; a weak one keeps its `W/`.
        checksum: Of the content, where it is known.
        mtime: Last modification, UTC, as ISO 8601 with a Z: `2026-11-23T06:13:20Z` or with up to six decimals.
        storage_class: As the service names it; None for its standard class.
    """

    scheme: str
    endpoint: str
    bucket: str
    key: str
    size: int | None = None
    version: str | None = None
    etag: str | None = None
    checksum: Checksum | None = None
    mtime: str | None = None
    storage_class: str | None = None

    @property
    def pin(self) -> Pin:
        """The strongest proof that this object's record holds."""
        if self.version is not None:
            return Pin.VERSION
        if self.checksum is not None:
            return Pin.CHECKSUM
        if self.etag is not None and not self.etag.startswith("W/"):
            return Pin.ETAG
        return Pin.NONE

    def same_as(self, other: Object) -> bool:
        """Whether a new look at this object (`other`) found the same bytes, and no better pin than before.

        Like is compared with like: version ids if both have one, else checksums of one algorithm, else ETags, else the
        time of modification. So a touched file or a changed storage class is no change, and a better pin is one.
        """
        if (self.scheme, self.endpoint, self.bucket, self.key) != (
            other.scheme,
            other.endpoint,
            other.bucket,
            other.key,
        ):
            return False
        if self.size != other.size or other.pin.strength > self.pin.strength:
            return False
        if self.version is not None and other.version is not None:
            return self.version == other.version
        mine, theirs = self.checksum, other.checksum
        if mine is not None and theirs is not None and mine.algorithm == theirs.algorithm:
            return mine.value == theirs.value
        if self.etag is not None and other.etag is not None:
            return self.etag == other.etag
        return self.mtime == other.mtime and self.mtime is not None


def check_entry(data: dict[str, Any]) -> None:
    """Believe nothing of what says that it is an entry: manifests come from other people.

    Raises:
        KeyError, TypeError, ValueError: The data are not what `Entry.to_json` makes.
    """
    if not _FIELDS.issuperset(data):
        raise ValueError(f"unknown field {min(data.keys() - _FIELDS)!r}")
    size, checksum, mtime = data.get("size"), data.get("checksum"), data.get("mtime")
    for name, value in data.items():
        if type(value) is not str and name != "size":
            raise TypeError(f"{name!r} is not text")
    if size is not None and (type(size) is not int or not 0 <= size <= MAX_SIZE):
        raise ValueError("'size' is no number of bytes")
    if not _SCHEME.fullmatch(data["scheme"]):
        raise ValueError("'scheme' is none")
    if checksum is not None and not _CHECKSUM.fullmatch(checksum):
        raise ValueError("'checksum' is none")
    if mtime is not None and not _TIME.fullmatch(mtime):
        raise ValueError("'mtime' is not a time in UTC")
    if "path" not in data:
        raise KeyError("path")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a manifest.

    Attributes:
        path: Inside the artifact, with `/` between its parts. It may hold anything that a key may hold (`..`, `//`, a
            backslash): paths are hostile until checkout has judged them.
        object: What it refers to.
    """

    path: str
    object: Object

    def to_json(self) -> dict[str, Any]:
        """A flat JSON object without empty fields; `docs/format.md` lists its keys."""
        o = self.object
        out: dict[str, Any] = {"path": self.path, "scheme": o.scheme}
        if o.endpoint:
            out["endpoint"] = o.endpoint
        if o.bucket:
            out["bucket"] = o.bucket
        if o.key:
            out["key"] = o.key
        if o.size is not None:
            out["size"] = o.size
        if o.version is not None:
            out["version"] = o.version
        if o.etag is not None:
            out["etag"] = o.etag
        if o.checksum is not None:
            out["checksum"] = str(o.checksum)
        if o.mtime is not None:
            out["mtime"] = o.mtime
        if o.storage_class is not None:
            out["storage_class"] = o.storage_class
        return out

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Entry:
        """The reverse of `to_json`. Manifests come from other people, so nothing is believed of one.

        Raises:
            KeyError, TypeError, ValueError: The data are not an entry.
        """
        check_entry(data)
        checksum = data.get("checksum")
        return cls(
            data["path"],
            Object(
                data["scheme"],
                data.get("endpoint", ""),
                data.get("bucket", ""),
                data.get("key", ""),
                data.get("size"),
                data.get("version"),
                data.get("etag"),
                Checksum.parse(checksum) if checksum is not None else None,
                data.get("mtime"),
                data.get("storage_class"),
            ),
        )
