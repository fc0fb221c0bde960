"""The sources of a version now, against what was recorded: a listing, and no download."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from refstore.backends.base import Location
from refstore.backends.registry import Backends
from refstore.backends.sources import Source
from refstore.checkout.compare import Likeness, compare_content
from refstore.checkout.parallel import in_parallel
from refstore.checkout.result import object_json
from refstore.errors import SourceMissing
from refstore.manifest.entry import STORED, Entry, Object, Pin

UNCHANGED = "unchanged"
CHANGED = "changed"
GONE = "gone"
UNPINNED = "unpinned"
ADDED = "added"

_PAGE = 1000
_SCHEMA = """
create table recorded (
    path text primary key, scheme text, endpoint text, bucket text, key text, entry text not null
) without rowid;
create table found (
    scheme text, endpoint text, bucket text, key text, entry text not null, known integer not null default 0,
    primary key (scheme, endpoint, bucket, key)
) without rowid;
"""
_SAME_PLACE = "f.scheme = r.scheme and f.endpoint = r.endpoint and f.bucket = r.bucket and f.key = r.key"


@dataclass(frozen=True, slots=True)
class Drift:
    """One file of a version, or one new object at its sources.

    Attributes:
        path: Inside the artifact; of a new object, the path that it would have there.
        state: One of

            - `unchanged`: the same bytes;
            - `changed`: other bytes have its name now (a recorded version may still be there: `verify` tells);
            - `gone`: nothing has its name;
            - `unpinned`: it looks the same, but nothing that was recorded could tell;
            - `added`: it is at the source, would be taken, and is not in the version.
        recorded: The object as the version has it; None for `added`.
        found: What is there now; None for `gone`.
    """

    path: str
    state: str
    recorded: Object | None
    found: Object | None

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "path": self.path,
            "state": self.state,
            "recorded": object_json(self.recorded) if self.recorded is not None else None,
            "found": object_json(self.found) if self.found is not None else None,
        }


def status(
    entries: Iterable[Entry], sources: Sequence[Source], backends: Backends, *, jobs: int = 16
) -> Iterator[Drift]:
    """Compare a version with its sources as they are now.

    Each source is listed once. Objects outside of all sources are looked at one by one. Only local files are ever read,
    and of those only the ones whose size is as recorded and whose time of modification isn't.

    Args:
        entries: The version's entries.
        sources: What it was made from.
        backends: List the sources.
        jobs: How many objects are looked at at once, where that has to be done one by one.

    Yields:
        All entries by path, then what is new at the sources by key.

    Raises:
        SourceDenied, CredentialsMissing, SourceUnavailable: A source can't be listed.
    """
    # the empty name is a database on the disk that is gone when it is closed
    with closing(sqlite3.connect("", isolation_level=None, check_same_thread=False)) as db:
        db.executescript(_SCHEMA)
        _stage(
            db,
            "insert or replace into recorded values (?, ?, ?, ?, ?, ?)",
            ((_text(entry.path), *_place(entry.object), json.dumps(entry.to_json())) for entry in entries),
        )
        for source in sources:
            _stage(
                db,
                "insert or replace into found (scheme, endpoint, bucket, key, entry) values (?, ?, ?, ?, ?)",
                ((*_place(entry.object), json.dumps(entry.to_json())) for entry in _listed(source)),
            )
        yield from in_parallel(
            lambda row: _drift(row, [source.location for source in sources], backends), _joined(db), jobs
        )
        yield from _added(db)


def _stage(db: sqlite3.Connection, insert: str, rows: Iterator[tuple[Any, ...]]) -> None:
    while page := list(islice(rows, _PAGE)):
        db.execute("begin")
        db.executemany(insert, page)
        db.execute("commit")


def _place(obj: Object) -> tuple[str, str, str, str]:
    return obj.scheme, obj.endpoint, _text(obj.bucket), _text(obj.key)


def _text(text: str) -> str:
    """Text that SQLite takes: a lone surrogate is not UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def _listed(source: Source) -> Iterator[Entry]:
    try:
        for _, entries in source.pages(checksum=False):
            yield from entries
    except SourceMissing:
        # what was recorded there is gone, and that is an answer
        return


def _joined(db: sqlite3.Connection) -> Iterator[tuple[Entry, Object | None]]:
    after = ""
    while rows := db.execute(
        f"select r.path, r.entry, f.entry from recorded r left join found f on {_SAME_PLACE} "
        "where r.path > ? order by r.path limit ?",
        (after, _PAGE),
    ).fetchall():
        after = rows[-1][0]
        for _, entry, found in rows:
            yield _entry(entry), _entry(found).object if found is not None else None
        if not after:
            return


def _entry(text: str) -> Entry:
    return Entry.from_json(json.loads(text))


def _drift(row: tuple[Entry, Object | None], locations: list[Location], backends: Backends) -> Drift:
    entry, found = row
    recorded = entry.object
    if recorded.scheme == STORED:
        return Drift(entry.path, UNCHANGED, recorded, recorded)
    backend = backends.for_object(recorded)
    try:
        if found is None and not any(_covers(location, recorded) for location in locations):
            found = backend.stat(Location.of(recorded, pinned=False))
        if found is None:
            return Drift(entry.path, GONE, recorded, None)
        likeness = compare_content(recorded, found, backend)
    except SourceMissing:
        return Drift(entry.path, GONE, recorded, None)
    if likeness is Likeness.OTHER:
        return Drift(entry.path, CHANGED, recorded, found)
    pinned = likeness is Likeness.SAME and recorded.pin is not Pin.NONE
    return Drift(entry.path, UNCHANGED if pinned else UNPINNED, recorded, found)


def _covers(location: Location, obj: Object) -> bool:
    """Whether a listing of a location would have shown an object."""
    if (location.scheme, location.endpoint, location.bucket) != (obj.scheme, obj.endpoint, obj.bucket):
        return False
    prefix = location.key
    if obj.key == prefix or not prefix:
        return True
    return obj.key.startswith(prefix if prefix.endswith("/") else prefix + "/")


def _added(db: sqlite3.Connection) -> Iterator[Drift]:
    db.execute("create index recorded_place on recorded (scheme, endpoint, bucket, key)")
    cursor = db.execute(
        f"select f.entry from found f where not exists (select 1 from recorded r where {_SAME_PLACE}) "
        "order by f.scheme, f.endpoint, f.bucket, f.key"
    )
    for (text,) in cursor:
        entry = _entry(text)
        yield Drift(entry.path, ADDED, None, entry.object)
