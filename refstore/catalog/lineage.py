"""The graph of runs and versions, asked of the index: one statement each way, however large the answer is.

An edge of the table `edges` says that a run used or logged a version; besides, a version may be a link to another. Up
is towards what something came from, down towards what came of it. SQLite keeps the set of nodes that it has seen, so
circles (a run that logs what it used) end by themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

from refstore.records.types import Logged, Used

Way = Literal["up", "down"]
Kind = Literal["version", "run"]
Row = tuple[Any, ...]

LAYERS = 16
"""The longest walk, in runs, that SQLite counts as it goes: there a node counts once for each distance that it is seen
at. A longer one walks without a limit, and whoever asked cuts off what is too far."""

_VERSION, _RUN = 0, 1

# All parts of the answer have one number of columns, as they are one statement; the first column tells them apart.
_NODES = f"""SELECT 'version', r.id, a.entity, a.project, a.name, v.number, a.type, v.deleted, v.created, v.run,
    v.source, v.manifest, v.sources, c.size, c.entries, v.description
    FROM reach r CROSS JOIN versions v ON v.id = r.id CROSS JOIN artifacts a ON a.id = v.artifact_id
    LEFT JOIN chunks c ON c.id = v.root WHERE r.kind = {_VERSION}
UNION ALL SELECT 'run', r.id, n.entity, n.project, n.run, n.pid, n.job_type, n.state, n.started, n.finished, n.name,
    n.git, n.command, n.host, n.python, n.notes
    FROM reach r CROSS JOIN runs n ON n.id = r.id WHERE r.kind = {_RUN}"""


def statement(way: Way, *, counted: bool) -> str:
    """The one statement that walks a way.

    Args:
        way: Up or down.
        counted: Whether it stops after `:depth` runs.
    """
    to_run, to_version = (Logged.kind, Used.kind) if way == "up" else (Used.kind, Logged.kind)
    depth, same, further, limit = (
        (", depth", ", w.depth", ", w.depth + 1", " AND w.depth < :depth") if counted else [""] * 4
    )
    link = "v.source" if way == "up" else "v.id"
    linked = "v.id = w.id" if way == "up" else "v.source = w.id"
    nearest = "SELECT kind, id, min(depth) FROM walk GROUP BY kind, id" if counted else "SELECT kind, id FROM walk"
    return f"""WITH RECURSIVE walk(kind, id{depth}) AS (
SELECT :kind, :id{", :kind" if counted else ""}
UNION SELECT {_RUN}, e.run{further} FROM walk w CROSS JOIN edges e ON e.version = w.id AND e.direction = '{to_run}'
    WHERE w.kind = {_VERSION}{limit}
UNION SELECT {_VERSION}, e.version{same} FROM walk w CROSS JOIN edges e ON e.run = w.id
    AND e.direction = '{to_version}' WHERE w.kind = {_RUN}
UNION SELECT {_VERSION}, {link}{same} FROM walk w CROSS JOIN versions v ON {linked} AND v.source <> ''
    WHERE w.kind = {_VERSION}
), reach(kind, id{depth}) AS ({nearest})
{_NODES}
UNION ALL SELECT 'edge', e.run, e.version, e.direction, e.use_as{", NULL" * 11} FROM reach w
    CROSS JOIN edges e ON e.run = w.id AND e.direction = '{to_version}' WHERE w.kind = {_RUN}
UNION ALL SELECT 'edge', e.run, e.version, e.direction, e.use_as{", NULL" * 11} FROM reach w
    CROSS JOIN edges e ON e.version = w.id AND e.direction = '{to_run}' WHERE w.kind = {_VERSION}{limit}"""


def walk(connection: sqlite3.Connection, kind: Kind, id: str, way: Way, depth: int | None) -> Iterator[Row]:
    """Every node that can be reached, and every edge on the way there, in no promised order; streams.

    A row starts with `version`, `run` or `edge`. An edge may name a node that has no row: its records are in no file of
    this catalog yet.

    Args:
        connection: To the index.
        kind: Of the node to start from.
        id: The id of its record.
        way: Up or down.
        depth: The most runs to pass, a run to start from included; None for no limit. More than `LAYERS` is no limit.
    """
    counted = depth is not None and depth <= LAYERS
    values = {"kind": _RUN if kind == "run" else _VERSION, "id": id, "depth": depth}
    return connection.execute(statement(way, counted=counted), values)
