"""The tables of `catalog.db`: one form of them, which is there or is made anew.

All of it can be made again from `records/`, so no step leads from one form to the next: an index of another form is
emptied, and the records are read again. The views `files` and `history` are for those who query it with SQL.

Every id that a record has or names stands once, in `ids`; all other tables say it by its number there. So an edge may
name a run or a version whose record is in no file of this catalog (yet): the id is known, and no more.
"""

from __future__ import annotations

import sqlite3

from refstore.errors import CatalogTooNew

FORM = 3
"""The form of the tables; raise it with any change of them that an older refstore could not live with."""

_PIN = """CASE WHEN e.version IS NOT NULL THEN 'version' WHEN e.checksum IS NOT NULL THEN 'checksum'
    WHEN e.etag IS NOT NULL AND e.etag NOT LIKE 'W/%' THEN 'etag' ELSE 'none' END"""

EVENTS = """kind IN ('alias', 'description', 'lifetime', 'metadata', 'renumbered', 'tag', 'tombstone', 'version')"""
"""The records that `log` tells of; it must stand in a statement just so for `records_by_time` to be used."""

# Each is kept by SQLite as it stands here, which is how an index of another form is known.
STATEMENTS = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
    """CREATE TABLE transactions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER NOT NULL,
    problem TEXT, inode INTEGER)""",
    # 32 bytes; text where a record names something that can't be an id
    "CREATE TABLE ids (number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE)",
    # One record may stand in several files. It is about an artifact (its full name), or a version or run (`subject`);
    # the subject of a version's own record and of a run's is itself, that of an alias the version that it means.
    """CREATE TABLE records (id INTEGER NOT NULL, transaction_id INTEGER NOT NULL, kind TEXT NOT NULL, artifact TEXT,
    subject INTEGER, time TEXT NOT NULL, clock INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (id, transaction_id))
    """.strip(),
    "CREATE INDEX records_by_artifact ON records (artifact, kind) WHERE artifact IS NOT NULL",
    "CREATE INDEX records_by_subject ON records (subject, kind) WHERE subject IS NOT NULL",
    "CREATE INDEX records_by_transaction ON records (transaction_id)",
    f"CREATE INDEX records_by_time ON records (time) WHERE {EVENTS}",
    """CREATE TABLE artifacts (id INTEGER PRIMARY KEY, entity TEXT NOT NULL, project TEXT NOT NULL, name TEXT NOT NULL,
    type TEXT NOT NULL, created TEXT NOT NULL, updated TEXT NOT NULL, UNIQUE (entity, project, name))""",
    """CREATE TABLE versions (id INTEGER PRIMARY KEY, artifact_id INTEGER NOT NULL, number INTEGER NOT NULL,
    manifest BLOB NOT NULL, root INTEGER, created TEXT NOT NULL, description TEXT NOT NULL, metadata TEXT NOT NULL,
    sources TEXT NOT NULL, choice TEXT NOT NULL, run INTEGER, deleted INTEGER NOT NULL, was INTEGER, source INTEGER,
    lifetime INTEGER NOT NULL)""",
    "CREATE INDEX versions_by_number ON versions (artifact_id, number)",
    "CREATE INDEX versions_renumbered ON versions (artifact_id, was) WHERE was IS NOT NULL",
    "CREATE INDEX versions_by_manifest ON versions (manifest)",
    "CREATE INDEX versions_by_source ON versions (source) WHERE source IS NOT NULL",
    """CREATE TABLE aliases (artifact_id INTEGER NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (artifact_id, alias)) WITHOUT ROWID""",
    "CREATE INDEX aliases_by_version ON aliases (version)",
    "CREATE TABLE tags (version INTEGER NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (version, tag)) WITHOUT ROWID",
    """CREATE TABLE runs (id INTEGER PRIMARY KEY, run TEXT NOT NULL, entity TEXT NOT NULL, project TEXT NOT NULL,
    name TEXT NOT NULL, job_type TEXT NOT NULL, group_name TEXT NOT NULL, notes TEXT NOT NULL, tags TEXT NOT NULL,
    config TEXT NOT NULL, summary TEXT NOT NULL, state TEXT NOT NULL, started TEXT NOT NULL, finished TEXT,
    host TEXT NOT NULL, user TEXT NOT NULL, pid INTEGER NOT NULL, command TEXT NOT NULL, python TEXT NOT NULL,
    git TEXT NOT NULL, dirty INTEGER NOT NULL, diff TEXT NOT NULL, resumed TEXT)""",
    "CREATE INDEX runs_by_name ON runs (run, project, entity)",
    "CREATE INDEX runs_by_place ON runs (entity, project, started)",
    "CREATE INDEX runs_by_start ON runs (started)",
    # Along edges both ways without a look at another table.
    """CREATE TABLE edges (run INTEGER NOT NULL, direction TEXT NOT NULL, version INTEGER NOT NULL,
    use_as TEXT NOT NULL, PRIMARY KEY (run, direction, version)) WITHOUT ROWID""",
    "CREATE INDEX edges_by_version ON edges (version, direction, run, use_as)",
    """CREATE TABLE sources (id INTEGER PRIMARY KEY, scheme TEXT NOT NULL, endpoint TEXT NOT NULL, bucket TEXT NOT NULL,
    UNIQUE (scheme, endpoint, bucket))""",
    """CREATE TABLE chunks (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, level INTEGER NOT NULL,
    entries INTEGER NOT NULL, size INTEGER NOT NULL)""",
    """CREATE TABLE links (parent INTEGER NOT NULL, position INTEGER NOT NULL, child INTEGER NOT NULL,
    last TEXT NOT NULL, PRIMARY KEY (parent, position)) WITHOUT ROWID""",
    """CREATE TABLE entries (chunk INTEGER NOT NULL, path TEXT NOT NULL, source INTEGER NOT NULL, key TEXT NOT NULL,
    size INTEGER, version TEXT, etag TEXT, checksum TEXT, mtime TEXT, storage_class TEXT,
    PRIMARY KEY (chunk, path)) WITHOUT ROWID""",
    f"""CREATE VIEW files AS SELECT a.entity, a.project, a.name AS artifact, v.number AS version, e.path, s.scheme,
    s.endpoint, s.bucket, e.key, e.size, e.version AS object_version, e.etag, e.checksum, e.mtime, e.storage_class,
    {_PIN} AS pin FROM artifacts a JOIN versions v ON v.artifact_id = a.id AND NOT v.deleted
    CROSS JOIN links g ON g.parent = v.root CROSS JOIN links l ON l.parent = g.child
    CROSS JOIN entries e ON e.chunk = l.child JOIN sources s ON s.id = e.source""",
    """CREATE VIEW history AS SELECT a.entity, a.project, a.name AS artifact, a.type, v.number AS version, v.created,
    c.entries, c.size, v.description, lower(hex(v.manifest)) AS digest, v.deleted
    FROM versions v JOIN artifacts a ON a.id = v.artifact_id LEFT JOIN chunks c ON c.id = v.root""",
)


def prepare(connection: sqlite3.Connection, path: str) -> bool:
    """Have the tables in the form that this refstore knows; whether they had to be made.

    Where they are in another form, everything in the index is dropped, tables of others too. Where they are in this one
    (the usual case) it reads two pages.

    Raises:
        CatalogTooNew: A newer refstore made the index.
    """
    if _is_ready(connection, path):
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have done it while this one waited.
        made = not _is_ready(connection, path)
        if made:
            _drop_all(connection)
            for statement in STATEMENTS:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {FORM}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return made


def _is_ready(connection: sqlite3.Connection, path: str) -> bool:
    form = connection.execute("PRAGMA user_version").fetchone()[0]
    if form > FORM:
        raise CatalogTooNew(
            f"{path} was made by a newer refstore than this one: upgrade refstore, or delete that file, which is only "
            "an index and is made again."
        )
    there = {row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    return form == FORM and there.issuperset(STATEMENTS)


def _drop_all(connection: sqlite3.Connection) -> None:
    rows = connection.execute(
        """SELECT type, name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!'
           ORDER BY type DESC"""
    ).fetchall()
    for type, name in rows:
        quoted = name.replace('"', '""')
        connection.execute(f'DROP {type} IF EXISTS "{quoted}"')
