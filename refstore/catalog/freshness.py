"""Whether the index holds what `records/` holds: what every command asks first, at the cost of a stat and a row."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

_TICK = 50_000_000
"""Nanoseconds within which a folder may change again without a new time on it; only FAT is coarser."""


def stamp_of(records: Path) -> str:
    """A token that changes whenever a file of the folder comes or goes; "" where that could not be told yet."""
    changed = records.stat().st_mtime_ns
    return str(changed) if time.time_ns() - changed > _TICK else ""


def is_current(connection: sqlite3.Connection, records: Path) -> bool:
    """Whether nothing came or went since the index was brought up to date. One stat and one row."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'stamp'").fetchone()
    return bool(row and row[0] and row[0] == str(records.stat().st_mtime_ns))


def remember(connection: sqlite3.Connection, stamp: str) -> None:
    """Note that the index holds what the folder held when it had that stamp. Use inside the transaction that did it."""
    # What is wrong with a file may be put right in its place, which does not show in the folder's time.
    if connection.execute("SELECT 1 FROM transactions WHERE problem IS NOT NULL LIMIT 1").fetchone():
        stamp = ""
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('stamp', ?)", (stamp,))
