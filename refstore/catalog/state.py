"""The state that an index says the records add up to, row by row, without the numbers that are its own affair.

Two indexes of one set of records have equal rows, whatever the order in which they learned of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from refstore.catalog.ids import unpacked

Row = tuple[Any, ...]

# Each begins with what its rows are known and sorted by. Ids of records are bytes.
_STATE = {
    # one manifest may be recorded more than once, as changes to different bases
    "record": """SELECT DISTINCT i.id, r.kind, CASE r.kind WHEN 'manifest' THEN '' ELSE r.body END FROM records r
        JOIN ids i ON i.number = r.id ORDER BY 1, 2""",
    "artifact": "SELECT entity, project, name, type, created, updated FROM artifacts ORDER BY 1, 2, 3",
    "version": """SELECT i.id, a.entity, a.project, a.name, v.number, v.manifest, c.hash, c.entries, c.size, v.created,
        v.description, v.metadata, v.sources, v.choice, r.id, v.deleted, v.was, s.id, v.lifetime
        FROM versions v JOIN ids i ON i.number = v.id JOIN artifacts a ON a.id = v.artifact_id
        LEFT JOIN chunks c ON c.id = v.root LEFT JOIN ids r ON r.number = v.run LEFT JOIN ids s ON s.number = v.source
        ORDER BY 1""",
    "alias": """SELECT a.entity, a.project, a.name, l.alias, i.id FROM aliases l
        JOIN artifacts a ON a.id = l.artifact_id JOIN ids i ON i.number = l.version ORDER BY 1, 2, 3, 4""",
    "tag": "SELECT i.id, t.tag FROM tags t JOIN ids i ON i.number = t.version ORDER BY 1, 2",
    "run": """SELECT i.id, r.run, r.entity, r.project, r.name, r.job_type, r.group_name, r.notes, r.tags, r.config,
        r.summary, r.state, r.started, r.finished, r.host, r.user, r.pid, r.command, r.python, r.git, r.dirty, r.diff,
        r.resumed FROM runs r JOIN ids i ON i.number = r.id ORDER BY 1""",
    "edge": """SELECT r.id, e.direction, v.id, e.use_as FROM edges e JOIN ids r ON r.number = e.run
        JOIN ids v ON v.number = e.version ORDER BY 1, 2, 3""",
}


def rows(connection: sqlite3.Connection) -> Iterator[Row]:
    """Every row of the state, the table's name first; ids in hex. Streams, sorted by SQLite."""
    for table, query in _STATE.items():
        for row in connection.execute(query):
            yield (table, *(unpacked(value) if isinstance(value, bytes) else value for value in row))


def differences(mine: Iterator[Row], others: Iterator[Row]) -> Iterator[tuple[Row | None, Row | None]]:
    """What differs between two states: a row and what stands in its place. None where nothing does. Streams."""
    left, right = next(mine, None), next(others, None)
    while left is not None or right is not None:
        if left == right:
            left, right = next(mine, None), next(others, None)
            continue
        order = _order(left, right)
        if order < 0:
            yield left, None
            left = next(mine, None)
        elif order > 0:
            yield None, right
            right = next(others, None)
        else:
            yield left, right
            left, right = next(mine, None), next(others, None)


_TABLES = tuple(_STATE)
_KEYS = {"record": 2, "artifact": 3, "version": 1, "alias": 4, "tag": 2, "run": 1, "edge": 3}


def _key(row: Row) -> tuple[Any, ...]:
    # ids that are no ids are text, and SQLite sorts all text before all bytes, which are 64 hex digits here
    table = row[0]
    return (_TABLES.index(table), *row[1 : 1 + _KEYS[table]])


def _order(left: Row | None, right: Row | None) -> int:
    if left is None or right is None:
        return 1 if left is None else -1
    one, two = _key(left), _key(right)
    return (one > two) - (one < two)
