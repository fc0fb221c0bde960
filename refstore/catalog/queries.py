"""Questions to the index. Each answers from SQLite alone; none touches a file of the catalog."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from refstore.catalog import chunks
from refstore.catalog.folders import read_folder
from refstore.catalog.ids import number_of, unpacked
from refstore.catalog.schema import EVENTS
from refstore.errors import ArtifactNotFound, CatalogCorrupt, InvalidName
from refstore.manifest.diff import Change
from refstore.manifest.entry import Entry, Pin
from refstore.names import LATEST, ArtifactName, VersionName


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project: its name, how many artifacts and versions it has, and when it last changed (UTC)."""

    entity: str
    project: str
    artifacts: int
    versions: int
    updated: str


@dataclass(frozen=True, slots=True)
class ArtifactInfo:
    """An artifact.

    Attributes:
        name: Its full name.
        type: For good.
        versions: How many there are, removed ones not counted.
        latest: The number that `latest` means; None where all versions were removed.
        aliases: Each alias and the number that it stands for, `latest` included.
        size: Of the latest version, in bytes.
        file_count: Of the latest version.
        description: Of the latest version.
        created: UTC.
        updated: UTC.
    """

    name: ArtifactName
    type: str
    versions: int
    latest: int | None
    aliases: dict[str, int]
    size: int
    file_count: int
    description: str
    created: str
    updated: str


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """A version; see `refstore.version.Version` for the meaning of each field."""

    id: str
    artifact: ArtifactName
    type: str
    number: int
    manifest: str
    root: int | None
    size: int
    file_count: int
    created: str
    description: str
    metadata: dict[str, Any]
    sources: list[str]
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    prefix: str
    run: str
    deleted: bool
    was: int | None
    source: str
    lifetime: int
    aliases: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One record, as `log` tells of it.

    Attributes:
        time: UTC.
        kind: The record's kind.
        subject: The version or artifact that it is about.
        detail: What happened, in a few words.
        record: The record's id.
    """

    time: str
    kind: str
    subject: str
    detail: str
    record: str


_VERSION = """SELECT i.id, a.entity, a.project, a.name, a.type, v.number, v.manifest, v.root, c.size, c.entries,
v.created, v.description,
    v.metadata, v.sources, v.choice,
    (SELECT id FROM ids WHERE number = v.run), v.deleted, v.was, (SELECT id FROM ids WHERE number = v.source),
    v.lifetime, v.number = (SELECT max(number) FROM versions x WHERE x.artifact_id = a.id AND NOT x.deleted),
    (SELECT json_group_array(alias) FROM aliases WHERE version = v.id), (SELECT json_group_array(tag) FROM tags WHERE
    version = v.id) FROM artifacts a JOIN versions v ON v.artifact_id = a.id JOIN ids i ON i.number = v.id
    LEFT JOIN chunks c ON c.id = v.root"""

_ABOUT_ONE = """AND r.id IN (SELECT id FROM records WHERE artifact = :name UNION SELECT x.id FROM records m
    JOIN records x ON x.subject = m.id WHERE m.artifact = :name AND m.kind = 'version')"""


class Queries:
    """Questions to one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def projects(self) -> list[ProjectInfo]:
        """All projects, by name."""
        rows = self._db.execute(
            """SELECT a.entity, a.project, count(DISTINCT a.id), count(v.id), max(a.updated) FROM artifacts a
               JOIN versions v ON v.artifact_id = a.id AND NOT v.deleted GROUP BY 1, 2 ORDER BY 1, 2"""
        )
        return [ProjectInfo(*row) for row in rows]

    def artifacts(self, entity: str | None = None, project: str | None = None) -> list[ArtifactInfo]:
        """All artifacts that have a version left, by name; those of one project where it is given."""
        return self._artifacts(
            "(:entity IS NULL OR a.entity = :entity) AND (:project IS NULL OR a.project = :project)",
            {"entity": entity, "project": project},
        )

    def artifact(self, name: ArtifactName) -> ArtifactInfo:
        """One artifact.

        Raises:
            ArtifactNotFound: There is none of that name.
        """
        found = self._artifacts(
            "a.entity = :entity AND a.project = :project AND a.name = :name", _place(name), empty=True
        )
        if not found:
            raise self._not_found(name)
        return found[0]

    def _artifacts(self, where: str, values: dict[str, str | None], empty: bool = False) -> list[ArtifactInfo]:
        rows = self._db.execute(
            f"""WITH last AS (SELECT artifact_id, max(number) AS number, count(*) AS versions FROM versions WHERE NOT
            deleted GROUP BY 1)
                SELECT a.entity, a.project, a.name, a.type, coalesce(l.versions, 0), l.number, c.size, c.entries,
                v.description, a.created,
                       a.updated, (SELECT json_group_object(s.alias, x.number) FROM aliases s JOIN versions x ON x.id =
                       s.version
                                   WHERE s.artifact_id = a.id)
                FROM artifacts a LEFT JOIN last l ON l.artifact_id = a.id
                LEFT JOIN versions v ON v.artifact_id = a.id AND v.number = l.number LEFT JOIN chunks c ON c.id = v.root
                WHERE {where} ORDER BY 1, 2, 3""",
            values,
        )
        out = []
        for entity, project, name, type, count, latest, size, entries, description, created, updated, aliases in rows:
            if not count and not empty:
                continue
            named = dict(sorted(json.loads(aliases).items()))
            if latest is not None:
                named = {LATEST: latest, **named}
            out.append(
                ArtifactInfo(
                    ArtifactName(entity, project, name),
                    type,
                    count,
                    latest,
                    named,
                    size or 0,
                    entries or 0,
                    description or "",
                    created,
                    updated,
                )
            )
        return out

    def versions(self, name: ArtifactName, *, deleted: bool = False) -> list[VersionInfo]:
        """The versions of an artifact, newest first.

        Raises:
            ArtifactNotFound: There is no such artifact.
        """
        rows = self._versions(
            "a.entity = :entity AND a.project = :project AND a.name = :name ORDER BY v.number DESC", _place(name)
        )
        if not rows:
            raise self._not_found(name)
        return [row for row in rows if deleted or not row.deleted]

    def versions_in(self, entity: str, project: str) -> list[VersionInfo]:
        """The versions of all artifacts of a project, by name and number, without those that were removed."""
        return self._versions(
            "a.entity = :entity AND a.project = :project AND NOT v.deleted ORDER BY a.name, v.number",
            {"entity": entity, "project": project},
        )

    def latest(self, name: ArtifactName) -> VersionInfo | None:
        """The version that `latest` means; None where there is none."""
        rows = self._versions(
            "a.entity = :entity AND a.project = :project AND a.name = :name AND NOT v.deleted ORDER BY v.number "
            "DESC LIMIT 1",
            _place(name),
        )
        return rows[0] if rows else None

    def next_number(self, name: ArtifactName) -> int:
        """The number for the next version: one more than any that was ever given."""
        row = self._db.execute(
            """SELECT max((SELECT max(number) FROM versions WHERE artifact_id = a.id), coalesce((SELECT max(was)
               FROM versions WHERE artifact_id = a.id AND was IS NOT NULL), 0)) FROM artifacts a
               WHERE a.entity = :entity AND a.project = :project AND a.name = :name""",
            _place(name),
        ).fetchone()
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def unrecorded_renumberings(self, name: ArtifactName) -> list[tuple[str, int, int]]:
        """Versions whose number was settled by the fold and by no record yet: id, number, the number it was given."""
        rows = self._db.execute(
            """SELECT i.id, v.number, v.was FROM artifacts a JOIN versions v
               INDEXED BY versions_renumbered ON v.artifact_id = a.id
               JOIN ids i ON i.number = v.id
               WHERE a.entity = :entity AND a.project = :project AND a.name = :name AND v.was IS NOT NULL AND NOT EXISTS
               (SELECT 1 FROM records r WHERE r.subject = v.id AND r.kind = 'renumbered' AND json_extract(r.body,
               '$.number') = v.number)""",
            _place(name),
        )
        return [(unpacked(id), number, was) for id, number, was in rows]

    def version(self, name: VersionName) -> VersionInfo:
        """The version that a name means.

        Raises:
            ArtifactNotFound: There is none, or it was removed.
            InvalidName: The digest prefix fits more than one.
        """
        where = "a.entity = :entity AND a.project = :project AND a.name = :name"
        values: dict[str, Any] = dict(_place(name.artifact))
        if name.number is not None:
            rows = self._versions(where + " AND v.number = :number", values | {"number": name.number})
        elif name.digest is not None:
            rows = self._versions(
                where + " AND lower(hex(v.manifest)) GLOB :digest", values | {"digest": name.digest + "*"}
            )
            # Removed ones count: else a prefix would come to mean other files when a version is removed.
            if len({row.manifest for row in rows}) > 1:
                raise InvalidName(f"{name} fits {len(rows)} versions: give more digits of the digest.")
            # Of those with the same files the first by time, as numbers may change with a merge.
            rows = sorted(rows, key=lambda row: (row.deleted, row.created, row.id))[:1]
        elif name.alias is not None:
            rows = self._versions(
                where + " AND v.id = (SELECT version FROM aliases WHERE artifact_id = a.id AND alias = :alias)",
                values | {"alias": name.alias},
            )
        else:
            rows = self._versions(where + " AND NOT v.deleted ORDER BY v.number DESC LIMIT 1", values)
        notes = () if name.number is None else self._renumbered(name.artifact, name.number)
        if not rows:
            raise ArtifactNotFound(" ".join([str(self._not_found(name.artifact, name)), *notes]))
        if name.number is not None:
            notes += self._unsettled(name.artifact, rows[0])
        if rows[0].deleted:
            raise ArtifactNotFound(" ".join([f"{name} was removed from the catalog.", *notes]))
        return replace(rows[0], notes=notes)

    def _renumbered(self, artifact: ArtifactName, number: int) -> tuple[str, ...]:
        """A sentence for each version that had a number and that a merge gave another one."""
        rows = self._db.execute(
            """SELECT v.number, v.manifest, v.deleted FROM artifacts a JOIN versions v
               INDEXED BY versions_renumbered ON v.artifact_id = a.id
               WHERE a.entity = :entity AND a.project = :project AND a.name = :name AND v.was IS NOT NULL
               AND v.number <> :number AND (v.was = :number OR EXISTS (SELECT 1 FROM records r WHERE r.subject = v.id
               AND r.kind = 'renumbered' AND :number IN (json_extract(r.body, '$.number'),
               json_extract(r.body, '$.was')))) ORDER BY v.number""",
            {**_place(artifact), "number": number},
        )
        name = artifact.artifact
        return tuple(
            f"{name}:v{number} was also the number of another version before a merge; that one is {name}:v{now} now "
            f"({name}@{unpacked(manifest)[:12]}{', removed since' if deleted else ''})."
            for now, manifest, deleted in rows
        )

    def _unsettled(self, artifact: ArtifactName, version: VersionInfo) -> tuple[str, ...]:
        """A sentence where a version's number follows from a merge and no record says so yet: it may change again."""
        if version.was is None or version.id not in {id for id, _, _ in self.unrecorded_renumberings(artifact)}:
            return ()
        name = artifact.artifact
        note = (
            f"{name}:v{version.number} was {name}:v{version.was} before a merge, and another merge may change its "
            f"number until a version is added to {name}; {name}@{version.manifest[:12]} means the same for good."
        )
        return (note,)

    def version_by_id(self, id: str) -> VersionInfo | None:
        """The version whose record has this id."""
        rows = self._versions("v.id = :id", {"id": number_of(self._db, id)})
        return rows[0] if rows else None

    def all_versions(self) -> dict[str, tuple[str, int]]:
        """Every version that was not removed: its full artifact name and number, by the id of its record."""
        rows = self._db.execute(
            """SELECT i.id, a.entity, a.project, a.name, v.number FROM versions v
               JOIN artifacts a ON a.id = v.artifact_id JOIN ids i ON i.number = v.id WHERE NOT v.deleted"""
        )
        return {unpacked(id): (str(ArtifactName(*place)), number) for id, *place, number in rows}

    def all_aliases(self) -> dict[str, str]:
        """Every alias: the id of its version's record, by its full name (`vision/mnist:best`)."""
        rows = self._db.execute(
            """SELECT a.entity, a.project, a.name, l.alias, i.id FROM aliases l JOIN artifacts a ON a.id = l.artifact_id
               JOIN ids i ON i.number = l.version"""
        )
        return {f"{ArtifactName(*place)}:{alias}": unpacked(id) for *place, alias, id in rows}

    def count_records(self) -> int:
        """How many different records there are."""
        return int(self._db.execute("SELECT count(DISTINCT id) FROM records").fetchone()[0])

    def mortal_versions(self) -> list[VersionInfo]:
        """The versions that have a lifetime, by name, without those that were removed or that another is a link to."""
        return self._versions(
            "v.lifetime > 0 AND NOT v.deleted AND NOT EXISTS (SELECT 1 FROM versions x WHERE x.source = v.id "
            "AND NOT x.deleted) ORDER BY a.entity, a.project, a.name, v.number",
            {},
        )

    def has_edge(self, run: str, version: str, direction: str) -> bool:
        """Whether a run used or logged a version; all by the ids of their records."""
        row = self._db.execute(
            "SELECT 1 FROM edges WHERE run = ? AND version = ? AND direction = ?",
            (number_of(self._db, run), number_of(self._db, version), direction),
        ).fetchone()
        return row is not None

    def _versions(self, where: str, values: dict[str, Any]) -> list[VersionInfo]:
        out = []
        for row in self._db.execute(f"{_VERSION} WHERE {where}", values):
            id, entity, project, artifact, type, number, manifest, root, size, entries, created, description = row[:12]
            metadata, sources, choice, run, deleted, was, source, lifetime, is_latest, aliases, tags = row[12:]
            include, exclude, prefix, names = json.loads(choice)
            named = sorted(json.loads(aliases))
            out.append(
                VersionInfo(
                    unpacked(id),
                    ArtifactName(entity, project, artifact),
                    type,
                    number,
                    unpacked(manifest),
                    root,
                    size or 0,
                    entries or 0,
                    created,
                    description,
                    json.loads(metadata),
                    json.loads(sources),
                    tuple(include),
                    tuple(exclude),
                    prefix,
                    unpacked(run),
                    bool(deleted),
                    was,
                    unpacked(source),
                    lifetime,
                    [LATEST, *named] if is_latest and not deleted else named,
                    sorted(json.loads(tags)),
                    names=tuple(names),
                )
            )
        return out

    def _not_found(self, artifact: ArtifactName, version: VersionName | None = None) -> ArtifactNotFound:
        import difflib

        there = self._db.execute(
            "SELECT 1 FROM artifacts WHERE entity = :entity AND project = :project AND name = :name", _place(artifact)
        ).fetchone()
        if there and version is not None:
            numbers = [f"v{v.number}" for v in self.versions(artifact)]
            have = (
                f"it has {', '.join(numbers[:5])}{' and more' if len(numbers) > 5 else ''}"
                if numbers
                else "all of its versions were removed"
            )
            return ArtifactNotFound(f"There is no {version} in this catalog: {have}.")
        names = [str(ArtifactName(*row)) for row in self._db.execute("SELECT entity, project, name FROM artifacts")]
        # by its own name: the project that all have in common makes any two names look alike
        own, wanted = {name.split("/")[-1] for name in names}, artifact.artifact
        close = [wanted] if wanted in own else difflib.get_close_matches(wanted, own, 1)
        near = [name for name in names if name.split("/")[-1] in close]
        hint = f"did you mean {near[0]}?" if near else "'refstore ls' lists what there is."
        return ArtifactNotFound(f"There is no artifact {artifact} in this catalog: {hint}")

    def entries(self, version: VersionInfo, prefix: str = "") -> Iterator[Entry]:
        """The entries of a version by path, those that start with `prefix` if it is given; streams.

        Raises:
            CatalogCorrupt: Its manifest is not in the catalog.
        """
        root = self._root(version)
        return chunks.read_prefix(self._db, root, prefix) if prefix else chunks.read_entries(self._db, root)

    def page(self, version: VersionInfo, after: str | None = None, limit: int = 1000) -> list[Entry]:
        """Some entries of a version by path, those that follow one path; no cursor stays open between two pages."""
        entries = chunks.read_entries(self._db, self._root(version), after or "")
        return list(islice((entry for entry in entries if after is None or entry.path != after), limit))

    def entry(self, version: VersionInfo, path: str) -> Entry:
        """One entry.

        Raises:
            ArtifactNotFound: The version has no such path.
        """
        entry = self.entry_or_none(version, path)
        if entry is None:
            raise ArtifactNotFound(f"{version.artifact}:v{version.number} has no file {path!r}.")
        return entry

    def entry_or_none(self, version: VersionInfo, path: str) -> Entry | None:
        """One entry; None where the version has no such path."""
        return chunks.read_entry(self._db, self._root(version), path)

    def folder(self, version: VersionInfo, folder: str) -> Iterator[Entry | str]:
        """What stands in one folder of a version (`train/`, or ""), by path: its entries, and the names of folders."""
        return read_folder(self._db, self._root(version), folder)

    def diff(self, old: VersionInfo, new: VersionInfo) -> Iterator[Change]:
        """What differs between two versions, by path; opens only the chunks that differ."""
        return chunks.diff(self._db, self._root(old), self._root(new))

    def changes_since(self, version: VersionInfo, manifest: str) -> Iterator[Change] | None:
        """What differs between a manifest, by its id, and a version; None where it is not in the index."""
        old = chunks.root_number(self._db, manifest)
        return None if old is None else chunks.diff(self._db, old, self._root(version))

    def pins(self, version: VersionInfo) -> dict[Pin, int]:
        """How many files of a version are pinned in each way, strongest first. Reads all entries, inside SQLite."""
        return chunks.pins(self._db, self._root(version))

    def stored_checksums(self) -> Iterator[str]:
        """The checksums of all content that versions of this catalog say the store keeps, removed versions left out.

        Looks at each chunk once, however many versions share it; at none where nothing was ever stored.
        """
        if self._db.execute("SELECT 1 FROM sources WHERE scheme = 'store'").fetchone() is None:
            return iter(())
        rows = self._db.execute(
            """WITH nodes(id) AS (SELECT DISTINCT root FROM versions WHERE NOT deleted),
                    groups(id) AS (SELECT DISTINCT child FROM links WHERE parent IN (SELECT id FROM nodes)),
                    leaves(id) AS (SELECT DISTINCT child FROM links WHERE parent IN (SELECT id FROM groups))
               SELECT DISTINCT e.checksum FROM leaves l CROSS JOIN entries e ON e.chunk = l.id
               WHERE e.source IN (SELECT id FROM sources WHERE scheme = 'store')"""
        )
        return (row[0] for row in rows)

    def events(self, name: ArtifactName | None = None, limit: int | None = None) -> Iterator[Event]:
        """What happened, newest first: to one artifact, or in the whole catalog."""
        only = "" if name is None else _ABOUT_ONE
        # Without the records that stand in an earlier file too.
        rows = self._db.execute(
            f"""SELECT i.id, r.kind, r.time, r.body, coalesce(a.entity, ''), coalesce(a.project, ''),
                coalesce(a.name, ''), v.number FROM records r CROSS JOIN ids i ON i.number = r.id
                LEFT JOIN versions v ON v.id = r.subject LEFT JOIN artifacts a ON a.id = v.artifact_id
                WHERE {EVENTS} {only} AND NOT EXISTS (SELECT 1 FROM records o WHERE o.id = r.id AND
                o.transaction_id < r.transaction_id)
                ORDER BY r.time DESC, r.clock DESC, r.kind DESC, i.id LIMIT :limit""",
            {"name": str(name) if name else None, "limit": -1 if limit is None else limit},
        )
        for id, kind, time, body, entity, project, artifact, number in rows:
            data = json.loads(body)
            about = ArtifactName(
                entity or data.get("entity", ""),
                project or data.get("project", ""),
                artifact or data.get("artifact", ""),
            )
            subject = f"{about}:v{number}" if number is not None else str(about)
            yield Event(time, kind, subject, _detail(kind, data), unpacked(id))

    def _root(self, version: VersionInfo) -> int:
        if version.root is None:
            raise CatalogCorrupt(
                f"The manifest of {version.artifact}:v{version.number} is not in the catalog: "
                "the file that holds it is missing or damaged. Restore .refstore/records from git or from a remote."
            )
        return version.root


def _place(name: ArtifactName) -> dict[str, str | None]:
    return {"entity": name.entity, "project": name.project, "name": name.artifact}


def _detail(kind: str, data: dict[str, Any]) -> str:
    if kind == "version":
        return ", ".join(data.get("sources", ())) or "logged"
    if kind == "alias":
        return f"alias {data['alias']} set" if data.get("version") else f"alias {data['alias']} removed"
    if kind == "tag":
        return f"tag {data['tag']} {'set' if data['present'] else 'removed'}"
    if kind == "tombstone":
        return "removed"
    if kind == "renumbered":
        return f"was v{data['was']}, another version with that number is older"
    return f"{kind} changed"
