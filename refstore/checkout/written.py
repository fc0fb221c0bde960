"""What is known of one file that a checkout wrote: of which object it was made, and how a later edit of it shows."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from dataclasses import dataclass

from refstore.manifest.entry import Object, Pin

RACY_NS = 2 * 10**9
"""How much older than the look at it a file has to be for its stat key to be trusted, in nanoseconds.

The coarsest clock of a file system in use (FAT's) has ticks of two seconds."""


def identity(obj: Object) -> bytes:
    """What tells one recorded object from every other: a digest of all that its record pins it with."""
    fields = [obj.scheme, obj.endpoint, obj.bucket, obj.key, obj.size, obj.version, obj.etag]
    fields += [str(obj.checksum) if obj.checksum is not None else None, obj.mtime if obj.pin is Pin.NONE else None]
    return hashlib.sha256(json.dumps(fields).encode()).digest()


def stat_key(found: os.stat_result, link: str = "", target: str = "") -> str:
    """What changes when a file does.

    Args:
        found: From `lstat`.
        link: How the file was made: "" for an independent file, else `hardlink` or `symlink`.
        target: Where a symbolic link points.
    """
    if link == "symlink":
        return f"->{target}"
    # another name for the same file changes its ctime
    ctime = "" if link == "hardlink" else found.st_ctime_ns
    return f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{ctime}"


def has_key(found: os.stat_result, target: str, key: str) -> bool:
    """Whether a file still has a stat key.

    Args:
        found: From `lstat`.
        target: Where it points, if it is a symbolic link.
        key: From `stat_key`.
    """
    if stat.S_ISLNK(found.st_mode):
        return key == stat_key(found, "symlink", target)
    return key == stat_key(found, "hardlink" if key.endswith(":") else "")


def is_settled(found: os.stat_result) -> bool:
    """Whether every later edit of a file must change its stat key."""
    return stat.S_ISLNK(found.st_mode) or found.st_mtime_ns < time.time_ns() - RACY_NS


@dataclass(frozen=True, slots=True)
class Written:
    """One file that a checkout wrote, or is about to write.

    Attributes:
        path: Below the destination, as bytes.
        object: The identity of the object it was made from; None while it has only an intent.
        md5: Of its bytes.
        size: In bytes.
        link: "", `hardlink` or `symlink`.
        key: From `stat_key`.
        settled: From `is_settled`.
        pending_object: The identity of what an unfinished checkout was about to put there.
        pending_md5: The MD5 of that.
        owner: The artifact that it belongs to.
    """

    path: bytes
    object: bytes | None
    md5: str | None
    size: int | None
    link: str | None
    key: str | None
    settled: bool
    pending_object: bytes | None
    pending_md5: str | None
    owner: str


WRITTEN_COLUMNS = "path, object, md5, size, link, key, settled, pending_object, pending_md5, owner"


@dataclass(frozen=True, slots=True)
class Settled:
    """What is known of a file once it is in its place.

    Attributes:
        path: Below the destination, as bytes.
        object: The identity of the object it was made from.
        md5: Of its bytes.
        size: In bytes.
        link: "", `hardlink` or `symlink`.
        key: From `stat_key`.
        settled: From `is_settled`.
        pinned: Whether later readers of the same object may take these bytes for it.
    """

    path: bytes
    object: bytes
    md5: str
    size: int
    link: str
    key: str
    settled: bool
    pinned: bool


@dataclass(frozen=True, slots=True)
class Whole:
    """A version that a destination holds in full.

    Attributes:
        manifest: Its id.
        escaped: How many of its paths are not their local names.
    """

    manifest: str
    escaped: int
