"""What the records say of runs: their state, what was said of them, what they used and logged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

from refstore.catalog.ids import batches, marks, numbers_of, unpacked
from refstore.records.types import Logged, Record, RunFinished, RunResumed, RunStarted, RunUpdated, Used, parse

ABOUT_RUNS = (RunStarted.kind, RunUpdated.kind, RunResumed.kind, RunFinished.kind, Used.kind, Logged.kind)

RUNNING = "running"

_KINDS = ", ".join(f"'{kind}'" for kind in ABOUT_RUNS)


def refold_runs(connection: sqlite3.Connection, runs: Iterable[int]) -> None:
    """Make the rows of some runs anew from their records, by the numbers of their ids.

    Use inside a write transaction. Costs a handful of statements for 500 runs, and holds what is known of those. An
    edge whose run has no start yet is kept all the same: its file may come later.
    """
    for some in batches(sorted(runs)):
        told: dict[int, dict[bytes | str, str]] = {run: {} for run in some}
        rows = connection.execute(
            f"""SELECT r.subject, i.id, r.body FROM records r CROSS JOIN ids i ON i.number = r.id
                WHERE r.subject IN ({marks(some)}) AND r.kind IN ({_KINDS})""",
            some,
        )
        for run, id, body in rows:
            told[run][id] = body
        _write(connection, told)


def _write(connection: sqlite3.Connection, told: dict[int, dict[bytes | str, str]]) -> None:
    runs: list[tuple[Any, ...]] = []
    edges: list[tuple[int, str, str, str]] = []
    for run, bodies in told.items():
        records = {unpacked(id): parse(json.loads(body), f"The record {unpacked(id)}") for id, body in bodies.items()}
        for record in records.values():
            if isinstance(record, Used):
                edges.append((run, Used.kind, record.version, record.use_as))
            elif isinstance(record, Logged):
                edges.append((run, Logged.kind, record.version, ""))
        row = _row(run, records)
        if row is not None:
            runs.append(row)
    keys = [(run,) for run in told]
    connection.executemany("DELETE FROM runs WHERE id = ?", keys)
    connection.executemany("DELETE FROM edges WHERE run = ?", keys)
    connection.executemany(f"INSERT INTO runs VALUES ({', '.join('?' * 23)})", runs)
    known = numbers_of(connection, (version for _, _, version, _ in edges))
    connection.executemany(
        "INSERT OR IGNORE INTO edges VALUES (?, ?, ?, ?)",
        sorted((run, direction, known[version], use_as) for run, direction, version, use_as in edges),
    )


def _row(run: int, records: dict[str, Record]) -> tuple[Any, ...] | None:
    """The row of a run, from all that is told of it, by the ids of the records; None where its start is not."""
    starts = [record for record in records.values() if isinstance(record, RunStarted)]
    if not starts:
        return None
    start = starts[0]
    turn = _last(records, RunFinished, RunResumed)
    end = turn if isinstance(turn, RunFinished) else None
    again = _last(records, RunResumed)
    process = again if isinstance(again, RunResumed) else start
    said = _last(records, RunUpdated)
    last = said if isinstance(said, RunUpdated) else None
    now = last or start
    return (
        run,
        start.run,
        start.entity,
        start.project,
        now.name,
        start.job_type,
        start.group,
        now.notes,
        json.dumps(now.tags),
        json.dumps(now.config),
        json.dumps(last.summary if last else {}),
        end.state if end else RUNNING,
        start.time,
        end.time if end else None,
        process.host,
        process.user,
        process.pid,
        json.dumps(process.command),
        process.python,
        process.git,
        int(process.dirty),
        process.diff,
        again.time if again else None,
    )


def _last(records: dict[str, Record], *kinds: type[Record]) -> Record | None:
    """The last of some kinds, by (clock, time, id)."""
    found = [(record.clock, record.time, id, record) for id, record in records.items() if isinstance(record, kinds)]
    return max(found, key=lambda each: each[:3])[3] if found else None
