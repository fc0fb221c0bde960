"""A file of a version as a flat row: what `ls --json` and the exports as JSON Lines, CSV and Parquet hold."""

from __future__ import annotations

from typing import Any

from refstore.manifest.entry import Entry, Object

COLUMNS = (
    *("path", "uri", "pin", "size", "scheme", "endpoint", "bucket", "key"),
    *("version", "etag", "checksum", "mtime", "storage_class"),
)
DERIVED = frozenset(("uri", "pin"))
"""The columns that follow from the others."""


def object_row(obj: Object, uri: str | None) -> dict[str, Any]:
    """One external file. A key is always there, None where nothing is known."""
    return {
        "uri": uri,
        "pin": obj.pin.value,
        "size": obj.size,
        "scheme": obj.scheme,
        "endpoint": obj.endpoint or None,
        "bucket": obj.bucket or None,
        "key": obj.key or None,
        "version": obj.version,
        "etag": obj.etag,
        "checksum": None if obj.checksum is None else str(obj.checksum),
        "mtime": obj.mtime,
        "storage_class": obj.storage_class,
    }


def row(entry: Entry, uri: str | None) -> dict[str, Any]:
    """One file of a version, its columns in the order of `COLUMNS`."""
    return {"path": entry.path, **object_row(entry.object, uri)}
