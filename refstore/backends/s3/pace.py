"""What the pages of a listing wait for: the service's work, which more requests only add to, or the way to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

from refstore.backends.s3.pages import Listed

FAR = 0.03
"""Seconds that a page is waited for from which on more chains than one could be worth their requests."""

_TICK = 0.01
_SMALL = 0.6  # of the time of a page: a small answer that takes longer than this says that size is not what costs


_PATIENCE = 8  # after so many times the pages, it is found out again


async def _lateness() -> float:
    """Seconds by which this thread is late for a date with itself: then the machine is busy, and nothing far away."""
    clock = time.perf_counter()
    await asyncio.sleep(_TICK)
    return time.perf_counter() - clock - _TICK


class Pace:
    """How long the pages of one listing take."""

    def __init__(self) -> None:
        self._pages = 0
        self._far = 0
        self._waited = 0.0
        self._surveyed = 0.0
        self._next_survey = 2

    async def timed(self, page: Awaitable[Listed], *, survey: bool = False) -> Listed:
        """Await a page, and note how long it was waited for; the time in which this thread was at work is none."""
        clock, work = time.perf_counter(), time.thread_time()
        tick = asyncio.ensure_future(_lateness())
        try:
            listed = await page
        finally:
            tick.cancel()
        work = time.thread_time() - work
        late = tick.result() if tick.done() and not tick.cancelled() else 0.0
        waited = max(0.0, time.perf_counter() - clock - work - 4 * late)
        if survey:
            self._surveyed = waited
            self._next_survey = self._pages * _PATIENCE
        else:
            self._pages += 1
            self._waited = waited
            # The first page waits for credentials and connections too.
            self._far = self._far + 1 if waited > max(FAR, 2 * work) and self._pages > 1 else 0
        return listed

    @property
    def is_far(self) -> bool:
        """Whether the last page was waited for long, and it is time to ask what for."""
        return self._far > 0 and self._pages >= self._next_survey

    @property
    def is_latency(self) -> bool:
        """Whether a survey took about as long as a page, though its answer is small."""
        return self._surveyed > max(FAR, _SMALL * self._waited)

    def give_up(self) -> None:
        """More chains don't work here."""
        self._next_survey = 1 << 62
