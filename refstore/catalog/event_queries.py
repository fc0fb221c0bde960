"""Questions to the index about what happened."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from refstore.catalog.ids import unpacked
from refstore.catalog.infos import Event
from refstore.catalog.schema import EVENTS
from refstore.names import ArtifactName

_ABOUT_ONE = """AND r.id IN (SELECT id FROM records WHERE artifact = :name UNION SELECT x.id FROM records m
    JOIN records x ON x.subject = m.id WHERE m.artifact = :name AND m.kind = 'version')"""


class EventQueries:
    """Questions about records and what they did."""

    _db: sqlite3.Connection

    def count_records(self) -> int:
        """How many different records there are."""
        return int(self._db.execute("SELECT count(DISTINCT id) FROM records").fetchone()[0])

    def events(self, name: ArtifactName | None = None, limit: int | None = None) -> Iterator[Event]:
        """What happened, newest first: to one artifact, or in the whole catalog."""
        only = "" if name is None else _ABOUT_ONE
        # Without the records that stand in an earlier file too.
        rows = self._db.execute(
            f"""SELECT i.id, r.kind, r.time, r.body, coalesce(a.entity, ''), coalesce(a.project, ''),
                coalesce(a.name, ''), v.number FROM records r CROSS JOIN ids i ON i.number = r.id
                LEFT JOIN versions v ON v.id = r.subject LEFT JOIN artifacts a ON a.id = v.artifact_id
                WHERE {EVENTS} {only} AND NOT EXISTS (SELECT 1 FROM records o WHERE o.id = r.id AND
                o.transaction_id < r.transaction_id)
                ORDER BY r.time DESC, r.clock DESC, r.kind DESC, i.id LIMIT :limit""",
            {"name": str(name) if name else None, "limit": -1 if limit is None else limit},
        )
        for id, kind, time, body, entity, project, artifact, number in rows:
            data = json.loads(body)
            about = ArtifactName(
                entity or data.get("entity", ""),
                project or data.get("project", ""),
                artifact or data.get("artifact", ""),
            )
            subject = f"{about}:v{number}" if number is not None else str(about)
            yield Event(time, kind, subject, _detail(kind, data), unpacked(id))


def _detail(kind: str, data: dict[str, Any]) -> str:
    if kind == "version":
        return ", ".join(data.get("sources", ())) or "logged"
    if kind == "alias":
        return f"alias {data['alias']} set" if data.get("version") else f"alias {data['alias']} removed"
    if kind == "tag":
        return f"tag {data['tag']} {'set' if data['present'] else 'removed'}"
    if kind == "tombstone":
        return "removed"
    if kind == "renumbered":
        return f"was v{data['was']}, another version with that number is older"
    return f"{kind} changed"
