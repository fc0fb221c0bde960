"""The catalog of one store: its files, their index, and the way to add to both in one step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from refstore.catalog.connection import Connection, connect, errors
from refstore.catalog.fork_gate import inside_sqlite
from refstore.catalog.freshness import is_current
from refstore.catalog.ids import ids_of
from refstore.catalog.index_place import index_path
from refstore.catalog.queries import Queries
from refstore.catalog.schema import prepare
from refstore.errors import CatalogCorrupt
from refstore.failed_write import storage_error

if TYPE_CHECKING:
    from refstore.catalog.growing import Growing
    from refstore.catalog.lineage import Kind, Row, Way
    from refstore.catalog.run_queries import RunQueries
    from refstore.catalog.writing import Writing


class Catalog:
    """The records in `folder/records/`, and their index.

    Opening costs a stat and two rows when nothing changed. One instance belongs to one thread.

    Args:
        folder: The store's `.refstore`.
        index_dir: The setting of that name.
        follow: False to open the index as it is, until `refresh`.

    Raises:
        CatalogTooNew: A newer refstore wrote the records or the index.
        StoreError: The index can't be written.
    """

    def __init__(self, folder: Path, index_dir: str = "", *, follow: bool = True) -> None:
        self.folder = folder
        self.records = folder / "records"
        self.scratch = folder / "tmp"
        self.path = index_path(folder, index_dir)
        with inside_sqlite():
            self._db = self._connect()
        if not follow:
            return
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
        from refstore.catalog.run_queries import RunQueries

        return RunQueries(self._db)

    def lineage(self, kind: Kind, id: str, way: Way, depth: int | None = None) -> Iterator[Row]:
        """The nodes and edges that can be reached from one; see `refstore.catalog.lineage.walk`."""
        from refstore.catalog.lineage import walk

        return walk(self._db, kind, id, way, depth)

    def ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """The ids of the records that some numbers of the lineage stand for."""
        return ids_of(self._db, numbers)

    def close(self) -> None:
        """Let go of the index."""
        self._db.close()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def refresh(self, *, thorough: bool = False) -> None:
        """Bring the index to what the files say, if they changed since.

        Args:
            thorough: Look at every file too, for those that were changed in their place. Costs a stat a file.

        Raises:
            CatalogTooNew: A newer refstore wrote some of them.
            StoreLocked: Another process writes for too long.
        """
        with inside_sqlite(), self._errors():
            self.records.mkdir(parents=True, exist_ok=True)
            if not thorough and is_current(self._db, self.records):
                return
            with self._immediate():
                self._catch_up(thorough=thorough)

    def _follow(self) -> None:
        if not is_current(self._db, self.records):
            self._catch_up()

    def _catch_up(self, *, thorough: bool = False) -> None:
        # Most commands find nothing new, and need not know how records are read.
        from refstore.catalog.ingest import catch_up

        catch_up(self._db, self.records, thorough=thorough)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """The write lock, for who moves files of the catalog; the index takes in at the end what came and went."""
        from refstore.records.transaction import remove_unfinished

        with inside_sqlite(), self._errors(), self._immediate():
            self._follow()
            remove_unfinished(self.scratch)
            self.scratch.mkdir(parents=True, exist_ok=True)
            yield
            self._catch_up()

    def rebuild(self) -> None:
        """Throw the index away and make it again from the records."""
        with inside_sqlite():
            self._db.close()
            _remove_index(self.path)
            self._db = self._connect()
        self.refresh()

    def state(self) -> Iterator[tuple[Any, ...]]:
        """Every row of the state; see `refstore.catalog.state`. Streams."""
        from refstore.catalog.state import rows

        return rows(self._db)

    def damage(self) -> str | None:
        """What is wrong with the index itself, a sentence; None where nothing is. Reads all of it."""
        from refstore.catalog.chunks import damaged

        (found,) = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            return f"The index {self.path} is damaged ({found})."
        wrong = next(damaged(self._db), None)
        return wrong and f"The index {self.path} holds other entries than the hash of their chunk {wrong[:12]} means."

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """A transaction; see `Writing`. Takes the write lock, so that numbers are unique on this machine."""
        from refstore.catalog.writing import Writing
        from refstore.records.transaction import remove_unfinished

        with inside_sqlite(), self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                self._follow()
                remove_unfinished(self.scratch)
                with Writing(self._db, self.records, self.scratch) as writing:
                    yield writing
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """The index in a write transaction, for those who carry records in; it commits at the end.

        It is up to date at the beginning. Nobody else writes to the store meanwhile, so do it quickly.
        """
        with inside_sqlite(), self._errors(), self._immediate():
            self._follow()
            yield self._db

    @contextlib.contextmanager
    def temporary(self) -> Iterator[Connection]:
        """The index in a transaction that writes to temporary tables alone: nobody waits for it."""
        with inside_sqlite(), self._errors():
            self._db.execute("BEGIN")
            try:
                yield self._db
            except BaseException:
                # a full disk ends a transaction by itself
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def growing(self) -> Growing:
        """A place for the entries of a first version, which makes its tree as they come; `close` it."""
        from refstore.catalog.growing import Growing
        from refstore.records.transaction import ChangeLines

        with self._errors():
            self.scratch.mkdir(parents=True, exist_ok=True)
        return Growing(self.temporary, ChangeLines(self.scratch, f"for the catalog in {self.folder}"))

    def files(self) -> set[str]:
        """The names of the files of the catalog that are whole, without suffix."""
        return {row[0] for row in self._db.execute("SELECT name FROM transactions WHERE problem IS NULL")}

    def problems(self) -> list[str]:
        """What was wrong with files of the catalog, a sentence each; they are left out of all answers."""
        return [
            row[0]
            for row in self._db.execute("SELECT problem FROM transactions WHERE problem IS NOT NULL ORDER BY name")
        ]

    def _connect(self) -> Connection:
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                return self._open()
            except CatalogCorrupt:
                # The index is only an index: what is damaged is made again from the records.
                _remove_index(self.path)
                return self._open()

    def _open(self) -> Connection:
        db = connect(self.path)
        try:
            prepare(db, str(self.path))
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
            with errors(self.path):
                yield
        except OSError as error:
            raise storage_error(error, f"for the catalog in {self.folder}") from error


def _remove_index(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
