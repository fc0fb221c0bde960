"""One folder of a manifest, without reading all that lies in the folders below it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from refstore.catalog.chunks import read_entries
from refstore.manifest.entry import Entry

_READ_OVER = 64
"""So many entries of a folder below are read over before the index is asked for what follows that folder."""
_BEHIND = chr(ord("/") + 1)


def read_folder(connection: sqlite3.Connection, root: int, folder: str) -> Iterator[Entry | str]:
    """What stands in one folder of a manifest, by path: entries, and the paths of the folders in it.

    Costs a step for each entry in the folder itself, and for each folder in it a few steps and one look-up at most.
    An entry with an empty part in its path (`a//b`, `a/`) stands in the folder before that part: no folder is without
    a name.

    Args:
        connection: The index.
        root: The row of the manifest's root.
        folder: Its path with a `/` at the end; "" for the whole.
    """
    first: str | None = folder
    inside = ""
    while first is not None:
        start, first, seen = first, None, 0
        for entry in read_entries(connection, root, start):
            if not entry.path.startswith(folder):
                return
            name, slash, _ = entry.path[len(folder) :].partition("/")
            if not name or not slash:
                yield entry
                continue
            below = folder + name
            if below != inside:
                yield below
                inside, seen = below, 0
            seen += 1
            if seen > _READ_OVER:
                first = below + _BEHIND
                break
