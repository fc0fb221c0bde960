"""A listing cut into ranges of keys, which are listed at once: for where a chain of pages is slow by its latency alone.

The cuts are the names of folders. A range begins behind its first cut (`key-marker`, `start-after`) and ends with the
first key behind its last, so a page is asked for in vain at most once a range. That is right for a service that
lists keys in the order of their bytes, and it is proven, not believed: the folders' names have to come in that order,
so have the keys, and what stands behind the end of a range has to be what the next range begins with.
"""

from __future__ import annotations

import asyncio
import math
import os
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from refstore.backends.s3.pages import Listed
from refstore.manifest.rows import KEY

CHAINS = 16
"""How many ranges are listed at once."""


class OutOfOrderError(Exception):
    """The service does not list in the order of bytes, or the bucket changed just there: ranges can't be trusted."""


@dataclass(slots=True)
class Range:
    """Keys behind `start` up to and with `end`; None for all that follow.

    Attributes:
        start: A cut.
        end: A cut, which moves closer when a part is given away.
        at: The last key that was listed.
        first: The first key of its first page, in the range or not; None where nothing follows.
        beyond: The first key behind its end; None where nothing follows.
    """

    start: str
    end: str | None
    at: str
    first: str | None = None
    beyond: str | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """The folders of a level.

    Attributes:
        level: What they are in: "" or a prefix with a `/` at its end.
        folders: Their prefixes, as the service sorts them.
        truncated: Whether there are more.
    """

    level: str
    folders: list[str]
    truncated: bool


def level_of(page: Listed, prefix: str) -> str | None:
    """The folder whose folders a listing goes through, judged by a page of it; None where it goes through files.

    Args:
        page: With its keys.
        prefix: The folder that is listed.
    """
    if not page.keys:
        return None
    common = os.path.commonprefix([page.keys[0], page.keys[-1]])  # noqa: RUF071 - characters are meant
    level = max(common[: common.rfind("/") + 1], prefix, key=len)
    while not any("/" in key[len(level) :] for key in page.keys):
        if level == prefix:
            return None
        level = max(level[: level.rfind("/", 0, -1) + 1], prefix, key=len)
    return level


class Ranges:
    """Lists what follows a page up to the last folder of a survey, or to the end, in up to `CHAINS` chains.

    Attributes:
        last: Where it ended, for the listing to go on from; None where that was the end.

    Args:
        survey: The folders.
        page: The last page of the listing so far.
        prefix: The folder that is listed.
        behind: Asks for the page that begins behind a cut, or for the one that follows a page.
        put: Takes the pages, in no order, and waits while there are too many.
    """

    def __init__(
        self,
        survey: Survey,
        page: Listed,
        prefix: str,
        behind: Callable[[str, Listed | None], Awaitable[Listed]],
        put: Callable[[Listed], Awaitable[None]],
    ) -> None:
        self._level = survey.level
        self._open = not survey.truncated and survey.level == prefix
        self._behind = behind
        self._put = put
        self._sorted = survey.folders == sorted(survey.folders)
        self._after = max((keys[-1] for keys in (page.keys, page.marked) if keys), default="")
        self._cuts = survey.folders[bisect_right(survey.folders, self._after) :] if self._sorted else []
        per_folder = len(page.keys) / max(1, len(set(self._folders(page.keys))))
        self._fewest = max(1, math.ceil(2 * len(page.keys) / max(1.0, per_folder)))
        self._ranges: list[Range] = []
        self._busy: list[Range] = []
        self.last: str | None = None

    async def run(self) -> bool:
        """List all of it; the first error ends all chains. Lists nothing and is False where there are too few folders.

        Raises:
            OutOfOrderError: Something may be missing from what was put.
        """
        if not self._sorted:
            raise OutOfOrderError
        cuts = self._cuts
        count = min(CHAINS, len(cuts) // self._fewest + 1)
        if count < 2:
            return False
        self.last = None if self._open else cuts[-1]
        borders = [self._after, *(cuts[n * len(cuts) // count] for n in range(1, count))]
        self._ranges = [Range(start, end, start) for start, end in zip(borders, [*borders[1:], self.last], strict=True)]
        chains = [asyncio.ensure_future(self._chain(mine)) for mine in list(self._ranges)]
        try:
            await asyncio.gather(*chains)
        finally:
            for chain in chains:
                chain.cancel()
            await asyncio.gather(*chains, return_exceptions=True)
        self._check_borders()
        return True

    async def _chain(self, mine: Range | None) -> None:
        while mine is not None:
            self._busy.append(mine)
            try:
                await self._list(mine)
            finally:
                self._busy.remove(mine)
            mine = self._steal()

    async def _list(self, mine: Range) -> None:
        page: Listed | None = None
        before = {mine.start}  # Ceph begins with the key that is to be gone behind
        while True:
            page = await self._behind(mine.start, page)
            if page.keys or page.marked:
                self._check_order(page, mine)
                if mine.first is None:
                    mine.first = _first(page, mine.start)
                mine.at = max(keys[-1] for keys in (page.keys, page.marked) if keys)
                if mine.end is not None:
                    mine.beyond = _first(page, mine.end)
            await self._put(_kept(page, mine, before))
            before = set(page.keys)
            if mine.beyond is not None or not page.truncated:
                return

    def _steal(self) -> Range | None:
        """The later half of what is left of the longest range."""
        robbed = max(self._busy, key=lambda other: len(self._inside(other)), default=None)
        inside = self._inside(robbed) if robbed else []
        if robbed is None or len(inside) < self._fewest:
            return None
        cut = inside[len(inside) // 2]
        stolen = Range(cut, robbed.end, cut)
        robbed.end = cut
        self._ranges.insert(self._ranges.index(robbed) + 1, stolen)
        return stolen

    def _inside(self, some: Range) -> list[str]:
        """The cuts that a range has not come to, but for the next one, whose page is under way."""
        begin = bisect_right(self._cuts, some.at)
        end = len(self._cuts) if some.end is None else bisect_right(self._cuts, some.end) - 1
        return self._cuts[begin + 1 : end]

    def _check_order(self, page: Listed, mine: Range) -> None:
        start = self._folders([mine.at])
        for keys in (page.keys, page.marked):
            folders = start + self._folders(keys)
            if folders != sorted(folders):
                raise OutOfOrderError

    def _folders(self, keys: list[str]) -> list[str]:
        """Each key up to the first `/` behind the level of the cuts. Order inside of a folder plays no part."""
        start = len(self._level)
        return [key[: key.find("/", start) + 1] or key for key in keys]

    def _check_borders(self) -> None:
        for one, other in zip(self._ranges, self._ranges[1:], strict=False):
            if one.beyond != other.first:
                raise OutOfOrderError


def _first(page: Listed, behind: str) -> str | None:
    """The first key of a page that is behind some key."""
    found = [next((key for key in keys if key > behind), None) for keys in (page.keys, page.marked)]
    return min((key for key in found if key is not None), default=None)


def _kept(page: Listed, mine: Range, before: set[str]) -> Listed:
    """What of a page lies in its range; services repeat some keys on the next page."""
    if mine.beyond is None and before.isdisjoint(page.keys):
        return page
    end = mine.end
    return replace(page, rows=[row for row in page.rows if (end is None or row[KEY] <= end) and row[KEY] not in before])
