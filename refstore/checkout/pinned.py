"""Reading the recorded bytes of an object in full, and proving them: where "pinned or refused" is decided."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass

from refstore.backends.base import Backend, Reading
from refstore.backends.local.digests import read_buffer
from refstore.backends.registry import Backends
from refstore.checkout.disk import pieces, storage_error
from refstore.checkout.parts import BUFFER, LARGE, WINDOW, Parts, Stopped, Transfers
from refstore.checkout.proof import Digests, Verdict, computable, content_checksum, proofs_of
from refstore.errors import ChecksumMismatch, SourceUnavailable
from refstore.manifest.entry import Checksum, Object, Pin

RETRIES = 5
"""How often a broken stream is taken up again without a single byte having arrived in between."""
MAX_WAIT = 8.0
"""The longest wait between two of them, in seconds."""
OVERLAP = 1 << 16
"""Bytes at the end of a partial file that are fetched again: the last ones may not have reached the disk."""
_READS = 3


@dataclass(frozen=True, slots=True)
class Content:
    """What was read.

    Attributes:
        md5: Of all bytes.
        checksum: What the cache knows it by.
        size: In bytes.
        proven: Whether a digest vouches for it.
        transferred: Bytes that were read from the source, those included that were read twice.
    """

    md5: str
    checksum: Checksum
    size: int
    proven: bool
    transferred: int


class _Tap:
    """Where bytes go, and who is told of them."""

    def __init__(self, target: int | None, where: str, advance: Callable[[int], None], empty: bool = False) -> None:
        self.target = target
        self.empty = empty
        self.transferred = 0
        self._where = where
        self._advance = advance
        self._lock = threading.Lock()

    def write(self, chunk: bytes | memoryview, at: int) -> None:
        """Put bytes to their place."""
        self.arrived(len(chunk))
        if self.target is not None:
            try:
                while chunk:
                    size = os.pwrite(self.target, chunk, at)
                    if size == len(chunk):
                        break
                    chunk, at = memoryview(chunk)[size:], at + size
            except OSError as error:
                raise storage_error(error, self._where) from error

    def arrived(self, size: int) -> None:
        """So many bytes came, and are where they belong; a negative number where they have to come again."""
        self._advance(size)
        if size > 0:
            with self._lock:
                self.empty = False
                self.transferred += size

    def take_up(self, held: int) -> None:
        """Cut the target to its first bytes, which count as arrived."""
        if self.target is not None and not self.empty and (held or os.fstat(self.target).st_size):
            os.ftruncate(self.target, held)
        if held:
            self._advance(held)

    def start_again(self, arrived: int) -> None:
        """Empty the target; so many bytes count no more."""
        self._advance(-arrived)
        self.take_up(0)


class _Memory(_Tap):
    """Keeps the bytes."""

    def __init__(self) -> None:
        super().__init__(None, "memory", lambda size: None)
        self.content = bytearray()

    def write(self, chunk: bytes | memoryview, at: int) -> None:
        super().write(chunk, at)
        self.content += chunk

    def take_up(self, held: int) -> None:
        del self.content[held:]


class PinnedReads:
    """Reads of recorded bytes. Safe to use from several threads.

    Args:
        backends: What reads.
        stop: Once set, reads end with `Stopped` at the next chunk.
        most: So many requests may be under way: a large object takes several as long as there are fewer reads.
    """

    def __init__(self, backends: Backends, stop: threading.Event | None = None, most: int = 1) -> None:
        self._backends = backends
        self._stop = stop or threading.Event()
        self._transfers = Transfers(most)
        self._own = threading.local()
        self._opaque: set[tuple[str, str, str]] = set()

    def read(
        self,
        obj: Object,
        target: int | None = None,
        *,
        empty: bool = False,
        where: str = "the disk",
        advance: Callable[[int], None] = lambda size: None,
    ) -> Content:
        """Read all bytes of an object, and prove them as far as that can be done.

        A stream that breaks is taken up where it stopped, if what comes then is sure to belong to the same bytes. A
        digest that disagrees is tried again from the start. If it is one that may be no digest at all (see
        `Proof.certain`) and the bytes are the same both times, then it is none, and the same holds for the other
        objects of that bucket.

        Args:
            obj: As recorded.
            target: An open file to write to, or None. What it holds already is taken as the beginning of the content,
                if the whole can be proven in the end.
            empty: Whether the target is known to hold nothing.
            where: The target's name, for messages.
            advance: Told how many bytes arrived; a negative number where bytes have to be read again.

        Raises:
            ChecksumMismatch: The bytes are not those that were recorded.
            SourceMissing, SourceChanged, SourceUnreadable, SourceDenied, SourceUnavailable: As the backend says.
            StorageFull: No space in the target.
            Stopped: The caller asked for it.
        """
        return self._read(obj, _Tap(target, where, advance, empty))

    def read_bytes(self, obj: Object) -> bytes:
        """All bytes of an object, in memory; else as `read`."""
        memory = _Memory()
        self._read(obj, memory)
        return bytes(memory.content)

    def _read(self, obj: Object, tap: _Tap) -> Content:
        self._transfers.begin()
        try:
            return self._proven(obj, tap)
        finally:
            self._transfers.end()

    def _proven(self, obj: Object, tap: _Tap) -> Content:
        bucket = (obj.scheme, obj.endpoint, obj.bucket)
        backend = self._backends.for_object(obj)
        before = None
        for attempt in range(_READS):
            digests, resumed = self._once(backend, obj, tap, fresh=attempt > 0)
            verdict = digests.verdict()
            same_twice = not resumed and before == digests.value()
            if verdict is Verdict.DOUBTFUL and not resumed and (same_twice or bucket in self._opaque):
                self._opaque.add(bucket)
                verdict = Verdict.UNPROVEN
            if verdict in (Verdict.PROVEN, Verdict.UNPROVEN):
                proven = verdict is Verdict.PROVEN
                return Content(digests.value(), content_checksum(obj, digests), digests.size, proven, tap.transferred)
            if before is not None or (attempt and verdict is Verdict.WRONG):
                break
            if not resumed:
                before = digests.value()
            tap.start_again(digests.size)
        raise ChecksumMismatch(
            f"The bytes of {backend.uri(obj)} are not those that were recorded: {digests.difference()}."
        )

    def _once(self, backend: Backend, obj: Object, tap: _Tap, fresh: bool) -> tuple[Digests, bool]:
        """One read of the whole; the digests, and whether what was in the target before is part of it."""
        held = 0
        if tap.target is not None and obj.size is not None and not (fresh or tap.empty):
            held = self._held(backend, tap.target, obj)
        tap.take_up(held)
        digests: Digests | None = None
        failures = 0
        while True:
            offset = digests.size if digests is not None else held
            try:
                with backend.open(obj, start=offset) as reading:
                    if digests is None:
                        proofs = proofs_of(obj, reading.proofs)
                        if held and not proofs:
                            # nothing would tell if the old beginning is wrong
                            tap.start_again(held)
                            held = 0
                            continue
                        digests = Digests(proofs)
                        if held and tap.target is not None:
                            self._take_in(tap.target, digests)
                    self._stream(backend, obj, reading, digests, tap)
                return digests, held > 0
            except SourceUnavailable:
                if digests is None:
                    # nothing has arrived yet, and the backend has retried what could be
                    raise
                goes_on = self._resumable(obj, digests)
                failures = 1 if goes_on and digests.size > offset else failures + 1
                if failures > RETRIES:
                    raise
                self._wait(failures)
                if not goes_on:
                    tap.start_again(digests.size)
                    digests, held = None, 0

    def _stream(self, backend: Backend, obj: Object, reading: Reading, digests: Digests, tap: _Tap) -> None:
        buffer = self._buffer()
        if tap.target is not None and _in_parts(backend, obj) and obj.size and obj.size - digests.size >= LARGE:
            parts = Parts(backend, obj, reading, digests.size, tap.target, self._transfers, tap.arrived, self._stop)
            with parts:
                for piece, written in parts.pieces(buffer):
                    self._take(backend, obj, piece, written, digests, tap)
        else:
            for piece in reading.into(buffer):
                self._take(backend, obj, piece, False, digests, tap)
        if obj.size is not None and digests.size < obj.size:
            raise SourceUnavailable(f"{backend.uri(obj)} ended after {digests.size} of {obj.size} bytes: try again.")

    def _take(
        self, backend: Backend, obj: Object, piece: bytes | memoryview, written: bool, digests: Digests, tap: _Tap
    ) -> None:
        if self._stop.is_set():
            raise Stopped
        if not written:
            tap.write(piece, digests.size)
        digests.update(piece)
        if obj.size is not None and digests.size > obj.size:
            raise ChecksumMismatch(f"{backend.uri(obj)} has more than the {obj.size} bytes that were recorded.")

    def _buffer(self) -> memoryview:
        """One for each thread, used again for each object."""
        buffer: memoryview | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = read_buffer(BUFFER)
        return buffer

    @staticmethod
    def _held(backend: Backend, target: int, obj: Object) -> int:
        """How many bytes at the beginning of a partial file are sure to be there."""
        assert obj.size is not None
        size = os.fstat(target).st_size
        holes = WINDOW if obj.size >= LARGE and _in_parts(backend, obj) else 0
        return max(0, min(size, obj.size) - holes - OVERLAP) if size else 0

    @staticmethod
    def _take_in(target: int, digests: Digests) -> None:
        os.lseek(target, 0, os.SEEK_SET)
        for piece in pieces(target):
            digests.update(piece)

    @staticmethod
    def _resumable(obj: Object, digests: Digests) -> bool:
        """Whether bytes that come later are sure to be of the same content, or would be found out."""
        pinned = obj.pin in (Pin.VERSION, Pin.ETAG) or (obj.etag is not None and not obj.etag.startswith("W/"))
        return pinned or digests.provable or (obj.checksum is not None and computable(obj.checksum.algorithm))

    def _wait(self, failures: int) -> None:
        longest = min(MAX_WAIT, 0.2 * 2**failures)
        if self._stop.wait(random.uniform(0.1, longest)):
            raise Stopped


def _in_parts(backend: Backend, obj: Object) -> bool:
    """Whether ranges of an object are sure to be of the same bytes, and worth requests of their own."""
    return backend.in_parts and (obj.version is not None or (obj.etag or "W/")[:2] != "W/")
