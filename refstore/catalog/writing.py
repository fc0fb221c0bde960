"""One transaction of the catalog: records are gathered, written as one file, and indexed; all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from refstore.catalog.chunks import ChunkSink, diff, pins, read_entries, root_number
from refstore.catalog.ingest import insert_records, refold_all, remember
from refstore.catalog.queries import Queries
from refstore.errors import StoreError
from refstore.manifest.diff import Change, pairs
from refstore.manifest.entry import Entry, Pin
from refstore.manifest.tree import Chunk, TreeBuilder
from refstore.records.encoding import now
from refstore.records.transaction import TransactionWriter
from refstore.records.types import Manifest, Record


@dataclass(frozen=True, slots=True)
class Built:
    """A manifest that stands in the index and not yet in the records.

    Attributes:
        root: Its root.
        base: The root of what it was compared with; None for nothing.
        added: Paths that the base lacks.
        removed: Paths that only the base has.
        changed: Paths that refer to something else.
    """

    root: Chunk
    base: Chunk | None
    added: int
    removed: int
    changed: int

    @property
    def unchanged(self) -> bool:
        """Whether it says the same as its base."""
        return self.base is not None and not (self.added or self.removed or self.changed)


class Writing:
    """A write transaction. `commit` makes everything visible at once; without it nothing stays.

    Made by `Catalog.writing`. SQLite's write lock is held, and the index is up to date.

    Attributes:
        time: The time of all its records, UTC.
        clock: The logical clock of all its records.
        queries: Questions to the index, as it stands inside the transaction.
    """

    def __init__(self, connection: sqlite3.Connection, records: Path, scratch: Path) -> None:
        self._db = connection
        self._folder = records
        self._writer = TransactionWriter(records, scratch)
        self._records: list[Record] = []
        self._summary: list[str] = []
        self.time = now()
        self.clock = connection.execute("SELECT coalesce(max(clock), 0) + 1 FROM records").fetchone()[0]
        self.queries = Queries(connection)

    def __enter__(self) -> Writing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__()

    @property
    def stamp(self) -> dict[str, Any]:
        """The time and clock that each of its records carries."""
        return {"time": self.time, "clock": self.clock}

    def add(self, record: Record) -> str:
        """Add a record; its id."""
        self._records.append(record)
        self._writer.add(record)
        return record.id

    def summarise(self, sentence: str) -> None:
        """Add a sentence to the header of the transaction file, for people who read it."""
        self._summary.append(sentence)

    def build(self, entries: Iterable[Entry], base: str | None) -> Built:
        """Build the manifest of some sorted entries, and compare it with another on the way.

        An entry that is the same as the base's (`Object.same_as`) stays as the base has it, so that what only looks
        different makes no change. One pass over both; holds a batch of chunks.

        Args:
            entries: By path, in byte order.
            base: The id of the manifest to compare with, in hex.
        """
        base_number = root_number(self._db, base) if base else None
        sink = ChunkSink(self._db)
        builder = TreeBuilder(sink)
        counts = {"added": 0, "removed": 0, "changed": 0}
        old = read_entries(self._db, base_number) if base_number is not None else iter(())
        for before, after in pairs(old, entries):
            if after is None:
                counts["removed"] += 1
            elif before is None:
                counts["added"] += 1
                builder.add(after)
            elif before.object.same_as(after.object):
                builder.add(before)
            else:
                counts["changed"] += 1
                builder.add(after)
        root = builder.finish()
        sink.flush()
        return Built(root, self._chunk(base_number), **counts)

    def pins(self, built: Built) -> dict[Pin, int]:
        """How many entries of a manifest are pinned in each way, strongest first."""
        return pins(self._db, self._number(built.root))

    def changes(self, built: Built) -> Iterator[Change]:
        """What differs from the base."""
        return diff(self._db, self._number(built.base) if built.base else None, self._number(built.root))

    def add_manifest(self, built: Built) -> str:
        """Add the record of a manifest that is new, as a change to its base where that is shorter; its id."""
        id = built.root.id.hex()
        if self._db.execute("SELECT 1 FROM records WHERE id = ? AND kind = ?", (id, Manifest.kind)).fetchone():
            return id
        base = built.base if built.base and built.added + built.removed + built.changed < built.root.entries else None
        manifest = Manifest(
            **self.stamp,
            manifest=id,
            base=base.id.hex() if base else "",
            changes=0,
            entries=built.root.entries,
            size=built.root.size,
        )
        self._records.append(manifest)
        self._writer.add_manifest(manifest, self._lines(self._number(base) if base else None, self._number(built.root)))
        return id

    def _lines(self, old: int | None, new: int) -> Iterator[dict[str, Any]]:
        for change in diff(self._db, old, new):
            if change.new is not None:
                yield {"put": Entry(change.path, change.new).to_json()}
            else:
                yield {"drop": change.path}

    def _number(self, root: Chunk) -> int:
        number = root_number(self._db, root.id.hex())
        assert number is not None
        return number

    def _chunk(self, number: int | None) -> Chunk | None:
        if number is None:
            return None
        row = self._db.execute("SELECT hash, entries, size FROM chunks WHERE id = ?", (number,)).fetchone()
        return Chunk(row[0], "", row[1], row[2])

    def commit(self) -> None:
        """Write the transaction file, then the index. After the file's rename nothing can undo it.

        Raises:
            StorageFull: There is no space for the file; nothing was recorded.
        """
        files = self._writer.commit(self.time, self._summary)
        try:
            transaction = None
            for name, size in files:
                transaction = self._db.execute(
                    "INSERT OR IGNORE INTO transactions (name, size) VALUES (?, ?)", (name, size)
                ).lastrowid
            assert transaction is not None
            refold_all(self._db, insert_records(self._db, transaction, self._records))
            remember(self._db, self._folder)
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"This was recorded, but the index could not be brought up to date ({error}): the next command does "
                "it, once there is space."
            ) from error
