"""Questions to the index about versions: which there are, and what their names mean."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from refstore.catalog.artifact_queries import ArtifactQueries, place_of
from refstore.catalog.ids import number_of, unpacked
from refstore.catalog.infos import VersionInfo
from refstore.errors import ArtifactNotFound, InvalidName
from refstore.names import LATEST, ArtifactName, VersionName

_VERSION = """SELECT i.id, a.entity, a.project, a.name, a.type, v.number, v.manifest, v.root, c.size, c.entries,
v.created, v.description,
    v.metadata, v.sources, v.choice,
    (SELECT id FROM ids WHERE number = v.run), v.deleted, v.was, (SELECT id FROM ids WHERE number = v.source),
    v.lifetime, v.number = (SELECT max(number) FROM versions x WHERE x.artifact_id = a.id AND NOT x.deleted),
    (SELECT json_group_array(alias) FROM aliases WHERE version = v.id), (SELECT json_group_array(tag) FROM tags WHERE
    version = v.id) FROM artifacts a JOIN versions v ON v.artifact_id = a.id JOIN ids i ON i.number = v.id
    LEFT JOIN chunks c ON c.id = v.root"""


class VersionQueries(ArtifactQueries):
    """Questions about versions."""

    def versions(self, name: ArtifactName, *, deleted: bool = False) -> list[VersionInfo]:
        """The versions of an artifact, newest first.

        Raises:
            ArtifactNotFound: There is no such artifact.
        """
        rows = self._versions(
            "a.entity = :entity AND a.project = :project AND a.name = :name ORDER BY v.number DESC", place_of(name)
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
            place_of(name),
        )
        return rows[0] if rows else None

    def next_number(self, name: ArtifactName) -> int:
        """The number for the next version: one more than any that was ever given."""
        row = self._db.execute(
            """SELECT max((SELECT max(number) FROM versions WHERE artifact_id = a.id), coalesce((SELECT max(was)
               FROM versions WHERE artifact_id = a.id AND was IS NOT NULL), 0)) FROM artifacts a
               WHERE a.entity = :entity AND a.project = :project AND a.name = :name""",
            place_of(name),
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
            place_of(name),
        )
        return [(unpacked(id), number, was) for id, number, was in rows]

    def version(self, name: VersionName) -> VersionInfo:
        """The version that a name means.

        Raises:
            ArtifactNotFound: There is none, or it was removed.
            InvalidName: The digest prefix fits more than one.
        """
        where = "a.entity = :entity AND a.project = :project AND a.name = :name"
        values: dict[str, Any] = dict(place_of(name.artifact))
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
            raise ArtifactNotFound(" ".join([str(self._no_version(name)), *notes]))
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
            {**place_of(artifact), "number": number},
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

    def _no_version(self, name: VersionName) -> ArtifactNotFound:
        there = self._db.execute(
            "SELECT 1 FROM artifacts WHERE entity = :entity AND project = :project AND name = :name",
            place_of(name.artifact),
        ).fetchone()
        if there:
            numbers = [f"v{v.number}" for v in self.versions(name.artifact)]
            have = (
                f"it has {', '.join(numbers[:5])}{' and more' if len(numbers) > 5 else ''}"
                if numbers
                else "all of its versions were removed"
            )
            return ArtifactNotFound(f"There is no {name} in this catalog: {have}.")
        return self._not_found(name.artifact)
