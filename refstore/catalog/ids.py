"""Ids of records in the index: 32 bytes each, written down once, and known everywhere else by a small number."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_HEX = re.compile(r"[0-9a-f]{64}")

AT_ONCE = 500
"""How many values one statement asks for: fewer than any build of SQLite allows."""


def packed(id: str) -> bytes | str:
    """An id as the index keeps it; what is none (a damaged record may name anything) stays as it is."""
    return bytes.fromhex(id) if _HEX.fullmatch(id) else id


def unpacked(value: bytes | str | None) -> str:
    """The reverse of `packed`; "" for None."""
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else value


def number_of(connection: sqlite3.Connection, id: str) -> int | None:
    """The number of an id; None where no record of the catalog has or names it. One probe."""
    row = connection.execute("SELECT number FROM ids WHERE id = ?", (packed(id),)).fetchone()
    return row[0] if row else None


def numbers_of(connection: sqlite3.Connection, ids: Iterable[str]) -> dict[str, int]:
    """The numbers of some ids, new ones for those that have none yet. Use inside a write transaction.

    A statement for 500 ids, and one that writes what is new in the order of the index, so that pages fill one by one.
    """
    wanted = {id: packed(id) for id in dict.fromkeys(ids)}
    known: dict[bytes | str, int] = {}
    for some in batches(list(wanted.values())):
        known.update(connection.execute(f"SELECT id, number FROM ids WHERE id IN ({marks(some)})", some))
    fresh = [value for value in wanted.values() if value not in known]
    if fresh:
        first = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM ids").fetchone()[0]
        known.update((value, first + place) for place, value in enumerate(fresh))
        rows = sorted(((known[value], value) for value in fresh), key=lambda row: (isinstance(row[1], str), row[1]))
        connection.executemany("INSERT INTO ids VALUES (?, ?)", rows)
    return {id: known[value] for id, value in wanted.items()}


def ids_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> dict[int, str]:
    """The ids that some numbers stand for; a statement for 500."""
    found: dict[int, str] = {}
    for some in batches(numbers):
        rows = connection.execute(f"SELECT number, id FROM ids WHERE number IN ({marks(some)})", some)
        found.update((number, unpacked(id)) for number, id in rows)
    return found


def batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """The values, as many at once as one statement may have parameters."""
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]


def marks(values: Sequence[object]) -> str:
    """A question mark for each value, for `IN (…)`."""
    return ",".join("?" * len(values))
