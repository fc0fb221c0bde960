"""A hundred thousand objects in SeaweedFS without a PUT: their metadata are written straight into the filer's database.

This is a server of its own, whose filer keeps its metadata in SQLite: a table for each bucket, with the columns folder
(and the first eight bytes of its MD5), name, and an `Entry` of SeaweedFS's pb/filer.proto. An object of a bucket with
versions is a folder `<key>.versions`, whose extended attributes say which version is the latest, and in it a file
`v_<version id>` for each version. The content of these small files lies in their entry, so no volume is touched.
(`weed shell fs.meta.load` does the same by way of a request for each entry, which takes over thirty times as long.)
"""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from . import seaweed
from .running import Run, ServerFailedError
from .s3 import S3Server

FANOUT = 1000
NAME = "seaweed-bulk"
_DATABASE = "data/filer.db"
_STORE = f'[sqlite]\nenabled = true\ndbFile = "{_DATABASE}"\n[leveldb2]\nenabled = false\n'
_BATCH = 50_000  # rows that are sorted before they are inserted, so that few pages of the table are touched twice
_WRITTEN_AT = 1_750_000_000  # seconds since the epoch
_OWNER = b"admin"
_FOLDER_MODE, _FILE_MODE = 0o20000000771, 0o660

Row = tuple[int, str, str, bytes]


@dataclass(frozen=True)
class Bulk:
    """A bucket with versions and `count` objects `data/…/f0000000.bin`, a thousand in each folder.

    The first `part` of them are below `data/part/`, which is a part of `data/`.
    """

    bucket: str
    count: int
    part: int

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/data/"

    @property
    def part_uri(self) -> str:
        return f"s3://{self.bucket}/data/part/"

    def key(self, number: int) -> str:
        """The key of an object."""
        return f"{self.folder(number)}/f{number:07d}.bin"

    def folder(self, number: int) -> str:
        """What comes before the last / of it."""
        return f"data/{'part/' if number < self.part else ''}d{number // FANOUT:04d}"

    def content(self, number: int) -> bytes:
        """What it holds."""
        return b"object %d\n" % number


def shared_server(run: Run) -> S3Server:
    return run.shared(NAME, S3Server, lambda: _start(run))


def shared(run: Run, count: int, part: int) -> Bulk:
    """A bucket of so many objects, made once in a run."""
    return run.shared(f"bulk-{count}-{part}", Bulk, lambda: make(run, count, part))


def make(run: Run, count: int, part: int) -> Bulk:
    """Make a bucket of so many objects.

    Raises:
        ServerFailedError: The server does not see them: this version of SeaweedFS keeps them in another form.
    """
    server = shared_server(run)
    bulk = Bulk(server.make_bucket(), count, part)
    # the filer makes the table when the first object comes
    server.put(bulk.bucket, "other/first", b"")
    with closing(sqlite3.connect(run.server_folder(NAME) / _DATABASE, timeout=60, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN IMMEDIATE")
        rows = _rows(bulk)
        while batch := sorted(islice(rows, _BATCH), key=lambda row: row[:2]):
            db.executemany(f'INSERT OR REPLACE INTO "{bulk.bucket}" VALUES (?, ?, ?, ?)', batch)
        db.execute("COMMIT")
    for number in (0, count - 1):
        if server.get(bulk.bucket, bulk.key(number)) != bulk.content(number):
            raise ServerFailedError(f"{bulk.key(number)} was loaded, and is not there")
    return bulk


def _start(run: Run) -> S3Server:
    (run.server_folder(NAME) / "filer.toml").write_text(_STORE)
    return seaweed.start(run, NAME)


def _rows(bulk: Bulk) -> Iterator[Row]:
    yield _row("", "data", _folder())
    if bulk.part:
        yield _row("/data", "part", _folder())
    for number in range(bulk.count):
        folder, _, name = bulk.key(number).rpartition("/")
        if number % FANOUT == 0 or number == bulk.part:
            parent, _, last = folder.rpartition("/")
            yield _row(f"/{parent}", last, _folder())
        yield from _object(f"/{folder}", name, bulk.content(number), _WRITTEN_AT + number % 100_000)


def _object(folder: str, name: str, data: bytes, written: int) -> Iterable[Row]:
    md5 = hashlib.md5(data, usedforsecurity=False)
    etag = md5.hexdigest().encode()
    # a version id begins with the time, counted down, so that the newest version sorts first
    version = b"%016x%s" % ((1 << 63) - 1 - written * 10**9, etag[:16])
    latest = _extended(b"Latest-Version-ETag", etag)
    latest += _extended(b"Latest-Version-File-Name", b"v_" + version)
    latest += _extended(b"Latest-Version-Id", version)
    latest += _extended(b"Latest-Version-Is-Delete-Marker", b"false")
    latest += _extended(b"Latest-Version-Mtime", b"%d" % written)
    latest += _extended(b"Latest-Version-Owner", _OWNER)
    latest += _extended(b"Latest-Version-Size", b"%d" % len(data))
    yield _row(folder, f"{name}.versions", _folder() + latest)
    attributes = _number(1, len(data)) + _number(2, written) + _number(3, _FILE_MODE) + _number(6, written)
    # the chunk is never read: it is there because ListObjectVersions takes the ETag from chunks
    entry = _bytes(3, _number(3, len(data)) + _number(4, written * 10**9) + _bytes(5, base64.b64encode(md5.digest())))
    entry += _bytes(4, attributes + _bytes(14, md5.digest()))
    entry += _extended(b"ETag", etag) + _extended(b"Owner", _OWNER) + _extended(b"Version-Id", version)
    yield _row(f"{folder}/{name}.versions", f"v_{version.decode()}", entry + _bytes(9, data))


def _row(folder: str, name: str, entry: bytes) -> Row:
    digest = hashlib.md5((folder or "/").encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[:8], "big", signed=True), name, folder or "/", entry


def _folder() -> bytes:
    return _number(1, 1) + _bytes(4, _number(2, _WRITTEN_AT) + _number(3, _FOLDER_MODE) + _number(6, _WRITTEN_AT))


def _extended(name: bytes, value: bytes) -> bytes:
    return _bytes(5, _bytes(1, b"Seaweed-X-Amz-" + name) + _bytes(2, value))


def _number(field: int, value: int) -> bytes:
    return bytes((field << 3,)) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return bytes((field << 3 | 2,)) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
