"""The tree of a first manifest, made while its entries are still coming, and nobody waits for the write lock.

What is made stands in temporary tables, which are in a private file that the system removes with the process. A few
statements copy it into the index in the end.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from operator import lt

from refstore.catalog.chunks import ENTRY, ChunkSink
from refstore.catalog.schema import STATEMENTS
from refstore.errors import StorageFull, StoreError
from refstore.failed_write import storage_error
from refstore.manifest.rows import Row, RowStream
from refstore.manifest.tree import Chunk, TreeBuilder
from refstore.records.transaction import ChangeLines

_TABLES = ("sources", "chunks", "links", "entries")
_KEY = """,
    PRIMARY KEY (chunk, path)) WITHOUT ROWID"""
_PAGE = 1000

_IN_ORDER = f"""SELECT {ENTRY} FROM temp.grown_entries e CROSS JOIN temp.grown_sources s ON s.id = e.source
    ORDER BY e.rowid"""

_NEW = "NOT IN (SELECT g.id FROM temp.grown_chunks g JOIN main.chunks c ON c.hash = g.hash)"
_COPY = (
    f"""INSERT INTO main.entries SELECT chunk + :shift, path, (SELECT number FROM temp.grown_numbers n WHERE n.id =
        source), key, size, version, etag, checksum, mtime, storage_class FROM temp.grown_entries WHERE chunk {_NEW}""",
    f"""INSERT INTO main.links SELECT parent + :shift, position, coalesce((SELECT c.id FROM temp.grown_chunks g
        JOIN main.chunks c ON c.hash = g.hash WHERE g.id = child), child + :shift), last FROM temp.grown_links
        WHERE parent {_NEW}""",
    # the last, since it is what the others ask for what is new
    f"""INSERT INTO main.chunks SELECT id + :shift, hash, level, entries, size FROM temp.grown_chunks
        WHERE id {_NEW}""",
)


class Growing:
    """A tree in the making; `close` it.

    Args:
        temporary: Makes a transaction that writes to temporary tables alone (`Catalog.temporary`).
        lines: Hears the change lines that the tree makes.
    """

    def __init__(self, temporary: Callable[[], AbstractContextManager[sqlite3.Connection]], lines: ChangeLines) -> None:
        self._temporary = temporary
        self._lines, self._handed_over = lines, False
        self._last: str | None = None
        self._root: Chunk | None = None
        with temporary() as db:
            _drop(db)
            for statement in STATEMENTS:
                for table in _TABLES:
                    if statement.startswith(f"CREATE TABLE {table} "):
                        # Entries come in order, and without a key SQLite looks for the place of none.
                        if statement.endswith(_KEY):
                            statement = statement.removesuffix(_KEY) + ")"
                        db.execute(statement.replace(f"TABLE {table}", f"TEMP TABLE grown_{table}", 1))
            db.execute("CREATE TEMP TABLE grown_numbers (id INTEGER PRIMARY KEY, number INTEGER NOT NULL)")
            self._db, self._sink = db, ChunkSink(db, "grown_")
        self._builder = TreeBuilder(self._sink, lines.put)

    def takes(self, rows: list[Row]) -> bool:
        """Take a page; False where it does not stand behind all that came before, in the order of the paths.

        Raises:
            UsageError: A name is not valid Unicode.
            StorageFull: The disk is full.
        """
        paths = [row[0] for row in rows]
        if self._last is not None and paths[0] <= self._last:
            return False
        if not all(map(lt, paths, islice(paths, 1, None))):
            return False
        self._last = paths[-1]
        with self._writing():
            self._builder.add_rows(rows)
        return True

    def entries(self) -> Grown:
        """End the tree; its entries by path, which `Writing.build` need not look at."""
        if self._root is None:
            with self._writing():
                self._root = self._builder.finish()
                self._sink.flush()
        return Grown(self._pages(), self)

    def _pages(self) -> Iterator[list[Row]]:
        # Inside a write transaction too, where another process has recorded a version in the meantime.
        rows = self._db.execute(_IN_ORDER)
        while page := rows.fetchmany(_PAGE):
            yield page

    def plant(self, connection: sqlite3.Connection) -> tuple[Chunk, ChangeLines]:
        """Copy what the index lacks of the tree, inside a write transaction; its root, and its change lines.

        Who takes the lines removes their part files.
        """
        assert self._root is not None
        sink = ChunkSink(connection)
        numbers = [
            (id, sink.source((scheme, endpoint, bucket)))
            for id, scheme, endpoint, bucket in connection.execute("SELECT * FROM temp.grown_sources").fetchall()
        ]
        connection.executemany("INSERT OR REPLACE INTO temp.grown_numbers VALUES (?, ?)", numbers)
        (shift,) = connection.execute("SELECT coalesce(max(id), 0) FROM main.chunks").fetchone()
        for statement in _COPY:
            connection.execute(statement, {"shift": shift})
        self._handed_over = True
        return self._root, self._lines

    def close(self) -> None:
        """Remove what was made; what was copied into the index stays."""
        if not self._handed_over:
            self._lines.discard()
        # on a full disk that fails too; the next one tries again
        with contextlib.suppress(StoreError), self._temporary() as db:
            _drop(db)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with self._temporary():
                yield
        except StorageFull as error:
            if isinstance(error.__cause__, sqlite3.Error):
                raise storage_error(OSError(28, str(error.__cause__)), "in the folder for temporary files") from error
            raise


class Grown(RowStream):
    """The entries of a tree that is there already.

    Attributes:
        growing: It.
    """

    def __init__(self, pages: Iterator[list[Row]], growing: Growing) -> None:
        super().__init__(pages)
        self.growing = growing


def _drop(db: sqlite3.Connection) -> None:
    for table in (*_TABLES, "numbers"):
        db.execute(f"DROP TABLE IF EXISTS temp.grown_{table}")
