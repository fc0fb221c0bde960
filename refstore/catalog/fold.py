"""What the set of records adds up to: numbers, aliases, tags, what is removed; in whatever order they arrive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refstore.catalog.chunks import root_numbers
from refstore.catalog.ids import marks, numbers_of, packed, unpacked
from refstore.names import ArtifactName
from refstore.records.types import (
    Alias,
    Description,
    Lifetime,
    Metadata,
    Record,
    Renumbered,
    Tag,
    Tombstone,
    Version,
    parse,
)

ABOUT_ARTIFACTS = (Version.kind, Alias.kind)
ABOUT_VERSIONS = (Renumbered.kind, Tag.kind, Description.kind, Metadata.kind, Lifetime.kind, Tombstone.kind)
_ABOUT_VERSIONS = ", ".join(f"'{kind}'" for kind in ABOUT_VERSIONS)


@dataclass(frozen=True, slots=True)
class Claim:
    """A version's claim to a number.

    Attributes:
        id: The version record's id.
        time: When it was recorded.
        number: The number that it was given, by its own record or by the last renumbering.
    """

    id: str
    time: str
    number: int


def settle(claims: Iterable[Claim]) -> dict[str, int]:
    """The number of each version.

    Where several claim one, the earliest by (time, id) keeps it, and the others get the next free ones. A number that
    was ever claimed is free for nobody else.
    """
    ordered = sorted(claims, key=lambda claim: (claim.time, claim.id))
    holders: dict[int, str] = {}
    losers: list[Claim] = []
    for claim in ordered:
        if claim.number in holders:
            losers.append(claim)
        else:
            holders[claim.number] = claim.id
    settled = {id: number for number, id in holders.items()}
    free = max(holders, default=-1) + 1
    for claim in losers:
        settled[claim.id] = free
        free += 1
    return settled


def _last(records: Iterable[Record], key: Any) -> dict[Any, Record]:
    """The last record for each key, by (clock, time, id)."""
    out: dict[Any, Record] = {}
    for record in sorted(records, key=lambda r: (r.clock, r.time, r.id)):
        out[key(record)] = record
    return out


@dataclass(frozen=True, slots=True)
class VersionState:
    """A version as the records make it."""

    record: Version
    id: str
    number: int
    was: int | None
    deleted: bool
    description: str
    metadata: Mapping[str, Any]
    lifetime: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ArtifactState:
    """An artifact as the records make it; `aliases` maps each alias to a version's record id."""

    type: str
    versions: tuple[VersionState, ...]
    aliases: Mapping[str, str]


def fold(records: Iterable[Record]) -> ArtifactState | None:
    """The state of one artifact, from all the records about it and its versions; None where it has no version."""
    versions: dict[str, Version] = {}
    by_kind: dict[type[Record], list[Record]] = {}
    for record in records:
        if isinstance(record, Version):
            versions[record.id] = record
        else:
            by_kind.setdefault(type(record), []).append(record)
    if not versions:
        return None

    given: dict[str, int] = {}
    for record in by_kind.get(Renumbered, []):
        assert isinstance(record, Renumbered)
        given[record.version] = max(record.number, given.get(record.version, -1))
    numbers = settle(Claim(id, v.time, given.get(id, v.number)) for id, v in versions.items())

    gone = {r.version for r in by_kind.get(Tombstone, []) if isinstance(r, Tombstone)}
    tags: dict[str, list[str]] = {}
    for record in _last(by_kind.get(Tag, []), lambda r: (r.version, r.tag)).values():
        if isinstance(record, Tag) and record.present:
            tags.setdefault(record.version, []).append(record.tag)
    described = _last(by_kind.get(Description, []), lambda r: r.version)
    annotated = _last(by_kind.get(Metadata, []), lambda r: r.version)
    lives = _last(by_kind.get(Lifetime, []), lambda r: r.version)

    states = []
    for id, version in versions.items():
        text, metadata, life = described.get(id), annotated.get(id), lives.get(id)
        states.append(
            VersionState(
                version,
                id,
                numbers[id],
                version.number if numbers[id] != version.number else None,
                id in gone,
                text.description if isinstance(text, Description) else version.description,
                metadata.metadata if isinstance(metadata, Metadata) else version.metadata,
                life.seconds if isinstance(life, Lifetime) else 0,
                tuple(sorted(tags.get(id, ()))),
            )
        )
    states.sort(key=lambda s: s.number)
    aliases = {
        r.alias: r.version
        for r in _last(by_kind.get(Alias, []), lambda r: r.alias).values()
        if isinstance(r, Alias) and r.version in versions and r.version not in gone
    }
    first = min(versions.items(), key=lambda item: (item[1].time, item[0]))[1]
    return ArtifactState(first.type, tuple(states), aliases)


def refold(connection: sqlite3.Connection, name: ArtifactName) -> None:
    """Make the rows of one artifact anew from its records. Use inside a write transaction.

    Reads all its records; writes only the rows that changed.
    """
    about = connection.execute(
        f"""WITH mine AS (SELECT id, kind, body FROM records WHERE artifact = :name)
            SELECT id, body FROM mine UNION ALL SELECT r.id, r.body FROM (SELECT DISTINCT id FROM mine WHERE
            kind = '{Version.kind}') v CROSS JOIN records r ON r.subject = v.id AND r.kind IN ({_ABOUT_VERSIONS})""",
        {"name": str(name)},
    )
    state = fold([parse(json.loads(body), f"The record {id}") for id, body in dict(about).items()])
    place = (name.entity, name.project, name.artifact)
    row = connection.execute("SELECT id FROM artifacts WHERE entity = ? AND project = ? AND name = ?", place).fetchone()
    if state is None:
        if row:
            for table in (_TAGS, _VERSIONS, _ALIASES):
                table.replace(connection, row[0], [])
            connection.execute("DELETE FROM artifacts WHERE id = ?", row)
        return
    times = [s.record.time for s in state.versions]
    if row:
        connection.execute(
            "UPDATE artifacts SET type = ?, created = ?, updated = ? WHERE id = ?",
            (state.type, min(times), max(times), row[0]),
        )
        number = row[0]
    else:
        number = connection.execute(
            "INSERT INTO artifacts (entity, project, name, type, created, updated) VALUES (?, ?, ?, ?, ?, ?)",
            (*place, state.type, min(times), max(times)),
        ).lastrowid
    known, versions = _version_rows(connection, number, state.versions)
    # before the versions: tags are found by them
    _TAGS.replace(connection, number, [(known[s.id], tag) for s in state.versions for tag in s.tags])
    _VERSIONS.replace(connection, number, versions)
    _ALIASES.replace(connection, number, [(number, alias, known[id]) for alias, id in state.aliases.items()])


_APPENDED = 50
"""Versions that are added one by one; more are folded with all others."""

_END = """SELECT a.id, a.created, (SELECT max(number) FROM versions WHERE artifact_id = a.id), EXISTS (
    SELECT 1 FROM versions v INDEXED BY versions_renumbered WHERE v.artifact_id = a.id AND v.was IS NOT NULL AND
    NOT EXISTS (SELECT 1 FROM records r WHERE r.subject = v.id AND r.kind = 'renumbered'
    AND json_extract(r.body, '$.number') = v.number)) FROM artifacts a
    WHERE a.entity = ? AND a.project = ? AND a.name = ?"""


def append(connection: sqlite3.Connection, name: ArtifactName, new: Collection[int]) -> bool:
    """Add versions behind all others of an artifact, of which nothing else changed; False where `refold` has to do it.

    The usual case, at a cost that does not depend on how many versions there are: the new ones claim the numbers that
    nobody claims, no number waits for a record, and no record says more of them.

    Args:
        connection: To the index, inside a write transaction.
        name: The artifact.
        new: The numbers in `ids` of the versions' records.
    """
    row = connection.execute(_END, (name.entity, name.project, name.artifact)).fetchone()
    if row is None or row[3] or len(new) > _APPENDED:
        return False
    artifact, first, last, _ = row
    ids = list(new)
    if connection.execute(
        f"SELECT 1 FROM records WHERE subject IN ({marks(ids)}) AND kind <> '{Version.kind}' LIMIT 1", ids
    ).fetchone():
        return False
    bodies = connection.execute(
        f"""SELECT DISTINCT i.id, r.body FROM records r JOIN ids i ON i.number = r.id WHERE r.id IN ({marks(ids)})
            AND r.id NOT IN (SELECT id FROM versions WHERE artifact_id = ?)""",
        (*ids, artifact),
    )
    states = []
    for id, body in bodies.fetchall():
        version = parse(json.loads(body), f"The record {unpacked(id)}")
        assert isinstance(version, Version)
        states.append(
            VersionState(
                version, unpacked(id), version.number, None, False, version.description, version.metadata, 0, ()
            )
        )
    states.sort(key=lambda s: s.number)
    for state in states:
        if state.number <= last or state.record.time <= first:
            return False
        last = state.number
    _, versions = _version_rows(connection, artifact, states)
    connection.executemany(f"INSERT INTO versions VALUES ({', '.join('?' * _VERSIONS.columns)})", versions)
    connection.executemany(
        "UPDATE artifacts SET updated = max(updated, ?) WHERE id = ?", [(s.record.time, artifact) for s in states]
    )
    return True


def _version_rows(
    connection: sqlite3.Connection, artifact: int, states: Sequence[VersionState]
) -> tuple[dict[str, int | None], list[tuple[Any, ...]]]:
    """The numbers in `ids` of all that some versions name, and their rows."""
    named = [id for s in states for id in (s.id, s.record.run, s.record.source) if id]
    known: dict[str, int | None] = {"": None, **numbers_of(connection, named)}
    roots = root_numbers(connection, [s.record.manifest for s in states])
    rows = [
        (
            known[s.id],
            artifact,
            s.number,
            packed(s.record.manifest),
            roots.get(s.record.manifest),
            s.record.time,
            s.description,
            json.dumps(s.metadata),
            json.dumps(s.record.sources),
            json.dumps([s.record.include, s.record.exclude, s.record.prefix, s.record.names]),
            known[s.record.run],
            int(s.deleted),
            s.was,
            known[s.record.source],
            s.lifetime,
        )
        for s in states
    ]
    return known, rows


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one table that belong to one artifact.

    Attributes:
        table: Its name.
        key: How many of its first columns tell rows apart.
        columns: How many it has.
        keys: The names of the first ones, with a mark for each.
        mine: What chooses those of an artifact, by its number.
    """

    table: str
    key: int
    columns: int
    keys: str
    mine: str

    def replace(self, connection: sqlite3.Connection, artifact: int, rows: list[tuple[Any, ...]]) -> None:
        """Have these rows and no others; writes those that are not there as they should be."""
        there = {
            row[: self.key]: row
            for row in connection.execute(f"SELECT * FROM {self.table} WHERE {self.mine}", (artifact,))
        }
        wanted = {row[: self.key]: row for row in rows}
        gone = [key for key in there if key not in wanted]
        connection.executemany(f"DELETE FROM {self.table} WHERE {self.keys}", gone)
        marks = ", ".join("?" * self.columns)
        changed = [row for key, row in wanted.items() if there.get(key) != row]
        connection.executemany(f"INSERT OR REPLACE INTO {self.table} VALUES ({marks})", changed)


_VERSIONS = _Rows("versions", 1, 15, "id = ?", "artifact_id = ?")
_TAGS = _Rows("tags", 2, 2, "version = ? AND tag = ?", "version IN (SELECT id FROM versions WHERE artifact_id = ?)")
_ALIASES = _Rows("aliases", 2, 3, "artifact_id = ? AND alias = ?", "artifact_id = ?")
