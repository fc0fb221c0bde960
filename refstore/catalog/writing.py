"""One transaction of the catalog: records are gathered, written as one file, and indexed; all of it or nothing."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from refstore.catalog.applying import apply
from refstore.catalog.chunks import ChunkSink, diff, pins, root_number
from refstore.catalog.freshness import remember, stamp_of
from refstore.catalog.growing import Grown
from refstore.catalog.ids import number_of
from refstore.catalog.ingest import Touched, clock, insert_records
from refstore.catalog.queries import Queries
from refstore.catalog.rebuild import rebuild
from refstore.errors import CatalogCorrupt, StoreError, UsageError
from refstore.manifest.diff import Change
from refstore.manifest.entry import Entry, Pin
from refstore.manifest.rows import pages_of
from refstore.manifest.tree import Chunk, TreeBuilder
from refstore.records.checks import MAX_CLOCK, check
from refstore.records.encoding import now
from refstore.records.transaction import SUFFIX, ChangeLines, TransactionWriter
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
        self._whole: dict[bytes, ChangeLines] = {}
        self.time = now()
        self.clock = min(clock(connection) + 1, MAX_CLOCK)
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
        """Add a record; its id.

        Raises:
            UsageError: It says what no record may, and everybody would refuse it.
        """
        try:
            check(record, "The record")
        except CatalogCorrupt as error:
            raise UsageError(f"This can't be recorded. {error}") from error
        self._records.append(record)
        self._writer.add(record)
        return record.id

    def summarise(self, sentence: str) -> None:
        """Add a sentence to the header of the transaction file, for people who read it."""
        self._summary.append(sentence)

    def build(self, entries: Iterable[Entry], base: str | None) -> Built:
        """Build the manifest of some sorted entries, and compare it with another on the way.

        An entry that is the same as the base's (`Object.same_as`) stays as the base has it, so that what only looks
        different makes no change. One pass over the entries, and over those of the base whose chunks differ; holds a
        batch of chunks.

        Args:
            entries: By path, in byte order.
            base: The id of the manifest to compare with, in hex.
        """
        base_number = root_number(self._db, base) if base else None
        if base_number is None and isinstance(entries, Grown):
            root, lines = entries.growing.plant(self._db)
            self._writer.adopt(lines)
            self._whole[root.id] = lines
            return Built(root, None, root.entries, 0, 0)
        sink = ChunkSink(self._db)
        if base_number is None:
            # all of it is new, so the change lines are made on the way
            lines = self._writer.change_lines()
            builder = TreeBuilder(sink, lines.put)
            for page in pages_of(entries):
                builder.add_rows(page)
            root = builder.finish()
            self._whole[root.id] = lines
            added, removed, changed = root.entries, 0, 0
        else:
            builder = TreeBuilder(sink)
            added, removed, changed = rebuild(self._db, base_number, entries, builder)
            root = builder.finish()
        sink.flush()
        return Built(root, self._chunk(base_number), added, removed, changed)

    def change(self, base: str, lines: Iterable[dict[str, Any]]) -> Built:
        """Build the manifest that change lines make of another. Opens only the chunks that they touch.

        Args:
            base: The id of the other manifest, in hex.
            lines: By path, in byte order.

        Raises:
            CatalogCorrupt: The manifest is not in the index, or the lines do not fit it.
        """
        number = root_number(self._db, base)
        chunk = self._chunk(number)
        if number is None or chunk is None:
            raise CatalogCorrupt(f"The index lacks the manifest {base}.")
        if not lines:
            return Built(chunk, chunk, 0, 0, 0)
        root = apply(self._db, number, lines)
        kinds = Counter(change.kind for change in diff(self._db, number, self._number(root)))
        return Built(root, chunk, kinds["added"], kinds["removed"], kinds["changed"])

    def pins(self, built: Built) -> dict[Pin, int]:
        """How many entries of a manifest are pinned in each way, strongest first."""
        return pins(self._db, self._number(built.root))

    def changes(self, built: Built) -> Iterator[Change]:
        """What differs from the base."""
        return diff(self._db, self._number(built.base) if built.base else None, self._number(built.root))

    def add_manifest(self, built: Built) -> str:
        """Add the record of a manifest that is new, as a change to its base where that is shorter; its id."""
        id = built.root.id.hex()
        known = number_of(self._db, id)
        if self._db.execute("SELECT 1 FROM records WHERE id = ? AND kind = ?", (known, Manifest.kind)).fetchone():
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
        whole = self._whole.pop(built.root.id, None) if base is None else None
        changes = whole or self._lines(self._number(base) if base else None, self._number(built.root))
        self._writer.add_manifest(manifest, changes)
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
                    "INSERT OR IGNORE INTO transactions (name, size, inode) VALUES (?, ?, ?)",
                    (name, size, (self._folder / (name + SUFFIX)).stat().st_ino),
                ).lastrowid
            assert transaction is not None
            touched = Touched()
            insert_records(self._db, ((transaction, record) for record in self._records), touched)
            touched.fold(self._db)
            remember(self._db, stamp_of(self._folder))
            self._db.execute("COMMIT")
        except StoreError as error:
            raise StoreError(
                f"This was recorded, but the index could not be brought up to date ({error}): the next command does "
                "it, once there is space."
            ) from error
