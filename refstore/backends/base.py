"""The interface between refstore and one storage scheme.

A backend only reads: there is no method here that could write to a source, and none may be added. It knows nothing of
the catalog. One instance serves many threads at once.

Every method raises the errors of `refstore.errors` and no others for what the outside can do to it: `SourceMissing`,
`SourceChanged`, `SourceUnreadable`, `SourceDenied`, `CredentialsMissing`, `SourceUnavailable`, `InvalidURI` and its
kind. Each message is one sentence that holds the URI. Throttling and broken connections are retried inside the backend,
where the client library does that; what `Reading.chunks` loses half-way the caller fetches again from where it stopped.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import ClassVar

from refstore.config import Settings
from refstore.manifest.entry import Checksum, Entry, Object, Pin


@dataclass(frozen=True, slots=True)
class Location:
    """What a URI names, in its parts; nothing reads it as text again.

    Attributes:
        scheme: As in `Object`.
        endpoint: As in `Object`.
        bucket: As in `Object`.
        key: The exact key, or the prefix of a directory; a directory's may lack its last `/`.
        version: The version that the URI pins (`?versionId=`, `#generation`).
        directory: True where the URI can only mean a directory (it ends with `/`, or names a whole bucket).
    """

    scheme: str
    endpoint: str
    bucket: str
    key: str
    version: str | None = None
    directory: bool = False

    @classmethod
    def of(cls, obj: Object, *, pinned: bool = True) -> Location:
        """Where an object is: the recorded version of it, or (not `pinned`) whatever is there now."""
        return cls(obj.scheme, obj.endpoint, obj.bucket, obj.key, obj.version if pinned else None)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing.

    Attributes:
        entries: What was found: a list, or `Rows` where they are many. Each path is relative to the directory that was
            asked for (a single object has its base name). Each object's fields come from one response. In no promised
            order, across pages too.
        markers: How many directory markers (zero-byte keys that end in `/`, `_$folder$`, `hdi_isfolder`) were left out.
        notes: Sentences that the person should read once: versions not pinned and why, files skipped and why.
    """

    entries: Sequence[Entry]
    markers: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a digest over all bytes of an object has to be.

    Attributes:
        checksum: The digest. For a multipart ETag, the MD5 of its parts' MD5s (as `md5`).
        part_size: In bytes, where the digest is one over parts; None for a plain digest.
        certain: True where the service says that this is a digest of the content. False where it looks like one but may
            be an opaque token (an S3 ETag without word of its encryption): then a mismatch counts only if the bytes
            differ from one read to the next.
    """

    checksum: Checksum
    part_size: int | None = None
    certain: bool = True


@dataclass(slots=True)
class Reading:
    """An open read of one object; use it as a context manager.

    Attributes:
        chunks: The bytes, from the offset that was asked for, in pieces of at most a few MiB. Each step may raise.
        proofs: What the *whole* content has to prove to be, strongest first; empty where nothing can prove it.
    """

    chunks: Iterator[bytes]
    proofs: tuple[Proof, ...] = ()

    def into(self, buffer: memoryview) -> Iterator[bytes | memoryview]:
        """The bytes as `chunks` has them; in `buffer` where the backend can, which the next step writes over."""
        readinto = getattr(self.chunks, "readinto", None)
        if readinto is None:
            yield from self.chunks
            return
        while size := readinto(buffer):
            yield buffer[:size]

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        close = getattr(self.chunks, "close", None)
        if close is not None:
            with contextlib.suppress(Exception):
                close()


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `refstore doctor`.

    Attributes:
        name: What was tried: `credentials`, `list`, `list versions`, `read`, `read versions`, `versioning` …
        ok: Whether it works; None where it could not be told, or where refstore gets along without it.
        detail: One sentence: what was found, and what to do if it is missing.
    """

    name: str
    ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `refstore doctor URI` found out. Nothing in it is secret.

    Attributes:
        location: What the URI was understood to be.
        url: Where requests are sent.
        pin: The best that references there can be pinned with.
        checks: In the order they were made.
    """

    location: Location
    url: str
    pin: Pin
    checks: list[Check] = field(default_factory=list)


class Backend(ABC):
    """One storage scheme.

    Args:
        settings: Endpoints, the hash for local files, what to do with links.
    """

    schemes: ClassVar[tuple[str, ...]]
    """The URI schemes that it serves, without `://`; the first one is what objects of it carry (HTTP keeps each)."""
    forgets: ClassVar[str] = ""
    """Where nothing of its kind keeps old versions, what a person who adds references should know; else ""."""

    in_parts: ClassVar[bool] = False
    """Whether a large object comes faster in several ranged reads at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def parse(self, uri: str) -> Location:
        """Take a URI apart. No request is made.

        Raises:
            InvalidURI: It has no meaning for this scheme.
            SecretInURI: It carries a credential (user info, a signature, a SAS token).
        """

    @abstractmethod
    def uri(self, at: Location | Object) -> str:
        """The URI to show a person, version included, escaped where URIs need it. `parse` reads it back."""

    @abstractmethod
    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """Everything that a location names, page by page: one object, or all objects below a directory.

        A name without its last `/` may be either; both at once is an error. `datasets/mnist` never takes in
        `datasets/mnist2`. Costs one listing request per page (a thousand objects where the service allows) and at most
        two others; none per object. A directory without objects gives no entries; the caller decides what that means.

        Args:
            location: From `parse`. With a `version` it is one object.
            checksum: False to not read content just for its checksum (files, HTTP); listings that carry one give it
                anyway.

        Raises:
            SourceMissing: The object or the bucket does not exist, or the version doesn't.
            AmbiguousURI: There are both an object and a directory of that name.
        """

    @abstractmethod
    def stat(self, location: Location) -> Object:
        """One object as it is now, or the version that the location pins. One request; content is not read.

        Raises:
            SourceMissing: It is not there; the message says so when a delete marker hides it.
        """

    @abstractmethod
    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """Read the recorded bytes: that version, or under a precondition (If-Match, generation), or not at all.

        One request, and few more where something is wrong or a digest needs them. What the response says of itself
        (ETag, version, size) is compared with the record before the first byte is handed out.

        Args:
            obj: As recorded.
            start: The offset of the first byte.
            length: How many bytes; None for all that follow.

        Raises:
            SourceMissing: It, or its recorded version, is gone.
            SourceChanged: What is there now is not what was recorded.
            SourceUnreadable: It is in archived storage, or not a regular file.
        """

    @abstractmethod
    def diagnose(self, location: Location) -> Diagnosis:
        """Try out, read-only, what works at a location. Never raises for what it finds."""
