"""Where a listing waits for the catalog's write lock: on disk, whatever order it came in, in bounded memory."""

from __future__ import annotations

import marshal
import sqlite3
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from types import TracebackType
from typing import TYPE_CHECKING

from refstore.errors import DuplicatePath, UsageError
from refstore.failed_write import storage_error
from refstore.manifest.entry import Entry
from refstore.manifest.rows import PATH, SIZE, Row, Rows, RowStream

if TYPE_CHECKING:
    from refstore.catalog.growing import Growing

_PAGE = 1000


class Staging:
    """A private file, which the system removes with the process, a killed one's too.

    Most services list in order, and then a page is written as it came and read once. Pages that reach into each other
    are sorted by SQLite, in a database that is as private.

    Args:
        growing: What makes the tree of a first version meanwhile, for as long as pages come in order; it is closed with
            this.
    """

    def __init__(self, growing: Growing | None = None) -> None:
        self._growing = growing
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as this
        self._end = 0
        self._firsts: list[str] = []  # the first path of each page, in order
        self._pages: list[tuple[str, int, int]] = []  # its last path, and its place in the file
        self._table: SortedRows | None = None
        self.count = 0

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self._growing is not None:
            self._growing.close()
        if self._table is not None:
            self._table.close()

    def add(self, entries: Iterable[Entry]) -> None:
        """Take a page of entries. An entry equal to one that is there is taken once: services repeat some across pages.

        Raises:
            DuplicatePath: Two different objects have the same path.
            UsageError: A name is not valid Unicode.
            StorageFull: The disk is full.
        """
        rows = Rows.of(entries).rows
        if not rows:
            return
        if self._growing is not None:
            if self._growing.takes(rows):
                self.count += len(rows)
                return
            growing, self._growing, self.count = self._growing, None, 0
            for page in growing.entries().pages:
                self._keep(page)
            growing.close()
        self._keep(rows)

    def _keep(self, rows: list[Row]) -> None:
        _check_names(rows)
        try:
            if self._table is None and self._append(rows):
                self.count += len(rows)
                return
            if self._table is None:
                self._table = SortedRows()
                for page in range(len(self._pages)):
                    self._table.add(self._read(page))
            self.count += self._table.add(rows)
        except (sqlite3.OperationalError, OSError) as error:
            raise storage_error(OSError(28, str(error)), "in the folder for temporary files") from error

    def _append(self, rows: list[Row]) -> bool:
        """Keep a page that has its paths for itself; False for one that has not."""
        rows = sorted(rows, key=itemgetter(PATH))
        paths = [row[0] for row in rows]
        if len(set(paths)) != len(paths):
            return False
        place = bisect_left(self._firsts, paths[0])
        if place and self._pages[place - 1][0] >= paths[0]:
            return False
        if place < len(self._firsts) and self._firsts[place] <= paths[-1]:
            return False
        # nobody else reads the file, and no other way of writing tuples is as fast
        data = marshal.dumps(rows)
        self._firsts.insert(place, paths[0])
        self._pages.insert(place, (paths[-1], self._end, len(data)))
        self._end += self._file.write(data)
        return True

    def _read(self, page: int) -> list[Row]:
        _, offset, length = self._pages[page]
        self._file.seek(offset)
        rows: list[Row] = marshal.loads(self._file.read(length))
        return rows

    def entries(self) -> RowStream:
        """All entries by path, in byte order; streams."""
        if self._growing is not None and self.count:
            return self._growing.entries()
        return RowStream(self._rows())

    def _rows(self) -> Iterator[list[Row]]:
        if self._table is None:
            yield from map(self._read, range(len(self._pages)))
            return
        rows = self._table.rows()
        while page := list(islice(rows, _PAGE)):
            yield page


class SortedRows:
    """Rows by path, sorted on disk."""

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

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def add(self, rows: list[Row]) -> int:
        """Take some rows; how many of them were new."""
        before = self._db.total_changes
        self._db.executemany("INSERT OR IGNORE INTO staged VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        added = self._db.total_changes - before
        if added != len(rows):
            self._check(rows)
        return added

    def rows(self) -> Iterator[Row]:
        """All rows by path; streams."""
        return iter(self._db.execute("SELECT * FROM staged ORDER BY path"))

    def _check(self, rows: list[Row]) -> None:
        for row in rows:
            there = self._db.execute("SELECT * FROM staged WHERE path = ?", (row[0],)).fetchone()
            if tuple(there[1:5]) != tuple(row[1:5]):
                raise DuplicatePath(
                    f"{there[1]}://{there[3]}/{there[4]} and {row[1]}://{row[3]}/{row[4]} would both be {row[0]!r} "
                    "in the artifact: "
                    "add their common folder, or add one of them with --prefix-in-artifact."
                )


def _check_names(rows: list[Row]) -> None:
    try:
        for place, column in enumerate(zip(*rows, strict=True)):
            if place != SIZE:
                "".join(filter(None, column)).encode()
    except UnicodeEncodeError:
        bad = next(row[0] for row in rows if "\\ud" in ascii(row))
        raise UsageError(
            f"The name {bad!r} is not valid Unicode (UTF-8) and can't be recorded: rename or exclude it."
        ) from None
