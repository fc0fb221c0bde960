"""The tables of `catalog.db`, and the steps from one form of them to the next.

`user_version` is the number of steps taken. All of it can be made again from `records/`; names and columns are part of
the interface for those who query it with SQL, above all the views `files` and `history`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from refstore.errors import CatalogTooNew


def _first(connection: sqlite3.Connection) -> None:
    from sqlite_utils import Database

    db = Database(connection)
    db.table("meta").create({"key": str, "value": str}, pk="key")
    db.table("transactions").create({"id": int, "name": str, "size": int, "problem": str}, pk="id")
    db.table("transactions").create_index(["name"], unique=True)
    db.table("records").create(
        {"id": str, "transaction_id": int, "kind": str, "subject": str, "time": str, "clock": int, "body": str},
        pk=("id", "transaction_id"),
    )
    db.table("records").create_index(["subject", "kind"])
    db.table("records").create_index(["transaction_id"])
    db.table("records").create_index(["time"])
    db.table("artifacts").create(
        {"id": int, "entity": str, "project": str, "name": str, "type": str, "created": str, "updated": str}, pk="id"
    )
    db.table("artifacts").create_index(["entity", "project", "name"], unique=True)
    db.table("versions").create(
        {
            "id": str,
            "artifact_id": int,
            "number": int,
            "manifest": str,
            "root": int,
            "created": str,
            "description": str,
            "metadata": str,
            "sources": str,
            "choice": str,
            "run": str,
            "deleted": int,
            "was": int,
            "source": str,
            "lifetime": int,
        },
        pk="id",
        foreign_keys=[("artifact_id", "artifacts", "id")],
    )
    db.table("versions").create_index(["artifact_id", "number"])
    db.table("versions").create_index(["manifest"])
    db.table("aliases").create({"artifact_id": int, "alias": str, "version": str}, pk=("artifact_id", "alias"))
    db.table("tags").create({"version": str, "tag": str}, pk=("version", "tag"))
    db.table("runs").create(
        {
            "id": str,
            "run": str,
            "entity": str,
            "project": str,
            "name": str,
            "job_type": str,
            "group_name": str,
            "notes": str,
            "tags": str,
            "config": str,
            "summary": str,
            "state": str,
            "started": str,
            "finished": str,
            "host": str,
            "user": str,
            "pid": int,
            "command": str,
            "python": str,
            "git": str,
            "dirty": int,
            "diff": str,
        },
        pk="id",
    )
    db.table("runs").create_index(["entity", "project", "run"])
    db.table("runs").create_index(["started"])
    db.table("edges").create(
        {"run": str, "version": str, "direction": str, "use_as": str}, pk=("run", "version", "direction")
    )
    db.table("edges").create_index(["version", "direction"])
    db.table("sources").create({"id": int, "scheme": str, "endpoint": str, "bucket": str}, pk="id")
    db.table("sources").create_index(["scheme", "endpoint", "bucket"], unique=True)
    db.table("chunks").create({"id": int, "hash": bytes, "level": int, "entries": int, "size": int}, pk="id")
    db.table("chunks").create_index(["hash"], unique=True)
    # sqlite-utils makes no WITHOUT ROWID tables, and these two are where the bytes are.
    connection.execute(
        """CREATE TABLE links (parent INTEGER NOT NULL, position INTEGER NOT NULL, child INTEGER NOT NULL, last TEXT NOT
        NULL,
           PRIMARY KEY (parent, position)) WITHOUT ROWID"""
    )
    connection.execute(
        """CREATE TABLE entries (chunk INTEGER NOT NULL, path TEXT NOT NULL, source INTEGER NOT NULL, key TEXT NOT NULL,
        size INTEGER,
           version TEXT, etag TEXT, checksum TEXT, mtime TEXT, storage_class TEXT, PRIMARY KEY (chunk, path)) WITHOUT
           ROWID"""
    )
    db.create_view(
        "files",
        """SELECT a.entity, a.project, a.name AS artifact, v.number AS version, e.path, s.scheme, s.endpoint, s.bucket,
        e.key, e.size,
                  e.version AS object_version, e.etag, e.checksum, e.mtime, e.storage_class,
                  CASE WHEN e.version IS NOT NULL THEN 'version' WHEN e.checksum IS NOT NULL THEN 'checksum'
                       WHEN e.etag IS NOT NULL AND e.etag NOT LIKE 'W/%' THEN 'etag' ELSE 'none' END AS pin
           FROM artifacts a JOIN versions v ON v.artifact_id = a.id AND NOT v.deleted
           CROSS JOIN links g ON g.parent = v.root CROSS JOIN links l ON l.parent = g.child
           CROSS JOIN entries e ON e.chunk = l.child JOIN sources s ON s.id = e.source""",
    )
    db.create_view(
        "history",
        """SELECT a.entity, a.project, a.name AS artifact, a.type, v.number AS version, v.created, c.entries, c.size,
        v.description,
                  v.manifest AS digest, v.deleted
           FROM versions v JOIN artifacts a ON a.id = v.artifact_id LEFT JOIN chunks c ON c.id = v.root""",
    )


def _second(connection: sqlite3.Connection) -> None:
    # For the lineage: from a version to those that link to it, and along edges both ways without a look at the table.
    connection.execute("CREATE INDEX idx_versions_source ON versions (source) WHERE source <> ''")
    connection.execute("DROP INDEX IF EXISTS idx_edges_version_direction")
    connection.execute("CREATE INDEX idx_edges_of_version ON edges (version, direction, run, use_as)")
    connection.execute("CREATE INDEX idx_edges_of_run ON edges (run, direction, version, use_as)")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_first, _second)


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the tables to the newest form; does nothing but read one number where they have it.

    Raises:
        CatalogTooNew: A newer refstore made the index.
    """
    done = connection.execute("PRAGMA user_version").fetchone()[0]
    if done == len(MIGRATIONS):
        return
    if done > len(MIGRATIONS):
        raise CatalogTooNew(
            f"{path} was made by a newer refstore than this one: upgrade refstore, or delete that file, which is only "
            "an index and is made again."
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = connection.execute("PRAGMA user_version").fetchone()[0]
        for step in MIGRATIONS[done:]:
            step(connection)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
