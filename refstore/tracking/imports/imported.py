"""What an import found in a file, and how it becomes a version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.backends.base import Location
from refstore.catalog.staging import Staging
from refstore.errors import RefstoreError, UsageError
from refstore.manifest.entry import Checksum, Entry, Object
from refstore.tracking.record import Labels, record
from refstore.tracking.result import Recorded

if TYPE_CHECKING:
    from refstore.backends.registry import Backends
    from refstore.names import ArtifactName
    from refstore.store.parts import StoreParts

SHOWN = 5
_PAGE = 1000
_RAW = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


class Imported:
    """What a file of another tool holds. Entries wait on disk, sorted, however many there are.

    Attributes:
        left: What can't be carried, a sentence each.
        notes: What a person should know.
        source: The URI that all entries are below, each at its own path; "" where it was not told.
    """

    def __init__(self) -> None:
        self.left: list[str] = []
        self.notes: list[str] = []
        self.source = ""
        self._staging = Staging()
        self._page: list[Entry] = []
        self._place = CommonPlace()

    def __enter__(self) -> Imported:
        return self

    def __exit__(self, *_: object) -> None:
        self._staging.__exit__(None, None, None)

    def take(self, entry: Entry) -> None:
        """Take in a reference.

        Raises:
            DuplicatePath: Another one has its path.
            UsageError: Its path is not valid Unicode.
        """
        self._page.append(entry)
        self._place.see(entry)
        if len(self._page) == _PAGE:
            self._flush()

    def count(self) -> int:
        """How many references there are."""
        self._flush()
        return self._staging.count

    def entries(self) -> Iterator[Entry]:
        """All references by path, in byte order; streams."""
        self._flush()
        return self._staging.entries()

    def source_of_all(self, backends: Backends) -> str:
        """`source`, or the URI of the place that all objects are below, each at its path; "" where there is none."""
        return self.source or self._place.uri(backends)

    def _flush(self) -> None:
        self._staging.add(self._page)
        self._page = []


class CommonPlace:
    """The place that some objects are below, each at its path in the artifact, found as they pass by."""

    def __init__(self) -> None:
        self._places: set[tuple[str, str, str, str]] = set()
        self._none = False
        self._only: Entry | None = None
        self._seen = 0

    def see(self, entry: Entry) -> None:
        """One more entry."""
        o = entry.object
        self._seen += 1
        self._only = entry
        if self._none or not o.key.endswith(entry.path):
            self._none = True
            return
        self._places.add((o.scheme, o.endpoint, o.bucket, o.key[: len(o.key) - len(entry.path)]))
        self._none = len(self._places) > 1

    def uri(self, backends: Backends) -> str:
        """Its URI; "" where there is no such place."""
        if self._none or self._only is None:
            return ""
        ((scheme, endpoint, bucket, prefix),) = self._places
        if prefix and not prefix.endswith("/"):
            return ""
        backend = backends.for_object(self._only.object)
        if self._seen == 1 and "/" not in self._only.path:
            return backend.uri(Location.of(self._only.object, pinned=False))
        if scheme == "file":
            prefix = prefix.rstrip("/") or "/"
        return backend.uri(Location(scheme, endpoint, bucket, prefix, directory=True))


def place(backends: Backends, uri: str) -> Location:
    """Where a URI that stands for itself, with nothing escaped in it, leads.

    Other tools write keys as they are: in `s3://bucket/50%.csv` and `s3://bucket/a?b` the percent sign and the question
    mark are part of the key.

    Raises:
        InvalidURI, UnsupportedScheme, SecretInURI: It can't be a reference.
    """
    scheme, _, rest = uri.partition("://")
    if scheme in _RAW:
        bucket, _, key = rest.partition("/")
        at = backends.for_uri(uri).parse(f"{_RAW[scheme]}://{bucket}/")
        return Location(at.scheme, at.endpoint, at.bucket, key)
    if scheme == "file" and rest.startswith("/"):
        return Location("file", "", "", rest)
    backend = backends.for_uri(uri)
    host, _, path = rest.partition("/")
    if ".blob.core." in host:
        container, _, key = path.partition("/")
        at = backend.parse(f"https://{host}/{container}/")
        return Location(at.scheme, at.endpoint, at.bucket, key)
    return backend.parse(uri)


def referred(
    at: Location,
    *,
    size: int | None,
    version: str | None = None,
    etag: str | None = None,
    checksum: Checksum | None = None,
    mtime: str | None = None,
) -> Object:
    """An object as refstore records it, from what another tool wrote of it."""
    if at.scheme == "file":
        etag = version = None
    # S3's `null` version is overwritten in place: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Versioning.html
    version = None if version in ("", "null") else version
    return Object(
        at.scheme, at.endpoint, at.bucket, at.key, size, version or at.version, unquoted(etag), checksum, mtime
    )


def unquoted(etag: str | None) -> str | None:
    """An ETag as refstore keeps it: without HTTP's quotes."""
    if not etag:
        return None
    weak, tag = etag.startswith("W/"), etag.removeprefix("W/").strip('"')
    return f"W/{tag}" if weak else tag


def keep(
    store: StoreParts, name: ArtifactName, found: Imported, labels: Labels, where: Path, *, skip: bool, dry_run: bool
) -> Recorded:
    """Record what was found as a version.

    Raises:
        UsageError: Something can't be carried and `skip` is not set, or there is nothing that can.
    """
    listed = [f"  {sentence}" for sentence in found.left[:SHOWN]]
    if len(found.left) > SHOWN:
        listed.append(f"  and {len(found.left) - SHOWN:,} more")
    if found.left and not skip:
        total = len(found.left) + found.count()
        heading = (
            f"{len(found.left):,} of {total:,} files in {where} can't be references; nothing was recorded. Leave them "
            "out with --skip-content (in Python skip_content=True):"
        )
        raise UsageError("\n".join([heading, *listed]))
    if not found.count():
        raise UsageError("\n".join([f"{where} holds no reference to an external file; nothing was recorded.", *listed]))
    notes = [*found.notes]
    if found.left:
        notes.append(f"Files left out, as they can't be references: {len(found.left):,}.")
    source = found.source_of_all(store.backends)
    if not source:
        notes.append(
            "The files are not below one place at their own paths, so 'refstore status' has nothing to list; 'refstore "
            "verify' looks at each."
        )
    return record(
        store.catalog,
        name,
        found.entries(),
        labels,
        job_type="import",
        sources=[source] if source else [],
        markers=0,
        notes=notes,
        dry_run=dry_run,
    )


def read_text(where: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: It can't be read.
    """
    try:
        return where.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"{where} can't be read: {reason}.") from error


def sentence(error: RefstoreError) -> str:
    """An error's sentence for a list."""
    return str(error).replace("\n", " ")
