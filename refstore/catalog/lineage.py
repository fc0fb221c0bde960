"""The graph of runs and versions, asked of the index: one statement each way, however large the answer is.

An edge of the table `edges` says that a run used or logged a version; besides, a version may be a link to another. Up
is towards what something came from, down towards what came of it. SQLite keeps the set of nodes that it has seen, so
circles (a run that logs what it used) end by themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

from refstore.catalog.ids import number_of
from refstore.records.types import Logged, Used

Way = Literal["up", "down"]
Kind = Literal["version", "run"]
Row = tuple[Any, ...]

LAYERS = 16
"""The longest walk, in runs, that SQLite counts as it goes: there a node counts once for each distance that it is seen
at. A longer one walks without a limit, and whoever asked cuts off what is too far."""

# A node of the walk is one number, so that SQLite compares no more: of a version in `ids`, less than 0 for a run. All
# parts of the answer have as many columns, as they are one statement; the first column tells them apart.
_NODES = """SELECT 'version', v.id, i.id, a.entity, a.project, a.name, v.number, a.type, v.deleted, v.created,
    v.run, v.source, v.manifest, v.sources, c.size, c.entries, v.description
    FROM reach r CROSS JOIN versions v ON v.id = r.node CROSS JOIN ids i ON i.number = v.id
    CROSS JOIN artifacts a ON a.id = v.artifact_id LEFT JOIN chunks c ON c.id = v.root
UNION ALL SELECT 'run', n.id, i.id, n.entity, n.project, n.run, n.pid, n.job_type, n.state, n.started, n.finished,
    n.name, n.git, n.command, n.host, n.python, NULL
    FROM reach r CROSS JOIN runs n ON n.id = -r.node CROSS JOIN ids i ON i.number = n.id"""


def statement(way: Way, *, counted: bool) -> str:
    """The one statement that walks a way.

    Args:
        way: Up or down.
        counted: Whether it stops after `:depth` runs.
    """
    to_run, to_version = (Logged.kind, Used.kind) if way == "up" else (Used.kind, Logged.kind)
    same, further, limit = (", w.depth", ", w.depth + 1", " AND w.depth < :depth") if counted else [""] * 3
    link = "v.source" if way == "up" else "v.id"
    linked = "v.id = w.node" if way == "up" else "v.source = w.node"
    seen = "walk" if counted else "reach"
    walk = f"""(SELECT :node{", :node < 0" if counted else ""}
UNION SELECT -e.run{further} FROM {seen} w CROSS JOIN edges e ON e.version = w.node AND e.direction = '{to_run}'
    WHERE w.node > 0{limit}
UNION SELECT e.version{same} FROM {seen} w CROSS JOIN edges e ON e.run = -w.node
    AND e.direction = '{to_version}' WHERE w.node < 0
UNION SELECT {link}{same} FROM {seen} w CROSS JOIN versions v ON {linked} AND v.source IS NOT NULL WHERE w.node > 0)"""
    nearest = "walk(node, depth) AS {}, reach(node, depth) AS (SELECT node, min(depth) FROM walk GROUP BY node)"
    return f"""WITH RECURSIVE {nearest.format(walk) if counted else f"reach(node) AS {walk}"}
{_NODES}
UNION ALL SELECT 'edge', e.run, e.version, e.direction, e.use_as{", NULL" * 12} FROM reach w
    CROSS JOIN edges e ON e.run = -w.node AND e.direction = '{to_version}' WHERE w.node < 0
UNION ALL SELECT 'edge', e.run, e.version, e.direction, e.use_as{", NULL" * 12} FROM reach w
    CROSS JOIN edges e ON e.version = w.node AND e.direction = '{to_run}' WHERE w.node > 0{limit}"""


def walk(connection: sqlite3.Connection, kind: Kind, id: str, way: Way, depth: int | None) -> Iterator[Row]:
    """Every node that can be reached, and every edge on the way there, in no promised order; streams.

    A row starts with `version`, `run` or `edge`, and names nodes by their numbers in `ids` (see `ids_of`); a node's own
    row has its id besides. An edge may name a node that has no row: its records are in no file of this catalog yet.

    Costs a few probes for each node and edge, and SQLite holds the numbers of all nodes.

    Args:
        connection: To the index.
        kind: Of the node to start from.
        id: The id of its record.
        way: Up or down.
        depth: The most runs to pass, a run to start from included; None for no limit. More than `LAYERS` is no limit.
    """
    counted = depth is not None and depth <= LAYERS
    start = number_of(connection, id) or 0
    values = {"node": -start if kind == "run" else start, "depth": depth}
    return iter(connection.execute(statement(way, counted=counted), values))
