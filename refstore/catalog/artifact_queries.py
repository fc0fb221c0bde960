"""Questions to the index about projects and artifacts."""

from __future__ import annotations

import json
import sqlite3

from refstore.catalog.infos import ArtifactInfo, ProjectInfo
from refstore.errors import ArtifactNotFound
from refstore.names import LATEST, ArtifactName


class ArtifactQueries:
    """Questions about projects and artifacts to one connection."""

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
            "a.entity = :entity AND a.project = :project AND a.name = :name", place_of(name), empty=True
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

    def _not_found(self, artifact: ArtifactName) -> ArtifactNotFound:
        import difflib

        names = [str(ArtifactName(*row)) for row in self._db.execute("SELECT entity, project, name FROM artifacts")]
        # by its own name: the project that all have in common makes any two names look alike
        own, wanted = {name.split("/")[-1] for name in names}, artifact.artifact
        close = [wanted] if wanted in own else difflib.get_close_matches(wanted, own, 1)
        near = [name for name in names if name.split("/")[-1] in close]
        hint = f"did you mean {near[0]}?" if near else "'refstore ls' lists what there is."
        return ArtifactNotFound(f"There is no artifact {artifact} in this catalog: {hint}")


def place_of(name: ArtifactName) -> dict[str, str | None]:
    """The values of a statement that asks for one artifact."""
    return {"entity": name.entity, "project": name.project, "name": name.artifact}
