"""A manifest built anew beside its base: leaves that are the same in both are not opened."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from refstore.catalog.chunks import leaf_entries
from refstore.manifest.entry import Entry
from refstore.manifest.tree import Chunk, TreeBuilder, leaves

_LEAVES = """SELECT c.id, c.hash, l.last, c.entries, c.size FROM links g CROSS JOIN links l ON l.parent = g.child
    CROSS JOIN chunks c ON c.id = l.child WHERE g.parent = ? AND c.entries > 0 ORDER BY g.position, l.position"""


class _Side:
    """A place in the leaves of one of the two.

    Attributes:
        leaf: The leaf that it is in; None behind the last.
        fresh: Whether no entry of it was taken.
        entry: The next entry; None behind the last.
    """

    def __init__(self, leaves: Iterator[tuple[Chunk, Iterable[Entry]]]) -> None:
        self._leaves = leaves
        self.skip()

    def skip(self) -> None:
        """Go to the next leaf."""
        following = next(self._leaves, None)
        self.leaf: Chunk | None = following[0] if following else None
        self._unread: Iterable[Entry] = following[1] if following else ()
        self.fresh = True

    def look(self) -> Entry | None:
        """The next entry; its leaf is opened."""
        if self.leaf is None:
            return None
        if self.fresh:
            self.fresh = False
            self._rest = iter(self._unread)
            self._next: Entry = next(self._rest)
        return self._next

    def step(self) -> None:
        """Go behind the entry that was looked at."""
        following = next(self._rest, None)
        if following is None:
            self.skip()
        else:
            self._next = following


def rebuild(
    connection: sqlite3.Connection, base: int, entries: Iterable[Entry], builder: TreeBuilder
) -> tuple[int, int, int]:
    """Give a builder what `entries` say, each one that is the same as the base's (`Object.same_as`) as the base has it.

    Streams: holds a leaf of each.

    Args:
        connection: Of the index.
        base: The row of the base's root.
        entries: By path, in byte order.
        builder: Of the new manifest.

    Returns:
        How many paths were added, removed and changed.
    """
    added = removed = changed = 0
    old, new = _Side(_leaves(connection, base)), _Side(leaves(entries))
    while old.leaf is not None or new.leaf is not None:
        at_border = old.fresh and new.fresh and builder.at_leaf
        if at_border and old.leaf is not None and new.leaf is not None and old.leaf.id == new.leaf.id:
            builder.add_leaf(new.leaf)
            old.skip()
            new.skip()
            continue
        before, after = old.look(), new.look()
        if after is None or (before is not None and before.path < after.path):
            removed += 1
            old.step()
        elif before is None or after.path < before.path:
            added += 1
            builder.add(after)
            new.step()
        else:
            same = before.object.same_as(after.object)
            changed += not same
            builder.add(before if same else after)
            old.step()
            new.step()
    return added, removed, changed


def _leaves(connection: sqlite3.Connection, root: int) -> Iterator[tuple[Chunk, Iterable[Entry]]]:
    for number, id, last, entries, size in connection.execute(_LEAVES, (root,)):
        yield Chunk(id, last, entries, size), leaf_entries(connection, number)
