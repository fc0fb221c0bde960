"""Whether the recorded bytes of a version can still be had: a question for each object, or a read of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from refstore.backends.base import Location
from refstore.backends.registry import Backends
from refstore.checkout.cache import Cache
from refstore.checkout.compare import Likeness, compare_content
from refstore.checkout.parallel import in_parallel
from refstore.checkout.pinned import PinnedReads
from refstore.checkout.result import (
    DENIED,
    GIVE_UP,
    GONE,
    OVERWRITTEN,
    SHUT_OUT,
    UNAVAILABLE,
    UNSUPPORTED,
    found_now,
    kind_of,
    object_json,
    uri_of,
)
from refstore.errors import RefstoreError, SourceDenied, SourceMissing, SourceUnavailable, UsageError
from refstore.manifest.entry import STORED, Entry, Object, Pin

OK = "ok"
UNPROVEN = "unproven"
_ERRORS: dict[str, type[RefstoreError]] = {
    DENIED: SourceDenied,
    UNAVAILABLE: SourceUnavailable,
    UNSUPPORTED: UsageError,
}


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found out about one file of a version.

    Attributes:
        path: Inside the artifact.
        uri: Of the recorded object.
        state: `ok`; `unproven` where it is there and nothing can tell whether it is the same; or a kind of failure, as
            in `Failure.kind`.
        message: One sentence; "" for `ok`.
        recorded: The object as the version has it.
        found: What has its name now, if it isn't what was recorded.
    """

    path: str
    uri: str
    state: str
    message: str
    recorded: Object
    found: Object | None = None

    @property
    def failed(self) -> bool:
        """Whether the recorded bytes can't be had."""
        return self.state not in (OK, UNPROVEN)

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "path": self.path,
            "uri": self.uri,
            "state": self.state,
            "message": self.message,
            "recorded": object_json(self.recorded),
            "found": object_json(self.found) if self.found is not None else None,
        }


def verify(
    entries: Iterable[Entry], backends: Backends, cache: Cache, *, bytes: bool = False, jobs: int = 16
) -> Iterator[Verified]:
    """Look whether each recorded object is still there as it was recorded.

    Args:
        entries: What to look at.
        backends: Ask the sources.
        cache: Where stored content is.
        bytes: Read everything and compare digests. Without it each object costs one request for what the service says
            of it (of a local file that was touched, the content is read all the same).
        jobs: How many at once.

    Yields:
        One for each entry, in their order.

    Raises:
        SourceDenied, SourceUnavailable, UsageError: Many entries in a row could not even be asked for; the rest is not
            tried.
    """
    reads = PinnedReads(backends)

    def look(entry: Entry) -> Verified:
        obj = entry.object
        uri = uri_of(obj, backends)
        try:
            if obj.scheme == STORED:
                _check_stored(obj, cache, bytes)
                return Verified(entry.path, uri, OK, "", obj)
            if bytes:
                content = reads.read(obj)
                vouched = content.proven or obj.version is not None or obj.pin is Pin.ETAG
                return _ok(entry, uri) if vouched else _unproven(entry, uri)
            return _look_at(entry, uri, backends)
        except RefstoreError as error:
            kind = kind_of(error)
            found = found_now(obj, backends) if kind in (GONE, OVERWRITTEN) else None
            return Verified(entry.path, uri, kind, str(error), obj, found)

    in_a_row = 0
    for found in in_parallel(look, entries, jobs):
        yield found
        in_a_row = in_a_row + 1 if found.state in SHUT_OUT else 0
        if in_a_row == GIVE_UP:
            raise _ERRORS[found.state](f"It gave up after {GIVE_UP} such files in a row. The last: {found.message}")


def _check_stored(obj: Object, cache: Cache, bytes: bool) -> None:
    if obj.checksum is None:
        raise SourceMissing("The record of stored content holds no checksum.")
    here = cache.path(obj.checksum).is_file() if bytes else cache.has(obj.checksum, obj.size)
    what = f"The stored content {obj.checksum}"
    if here and bytes:
        cache.check(obj.checksum)
    elif not here and (bytes or cache.elsewhere is None or cache.elsewhere.who_has(obj.checksum) is None):
        # To be compared it has to come here; and what nobody has can't come, which this says best.
        cache.bring(obj.checksum, what)


def _look_at(entry: Entry, uri: str, backends: Backends) -> Verified:
    obj = entry.object
    backend = backends.for_object(obj)
    found = backend.stat(Location.of(obj))
    likeness = compare_content(obj, found, backend)
    if likeness is Likeness.OTHER:
        message = f"{uri} was overwritten: recorded were {_brief(obj)}, and now there are {_brief(found)}."
        return Verified(entry.path, uri, OVERWRITTEN, message, obj, found)
    if likeness is Likeness.UNKNOWN or obj.pin is Pin.NONE:
        return _unproven(entry, uri)
    return _ok(entry, uri)


def _ok(entry: Entry, uri: str) -> Verified:
    return Verified(entry.path, uri, OK, "", entry.object)


def _unproven(entry: Entry, uri: str) -> Verified:
    message = f"{uri} is there, but nothing that was recorded can tell whether its bytes are the same."
    return Verified(entry.path, uri, UNPROVEN, message, entry.object)


def _brief(obj: Object) -> str:
    size = f"{obj.size:,} bytes" if obj.size is not None else "bytes of unknown number"
    return f"{size} of {obj.mtime}" if obj.mtime else size
