"""Questions to the catalog in the shape of W&B's public API. No network, no account."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from refstore.catalog.queries import ProjectInfo
from refstore.catalog.run_queries import RunInfo
from refstore.errors import ArtifactNotFound, UsageError
from refstore.names import ArtifactName, parse_artifact
from refstore.tracking import current
from refstore.tracking.collections import ArtifactCollection, ArtifactType, made
from refstore.tracking.past_run import PastRun
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


class Runs(Sequence[PastRun]):
    """Some runs, newest first; read as they are asked for."""

    def __init__(self, stores: Stores, entity: str, project: str, filters: Mapping[str, Any], oldest: bool) -> None:
        self._stores, self._place, self._filters, self._oldest = stores, (entity, project), dict(filters), oldest

    def __iter__(self) -> Iterator[PastRun]:
        found: Iterator[RunInfo] = self._stores.here.catalog.runs.runs(*self._place)
        wanted = (info for info in found if matches(info, self._filters))
        return (PastRun(self._stores, info) for info in (reversed(list(wanted)) if self._oldest else list(wanted)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @overload
    def __getitem__(self, index: int) -> PastRun: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[PastRun]: ...

    def __getitem__(self, index: int | slice) -> PastRun | Sequence[PastRun]:
        if isinstance(index, int) and index >= 0:
            for run in islice(self, index, index + 1):
                return run
        return list(self)[index]


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
    ) -> list[Artifact]:
        """The versions of an artifact, newest first.

        Args:
            type_name: The type that it has to have.
            name: `[entity/][project/]artifact`.
            per_page: Accepted, without a meaning here.
            tags: Only versions that have all of these.
            order: `+createdAt` for oldest first.

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

    def artifact_collections(self, project_name: str, type_name: str, per_page: int = 50) -> list[ArtifactCollection]:
        """The artifacts of a type in a project, by name; none where the project has no such type."""
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
        order: str = "-created_at",
        per_page: int = 50,
        **ignored: Any,
    ) -> Runs:
        """The runs of a project (`[entity/]project`), newest first.

        Args:
            path: The project; that of the current run, or the setting, by default.
            filters: What they have to have: `state`, `display_name`, `name` (the id), `job_type`, `group`, `tags`,
                `config.lr`, `summary_metrics.acc`; a value, or `$in`, `$nin`, `$ne`, `$gt`, `$gte`, `$lt`, `$lte`,
                `$exists`, `$regex`; `$and`, `$or`, `$not` of such.
            order: `+created_at` for oldest first.
            per_page: Accepted, without a meaning here.
            **ignored: Accepted, without a meaning here.

        Raises:
            UsageError: A filter is unknown.
        """
        place = self._place(path)
        return Runs(self._stores, place.entity, place.project, filters or {}, order.startswith("+"))

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


_COMPARED: dict[str, Any] = {
    "$eq": lambda a, b: a == b or (isinstance(a, list | tuple) and b in a),
    "$ne": lambda a, b: not _COMPARED["$eq"](a, b),
    "$in": lambda a, b: any(_COMPARED["$eq"](a, each) for each in b),
    "$nin": lambda a, b: not _COMPARED["$in"](a, b),
    "$gt": lambda a, b: _ordered(a, b) and a > b,
    "$gte": lambda a, b: _ordered(a, b) and a >= b,
    "$lt": lambda a, b: _ordered(a, b) and a < b,
    "$lte": lambda a, b: _ordered(a, b) and a <= b,
    "$exists": lambda a, b: (a is not None) == bool(b),
    "$regex": lambda a, b: _found(a, b),
}

_FIELDS: dict[str, str] = {
    "state": "state", "display_name": "name", "displayName": "name", "name": "run", "job_type": "job_type",
    "jobType": "job_type", "group": "group", "tags": "tags", "created_at": "started", "createdAt": "started",
    "user": "user", "username": "user", "host": "host", "notes": "notes", "commit": "git",
}  # fmt: skip


def matches(info: RunInfo, filters: Mapping[str, Any]) -> bool:
    """Whether a run has what some filters of W&B's kind ask for.

    Raises:
        UsageError: One of them is unknown.
    """
    for key, wanted in filters.items():
        if key == "$and":
            good = all(matches(info, each) for each in wanted)
        elif key == "$or":
            good = any(matches(info, each) for each in wanted)
        elif key == "$not":
            good = not matches(info, wanted)
        else:
            value = _value(info, key)
            compound = isinstance(wanted, Mapping) and all(test.startswith("$") for test in wanted)
            tests = wanted if compound else {"$eq": wanted}
            unknown = [test for test in tests if test not in _COMPARED]
            if unknown:
                raise UsageError(f"The filter {unknown[0]!r} is unknown: there are {', '.join(_COMPARED)}.")
            good = all(_COMPARED[test](value, operand) for test, operand in tests.items())
        if not good:
            return False
    return True


def _value(info: RunInfo, key: str) -> Any:
    for prefix, data in (("config.", info.config), ("summary_metrics.", info.summary), ("summary.", info.summary)):
        if key.startswith(prefix):
            value: Any = data
            for part in key[len(prefix) :].removesuffix(".value").split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            return value
    if key not in _FIELDS:
        raise UsageError(f"Runs have no {key!r} to filter by: there are {', '.join(_FIELDS)}, config.… and summary.….")
    return getattr(info, _FIELDS[key])


def _ordered(a: Any, b: Any) -> bool:
    numbers = isinstance(a, int | float) and isinstance(b, int | float)
    return numbers or (isinstance(a, str) and isinstance(b, str))


def _found(text: Any, pattern: str) -> bool:
    import re

    return isinstance(text, str) and re.search(pattern, text) is not None
