"""Which records a set of files holds, and which they refer to: on disk, so that any number fits."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from refstore.records.types import (
    InArtifact,
    Manifest,
    Record,
    RunStarted,
    Version,
)

MANIFEST = "manifest"
VERSION = "version"
RUN = "run"
PART = "part file"
OTHER = "record"


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that records refer to and that no file holds.

    Attributes:
        kind: `manifest`, `version`, `run` or `part file`.
        id: Its id; of a part file its name.
        file: The name of a file that refers to it, with its suffix.
        by: What refers to it, in words.
    """

    kind: str
    id: str
    file: str
    by: str


class References:
    """A private database of ids and of references to ids."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("CREATE TABLE held (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID")
        self._db.execute(
            "CREATE TABLE needed (kind TEXT, id TEXT, file TEXT, by TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")

    def __enter__(self) -> References:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def __len__(self) -> int:
        """How many different records there are."""
        return int(self._db.execute("SELECT count(*) FROM held WHERE kind <> ?", (PART,)).fetchone()[0])

    def hold(self, kind: str, id: str) -> None:
        """There is such a thing."""
        self._db.execute("INSERT OR IGNORE INTO held VALUES (?, ?)", (kind, id))

    def holds(self, kind: str, id: str) -> bool:
        """Whether there is."""
        return self._db.execute("SELECT 1 FROM held WHERE kind = ? AND id = ?", (kind, id)).fetchone() is not None

    def take(self, record: Record, file: str) -> None:
        """Note a record and all that it refers to."""
        kind, id = own(record)
        self.hold(kind, id)
        by = f"a {record.kind!r} record"
        if isinstance(record, InArtifact):
            by = f"the {record.kind} {record.name}" + (f":v{record.number}" if isinstance(record, Version) else "")
        self._db.executemany(
            "INSERT OR IGNORE INTO needed VALUES (?, ?, ?, ?)",
            [(wanted, other, file, by) for wanted, other in needs(record)],
        )

    def beyond(self, other: References) -> bool:
        """Whether there is anything here that others do not have."""
        return any(not other.holds(*row) for row in self._db.execute("SELECT kind, id FROM held"))

    def missing(self) -> Iterator[Missing]:
        """What is referred to and is not there; each once."""
        rows = self._db.execute(
            """SELECT * FROM needed n WHERE NOT EXISTS (SELECT 1 FROM held h WHERE h.kind = n.kind AND h.id = n.id)
               ORDER BY file, kind, id"""
        )
        for row in rows.fetchall():
            yield Missing(*row)

    def unused_parts(self) -> list[str]:
        """The names of the part files that nothing refers to."""
        rows = self._db.execute(
            """SELECT id FROM held h WHERE kind = ? AND NOT EXISTS
               (SELECT 1 FROM needed n WHERE n.kind = h.kind AND n.id = h.id) ORDER BY id""",
            (PART,),
        )
        return [row[0] for row in rows]


def own(record: Record) -> tuple[str, str]:
    """What a record is to those that refer to it, and its id."""
    kind = {Manifest: MANIFEST, Version: VERSION, RunStarted: RUN}.get(type(record), OTHER)
    return kind, record.id


def needs(record: Record) -> Iterator[tuple[str, str]]:
    """What a record refers to: kind and id."""
    if isinstance(record, Manifest):
        if record.base:
            yield MANIFEST, record.base
        for part in record.parts:
            yield PART, part
    elif isinstance(record, Version):
        yield MANIFEST, record.manifest
        if record.run:
            yield RUN, record.run
        if record.source:
            yield VERSION, record.source
    elif not isinstance(record, RunStarted):
        for kind in (VERSION, RUN):
            id = getattr(record, kind, "")
            if id:
                yield kind, id
