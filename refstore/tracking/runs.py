"""Some runs as a sequence that is read as it is asked for, and the filters that choose among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

from refstore.catalog.run_queries import RunInfo
from refstore.errors import UsageError
from refstore.tracking.past_run import PastRun
from refstore.tracking.stores import Stores


class Runs(Sequence[PastRun]):
    """Some runs by the time of their start. No more than a page is held.

    Without filters a length costs a count, and an item a page. Filters look into values that are JSON, so that a length
    or a late item then reads all runs before it.
    """

    def __init__(
        self,
        stores: Stores,
        entity: str,
        project: str,
        filters: Mapping[str, Any],
        *,
        oldest: bool,
        per_page: int,
    ) -> None:
        self._stores, self._place, self._filters = stores, (entity, project), dict(filters)
        self._oldest, self._size = oldest, max(1, per_page)

    def __iter__(self) -> Iterator[PastRun]:
        return (PastRun(self._stores, info) for info in self._infos())

    def __len__(self) -> int:
        if self._filters:
            return sum(1 for _ in self._infos())
        return self._stores.here.catalog.runs.count_runs(*self._place)

    @overload
    def __getitem__(self, index: int) -> PastRun: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PastRun]: ...

    def __getitem__(self, index: int | slice) -> PastRun | Sequence[PastRun]:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step < 0:
                return list(self)[index]
            return [PastRun(self._stores, info) for info in islice(self._infos(start), 0, max(0, stop - start), step)]
        at = index + len(self) if index < 0 else index
        for info in islice(self._infos(at), 1) if at >= 0 else ():
            return PastRun(self._stores, info)
        raise IndexError(f"There is no run {index} among {len(self)}.")

    def _infos(self, skip: int = 0) -> Iterator[RunInfo]:
        if self._filters:
            return islice((info for info in self._all(0) if matches(info, self._filters)), skip, None)
        return self._all(skip)

    def _all(self, skip: int) -> Iterator[RunInfo]:
        after = None
        while True:
            # A page is read to its end, as other questions may go to the connection before the next one.
            page = list(
                self._stores.here.catalog.runs.runs(
                    *self._place, oldest=self._oldest, after=after, skip=skip, limit=self._size
                )
            )
            yield from page
            if len(page) < self._size:
                return
            after, skip = page[-1], 0


_COMPARED: dict[str, Any] = {
    "$eq": lambda a, b: a == b or (isinstance(a, list | tuple) and b in a),
    "$ne": lambda a, b: not _COMPARED["$eq"](a, b),
    "$in": lambda a, b: any(_COMPARED["$eq"](a, each) for each in b),
    "$nin": lambda a, b: not _COMPARED["$in"](a, b),
    "$gt": lambda a, b: _ordered(a, b) and a > b,
    "$gte": lambda a, b: _ordered(a, b) and a >= b,
    "$lt": lambda a, b: _ordered(a, b) and a < b,
    "$lte": lambda a, b: _ordered(a, b) and a <= b,
    "$exists": lambda a, b: (a is not None) == bool(b),
    "$regex": lambda a, b: _found(a, b),
}

_FIELDS: dict[str, str] = {
    "state": "state", "display_name": "name", "displayName": "name", "name": "run", "job_type": "job_type",
    "jobType": "job_type", "group": "group", "tags": "tags", "created_at": "started", "createdAt": "started",
    "user": "user", "username": "user", "host": "host", "notes": "notes", "commit": "git",
}  # fmt: skip


def matches(info: RunInfo, filters: Mapping[str, Any]) -> bool:
    """Whether a run has what some filters of W&B's kind ask for.

    Raises:
        UsageError: One of them is unknown.
    """
    for key, wanted in filters.items():
        if key == "$and":
            good = all(matches(info, each) for each in wanted)
        elif key == "$or":
            good = any(matches(info, each) for each in wanted)
        elif key == "$not":
            good = not matches(info, wanted)
        else:
            value = _value(info, key)
            compound = isinstance(wanted, Mapping) and all(test.startswith("$") for test in wanted)
            tests = wanted if compound else {"$eq": wanted}
            unknown = [test for test in tests if test not in _COMPARED]
            if unknown:
                raise UsageError(f"The filter {unknown[0]!r} is unknown: there are {', '.join(_COMPARED)}.")
            good = all(_COMPARED[test](value, operand) for test, operand in tests.items())
        if not good:
            return False
    return True


def _value(info: RunInfo, key: str) -> Any:
    for prefix, data in (("config.", info.config), ("summary_metrics.", info.summary), ("summary.", info.summary)):
        if key.startswith(prefix):
            value: Any = data
            for part in key[len(prefix) :].removesuffix(".value").split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            return value
    if key not in _FIELDS:
        raise UsageError(f"Runs have no {key!r} to filter by: there are {', '.join(_FIELDS)}, config.… and summary.….")
    return getattr(info, _FIELDS[key])


def _ordered(a: Any, b: Any) -> bool:
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    return numbers or (isinstance(a, str) and isinstance(b, str))


def _found(text: Any, pattern: str) -> bool:
    import re

    return isinstance(text, str) and re.search(pattern, text) is not None
