"""Parquet, through pyarrow: text columns, sizes as 64-bit integers, times as UTC timestamps in microseconds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import IO, Any

from refstore.errors import UsageError
from refstore.manifest.entry import Entry
from refstore.tracking.exports.form import Form, Subject
from refstore.tracking.exports.row import COLUMNS, row

_ROWS = 16_384
"""In one row group, which is what is held in memory."""
_NEEDED = ("path", "uri", "pin", "scheme")


class Parquet(Form):
    """See the module. The version's name and digest stand in the file's own metadata."""

    name = "parquet"
    endings = (".parquet", ".pq")

    def write(self, entries: Iterator[Entry], out: IO[bytes], subject: Subject) -> None:
        """The file, a row group after another.

        Raises:
            UsageError: pyarrow is not installed.
        """
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq
        except ImportError as error:
            raise UsageError("To write Parquet pyarrow is needed: pip install 'refstore[parquet]'.") from error
        types = {"size": pa.int64(), "mtime": pa.timestamp("us", tz="UTC")}
        fields = [pa.field(name, types.get(name, pa.string()), nullable=name not in _NEEDED) for name in COLUMNS]
        about = {"refstore.name": subject.name, "refstore.digest": subject.digest}
        schema = pa.schema(fields, metadata=about)
        with pq.ParquetWriter(out, schema, compression="zstd") as writer:
            while page := list(islice(entries, _ROWS)):
                writer.write_batch(pa.record_batch(_columns(pa, schema, page, subject), schema=schema))


def _columns(pa: Any, schema: Any, page: list[Entry], subject: Subject) -> list[Any]:
    values: list[list[Any]] = [[] for _ in schema]
    for entry in page:
        for column, value in zip(values, row(entry, subject.uri(entry)).values(), strict=True):
            column.append(value)
    return [
        pa.array(column, pa.string()).cast(field.type)
        if pa.types.is_timestamp(field.type)
        else pa.array(column, field.type)
        for field, column in zip(schema, values, strict=True)
    ]
