"""Manifests in SQLite: trees of shared chunks, written in batches, read in order, compared by chunk."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import groupby

from refstore.catalog.entry_inserts import insert_entries
from refstore.catalog.ids import batches, marks, packed, unpacked
from refstore.manifest.diff import Change, changes
from refstore.manifest.entry import Entry, Pin
from refstore.manifest.rows import Row, entry_of
from refstore.manifest.tree import GROUP, LEAF, ROOT, Chunk, leaf_of, node_of

_BATCH = 128
"""Leaves held before they are written, some 4,000 entries: the most that building a tree keeps in memory."""

ENTRY = "e.path, s.scheme, s.endpoint, s.bucket, e.key, e.size, e.version, e.etag, e.checksum, e.mtime, e.storage_class"
"""The columns of a row, where `e` is of `entries` and `s` of `sources`."""

_IN_ORDER = f"""SELECT {ENTRY} FROM links g CROSS JOIN links l ON l.parent = g.child CROSS JOIN entries e ON e.chunk =
l.child
    CROSS JOIN sources s ON s.id = e.source WHERE g.parent = :root AND g.last >= :first AND l.last >= :first AND e.path
    >= :first ORDER BY g.position, l.position, e.path"""

_ONLY = f"""WITH mine(position, child) AS (SELECT position, child FROM links WHERE parent = :mine
        AND child NOT IN (SELECT child FROM links WHERE parent = :other)),
    others(child) AS (SELECT child FROM links WHERE parent = :other
        AND child NOT IN (SELECT child FROM links WHERE parent = :mine))
    SELECT {ENTRY} FROM mine g CROSS JOIN links l ON l.parent = g.child CROSS JOIN entries e ON e.chunk = l.child
    CROSS JOIN sources s ON s.id = e.source
    WHERE l.child NOT IN (SELECT child FROM links WHERE parent IN (SELECT child FROM others))
    ORDER BY g.position, l.position, e.path"""


class ChunkSink:
    """Writes the chunks of a tree that are not there yet, inside a write transaction.

    `flush` before the tree is used. Costs a handful of statements per batch of leaves, and holds that batch.

    Args:
        connection: Of the index.
        before: What the names of the tables have before those of the index.
    """

    def __init__(self, connection: sqlite3.Connection, before: str = "") -> None:
        self._db, self._before = connection, before
        self._next = connection.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {before}chunks").fetchone()[0]
        self._sources: dict[Row, int] = {
            (scheme, endpoint, bucket): id
            for id, scheme, endpoint, bucket in connection.execute(f"SELECT * FROM {before}sources")
        }
        self._leaves: list[tuple[Chunk, list[Row]]] = []
        self._nodes: list[tuple[Chunk, int, list[Chunk]]] = []

    def leaf(self, chunk: Chunk, rows: list[Row]) -> None:
        """See `refstore.manifest.tree.Sink`."""
        self._leaves.append((chunk, rows))
        if len(self._leaves) >= _BATCH:
            self.flush()

    def node(self, chunk: Chunk, level: int, children: list[Chunk]) -> None:
        """See `refstore.manifest.tree.Sink`."""
        self._nodes.append((chunk, level, children))

    def flush(self) -> None:
        """Write what is held."""
        known = self._ids([chunk.id for chunk, _ in self._leaves])
        rows: list[Row] = []
        numbers: list[int] = []
        chunk_rows = []
        for chunk, leaf in self._leaves:
            if chunk.id in known:
                continue
            number = self._new(known, chunk.id)
            chunk_rows.append((number, chunk.id, LEAF, chunk.entries, chunk.size))
            rows += leaf
            numbers += [number] * len(leaf)
        self._db.executemany(f"INSERT INTO {self._before}chunks VALUES (?, ?, ?, ?, ?)", chunk_rows)
        insert_entries(self._db, f"{self._before}entries", numbers, rows, self.source)
        for level in (GROUP, ROOT):
            self._flush_nodes(level, known)
        self._leaves, self._nodes = [], []

    def _flush_nodes(self, level: int, known: dict[bytes, int]) -> None:
        nodes = [(chunk, children) for chunk, at, children in self._nodes if at == level]
        known.update(self._ids([chunk.id for chunk, _ in nodes]))
        new = [(chunk, children) for chunk, children in nodes if chunk.id not in known]
        known.update(self._ids([child.id for _, children in new for child in children if child.id not in known]))
        chunk_rows, links = [], []
        for chunk, children in new:
            if chunk.id in known:
                continue
            number = self._new(known, chunk.id)
            chunk_rows.append((number, chunk.id, level, chunk.entries, chunk.size))
            links += [(number, position, known[child.id], child.last) for position, child in enumerate(children)]
        self._db.executemany(f"INSERT INTO {self._before}chunks VALUES (?, ?, ?, ?, ?)", chunk_rows)
        self._db.executemany(f"INSERT INTO {self._before}links VALUES (?, ?, ?, ?)", links)

    def _new(self, known: dict[bytes, int], id: bytes) -> int:
        number = self._next
        self._next += 1
        known[id] = number
        return int(number)

    def _ids(self, hashes: list[bytes]) -> dict[bytes, int]:
        found: dict[bytes, int] = {}
        for some in batches(hashes):
            query = f"SELECT hash, id FROM {self._before}chunks WHERE hash IN ({marks(some)})"
            found.update(self._db.execute(query, some))
        return found

    def source(self, place: Row) -> int:
        """The number of a scheme, endpoint and bucket."""
        number = self._sources.get(place)
        if number is None:
            number = len(self._sources) + 1
            self._db.execute(f"INSERT INTO {self._before}sources VALUES (?, ?, ?, ?)", (number, *place))
            self._sources[place] = number
        return number


def root_number(connection: sqlite3.Connection, manifest: str) -> int | None:
    """The row of a manifest's root; None where the manifest is not in the index. One probe."""
    row = connection.execute("SELECT id FROM chunks WHERE hash = ? AND level = ?", (packed(manifest), ROOT)).fetchone()
    return row[0] if row else None


def root_numbers(connection: sqlite3.Connection, manifests: Iterable[str]) -> dict[str, int]:
    """The rows of the roots of those manifests that are in the index; a statement for 500."""
    found: dict[str, int] = {}
    for some in batches([packed(manifest) for manifest in dict.fromkeys(manifests)]):
        rows = connection.execute(f"SELECT hash, id FROM chunks WHERE hash IN ({marks(some)}) AND level = {ROOT}", some)
        found.update((unpacked(hash), id) for hash, id in rows)
    return found


def read_entries(connection: sqlite3.Connection, root: int, first: str = "") -> Iterator[Entry]:
    """The entries of a manifest by path, from `first` on. Opens only the chunks from there; streams."""
    for row in connection.execute(_IN_ORDER, {"root": root, "first": first}):
        yield entry_of(row)


def read_prefix(connection: sqlite3.Connection, root: int, prefix: str) -> Iterator[Entry]:
    """The entries whose paths start with some text."""
    for entry in read_entries(connection, root, prefix):
        if not entry.path.startswith(prefix):
            return
        yield entry


def read_entry(connection: sqlite3.Connection, root: int, path: str) -> Entry | None:
    """The entry of one path. Opens one chunk of each level."""
    entry = next(read_entries(connection, root, path), None)
    return entry if entry is not None and entry.path == path else None


def pins(connection: sqlite3.Connection, root: int) -> dict[Pin, int]:
    """How many entries of a manifest are pinned in each way, strongest first. Reads all of them, inside SQLite."""
    source = """FROM links g CROSS JOIN links l ON l.parent = g.child CROSS JOIN entries e ON e.chunk = l.child
                WHERE g.parent = ?"""
    # Nearly always all are pinned alike, and counting what is there tells so in a third of the time.
    counts = f"SELECT count(*), count(e.version), count(e.checksum) {source}"
    total, versions, checksums = connection.execute(counts, (root,)).fetchone()
    if total and total in (versions, checksums) and versions in (0, total):
        return {Pin.VERSION if versions else Pin.CHECKSUM: total}
    rows = dict(
        connection.execute(
            f"""SELECT CASE WHEN e.version IS NOT NULL THEN 'version' WHEN e.checksum IS NOT NULL THEN 'checksum'
                       WHEN e.etag IS NOT NULL AND e.etag NOT LIKE 'W/%' THEN 'etag' ELSE 'none' END, count(*)
                {source} GROUP BY 1""",
            (root,),
        ).fetchall()
    )
    return {pin: rows[pin.value] for pin in reversed(Pin) if pin.value in rows}


def diff(connection: sqlite3.Connection, old: int | None, new: int) -> Iterator[Change]:
    """What differs between two manifests, by path. Opens only the chunks that one of them lacks; streams."""
    if old is None:
        return changes((), read_entries(connection, new))
    mine = map(entry_of, connection.execute(_ONLY, {"mine": old, "other": new}))
    others = map(entry_of, connection.execute(_ONLY, {"mine": new, "other": old}))
    return changes(mine, others)


def damaged(connection: sqlite3.Connection) -> Iterator[str]:
    """The hashes, in hex, of chunks whose rows are not what the hash stands for. Reads every chunk once; streams."""
    leaves = connection.execute(
        f"""SELECT c.id, c.hash, c.entries, c.size, {ENTRY} FROM chunks c LEFT JOIN entries e ON e.chunk = c.id
            LEFT JOIN sources s ON s.id = e.source WHERE c.level = ? ORDER BY c.id, e.path""",
        (LEAF,),
    )
    for (_, *told), rows in groupby(leaves, key=lambda row: row[:4]):
        if _told(leaf_of([row[4:] for row in rows if row[8] is not None])) != told:
            yield told[0].hex()
    nodes = connection.execute(
        """SELECT p.level, p.id, p.hash, p.entries, p.size, c.hash, l.last, c.entries, c.size FROM chunks p
           LEFT JOIN links l ON l.parent = p.id LEFT JOIN chunks c ON c.id = l.child WHERE p.level > ?
           ORDER BY p.id, l.position""",
        (LEAF,),
    )
    for (level, _, *told), rows in groupby(nodes, key=lambda row: row[:5]):
        children = [Chunk(*row[5:]) for row in rows if row[5] is not None]
        if _told(node_of("group" if level == GROUP else "root", children)) != told:
            yield told[0].hex()


def _told(chunk: Chunk) -> list[object]:
    return [chunk.id, chunk.entries, chunk.size]


def leaf_entries(connection: sqlite3.Connection, leaf: int) -> Iterator[Entry]:
    """The entries of one leaf, by path; the statement runs when the first is asked for."""
    rows = connection.execute(
        f"SELECT {ENTRY} FROM entries e JOIN sources s ON s.id = e.source WHERE e.chunk = ? ORDER BY e.path", (leaf,)
    )
    yield from map(entry_of, rows)
