"""What a checkout did, and what it could not do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refstore.backends.base import Location
from refstore.backends.registry import Backends
from refstore.errors import (
    AccessError,
    CheckoutError,
    ChecksumMismatch,
    DestinationConflict,
    RefstoreError,
    SourceChanged,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
    UnsafePath,
    UsageError,
)
from refstore.manifest.entry import STORED, Entry, Object

GONE = "gone"
OVERWRITTEN = "overwritten"
DENIED = "denied"
UNREADABLE = "unreadable"
MISMATCH = "mismatch"
UNAVAILABLE = "unavailable"
UNSAFE = "unsafe"
CONFLICT = "conflict"
UNSUPPORTED = "unsupported"
LOCAL = "local"

SHUT_OUT = frozenset((DENIED, UNAVAILABLE, UNSUPPORTED))
"""The kinds of failure that say nothing of a file: whoever meets one will mostly meet it at the next file too."""
GIVE_UP = 100
"""After so many of those in a row, with nothing that worked in between, the rest isn't tried."""

_KINDS: tuple[tuple[type[RefstoreError], str], ...] = (
    (SourceMissing, GONE),
    (SourceChanged, OVERWRITTEN),
    (AccessError, DENIED),
    (SourceUnreadable, UNREADABLE),
    (ChecksumMismatch, MISMATCH),
    (SourceUnavailable, UNAVAILABLE),
    (UnsafePath, UNSAFE),
    (DestinationConflict, CONFLICT),
    (UsageError, UNSUPPORTED),
    (CheckoutError, LOCAL),
)


def kind_of(error: RefstoreError) -> str:
    """The kind of failure that an error is."""
    return next((kind for cls, kind in _KINDS if isinstance(error, cls)), UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Failure:
    """A file whose recorded bytes could not be had.

    Attributes:
        path: Inside the artifact.
        uri: Of the recorded object, its version included.
        kind: One of

            - `gone`: the object, or its recorded version, does not exist any more;
            - `overwritten`: something else has its place;
            - `denied`: the service says no, or there are no credentials;
            - `unreadable`: it is archived, or no regular file;
            - `mismatch`: the bytes that arrived are not those recorded;
            - `unavailable`: the network or the server failed, after all retries;
            - `unsafe`: a symbolic link stands in the way at the destination;
            - `conflict`: something appeared at the destination meanwhile;
            - `local`: the system refused to write it;
            - `unsupported`: no backend serves its scheme here.
        message: One sentence.
        recorded: The object as the version has it.
        found: What has its name now; None if nothing has, or it can't be told.
    """

    path: str
    uri: str
    kind: str
    message: str
    recorded: Object
    found: Object | None = None

    def to_json(self) -> dict[str, Any]:
        """For `--json`: the objects in the form of a manifest's entries, without the path."""
        out: dict[str, Any] = {"path": self.path, "uri": self.uri, "kind": self.kind, "message": self.message}
        out["recorded"] = object_json(self.recorded)
        out["found"] = object_json(self.found) if self.found is not None else None
        return out


@dataclass(frozen=True, slots=True)
class CheckoutResult:
    """What a checkout did.

    Attributes:
        dest: The folder.
        written: Files that were made or replaced.
        kept: Files that were there already, as recorded.
        removed: Files of an earlier version that this one lacks.
        bytes_transferred: What came over the network or from other disks, in bytes.
        from_cache: How many of the written files came from the cache.
        unverified: How many of the written files nothing vouches for: neither a digest nor a version or ETag.
        failures: What is missing (with `allow_missing`: because it is gone), in the order of the paths.
        escaped: Files whose local name is not their path in the artifact, as that can't exist there.
    """

    dest: Path
    written: int
    kept: int
    removed: int
    bytes_transferred: int
    from_cache: int
    unverified: int
    failures: tuple[Failure, ...] = ()
    escaped: int = 0

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        out = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**out, "dest": str(self.dest), "failures": [failure.to_json() for failure in self.failures]}


def object_json(obj: Object) -> dict[str, Any]:
    """An object as a flat JSON object without empty fields."""
    out = Entry("", obj).to_json()
    del out["path"]
    return out


def uri_of(obj: Object, backends: Backends) -> str:
    """An object's URI for people; that of stored content is its checksum."""
    if obj.scheme == STORED:
        return f"{STORED}:{obj.checksum}"
    try:
        return backends.for_object(obj).uri(obj)
    except RefstoreError:
        return f"{obj.scheme}://{obj.bucket}/{obj.key}"


def found_now(obj: Object, backends: Backends) -> Object | None:
    """What has an object's name now, in one request; None if nothing has, or it can't be told."""
    if obj.scheme == STORED:
        return None
    try:
        return backends.for_object(obj).stat(Location.of(obj, pinned=False))
    except RefstoreError:
        return None


def failure_of(entry: Entry, error: RefstoreError, backends: Backends) -> Failure:
    """A failure, with what is there now (one request, where the service answered before)."""
    kind = kind_of(error)
    found = found_now(entry.object, backends) if kind in (GONE, OVERWRITTEN, MISMATCH, UNREADABLE) else None
    return Failure(entry.path, uri_of(entry.object, backends), kind, str(error), entry.object, found)


def counted(counts: Mapping[str, int]) -> str:
    """`3 gone, 1 denied`."""
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())
