"""Questions to the catalog in the shape of W&B's public API. No network, no account."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from refstore.catalog.infos import ProjectInfo
from refstore.errors import ArtifactNotFound
from refstore.names import ArtifactName, parse_artifact
from refstore.tracking import current
from refstore.tracking.collections import ArtifactCollection, ArtifactType, made
from refstore.tracking.past_run import PastRun
from refstore.tracking.runs import Runs
from refstore.tracking.stores import Stores, at

if TYPE_CHECKING:
    from refstore.tracking.artifact import Artifact


class Project:
    """A project of the catalog.

    Attributes:
        name: Of the project.
        entity: What stands before it, or "".
        info: How many artifacts and versions it has, and when it last changed.
    """

    def __init__(self, stores: Stores, info: ProjectInfo) -> None:
        self._stores, self.info, self.name, self.entity = stores, info, info.project, info.entity

    def __repr__(self) -> str:
        return f"<refstore.Project {'/'.join(self.path)}>"

    @property
    def path(self) -> list[str]:
        """Entity and name."""
        return [self.entity, self.name]

    def artifacts_types(self, per_page: int = 50) -> list[ArtifactType]:
        """The types of its artifacts, by name."""
        found = self._stores.here.catalog.queries.artifacts(self.entity, self.name)
        return [ArtifactType(self._stores, self.entity, self.name, type) for type in sorted({a.type for a in found})]


class Api:
    """Questions to the catalog of a store.

    Args:
        overrides: `entity` and `project` to take where a name has none.
        timeout: Accepted; nothing here waits for a network.
        api_key: Accepted; there is no account.
        store: The folder of the store; that of the current run, or of the current folder, by default.

    Raises:
        StoreNotFound: There is no store in `store`.
    """

    def __init__(
        self,
        overrides: Mapping[str, Any] | None = None,
        timeout: int | None = None,
        api_key: str | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
    ) -> None:
        from refstore.store import find

        if store is not None:
            self._stores = at(find(store))
        else:
            self._stores = current.stores() if current.run() is not None else at(find())
        self._overrides = dict(overrides or {})

    @property
    def default_entity(self) -> str:
        """The entity of names that have none."""
        run = current.run()
        return self._overrides.get("entity") or (run.entity if run else self._stores.here.settings.entity)

    @property
    def _project(self) -> str:
        run = current.run()
        return self._overrides.get("project") or (run.project if run else self._stores.here.settings.project)

    # Artifacts

    def artifact(self, name: str, type: str | None = None) -> Artifact:
        """A version by name: `mnist`, `mnist:v3`, `project/mnist:best`, `entity/project/mnist:latest`.

        Raises:
            ArtifactNotFound: There is none of that name.
            TypeConflict: It has another type than `type` (a ValueError).
        """
        found = made(self._stores, current.resolve(self._stores, name, self.default_entity, self._project))
        current.check_type(found, type)
        return found

    def artifacts(
        self,
        type_name: str,
        name: str,
        per_page: int = 50,
        tags: Sequence[str] | str | None = None,
        order: str | None = None,
        start: str | None = None,
    ) -> list[Artifact]:
        """The versions of an artifact, newest first.

        Args:
            type_name: The type that it has to have.
            name: `[entity/][project/]artifact`.
            per_page: Accepted, without a meaning here.
            tags: Only versions that have all of these.
            order: `+createdAt` for oldest first.
            start: Accepted, without a meaning here: it is where a page of W&B's server begins.

        Raises:
            ArtifactNotFound: There is none of that name and type.
        """
        wanted = [tags] if isinstance(tags, str) else list(tags or ())
        collection = self.artifact_collection(type_name, name)
        found = [v for v in collection.artifacts() if all(tag in v.tags for tag in wanted)]
        return found[::-1] if order in ("+createdAt", "createdAt", "+created_at") else found

    def artifact_versions(self, type_name: str, name: str, per_page: int = 50) -> list[Artifact]:
        """As `artifacts`, by its older name."""
        return self.artifacts(type_name, name)

    def artifact_types(self, project: str | None = None) -> list[ArtifactType]:
        """The types of a project's artifacts (`[entity/]project`), by name."""
        place = self._place(project)
        found = self._stores.here.catalog.queries.artifacts(place.entity, place.project)
        return [ArtifactType(self._stores, place.entity, place.project, t) for t in sorted({a.type for a in found})]

    def artifact_type(self, type_name: str, project: str | None = None) -> ArtifactType:
        """One type of a project's artifacts.

        Raises:
            ArtifactNotFound: No artifact of the project has it.
        """
        found = next((each for each in self.artifact_types(project) if each.name == type_name), None)
        if found is None:
            raise ArtifactNotFound(f"No artifact of {self._place(project).project} has the type {type_name!r}.")
        return found

    def artifact_collections(
        self, project_name: str, type_name: str, per_page: int = 50, order: str | None = None
    ) -> list[ArtifactCollection]:
        """The artifacts of a type in a project, by name whatever `order`; none where the project has no such type."""
        place = self._place(project_name)
        return ArtifactType(self._stores, place.entity, place.project, type_name).collections()

    def artifact_collection(self, type_name: str, name: str) -> ArtifactCollection:
        """One artifact.

        Raises:
            ArtifactNotFound: There is none of that name and type.
        """
        found = ArtifactCollection(self._stores, self._name(name))
        if found.type != type_name:
            raise ArtifactNotFound(f"{found.qualified_name} is of type {found.type!r}, not {type_name!r}.")
        return found

    def artifact_exists(self, name: str, type: str | None = None) -> bool:
        """Whether there is a version of that name, and of that type."""
        try:
            found = self.artifact(name)
        except ArtifactNotFound:
            return False
        return type is None or found.type == type

    def artifact_collection_exists(self, name: str, type: str) -> bool:
        """Whether there is an artifact of that name and type."""
        try:
            return ArtifactCollection(self._stores, self._name(name)).type == type
        except ArtifactNotFound:
            return False

    # Runs and projects

    def run(self, path: str = "") -> PastRun:
        """A run by `[entity/][project/]id`; the id alone where it is the only one.

        Raises:
            RunNotFound: There is none.
        """
        return PastRun(self._stores, self._stores.here.catalog.runs.run(path.replace("/runs/", "/")))

    def runs(
        self,
        path: str | None = None,
        filters: Mapping[str, Any] | None = None,
        order: str = "+created_at",
        per_page: int = 50,
        **ignored: Any,
    ) -> Runs:
        """The runs of a project (`[entity/]project`), oldest first as W&B has them. Nothing is read yet.

        Without `filters`, the length is a count, and what is asked for is read a page at a time.

        Args:
            path: The project; that of the current run, or the setting, by default.
            filters: What they have to have: `state`, `display_name`, `name` (the id), `job_type`, `group`, `tags`,
                `config.lr`, `summary_metrics.acc`; a value, or `$in`, `$nin`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`,
                `$exists`, `$regex`; `$and`, `$or`, `$not` of such.
            order: `-created_at` for newest first.
            per_page: How many runs to read at once.
            **ignored: Accepted, without a meaning here.

        Raises:
            UsageError: A filter is unknown.
        """
        place = self._place(path)
        oldest = not order.startswith("-")
        return Runs(self._stores, place.entity, place.project, filters or {}, oldest=oldest, per_page=per_page)

    def projects(self, entity: str | None = None, per_page: int = 200) -> list[Project]:
        """All projects, or those of one entity, by name."""
        found = self._stores.here.catalog.queries.projects()
        return [Project(self._stores, info) for info in found if entity is None or info.entity == entity]

    def project(self, name: str, entity: str | None = None) -> Project:
        """One project.

        Raises:
            ArtifactNotFound: There is none of that name with an artifact in it.
        """
        place = self._place(f"{entity}/{name}" if entity else name)
        for each in self.projects():
            if (each.entity, each.name) == (place.entity, place.project):
                return each
        raise ArtifactNotFound(f"There is no project {name!r} with an artifact in it.")

    def _place(self, project: str | None) -> ArtifactName:
        text = f"{(project or self._project).strip('/')}/_"
        return parse_artifact(text, entity=self.default_entity)

    def _name(self, name: str) -> ArtifactName:
        settings = self._stores.here.settings
        return current.artifact_name(name, self.default_entity, self._project, settings)
