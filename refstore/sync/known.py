"""What a remote is known to hold, remembered in the index: packs and the ids of their records.

It holds for the identity that the remote had. It can be deleted with the index: then it is learnt again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_TABLES = (
    """CREATE TABLE IF NOT EXISTS remotes (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, url TEXT NOT NULL,
    learnt INTEGER NOT NULL)""",
    """CREATE TABLE IF NOT EXISTS remote_packs (id INTEGER PRIMARY KEY, remote INTEGER NOT NULL, name BLOB NOT NULL,
    UNIQUE (remote, name))""",
    # By record, so that a pack that is refused later takes away what it alone was known to hold.
    """CREATE TABLE IF NOT EXISTS remote_records (remote INTEGER NOT NULL, id BLOB NOT NULL, pack INTEGER NOT NULL,
    PRIMARY KEY (remote, id, pack)) WITHOUT ROWID""",
)

HERE = """EXISTS (SELECT 1 FROM ids i JOIN records r ON r.id = i.number JOIN transactions t ON t.id = r.transaction_id
    WHERE i.id = {id} AND t.problem IS NULL)"""
"""SQL: whether the catalog has a record, in a file that is not damaged; `{id}` is the column with its 32 bytes."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the remote of one identity is known to hold. Use inside a write transaction.

    Attributes:
        db: The index.
        remote: The remote's row.
    """

    db: sqlite3.Connection
    remote: int

    @classmethod
    def of(cls, db: sqlite3.Connection, identity: str, url: str) -> Known:
        """What is known of an identity; what was known of another one at the same place is forgotten."""
        for statement in _TABLES:
            db.execute(statement)
        others = db.execute("SELECT id FROM remotes WHERE url = ? AND identity <> ?", (url, identity)).fetchall()
        for (other,) in others:
            cls(db, other).forget()
            db.execute("DELETE FROM remotes WHERE id = ?", (other,))
        db.execute("INSERT OR IGNORE INTO remotes (identity, url, learnt) VALUES (?, ?, 0)", (identity, url))
        return cls(db, db.execute("SELECT id FROM remotes WHERE identity = ?", (identity,)).fetchone()[0])

    @property
    def learnt(self) -> bool:
        """Whether all that it held was read once."""
        return bool(self.db.execute("SELECT learnt FROM remotes WHERE id = ?", (self.remote,)).fetchone()[0])

    def is_learnt(self) -> None:
        """Note that all that it holds was read."""
        self.db.execute("UPDATE remotes SET learnt = 1 WHERE id = ?", (self.remote,))

    def forget(self) -> None:
        """Nothing is known any more."""
        self.db.execute("DELETE FROM remote_records WHERE remote = ?", (self.remote,))
        self.db.execute("DELETE FROM remote_packs WHERE remote = ?", (self.remote,))
        self.db.execute("UPDATE remotes SET learnt = 0 WHERE id = ?", (self.remote,))

    def packs(self) -> set[str]:
        """The names of the packs that it is known to hold, 64 hex digits each."""
        rows = self.db.execute("SELECT name FROM remote_packs WHERE remote = ?", (self.remote,))
        return {name.hex() for (name,) in rows}

    def with_records(self) -> set[str]:
        """The names of those packs that are no parts."""
        rows = self.db.execute(
            "SELECT name FROM remote_packs WHERE id IN (SELECT pack FROM remote_records WHERE remote = ?)",
            (self.remote,),
        )
        return {name.hex() for (name,) in rows}

    def add(self, name: str, ids: Iterable[bytes]) -> None:
        """It holds a pack with these records, by their 32 bytes; a part has none."""
        self.db.execute(
            "INSERT OR IGNORE INTO remote_packs (remote, name) VALUES (?, ?)", (self.remote, bytes.fromhex(name))
        )
        pack = self.db.execute(
            "SELECT id FROM remote_packs WHERE remote = ? AND name = ?", (self.remote, bytes.fromhex(name))
        ).fetchone()[0]
        self.db.executemany(
            "INSERT OR IGNORE INTO remote_records VALUES (?, ?, ?)", ((self.remote, id, pack) for id in ids)
        )

    def drop(self, name: str) -> None:
        """A pack is not to be believed after all: what only it was known to hold is not known any more."""
        row = self.db.execute(
            "SELECT id FROM remote_packs WHERE remote = ? AND name = ?", (self.remote, bytes.fromhex(name))
        ).fetchone()
        if row:
            self.db.execute("DELETE FROM remote_records WHERE remote = ? AND pack = ?", (self.remote, row[0]))
            self.db.execute("DELETE FROM remote_packs WHERE id = ?", row)

    def holds(self, ids: Iterable[bytes]) -> set[bytes]:
        """Which of these records it is known to hold."""
        asked = list(ids)
        found: set[bytes] = set()
        for start in range(0, len(asked), 500):
            some = asked[start : start + 500]
            marks = ",".join("?" * len(some))
            rows = self.db.execute(
                f"SELECT id FROM remote_records WHERE remote = ? AND id IN ({marks})", (self.remote, *some)
            )
            found.update(row[0] for row in rows)
        return found

    def to_pull(self) -> list[str]:
        """The packs that hold records which the catalog lacks, in the order in which they were learnt."""
        rows = self.db.execute(
            f"""SELECT name FROM remote_packs WHERE id IN (SELECT k.pack FROM remote_records k WHERE k.remote = ?
                AND NOT {HERE.format(id="k.id")}) ORDER BY id""",
            (self.remote,),
        )
        return [name.hex() for (name,) in rows]

    def count_to_pull(self) -> int:
        """How many records it holds that the catalog lacks."""
        row = self.db.execute(
            f"""SELECT count(DISTINCT k.id) FROM remote_records k
                WHERE k.remote = ? AND NOT {HERE.format(id="k.id")}""",
            (self.remote,),
        ).fetchone()
        return int(row[0])

    def to_push(self) -> Iterator[tuple[bytes, str]]:
        """The records of the catalog that it is not known to hold, each with every file that has it."""
        yield from self.db.execute(
            """SELECT i.id, t.name FROM records r JOIN ids i ON i.number = r.id
               JOIN transactions t ON t.id = r.transaction_id AND t.problem IS NULL
               WHERE NOT EXISTS (SELECT 1 FROM remote_records k WHERE k.remote = ? AND k.id = i.id)""",
            (self.remote,),
        )
