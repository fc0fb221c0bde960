"""The index has one form; whatever else is found in its place is made anew from the records."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import refstore
from refstore.catalog.connection import connect
from refstore.catalog.schema import FORM
from refstore.errors import CatalogCorrupt, CatalogTooNew, StorageFull, StoreError, StoreLocked

OLD_FORM = """PRAGMA user_version = 2; CREATE TABLE records (id TEXT, transaction_id INTEGER, kind TEXT);
CREATE TABLE versions (id TEXT PRIMARY KEY); CREATE VIEW files AS SELECT id FROM versions; INSERT INTO records VALUES
('x', 1, 'version'); CREATE TABLE "of another"" kind" (x)"""


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A store with two versions of an artifact, an alias and two runs; closed."""
    data = tmp_path / "data"
    data.mkdir()
    with refstore.create(tmp_path / "repo") as store:
        for text in ("one", "two"):
            (data / "file").write_text(text)
            store.add(str(data), name="mnist", tags=[text])
        store.set_alias("mnist:v0", "best")
    return tmp_path / "repo"


def answers(root: Path) -> object:
    with refstore.open(root) as store:
        found = [
            (v.id, v.digest, v.aliases, v.tags, v.info.run, list(v.files()), store.lineage(v.qualified_name).nodes)
            for v in store.versions("mnist")
        ]
        return found, list(store.log()), list(store.runs())


def change(root: Path, script: str) -> None:
    with closing(sqlite3.connect(root / ".refstore/catalog.db", isolation_level=None)) as db:
        db.executescript(script)


@pytest.mark.parametrize(
    "script",
    [
        "PRAGMA user_version = 1",
        "DROP TABLE edges",
        "DROP VIEW files",
        "DROP TABLE versions; CREATE TABLE versions (id TEXT PRIMARY KEY)",
        "DROP INDEX versions_by_number",
    ],
)
def test_an_index_whose_tables_are_not_what_they_should_be_is_made_anew(script: str, full: Path) -> None:
    before = answers(full)
    change(full, f"{script}; CREATE TABLE of_somebody (x)")
    assert answers(full) == before
    with closing(sqlite3.connect(full / ".refstore/catalog.db")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (FORM,)
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'of_somebody'").fetchone() == (0,)


def test_an_index_of_an_older_form_is_made_anew_and_answers_the_same(full: Path) -> None:
    before = answers(full)
    (full / ".refstore/catalog.db").unlink()
    change(full, OLD_FORM)
    assert answers(full) == before


@pytest.mark.parametrize("content", [b"", b"not a database, but long enough to be read as one" * 100, b"\0" * 8192])
def test_a_file_that_is_no_index_is_made_anew(content: bytes, full: Path) -> None:
    before = answers(full)
    (full / ".refstore/catalog.db").write_bytes(content)
    assert answers(full) == before


def test_tables_that_others_add_stay_while_the_form_does(full: Path) -> None:
    change(full, "CREATE TABLE of_somebody (x)")
    answers(full)
    with closing(sqlite3.connect(full / ".refstore/catalog.db")) as db:
        assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'of_somebody'").fetchone() == (1,)


def test_an_index_of_a_newer_form_is_refused_and_left_alone(full: Path) -> None:
    change(full, f"PRAGMA user_version = {FORM + 1}")
    with pytest.raises(CatalogTooNew, match="upgrade refstore"):
        answers(full)
    with closing(sqlite3.connect(full / ".refstore/catalog.db")) as db:
        assert db.execute("SELECT count(*) FROM versions").fetchone() == (2,)


@pytest.fixture
def index(tmp_path: Path) -> Path:
    path = tmp_path / "catalog.db"
    with closing(connect(path)) as db:
        db.execute("CREATE TABLE numbers (n INTEGER PRIMARY KEY, text TEXT)")
        db.execute("BEGIN")
        db.executemany("INSERT INTO numbers VALUES (?, ?)", ((n, "x" * 500) for n in range(2000)))
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def test_damage_that_is_met_while_rows_are_read_is_told_as_such(index: Path) -> None:
    pages = bytearray(index.read_bytes())
    pages[len(pages) // 2 :] = b"\xff" * (len(pages) - len(pages) // 2)
    index.write_bytes(pages)
    with closing(connect(index)) as db:
        rows = iter(db.execute("SELECT * FROM numbers"))
        assert next(rows)[0] == 0
        with pytest.raises(CatalogCorrupt, match="delete it"):
            list(rows)
        for ask in ("fetchall", "fetchmany"):
            cursor = db.execute("SELECT * FROM numbers")
            with pytest.raises(CatalogCorrupt, match="delete it"):
                getattr(cursor, ask)(*([5000] if ask == "fetchmany" else []))
        with pytest.raises(CatalogCorrupt, match="delete it"):
            db.execute("SELECT max(text) FROM numbers").fetchone()


def test_every_error_of_a_statement_is_one_of_ours(index: Path) -> None:
    with closing(connect(index)) as db, closing(connect(index)) as other:
        with pytest.raises(CatalogCorrupt):
            db.execute("INSERT INTO numbers VALUES (1, '')")
        with pytest.raises(CatalogCorrupt):
            db.executemany("INSERT INTO numbers VALUES (?, '')", [(1,)])
        with pytest.raises(StoreError, match="repeat the command"):
            db.execute("SELECT * FROM letters")
        other.execute("PRAGMA busy_timeout = 1")
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked):
            other.execute("BEGIN IMMEDIATE")
        db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StorageFull):
            db.executemany("INSERT INTO numbers VALUES (?, ?)", ((n, "x" * 500) for n in range(3000, 9000)))
    with pytest.raises(StoreError, match="was closed"):
        db.execute("SELECT 1")


def test_a_mistake_in_a_statement_is_not_blamed_on_the_index(index: Path) -> None:
    with closing(connect(index)) as db, pytest.raises(sqlite3.ProgrammingError):
        db.execute("SELECT ?", (1, 2))
