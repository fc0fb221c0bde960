"""A file object on the recorded bytes of one entry, without a checkout."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from refstore.backends.base import Proof, Reading
from refstore.backends.registry import Backends
from refstore.checkout.cache import Cache
from refstore.checkout.disk import writing
from refstore.checkout.ledger import Ledger
from refstore.checkout.pinned import RETRIES, PinnedReads
from refstore.checkout.proof import STRONG, Digests, Verdict, proofs_of
from refstore.checkout.seekable_file import SeekableFile
from refstore.errors import ChecksumMismatch, SourceMissing, SourceUnavailable
from refstore.manifest.entry import STORED, Checksum, Entry, Object

FIRST_WINDOW = 4 << 20
"""How much the first request asks for, in bytes. Each that follows in sequence asks for twice as much."""
WINDOW_AFTER_SEEK = 1 << 18
"""How much the first request at another place asks for, in bytes."""
LAST_WINDOW = 64 << 20
"""The most that one request asks for, in bytes."""
SKIP = 1 << 18
"""A step forward of up to so many bytes is read over, and costs no request."""
BUFFER = 1 << 17


def open_entry(entry: Entry, backends: Backends, cache: Cache, ledger: Ledger | None = None) -> BinaryIO:
    """Open the recorded bytes of an entry for reading, buffered and seekable.

    Content in the cache is read from there. An object that its service pins (a version, a generation, an ETag) is read
    in ranges, ahead of what is asked for; what is read from its first to its last byte is compared with its digest at
    the end. An object that only its digest pins (a local file, a web page without an ETag) is read and proven in full,
    into a temporary file, before the first byte is handed out.

    Args:
        entry: What to open.
        backends: Read the source.
        cache: Looked into first.
        ledger: Knows under which checksum the cache may have an object that was recorded without one.

    Raises:
        SourceMissing, SourceChanged, SourceUnreadable, SourceDenied, SourceUnavailable: As the backend says; the file
            object's `read` raises them too.
        ChecksumMismatch: The bytes are not those that were recorded.
        StorageFull: No space for the temporary file.
    """
    obj = entry.object
    cached = open_cached(entry, cache, known_as(obj, ledger))
    if cached is not None:
        return cached
    if not in_ranges(obj):
        return open_copy(obj, backends, cache)
    ranges = _Ranges(obj, backends)
    # the first request is made here, so that what is missing or forbidden shows in `open`
    ranges.begin()
    return cast(BinaryIO, io.BufferedReader(ranges, BUFFER))


def in_ranges(obj: Object) -> bool:
    """Whether an object can be read in parts: its service pins it, or nothing but a look at it could ever be compared.

    What its checksum alone pins has to be read in full before a part of it can be believed.
    """
    pinned = obj.version is not None or (obj.etag is not None and not obj.etag.startswith("W/"))
    return obj.size is not None and (pinned or obj.checksum is None)


def open_ranges(obj: Object, backends: Backends, ahead: int | None = None) -> BinaryIO:
    """Open an object that can be read `in_ranges`. The first request is made by the first read.

    Args:
        obj: As recorded.
        backends: Read the source.
        ahead: How much a request asks for at first, in bytes, where less is wanted; 0 for an unbuffered file that never
            asks for more than is wanted.
    """
    ranges = _Ranges(obj, backends, ahead)
    return cast(BinaryIO, ranges if ahead == 0 else io.BufferedReader(ranges, BUFFER))


def known_as(obj: Object, ledger: Ledger | None) -> list[Checksum]:
    """The checksums under which the cache may have an object; its own, and that of a read here before."""
    known = [obj.checksum] if obj.checksum is not None and obj.checksum.algorithm in STRONG else []
    if ledger is not None and (read_before := ledger.content(obj)) is not None:
        known.append(read_before)
    return known


def open_cached(entry: Entry, cache: Cache, known: Sequence[Checksum]) -> BinaryIO | None:
    """The bytes of an entry from the cache; None if they have to come from their source.

    Stored content has no other source than the cache: what it lacks comes there from a remote.

    Args:
        entry: What to open.
        cache: Where to look.
        known: From `known_as`.

    Raises:
        SourceMissing: The content is stored, and neither the cache nor a remote has it.
    """
    for checksum in known:
        if cache.has(checksum, entry.object.size):
            with contextlib.suppress(SourceMissing):
                return cache.open(checksum)
    stored = entry.object.checksum
    if entry.object.scheme != STORED:
        return None
    cache.bring(stored, f"The stored content of {entry.path} ({stored})")
    assert stored is not None
    return cache.open(stored)


def open_copy(obj: Object, backends: Backends, cache: Cache) -> BinaryIO:
    """Read an object in full into a temporary file, and prove it; for what can't be read in ranges.

    Raises as `open_entry`.
    """
    folder = cache.make()
    with writing(folder):
        # unlinked at once: nothing is left behind, and nobody can write to it
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
    try:
        PinnedReads(backends).read(obj, file.fileno(), where=str(folder))
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)


class _Ranges(SeekableFile):
    """Reads of an object that its service pins, in windows that grow while they follow each other."""

    def __init__(self, obj: Object, backends: Backends, ahead: int | None = None) -> None:
        assert obj.size is not None
        self._obj, self._size = obj, obj.size
        self._backend = backends.for_object(obj)
        self._position = 0
        self._reading: Reading | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._rest = memoryview(b"")
        self._at = 0
        self._end = 0
        self._window = FIRST_WINDOW if ahead is None else ahead
        self._after_seek = WINDOW_AFTER_SEEK if ahead is None else ahead
        self._digests: Digests | None = None

    def begin(self) -> None:
        """Make the first request before the first read."""
        if self._size:
            self._request(0, self._window)

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        if self._position >= self._size or not view:
            return 0
        failures = 0
        while True:
            before = self._at
            try:
                chunk = self._next(len(view))
                break
            except SourceUnavailable:
                failures = failures + 1 if self._at == before else 1
                if failures > RETRIES:
                    raise
                self._drop()
        view[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)

    def _next(self, size: int) -> memoryview:
        """The next bytes at the position; at least one, and `size` at most."""
        gap = self._position - self._at
        if self._reading is None or gap < 0 or gap > SKIP or self._position >= self._end:
            if gap:
                self._window = self._after_seek
            elif self._at == self._end > 0:
                self._window = min(2 * self._window, LAST_WINDOW)
            self._request(self._position, max(size, self._window))
        while self._at < self._position:
            self._take(self._position - self._at)
        return self._take(size)

    def _take(self, size: int) -> memoryview:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise SourceUnavailable(f"{self._backend.uri(self._obj)} ended after {self._at} of {self._size} bytes.")
            self._rest = memoryview(chunk)
        size = min(size, self._end - self._at)
        taken, self._rest = self._rest[:size], self._rest[size:]
        self._check(taken)
        self._at += len(taken)
        if self._at >= self._end:
            self._drop()
        return taken

    def _check(self, taken: memoryview) -> None:
        """Follow a read from the first byte to the last one, and compare its digests."""
        if self._digests is None or self._digests.size != self._at:
            return
        self._digests.update(bytes(taken))
        if self._digests.size == self._size and self._digests.verdict() is Verdict.WRONG:
            uri, difference = self._backend.uri(self._obj), self._digests.difference()
            raise ChecksumMismatch(f"The bytes of {uri} are not those that were recorded: {difference}.")

    def _request(self, start: int, size: int) -> None:
        self._drop()
        end = min(self._size, start + size)
        reading = self._backend.open(self._obj, start=start, length=end - start)
        if self._digests is None and start == 0 and (proofs := _certain(proofs_of(self._obj, reading.proofs))):
            self._digests = Digests(proofs)
        self._reading, self._chunks, self._at, self._end = reading, iter(reading.chunks), start, end

    def _drop(self) -> None:
        reading, self._reading = self._reading, None
        self._chunks, self._rest = iter(()), memoryview(b"")
        if reading is not None:
            reading.__exit__(None, None, None)

    def close(self) -> None:
        self._drop()
        super().close()


def _certain(proofs: tuple[Proof, ...]) -> tuple[Proof, ...]:
    return tuple(proof for proof in proofs if proof.certain)
