"""Rows of entries on their way into a table, a column at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from refstore.manifest.rows import Row


def insert_entries(
    connection: sqlite3.Connection, table: str, chunks: list[int], rows: list[Row], source: Callable[[Row], int]
) -> None:
    """Write the rows of some leaves.

    To hand over None costs Python's sqlite3 more than any other value (it asks whether somebody adapts it), so a column
    in which nothing stands, and one with the same source throughout, are part of the statement.

    Args:
        connection: Of the index.
        table: Its name; its columns are those of `entries`.
        chunks: The number of the leaf of each row.
        rows: By leaf and path, so that pages fill one by one.
        source: The number of a scheme, endpoint and bucket.
    """
    if not rows:
        return
    path, scheme, endpoint, bucket, key, *rest = zip(*rows, strict=True)
    places = list(zip(scheme, endpoint, bucket, strict=True))
    numbers = {place: source(place) for place in dict.fromkeys(places)}
    values: list[Iterable[object]] = [chunks, path]
    marks = ["?", "?"]
    if len(numbers) == 1:
        marks.append(str(*numbers.values()))
    else:
        marks.append("?")
        values.append(map(numbers.__getitem__, places))
    for column in (key, *rest):
        if column.count(None) == len(column):
            marks.append("NULL")
        else:
            marks.append("?")
            values.append(column)
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join(marks)})", zip(*values, strict=True))
