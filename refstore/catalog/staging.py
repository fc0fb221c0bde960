"""Where a listing waits for the catalog's write lock: sorted on disk, whatever order it came in, in bounded memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType

from refstore.errors import DuplicatePath, UsageError
from refstore.manifest.entry import Checksum, Entry, Object
from refstore.records.transaction import storage_error


class Staging:
    """A private SQLite database on disk, which the system removes with the process, a killed one's too."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA cache_size = -4096")
        self._db.execute(
            """CREATE TABLE staged (path TEXT PRIMARY KEY, scheme TEXT, endpoint TEXT, bucket TEXT, key TEXT, size
            INTEGER, version TEXT,
               etag TEXT, checksum TEXT, mtime TEXT, storage_class TEXT) WITHOUT ROWID"""
        )
        self._db.execute("BEGIN")
        self.count = 0

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take a page of entries. An entry equal to one that is there is taken once: services repeat some across pages.

        Raises:
            DuplicatePath: Two different objects have the same path.
            UsageError: A name is not valid Unicode.
            StorageFull: The disk is full.
        """
        rows = [_row(entry) for entry in entries]
        try:
            before = self._db.total_changes
            self._db.executemany("INSERT OR IGNORE INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        except UnicodeEncodeError:
            bad = next(row[0] for row in rows if "\\ud" in ascii(row))
            raise UsageError(
                f"The name {bad!r} is not valid Unicode (UTF-8) and can't be recorded: rename or exclude it."
            ) from None
        except sqlite3.OperationalError as error:
            raise storage_error(OSError(28, str(error)), "in the folder for temporary files") from error
        added = self._db.total_changes - before
        self.count += added
        if added != len(rows):
            self._check(rows)

    def _check(self, rows: list[tuple[str | int | None, ...]]) -> None:
        for row in rows:
            there = self._db.execute("SELECT * FROM staged WHERE path = ?", (row[0],)).fetchone()
            if tuple(there[1:5]) != tuple(row[1:5]):
                raise DuplicatePath(
                    f"{there[1]}://{there[3]}/{there[4]} and {row[1]}://{row[3]}/{row[4]} would both be {row[0]!r} "
                    "in the artifact: "
                    "add their common folder, or add one of them with --prefix-in-artifact."
                )

    def entries(self) -> Iterator[Entry]:
        """All entries by path, in byte order; streams."""
        for row in self._db.execute("SELECT * FROM staged ORDER BY path"):
            path, scheme, endpoint, bucket, key, size, version, etag, checksum, mtime, storage_class = row
            found = Checksum.parse(checksum) if checksum is not None else None
            yield Entry(path, Object(scheme, endpoint, bucket, key, size, version, etag, found, mtime, storage_class))


def _row(entry: Entry) -> tuple[str | int | None, ...]:
    o = entry.object
    checksum = str(o.checksum) if o.checksum is not None else None
    return (
        entry.path,
        o.scheme,
        o.endpoint,
        o.bucket,
        o.key,
        o.size,
        o.version,
        o.etag,
        checksum,
        o.mtime,
        o.storage_class,
    )
