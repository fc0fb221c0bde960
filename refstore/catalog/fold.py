"""What the set of records adds up to: numbers, aliases, tags, what is removed; in whatever order they arrive."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from refstore.catalog.chunks import root_number
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
    """Make the rows of one artifact anew from its records. Use inside a write transaction."""
    rows = connection.execute(
        """SELECT DISTINCT id, body FROM records WHERE subject = :name AND kind IN ('version', 'alias')
           UNION SELECT DISTINCT r.id, r.body FROM records v JOIN records r ON r.subject = v.id
           WHERE v.subject = :name AND v.kind = 'version' AND r.kind IN ('renumbered', 'tag', 'description',
           'metadata', 'lifetime', 'tombstone')""",
        {"name": str(name)},
    )
    state = fold([parse(json.loads(body), f"The record {id}") for id, body in rows])
    place = (name.entity, name.project, name.artifact)
    row = connection.execute("SELECT id FROM artifacts WHERE entity = ? AND project = ? AND name = ?", place).fetchone()
    if row:
        connection.execute("DELETE FROM tags WHERE version IN (SELECT id FROM versions WHERE artifact_id = ?)", row)
        connection.execute("DELETE FROM aliases WHERE artifact_id = ?", row)
        connection.execute("DELETE FROM versions WHERE artifact_id = ?", row)
    if state is None:
        if row:
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
    connection.executemany(
        "INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                s.id,
                number,
                s.number,
                s.record.manifest,
                root_number(connection, s.record.manifest),
                s.record.time,
                s.description,
                json.dumps(s.metadata),
                json.dumps(s.record.sources),
                json.dumps([s.record.include, s.record.exclude, s.record.prefix]),
                s.record.run,
                int(s.deleted),
                s.was,
                s.record.source,
                s.lifetime,
            )
            for s in state.versions
        ],
    )
    connection.executemany("INSERT INTO tags VALUES (?, ?)", [(s.id, tag) for s in state.versions for tag in s.tags])
    connection.executemany(
        "INSERT INTO aliases VALUES (?, ?, ?)", [(number, alias, version) for alias, version in state.aliases.items()]
    )
