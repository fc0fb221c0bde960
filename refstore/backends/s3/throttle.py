"""How many requests may be on their way at once, as the service tells: halved when it says SlowDown, then grown again.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance-guidelines.html
"""

from __future__ import annotations

import threading
import time
from types import TracebackType

CALM = 1.0
"""Seconds within which several such answers are one: they are about requests that were sent at the same time."""


class Throttle:
    """A limit to share between threads; there is none until the service asks for one. Use it as a context manager."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._limit: float | None = None
        self._running = 0
        self._slowed = 0.0

    @property
    def limit(self) -> float | None:
        """How many at once; None for as many as come."""
        return self._limit

    def __enter__(self) -> Throttle:
        with self._condition:
            while self._limit is not None and self._running >= max(1, int(self._limit)):
                self._condition.wait()
            self._running += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._condition:
            self._running -= 1
            if self._limit is not None:
                # one more at once for each round of requests
                self._limit += 1 / max(1.0, self._limit)
                self._condition.notify(2)

    def slow_down(self) -> None:
        """The service said that there are too many requests."""
        now = time.monotonic()
        with self._condition:
            if now - self._slowed >= CALM:
                self._slowed = now
                self._limit = max(1.0, (self._limit or self._running) / 2)
