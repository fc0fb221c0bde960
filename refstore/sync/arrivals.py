"""Packs that were read and are not believed yet: what they hold, what they refer to, and which of them are whole.

Held in temporary tables of the index, so that it may be much.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from refstore.errors import CatalogCorrupt
from refstore.records.transaction import SUFFIX
from refstore.records.types import Manifest
from refstore.sync.known import HERE
from refstore.sync.pack_reader import Placed, Reader
from refstore.sync.references import needs as referred_to

NEW, HELD, REFUSED = "new", "held", "refused"

_TABLES = (
    "DROP TABLE IF EXISTS temp.arrived_packs",
    "DROP TABLE IF EXISTS temp.arrived",
    "DROP TABLE IF EXISTS temp.needed",
    """CREATE TEMP TABLE arrived_packs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, part INTEGER NOT NULL,
    state TEXT NOT NULL)""",
    "CREATE TEMP TABLE arrived (id BLOB NOT NULL, pack INTEGER NOT NULL, PRIMARY KEY (id, pack)) WITHOUT ROWID",
    "CREATE INDEX temp.arrived_in_pack ON arrived (pack)",
    "CREATE TEMP TABLE needed (pack INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (pack, id)) WITHOUT ROWID",
)

_LACKING = f"""SELECT p.name, lower(hex(n.id)) FROM temp.arrived_packs p JOIN temp.needed n ON n.pack = p.id
    WHERE p.state = 'new'
    AND NOT EXISTS (SELECT 1 FROM temp.arrived a JOIN temp.arrived_packs q ON q.id = a.pack
                    WHERE a.id = n.id AND q.state = 'new')
    AND NOT {HERE.format(id="n.id")}
    AND NOT EXISTS (SELECT 1 FROM transactions t WHERE t.name = lower(hex(n.id)) AND t.problem IS NULL)"""

_NOT_KNOWN = """
    AND NOT EXISTS (SELECT 1 FROM remote_records k WHERE k.remote = :remote AND k.id = n.id)
    AND NOT EXISTS (SELECT 1 FROM remote_packs k WHERE k.remote = :remote AND k.name = n.id)"""


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack that was read.

    Attributes:
        name: Its name.
        part: Whether it is a part of a manifest.
        size: Its bytes before compression.
        summary: What its header says for people.
        ids: The ids of its records, 32 bytes each.
        needs: The ids of what they refer to and it does not hold itself.
        manifests: Where its manifests stand.
    """

    name: str
    part: bool
    size: int
    summary: tuple[str, ...]
    ids: tuple[bytes, ...]
    needs: tuple[bytes, ...]
    manifests: tuple[Placed, ...]

    @classmethod
    def of(cls, name: str, reader: Reader, latest: str = "") -> Pack:
        """Read all of a pack; what `Reader` raises is raised.

        Args:
            name: Its name.
            reader: At its first record.
            latest: The last moment that a record of it may be from, UTC; "" for any.

        Raises:
            CatalogCorrupt: A record is later.
        """
        ids: dict[bytes, None] = {}
        needs: set[bytes] = set()
        manifests = []
        end = 0
        for placed in reader.records():
            if latest and placed.record.time > latest:
                raise CatalogCorrupt(
                    f"{name}{SUFFIX} holds a record of {placed.record.time}, which is more than a day ahead: the clock "
                    "of this machine is wrong, or that of the one which wrote it."
                )
            ids[bytes.fromhex(placed.id)] = None
            needs.update(bytes.fromhex(id) for _, id in referred_to(placed.record))
            end = placed.end
            if isinstance(placed.record, Manifest):
                manifests.append(placed)
        header = reader.header
        return cls(
            name, header.part is not None, end, header.summary, tuple(ids), tuple(needs - ids.keys()), tuple(manifests)
        )


class Arrivals:
    """A set of packs; begins empty, and ends the one before it on this connection."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        for statement in _TABLES:
            db.execute(statement)

    def add(self, pack: Pack) -> None:
        """Take a pack. A part holds nothing but itself."""
        db = self._db
        number = db.execute(
            "INSERT INTO temp.arrived_packs (name, part, state) VALUES (?, ?, ?)", (pack.name, pack.part, NEW)
        ).lastrowid
        ids = (bytes.fromhex(pack.name),) if pack.part else pack.ids
        db.executemany("INSERT OR IGNORE INTO temp.arrived VALUES (?, ?)", ((id, number) for id in ids))
        db.executemany("INSERT OR IGNORE INTO temp.needed VALUES (?, ?)", ((number, id) for id in pack.needs))

    def mark(self, name: str, state: str) -> None:
        """Say what became of a pack: it counts only while it is `NEW`."""
        self._db.execute("UPDATE temp.arrived_packs SET state = ? WHERE name = ?", (state, name))

    def lacking(self, remote: int | None) -> dict[str, str]:
        """The packs that refer to what is nowhere, each with one such id, in hex.

        Args:
            remote: What the remote of this row is known to hold counts too; None for no remote.
        """
        sql = _LACKING + (_NOT_KNOWN if remote is not None else "")
        return dict(self._db.execute(sql, {"remote": remote} if remote is not None else {}))

    def hold_back(self, remote: int | None) -> dict[str, str]:
        """Mark what is not whole as `HELD`, and what refers to that; each with an id that it lacks."""
        held: dict[str, str] = {}
        while found := self.lacking(remote):
            held.update(found)
            for name in found:
                self.mark(name, HELD)
        return held

    def records(self, name: str) -> list[bytes]:
        """The ids of a pack's records; of a part none."""
        rows = self._db.execute(
            """SELECT a.id FROM temp.arrived_packs p JOIN temp.arrived a ON a.pack = p.id
               WHERE p.name = ? AND NOT p.part""",
            (name,),
        )
        return [row[0] for row in rows]

    def in_order(self) -> list[str]:
        """The packs that are `NEW`, each after those that it refers to; parts first."""
        rows = self._db.execute(
            "SELECT id, name, part FROM temp.arrived_packs WHERE state = 'new' ORDER BY name"
        ).fetchall()
        parts = [name for _, name, part in rows if part]
        names = {id: name for id, name, part in rows if not part}
        after: dict[int, list[int]] = {}
        waits = dict.fromkeys(names, 0)
        for one, other in self._db.execute(
            """SELECT DISTINCT n.pack, a.pack FROM temp.needed n JOIN temp.arrived a ON a.id = n.id
               WHERE n.pack <> a.pack"""
        ):
            if one in names and other in names:
                after.setdefault(other, []).append(one)
                waits[one] += 1
        ready = [(name, id) for id, name in names.items() if not waits[id]]
        heapify(ready)
        done: dict[str, None] = {}
        while ready:
            name, id = heappop(ready)
            done[name] = None
            for next in after.get(id, ()):
                waits[next] -= 1
                if not waits[next]:
                    heappush(ready, (names[next], next))
        # What is left refers to each other in a circle, which no honest writer makes; it stands at the end.
        return [*parts, *done, *(name for name in names.values() if name not in done)]
