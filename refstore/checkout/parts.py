"""A large object in several ranged reads at once: what comes later is fetched while what is there is hashed.

Only where the first read turns out to be slower than a network allows; one that is fast is read to its end.

The file is filled in order but for a window: no part is begun that lies more than `WINDOW` bytes behind the first one
that is not complete. So of the file that a killed process leaves, all but the last `WINDOW` bytes are sure to be there.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from refstore.backends.base import Backend, Reading
from refstore.backends.local.digests import read_buffer
from refstore.errors import SourceUnavailable
from refstore.manifest.entry import Object

PART = 8 << 20
"""Bytes of one read."""
AHEAD = 4
"""So many parts are under way at most, the one that is being hashed among them."""
WINDOW = AHEAD * PART
"""Bytes at the end of a partial file that may have holes."""
LARGE = 32 << 20
"""Objects from this size on are read so, in bytes."""
BUFFER = 256 << 10
"""Bytes that are read, hashed and written in one step: they are still in the processor's cache."""
LOOKED_AT = 2 << 20
"""Bytes of the first read that tell how fast it is."""
FAST = 100e6
"""Bytes a second from which on one read is enough: others would only have what they wrote read once more.

S3 gives about 85 to 90 MB/s for a request: https://docs.aws.amazon.com/whitepapers/latest/s3-optimizing-performance-best-practices/performance-guidelines-for-amazon-s3.html
"""


class Stopped(Exception):
    """The read was given up because the whole checkout is."""


class Transfers:
    """How many reads may be under way. Safe to share between threads.

    Args:
        most: So many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._running = 0
        self._lock = threading.Lock()

    def begin(self) -> None:
        """One more, whatever the limit: the caller's thread is its own limit."""
        with self._lock:
            self._running += 1

    def try_begin(self) -> bool:
        """One more, if that is within the limit."""
        with self._lock:
            free = self._running < self._most
            self._running += free
        return free

    def end(self) -> None:
        """One less."""
        with self._lock:
            self._running -= 1


@dataclass(slots=True)
class _Part:
    start: int
    end: int
    at: int
    error: BaseException | None = None


class Parts:
    """One reading of an object from some offset to its end, in order. Use it as a context manager, in one thread.

    Args:
        backend: What reads.
        obj: As recorded; its size is known.
        first: A read from `start` to the end that is under way: its beginning is the first part.
        start: The offset of its first byte.
        target: The open file; helpers write each byte to its place.
        transfers: Says how many helpers there may be.
        arrived: Told of the bytes that helpers wrote.
        stop: Ends helpers.
    """

    def __init__(
        self,
        backend: Backend,
        obj: Object,
        first: Reading,
        start: int,
        target: int,
        transfers: Transfers,
        arrived: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        assert obj.size is not None
        self._backend, self._obj, self._first, self._start, self._end = backend, obj, first, start, obj.size
        self._target, self._transfers, self._arrived, self._stop = target, transfers, arrived, stop
        self._read = self._next = min(start + PART, obj.size)
        self._taken: dict[int, _Part] = {}
        self._changed = threading.Condition()
        self._over = False
        self._helpers: list[threading.Thread] = []

    def __enter__(self) -> Parts:
        return self

    def _begin_helpers(self, at: int) -> None:
        self._read = self._next = min(max(self._start + PART, at), self._end)
        while len(self._helpers) < AHEAD - 1 and self._next < self._end and self._transfers.try_begin():
            helper = threading.Thread(target=self._help, name="refstore-part", daemon=True)
            self._helpers.append(helper)
            helper.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for helper in self._helpers:
            helper.join()
        ahead = sum(part.at - max(part.start, self._read) for part in self._taken.values() if part.at > self._read)
        if ahead:
            # whoever goes on fetches them again
            self._arrived(-ahead)

    def pieces(self, buffer: memoryview) -> Iterator[tuple[memoryview | bytes, bool]]:
        """The bytes in order, some of them in `buffer`: each piece with whether helpers have written it to the file.

        Raises:
            RefstoreError: As `Backend.open`.
        """
        at, waited, looked = self._start, 0.0, False
        asked = time.monotonic()
        for piece in self._first.into(buffer):
            waited += time.monotonic() - asked
            if self._helpers:
                piece = piece[: self._read - at]
            at += len(piece)
            yield piece, False
            if self._helpers and at >= self._read:
                break
            if not looked and at - self._start >= LOOKED_AT:
                looked = True
                if waited * FAST > at - self._start:
                    self._begin_helpers(at)
                    if at >= self._read:
                        break
            asked = time.monotonic()
        if not self._helpers:
            return
        self._first.__exit__(None, None, None)
        while self._read < self._end:
            with self._changed:
                while (part := self._taken.get(self._read)) is None:
                    self._changed.wait()
            while self._read < part.end:
                with self._changed:
                    while part.at <= self._read and part.error is None:
                        self._changed.wait()
                    ready = part.at
                if ready <= self._read:
                    assert part.error is not None
                    raise part.error
                while self._read < ready:
                    size = os.preadv(self._target, [buffer[: ready - self._read]], self._read)
                    if not size:
                        raise SourceUnavailable(
                            f"{self._backend.uri(self._obj)} was cut while it was written: try again."
                        )
                    self._read += size
                    yield buffer[:size], True
            with self._changed:
                del self._taken[part.start]
                self._changed.notify_all()

    def _help(self) -> None:
        buffer = read_buffer(BUFFER)
        try:
            while (part := self._claim()) is not None:
                try:
                    self._fetch(part, buffer)
                except BaseException as error:  # noqa: BLE001 - carried over to the thread that reads
                    with self._changed:
                        part.error = error
                        self._changed.notify_all()
                    return
        finally:
            self._transfers.end()

    def _claim(self) -> _Part | None:
        with self._changed:
            while not self._over and self._next < self._end and self._next >= self._read + WINDOW - PART:
                self._changed.wait()
            if self._over or self._next >= self._end:
                return None
            part = _Part(self._next, min(self._next + PART, self._end), self._next)
            self._taken[part.start] = part
            self._next = part.end
            self._changed.notify_all()
            return part

    def _fetch(self, part: _Part, buffer: memoryview) -> None:
        with self._backend.open(self._obj, start=part.start, length=part.end - part.start) as reading:
            for piece in reading.into(buffer):
                if self._over or self._stop.is_set():
                    raise Stopped
                view = memoryview(piece)[: part.end - part.at]
                size = len(view)
                written = 0
                while written < size:
                    written += os.pwrite(self._target, view[written:], part.at + written)
                self._arrived(size)
                with self._changed:
                    part.at += size
                    self._changed.notify_all()
        if part.at < part.end:
            raise SourceUnavailable(
                f"{self._backend.uri(self._obj)} ended at {part.at} of {self._end} bytes: try again."
            )
