"""The catalog of one store: its files, their index, and the way to add to both in one step."""

from __future__ import annotations

import contextlib
import sqlite3
import time as clock_time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from refstore.catalog.fork_gate import inside_sqlite
from refstore.catalog.index_place import index_path
from refstore.catalog.ingest import catch_up, is_current
from refstore.catalog.lineage import Kind, Row, Way, walk
from refstore.catalog.queries import Queries
from refstore.catalog.run_queries import RunQueries
from refstore.catalog.schema import migrate
from refstore.catalog.writing import Writing
from refstore.errors import CatalogCorrupt, StorageFull, StoreError, StoreLocked
from refstore.records.transaction import remove_unfinished, storage_error

BUSY = 300.0
"""Seconds to wait for another process that writes. A commit is short, but many may queue."""


class Catalog:
    """The records in `folder/records/`, and their index.

    Opening costs a stat and two rows when nothing changed. One instance belongs to one thread.

    Args:
        folder: The store's `.refstore`.
        index_dir: The setting of that name.

    Raises:
        CatalogTooNew: A newer refstore wrote the records or the index.
        StoreError: The index can't be written.
    """

    def __init__(self, folder: Path, index_dir: str = "") -> None:
        self.folder = folder
        self.records = folder / "records"
        self.scratch = folder / "tmp"
        self.path = index_path(folder, index_dir)
        with inside_sqlite():
            self._db = self._connect()
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    @property
    def queries(self) -> Queries:
        """Everything that can be asked of the index."""
        return Queries(self._db)

    @property
    def runs(self) -> RunQueries:
        """Everything that can be asked about runs."""
        return RunQueries(self._db)

    def lineage(self, kind: Kind, id: str, way: Way, depth: int | None = None) -> Iterator[Row]:
        """The nodes and edges that can be reached from one; see `refstore.catalog.lineage.walk`."""
        return walk(self._db, kind, id, way, depth)

    def close(self) -> None:
        """Let go of the index."""
        self._db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def refresh(self) -> None:
        """Bring the index to what the files say, if they changed since.

        Raises:
            CatalogTooNew: A newer refstore wrote some of them.
            StoreLocked: Another process writes for too long.
        """
        with inside_sqlite(), self._errors():
            self.records.mkdir(parents=True, exist_ok=True)
            if is_current(self._db, self.records):
                return
            with self._immediate():
                catch_up(self._db, self.records)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction; see `Writing`. Takes the write lock, so that numbers are unique on this machine."""
        with inside_sqlite(), self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                if not is_current(self._db, self.records):
                    catch_up(self._db, self.records)
                remove_unfinished(self.scratch)
                with Writing(self._db, self.records, self.scratch) as writing:
                    yield writing
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def problems(self) -> list[str]:
        """What was wrong with files of the catalog, a sentence each; they are left out of all answers."""
        return [
            row[0]
            for row in self._db.execute("SELECT problem FROM transactions WHERE problem IS NOT NULL ORDER BY name")
        ]

    def _connect(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._open()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                # The index is only an index: what is damaged is made again from the records.
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)
                return self._open()
        except sqlite3.OperationalError as error:
            raise _sqlite_error(error, self.path) from error
        except OSError as error:
            raise storage_error(error, f"for the index {self.path}") from error

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        try:
            # The records are the durable truth, so the index need not be synced at every commit.
            db.execute("PRAGMA synchronous = NORMAL")
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                _retry_busy(db, "PRAGMA journal_mode = WAL")
            db.execute("PRAGMA cache_size = -8192")
            migrate(db, str(self.path))
        except BaseException:
            db.close()
            raise
        return db

    @contextlib.contextmanager
    def _immediate(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise _sqlite_error(error, self.path) from error
        except sqlite3.DatabaseError as error:
            raise CatalogCorrupt(
                f"The index {self.path} is damaged ({error}): delete it, and the next command makes it again."
            ) from error
        except OSError as error:
            raise storage_error(error, f"for the catalog in {self.folder}") from error


def _retry_busy(db: sqlite3.Connection, statement: str) -> None:
    """Changing the journal mode does not wait for other connections by itself."""
    deadline = clock_time.monotonic() + BUSY
    while True:
        try:
            db.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or clock_time.monotonic() > deadline:
                raise
            clock_time.sleep(0.02)


def _sqlite_error(error: sqlite3.OperationalError, path: Path) -> StoreError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return StoreLocked(
            f"Another process has been writing to {path.parent} for over {BUSY:.0f} seconds: wait for it, or end it."
        )
    if "full" in text or "disk I/O" in text:
        return StorageFull(
            f"There is no space left for the index {path}, and nothing was changed: free some space and repeat the "
            "command, or keep the index on another disk with REFSTORE_INDEX_DIR."
        )
    return StoreError(
        f"The index {path} can't be used ({text}): may you write there? REFSTORE_INDEX_DIR can name another folder."
    )
