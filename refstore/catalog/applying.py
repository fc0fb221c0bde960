"""Manifests made of others by change lines: each proves itself, and those of a chain share what they read and write.

A fresh clone makes every manifest of its catalog in this way. So this works on the rows of the index: an entry that
stays is never more than its row and its canonical text, and no path is hashed whose place in its leaf tells whether the
leaf ends there.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from refstore.catalog.change_lines import Changes
from refstore.catalog.draft_tree import Draft, Node, last_of
from refstore.catalog.entry_inserts import insert_entries
from refstore.catalog.ids import batches, marks, packed
from refstore.errors import CatalogCorrupt
from refstore.manifest.lines import line_of
from refstore.manifest.rows import Row
from refstore.manifest.tree import GROUP, LEAF, ROOT, Chunk, ends

_SPILL = 256
"""Leaves of one manifest that are held before it has proved itself."""
_HELD = 8_192
"""Rows of proved manifests that are held before they are written: some MB."""
_KEPT = 20_000
"""Nodes of groups and roots that are remembered: some MB."""

_first = itemgetter(0)


class Applying:
    """Makes manifests of their bases, inside a write transaction. `flush` before the index is asked about them.

    A manifest costs three statements or so for what it touches of its base, and none for what the manifests before it
    made or read; they are written together. Holds some MB.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        self._number: int = connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()[0]
        self._forget()

    def _forget(self) -> None:
        self._places: dict[int, Row] = {
            number: tuple(place)
            for number, *place in self._db.execute("SELECT id, scheme, endpoint, bucket FROM sources")
        }
        self._sources = {place: number for number, place in self._places.items()}
        self._new: dict[bytes, int] = {}
        self._chunks: list[Row] = []
        self._leaves: dict[int, list[Row]] = {}
        self._nodes: dict[int, list[Node]] = {}
        self._rows = 0
        self._known: dict[int, list[Node]] = {}
        self._size = 0
        self._read: dict[int, list[Row]] = {}

    def root(self, manifest: str) -> int | None:
        """The row of a manifest's root; None where the manifest is neither in the index nor on its way there."""
        id = packed(manifest)
        if isinstance(id, bytes) and id in self._new:
            return self._new[id]
        row = self._db.execute("SELECT id FROM chunks WHERE hash = ? AND level = ?", (id, ROOT)).fetchone()
        return row[0] if row else None

    def apply(
        self, base: int | None, lines: Iterable[dict[str, Any]], prove: Callable[[Chunk], None] | None = None
    ) -> Chunk:
        """Make the manifest that some change makes of its base; its root.

        Args:
            base: The row of the base's root; None for an empty one.
            lines: The change lines, by path.
            prove: Hears the root before anything of a manifest stays; where it raises, nothing does.

        Raises:
            CatalogCorrupt: The change does not fit the base.
        """
        draft = Draft()
        spilled = False
        self._read.clear()
        try:
            for _ in self._walk(draft, base, lines):
                if len(draft.new_leaves) >= _SPILL:
                    if not spilled:
                        self.flush()
                        self._db.execute("SAVEPOINT manifest")
                        spilled = True
                    self._adopt(draft)
                    self.flush()
            root = draft.finish().chunk
            if prove is not None:
                prove(root)
            if root.size >= 1 << 63:
                raise CatalogCorrupt("The sizes of a manifest's files add up to more than there can be.")
            self._adopt(draft)
            if self._rows >= _HELD:
                self.flush()
        except BaseException:
            if spilled:
                self._db.execute("ROLLBACK TO manifest")
                self._forget()
            raise
        finally:
            if spilled:
                self._db.execute("RELEASE manifest")
        return root

    def flush(self) -> None:
        """Write what is held."""
        self._db.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", self._chunks)
        numbers = [number for number, rows in self._leaves.items() for _ in rows]
        rows = [row for rows in self._leaves.values() for row in rows]
        insert_entries(self._db, "entries", numbers, rows, self._source)
        self._db.executemany(
            "INSERT INTO links VALUES (?, ?, ?, ?)",
            [
                (number, position, child.number, child.chunk.last)
                for number, children in self._nodes.items()
                for position, child in enumerate(children)
            ],
        )
        for number, children in self._nodes.items():
            self._keep(number, children)
        self._new, self._chunks, self._leaves, self._nodes, self._rows = {}, [], {}, {}, 0

    def _source(self, place: Row) -> int:
        number = self._sources.get(place)
        if number is None:
            number = max(self._places, default=0) + 1
            self._db.execute("INSERT INTO sources VALUES (?, ?, ?, ?)", (number, *place))
            self._sources[place], self._places[number] = number, place
        return number

    def _adopt(self, draft: Draft) -> None:
        """Take over what a draft made and the index does not have."""
        made = [*((node, LEAF) for node, _ in draft.new_leaves), *((node, level) for node, level, _ in draft.new_nodes)]
        known: dict[bytes, int] = {}
        for some in batches([node.chunk.id for node, _ in made]):
            known.update(
                self._db.execute(f"SELECT hash, id FROM chunks WHERE hash IN ({marks(some)})", some).fetchall()
            )
        fresh = set[int]()
        for node, level in made:
            chunk = node.chunk
            number = known.get(chunk.id) or self._new.get(chunk.id)
            if number is None:
                self._number = number = self._number + 1
                self._new[chunk.id] = number
                self._chunks.append((number, chunk.id, level, chunk.entries, chunk.size))
                fresh.add(number)
            node.number = number
        for node, rows in draft.new_leaves:
            if node.number in fresh:
                self._leaves[node.number] = rows
                self._rows += len(rows)
        for node, _, children in draft.new_nodes:
            if node.number in fresh:
                self._nodes[node.number] = children
                self._rows += len(children)
        draft.new_leaves, draft.new_nodes = [], []

    def _walk(self, draft: Draft, base: int | None, lines: Iterable[dict[str, Any]]) -> Iterator[None]:
        """Go along base and change; yields where something may be taken over."""
        groups = self._children([base])[base] if base is not None else []
        changes = Changes(lines, lambda paths: self._look_ahead(groups, paths))
        place, end = 0, len(groups)
        while place < end:
            if not draft.rows and not draft.leaves:
                # what the change does not touch stays whole; what comes behind everything belongs into the last group
                path = changes.path
                stop = end if path is None else min(bisect_left(groups, path, place, key=last_of), end - 1)
                draft.groups += groups[place:stop]
                place = stop
                if place == end:
                    break
            yield from self._open(draft, groups[place], changes, place == end - 1)
            place += 1
        yield from self._merge(draft, [], -1, changes, None)

    def _open(self, draft: Draft, group: Node, changes: Changes, last_group: bool) -> Iterator[None]:
        leaves = self._children([group.number])[group.number]
        place, end = 0, len(leaves)
        while place < end:
            if not draft.rows:
                path = changes.path
                stop = end if path is None else bisect_left(leaves, path, place, key=last_of)
                if path is not None and last_group:
                    stop = min(stop, end - 1)
                draft.leaves += leaves[place:stop]
                place = stop
                if place == end:
                    if not last_group or ends(leaves[-1].chunk.last) == GROUP:
                        draft.end_group()
                    return
            leaf = leaves[place]
            place += 1
            rows = self._rows_of([leaf.number])[leaf.number]
            if place < end:
                level = LEAF
            elif not last_group:
                level = GROUP
            else:
                # the tree ended there, which says nothing about the path
                level = ends(leaf.chunk.last) if rows else -1
            yield from self._merge(
                draft, rows, level, changes, None if last_group and place == end else leaf.chunk.last
            )

    def _merge(
        self, draft: Draft, old: Sequence[Row], level: int, changes: Changes, limit: str | None
    ) -> Iterator[None]:
        """Add the rows of a leaf, of which the last ends what `level` says, and the changes up to `limit`."""
        place, end = 0, len(old)
        while changes.path is not None and (limit is None or changes.path <= limit):
            path, row, text = changes.take()
            stop = bisect_left(old, path, place, key=_first)
            there = stop < end and old[stop][0] == path
            if place < stop:
                draft.rows += old[place:stop]
                draft.texts += [line_of(row) for row in old[place:stop]]
                if stop == end:
                    draft.end(level)
            place = stop + there
            if row is not None:
                draft.rows.append(row)
                draft.texts.append(text)
                if not there:
                    draft.end(ends(path))
                elif place == end:
                    draft.end(level)
            elif not there:
                raise CatalogCorrupt(f"A manifest's change drops the path {path!r}, which its base does not have.")
            yield
        if place < end:
            draft.rows += old[place:]
            draft.texts += [line_of(row) for row in old[place:]]
            draft.end(level)

    def _look_ahead(self, groups: list[Node], paths: list[str]) -> None:
        """Read the leaves that some changes fall in."""
        if not groups:
            return
        numbers = [groups[min(bisect_left(groups, path, key=last_of), len(groups) - 1)].number for path in paths]
        known = self._children(numbers)
        touched = [known[number] for number in numbers]
        leaves = {
            leaves[min(bisect_left(leaves, path, key=last_of), len(leaves) - 1)].number
            for path, leaves in zip(paths, touched, strict=True)
        }
        self._read = self._rows_of(sorted(leaves))

    def _rows_of(self, leaves: Sequence[int]) -> dict[int, list[Row]]:
        """The rows of some leaves."""
        found = {leaf: self._leaves.get(leaf) or self._read.get(leaf) for leaf in leaves}
        for some in batches([leaf for leaf, rows in found.items() if rows is None]):
            read = self._db.execute(
                "SELECT chunk, path, source, key, size, version, etag, checksum, mtime, storage_class FROM entries "
                f"WHERE chunk IN ({marks(some)}) ORDER BY chunk, path",
                some,
            ).fetchall()
            places = self._places
            found.update(
                (leaf, [(row[1], *places[row[2]], *row[3:]) for row in rows]) for leaf, rows in groupby(read, _first)
            )
        return {leaf: rows or [] for leaf, rows in found.items()}

    def _children(self, parents: Sequence[int]) -> dict[int, list[Node]]:
        """What some groups or roots list."""
        found = {parent: self._nodes.get(parent) or self._known.pop(parent, None) for parent in parents}
        for parent, children in found.items():
            if children is not None and parent not in self._nodes:
                self._known[parent] = children  # the latest again
        for some in batches([parent for parent, children in found.items() if children is None]):
            read = self._db.execute(
                "SELECT l.parent, c.id, c.hash, l.last, c.entries, c.size FROM links l CROSS JOIN chunks c "
                f"ON c.id = l.child WHERE l.parent IN ({marks(some)}) ORDER BY l.parent, l.position",
                some,
            ).fetchall()
            for parent, rows in groupby(read, _first):
                found[parent] = [Node(number, Chunk(*chunk)) for _, number, *chunk in rows]
                self._keep(parent, found[parent] or [])
        return {parent: children or [] for parent, children in found.items()}

    def _keep(self, parent: int, children: list[Node]) -> None:
        """Remember what a group or root lists, and forget what was not asked for the longest."""
        self._known[parent] = children
        self._size += len(children)
        while self._size > _KEPT and len(self._known) > 1:
            self._size -= len(self._known.pop(next(iter(self._known))))


def apply(connection: sqlite3.Connection, base: int | None, lines: Iterable[dict[str, Any]]) -> Chunk:
    """Make one manifest of its base, and write it; see `Applying.apply`."""
    applying = Applying(connection)
    root = applying.apply(base, lines)
    applying.flush()
    return root
