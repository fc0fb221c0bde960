"""Folders with the digests of their files: from the stat cache where it knows them, else made some way ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import repeat
from operator import itemgetter

from refstore.backends.local.digests import LARGE, Failed, Found
from refstore.backends.local.hashing import BATCH, Hashing
from refstore.backends.local.paths import key_of, readable
from refstore.backends.local.reading import refused
from refstore.backends.local.seen import Seen, is_racy
from refstore.backends.local.walk import Part, Run
from refstore.backends.times import iso_from_ns
from refstore.manifest.rows import Row
from refstore.mounts import is_network

_AHEAD = 32 * BATCH


class Digesting:
    """Has the digests of runs made.

    Args:
        hashing: Makes them.
        seen: Knows some of them, and learns the others; None for no cache.
        anywhere: Whether it may know files on network file systems too.
    """

    def __init__(self, hashing: Hashing, seen: Seen | None, *, anywhere: bool) -> None:
        self._hashing, self._seen, self._anywhere = hashing, seen, anywhere
        self._local: dict[int, bool] = {}

    def parts(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The same parts in the same order, with all digests in them. Holds a few thousand files.

        Raises:
            SourceError: One can't be made.
        """
        ahead: deque[tuple[Part, int]] = deque()
        weight = 0
        for part in parts:
            cost = 0 if part[0].begun else self._begin(part[0])
            weight += cost
            ahead.append((part, cost))
            # What waits for nothing goes on at once, so that it is not held.
            while ahead and (weight >= _AHEAD or not ahead[0][0][0].awaited):
                yield self._end(ahead[0][0])
                weight -= ahead.popleft()[1]
        for part, _ in ahead:
            yield self._end(part)

    def whole(self, run: Run) -> Run:
        """A run with all its digests."""
        if not run.begun:
            self._begin(run)
        return self._end((run, 0, len(run.names)))[0]

    def _begin(self, run: Run) -> int:
        """Ask for what the cache does not know; how many files wait."""
        run.begun = True
        run.sums = [None] * len(run.names)
        if run.unseen:
            run.changed = self._seen is not None
        elif self._seen is not None and self.may_know(run):
            run.changed = not self._seen.know(run)
            if not run.changed:
                return 0
        missing = [at for at, value in enumerate(run.sums) if value is None]
        small = [at for at in missing if run.keys[at][2] < LARGE]
        # these are begun first, since a few small ones are read here and now
        large = [([at], self._hashing.one(run.folder + run.names[at])) for at in missing if run.keys[at][2] >= LARGE]
        for start in range(0, len(small), BATCH):
            places = small[start : start + BATCH]
            run.awaited.append((places, self._hashing.few(run.folder, [run.names[at] for at in places])))
        run.awaited += large
        return len(missing)

    def _end(self, part: Part) -> Part:
        run, start, stop = part
        while run.awaited and None in run.sums[start:stop]:
            places, future = run.awaited.popleft()
            self._take(run, places, future.result())
        if run.changed and stop == len(run.names):
            assert self._seen is not None
            if not run.unseen or self.may_know(run):
                self._seen.keep(run)
            run.changed = False
        return part

    def _take(self, run: Run, places: list[int], answer: list[Found | Failed]) -> None:
        try:
            sums, keys, looks = zip(*answer, strict=True)
        except ValueError:
            answer = [self._whole(found, run.folder + run.names[at]) for found, at in zip(answer, places, strict=True)]
            sums, keys, looks = zip(*answer, strict=True)
        first, last = places[0], places[-1] + 1
        if last - first == len(sums) == len(places):
            run.sums[first:last], run.keys[first:last] = sums, keys
        else:
            for at, value, key in zip(places, sums, keys, strict=True):
                run.sums[at], run.keys[at] = value, key
        # Most were changed long before the first look.
        _, _, _, written, changed = zip(*keys, strict=True)
        if is_racy((0, 0, 0, max(written), max(changed)), min(looks)):
            run.racy.update([at for at, key, look in zip(places, keys, looks, strict=True) if is_racy(key, look)])

    def _whole(self, found: Found | Failed, path: str) -> Found:
        if found[0] == "large":
            found = self._hashing.large(path)
        if len(found) == 2:
            raise refused(found, path)
        return found

    def may_know(self, run: Run) -> bool:
        """Whether all files of a run lie where no other machine writes."""
        if self._anywhere:
            return True
        for device in set(map(itemgetter(0), run.keys)):
            if device not in self._local:
                at = next(at for at, key in enumerate(run.keys) if key[0] == device)
                self._local[device] = not is_network(run.folder + run.names[at])
            if not self._local[device]:
                return False
        return True


def rows(part: Part, algorithm: str | None) -> list[Row]:
    """The entries of some files; `algorithm` is that of their digests, None where there are none."""
    run, start, stop = part
    folder, before = key_of(run.folder), readable(run.before)
    names, keys = run.names[start:stop], run.keys[start:stop]
    sums: Iterable[str | None] = repeat(None)
    if algorithm is not None:
        sums = [value and f"{algorithm}:{value}" for value in run.sums[start:stop]]
    if "".join(names).isascii() and not folder.startswith("%"):
        paths, places = [before + name for name in names], [folder + name for name in names]
    else:
        paths, places = [readable(run.before + name) for name in names], [key_of(run.folder + name) for name in names]
    sizes, times = [key[2] for key in keys], [iso_from_ns(key[3]) for key in keys]
    none, empty = repeat(None), repeat("")
    return list(zip(paths, repeat("file"), empty, empty, places, sizes, none, none, sums, times, none, strict=False))


def paged(parts: Iterable[Part], size: int) -> Iterator[list[Part]]:
    """Parts in groups of so many files; those that reach beyond one are cut."""
    held: list[Part] = []
    count = 0
    for run, start, stop in parts:
        while start < stop:
            end = min(stop, start + size - count)
            held.append((run, start, end))
            count += end - start
            start = end
            if count == size:
                yield held
                held, count = [], 0
    if held:
        yield held
