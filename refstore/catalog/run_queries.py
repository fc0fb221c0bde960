"""Questions about runs: which there are, what became of them, what they used and logged."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from refstore.catalog.ids import number_of, packed, unpacked
from refstore.catalog.infos import VersionInfo
from refstore.catalog.queries import Queries
from refstore.catalog.run_fold import RUNNING
from refstore.errors import InvalidName, RunNotFound
from refstore.records.types import Logged, Used

CRASHED = "crashed"
SLACK = 5.0
"""How much later than its run a process may seem to have begun, in seconds: the two are read from different clocks."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run.

    Attributes:
        id: The id of the record of its start: 64 hex digits.
        run: Its short id, as people see it.
        entity: Before the project, or "".
        project: Where it belongs.
        name: For people.
        job_type: What it does.
        group: What it belongs to, for people.
        notes: What people say of it.
        tags: What people call it.
        config: Its inputs that are not files.
        summary: The last value of each thing that it logged.
        state: `running`, `finished`, `failed`, or `crashed`: it never ended, and its process is gone.
        started: UTC, ISO 8601.
        finished: UTC, ISO 8601; None where it did not end.
        host: The machine's name.
        user: The account's name.
        pid: Its process there; 0 where that means nothing.
        command: Its command line, without credentials.
        python: The version of Python.
        git: The commit that was checked out, or "".
        dirty: Whether tracked files differed from it.
        diff: The SHA-256 of that difference, in hex, or "".
        resumed: When it last went on in another process, which is the one that is told of: UTC, ISO 8601; else None.
    """

    id: str
    run: str
    entity: str
    project: str
    name: str
    job_type: str
    group: str
    notes: str
    tags: tuple[str, ...]
    config: dict[str, Any]
    summary: dict[str, Any]
    state: str
    started: str
    finished: str | None
    host: str
    user: str
    pid: int
    command: tuple[str, ...]
    python: str
    git: str
    dirty: bool
    diff: str
    resumed: str | None = None

    @property
    def path(self) -> str:
        """`entity/project/run`, by which `RunQueries.run` finds it."""
        return "/".join(part for part in (self.entity, self.project, self.run) if part)


_RUN = """SELECT i.id, r.run, r.entity, r.project, r.name, r.job_type, r.group_name, r.notes, r.tags, r.config,
    r.summary, r.state, r.started, r.finished, r.host, r.user, r.pid, r.command, r.python, r.git, r.dirty, r.diff,
    r.resumed FROM runs r CROSS JOIN ids i ON i.number = r.id"""


class RunQueries(Queries):
    """Questions to one connection; `Catalog.runs` has one."""

    def runs(
        self,
        entity: str | None = None,
        project: str | None = None,
        *,
        implied: bool = True,
        oldest: bool = False,
        after: RunInfo | None = None,
        skip: int = 0,
        limit: int | None = None,
    ) -> Iterator[RunInfo]:
        """Runs, newest first; streams.

        Args:
            entity: Only those of this entity.
            project: Only those of this project.
            implied: Also the runs that a command such as `refstore add` implies, which have no process of their own.
            oldest: The oldest first.
            after: Only those that come after this one in that order.
            skip: Leave out so many at the beginning.
            limit: At most so many.
        """
        hidden = "" if implied else "AND r.pid <> 0"
        later, greater, order = (">", "<", "r.started, i.id DESC") if oldest else ("<", ">", "r.started DESC, i.id")
        beyond = "" if after is None else f"AND (r.started {later} :time OR r.started = :time AND i.id {greater} :id)"
        # A condition for each that is given, so that the index of it is used.
        inside = " AND ".join(
            f"r.{name} = :{name}" for name, value in (("entity", entity), ("project", project)) if value is not None
        )
        rows = self._db.execute(
            f"{_RUN} WHERE {inside or 'TRUE'} {hidden} {beyond} ORDER BY {order} LIMIT :limit OFFSET :skip",
            {
                "entity": entity,
                "project": project,
                "time": after and after.started,
                "id": after and packed(after.id),
                "limit": -1 if limit is None else limit,
                "skip": skip,
            },
        )
        return map(_info, rows)

    def run(self, name: str) -> RunInfo:
        """One run, by the id of its record, by its short id, or by `[entity/]project/run`.

        Raises:
            RunNotFound: There is none.
            InvalidName: There are several of that id in different projects.
        """
        parts = [part for part in name.strip("/").split("/") if part]
        if not parts or len(parts) > 3:
            raise InvalidName(f"{name!r} is not the name of a run: it is [entity/][project/]run.")
        entity, project, run = [None, None, None][: 3 - len(parts)] + parts
        where = "r.id = :id OR (r.run = :run AND (:project IS NULL OR r.project = :project) AND "
        where += "(:entity IS NULL OR r.entity = :entity))"
        rows = self._db.execute(
            f"{_RUN} WHERE {where} ORDER BY r.started DESC, i.id",
            {"entity": entity, "project": project, "run": run, "id": number_of(self._db, parts[-1])},
        ).fetchall()
        if not rows:
            raise RunNotFound(f"There is no run {name} in this catalog: 'refstore runs ls' lists them.")
        found = [_info(row) for row in rows]
        places = sorted({info.path for info in found})
        if len(places) > 1:
            raise InvalidName(f"{name} fits several runs: name one of {', '.join(places[:5])}.")
        return found[0]

    def run_by_id(self, id: str) -> RunInfo | None:
        """The run whose start has this record id."""
        row = self._db.execute(f"{_RUN} WHERE r.id = ?", (number_of(self._db, id),)).fetchone()
        return _info(row) if row else None

    def used(self, run: str) -> list[VersionInfo]:
        """The versions that a run (the id of its record) used, removed ones too, by name."""
        return self._at(run, Used.kind)

    def logged(self, run: str) -> list[VersionInfo]:
        """The versions that a run (the id of its record) logged, removed ones too, by name."""
        return self._at(run, Logged.kind)

    def used_as(self, run: str) -> dict[str, str]:
        """What each version (the id of its record) that a run used was to it; "" where that was not said."""
        rows = self._db.execute(
            """SELECT i.id, e.use_as FROM edges e CROSS JOIN ids i ON i.number = e.version
               WHERE e.run = ? AND e.direction = ?""",
            (number_of(self._db, run), Used.kind),
        )
        return {unpacked(id): use_as for id, use_as in rows}

    def used_by(self, version: str) -> list[RunInfo]:
        """The runs that used a version (the id of its record), oldest first."""
        return self._of(version, Used.kind)

    def logged_by(self, version: str) -> list[RunInfo]:
        """The runs that logged a version (the id of its record), oldest first: the first one made it."""
        return self._of(version, Logged.kind)

    def links_to(self, version: str) -> list[VersionInfo]:
        """The versions that are links to a version (the id of its record), removed ones left out, by name."""
        return self._versions(
            "v.source = :id AND NOT v.deleted ORDER BY a.entity, a.project, a.name, v.number",
            {"id": number_of(self._db, version)},
        )

    def count_runs(self, entity: str, project: str) -> int:
        """How many runs a project has."""
        row = self._db.execute("SELECT count(*) FROM runs WHERE entity = ? AND project = ?", (entity, project))
        return int(row.fetchone()[0])

    def _at(self, run: str, direction: str) -> list[VersionInfo]:
        return self._versions(
            "v.id IN (SELECT version FROM edges WHERE run = :run AND direction = :direction) "
            "ORDER BY a.entity, a.project, a.name, v.number",
            {"run": number_of(self._db, run), "direction": direction},
        )

    def _of(self, version: str, direction: str) -> list[RunInfo]:
        rows = self._db.execute(
            f"""{_RUN} WHERE r.id IN (SELECT run FROM edges WHERE version = ? AND direction = ?)
                ORDER BY r.started, i.id""",
            (number_of(self._db, version), direction),
        )
        return [_info(row) for row in rows]


def _info(row: tuple[Any, ...]) -> RunInfo:
    values = list(row)
    values[0] = unpacked(row[0])
    values[8] = tuple(json.loads(row[8]))
    values[9], values[10] = json.loads(row[9]), json.loads(row[10])
    values[17] = tuple(json.loads(row[17]))
    values[20] = bool(row[20])
    info = RunInfo(*values)
    if info.state == RUNNING and info.pid and info.host == socket.gethostname() and not _alive(info):
        return replace(info, state=CRASHED)
    return info


def _alive(info: RunInfo) -> bool:
    """Whether the process of a run of this machine still is: one of that number that is not younger."""
    try:
        os.kill(info.pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    born = _born(info.pid)
    if born is None:
        return True
    started = datetime.fromisoformat((info.resumed or info.started).replace("Z", "+00:00")).timestamp()
    return born <= started + SLACK


def _born(pid: int) -> float | None:
    """When a process began, in seconds since 1970; None where the system does not tell, 'inf' for a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        uptime = float(Path("/proc/uptime").read_text("ascii").split()[0])
    except (OSError, ValueError):
        return None
    # The name of the program stands in parentheses, and may hold any character.
    fields = text.rpartition(")")[2].split()
    if fields[0] in ("Z", "X"):
        return float("inf")
    return time.time() - uptime + int(fields[19]) / os.sysconf("SC_CLK_TCK")
