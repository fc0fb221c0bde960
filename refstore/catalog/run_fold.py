"""What the records say of runs: their state, what was said of them, what they used and logged."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from refstore.records.types import Logged, Record, RunFinished, RunStarted, RunUpdated, Used, parse

ABOUT_RUNS = (RunStarted.kind, RunUpdated.kind, RunFinished.kind, Used.kind, Logged.kind)

RUNNING = "running"


def refold_runs(connection: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Make the rows of some runs anew from their records, by the ids of the records of their starts.

    Use inside a write transaction. An edge whose run has no start yet is kept all the same: its file may come later.
    """
    for id in ids:
        rows = connection.execute("SELECT DISTINCT id, body FROM records WHERE subject = ?", (id,)).fetchall()
        _write(connection, id, [(record, parse(json.loads(body), f"The record {record}")) for record, body in rows])


def _write(connection: sqlite3.Connection, id: str, records: list[tuple[str, Record]]) -> None:
    connection.execute("DELETE FROM runs WHERE id = ?", (id,))
    connection.execute("DELETE FROM edges WHERE run = ?", (id,))
    start: RunStarted | None = None
    ends: list[tuple[str, RunFinished]] = []
    said: list[tuple[int, str, str, RunUpdated]] = []
    edges = []
    for record_id, record in records:
        if isinstance(record, RunStarted):
            start = record
        elif isinstance(record, RunFinished):
            ends.append((record_id, record))
        elif isinstance(record, RunUpdated):
            said.append((record.clock, record.time, record_id, record))
        elif isinstance(record, Used):
            edges.append((id, record.version, Used.kind, record.use_as))
        elif isinstance(record, Logged):
            edges.append((id, record.version, Logged.kind, ""))
    connection.executemany("INSERT OR IGNORE INTO edges VALUES (?, ?, ?, ?)", sorted(edges))
    if start is None:
        return
    end = max(ends, key=lambda e: (e[1].clock, e[1].time, e[0]))[1] if ends else None
    last = max(said, key=lambda s: s[:3])[3] if said else None
    now = last or start
    connection.execute(
        f"INSERT INTO runs VALUES ({', '.join('?' * 22)})",
        (
            id,
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
            start.host,
            start.user,
            start.pid,
            json.dumps(start.command),
            start.python,
            start.git,
            int(start.dirty),
            start.diff,
        ),
    )
