"""A run as the catalog knows it: running, ended or dead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from refstore.catalog.run_queries import RunInfo
from refstore.errors import RunNotFound
from refstore.names import ArtifactName
from refstore.tracking import artifact_edits
from refstore.tracking.stores import Stores

if TYPE_CHECKING:
    from refstore.tracking.artifact import Artifact


class PastRun:
    """A run of the catalog, as `Api.run` gives it.

    Attributes:
        info: What the catalog says of it; `load` reads that again.
    """

    def __init__(self, stores: Stores, info: RunInfo) -> None:
        self._stores = stores
        self.info = info

    def __repr__(self) -> str:
        return f"<refstore.PastRun {self.info.path} ({self.state})>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PastRun) and other.info.id == self.info.id

    def __hash__(self) -> int:
        return hash(self.info.id)

    @property
    def id(self) -> str:
        """Its short id."""
        return self.info.run

    @property
    def name(self) -> str:
        """For people."""
        return self.info.name or self.info.run

    display_name = name

    @property
    def entity(self) -> str:
        """What stands before the project, or ""."""
        return self.info.entity

    @property
    def project(self) -> str:
        """Where it belongs."""
        return self.info.project

    @property
    def path(self) -> list[str]:
        """Entity, project and id, as W&B has them."""
        return [self.info.entity, self.info.project, self.info.run]

    @property
    def state(self) -> str:
        """`running`, `finished`, `failed` or `crashed`."""
        return self.info.state

    @property
    def config(self) -> dict[str, Any]:
        """Its inputs that are not files."""
        return dict(self.info.config)

    @property
    def summary(self) -> dict[str, Any]:
        """The last value of each thing that it logged."""
        return dict(self.info.summary)

    @property
    def tags(self) -> list[str]:
        """What people call it."""
        return list(self.info.tags)

    @property
    def notes(self) -> str:
        """What people say of it."""
        return self.info.notes

    @property
    def job_type(self) -> str:
        """What it does."""
        return self.info.job_type

    @property
    def group(self) -> str:
        """What it belongs to."""
        return self.info.group

    @property
    def commit(self) -> str | None:
        """The git commit of its code."""
        return self.info.git or None

    @property
    def user(self) -> str:
        """Who ran it."""
        return self.info.user

    @property
    def created_at(self) -> str:
        """When it began: UTC, ISO 8601."""
        return self.info.started

    @property
    def url(self) -> str:
        """The catalog and its name in it."""
        return f"{self._stores.here.folder.as_uri()}#{self.info.path}"

    def load(self, force: bool = False) -> PastRun:
        """Read again what the catalog says of it.

        Raises:
            RunNotFound: It is not there any more.
        """
        found = self._stores.here.catalog.runs.run_by_id(self.info.id)
        if found is None:
            raise RunNotFound(f"The run {self.info.path} is not in this catalog any more.")
        self.info = found
        return self

    def used_artifacts(self, per_page: int = 100) -> list[Artifact]:
        """What it used, by name; removed versions left out."""
        return self._artifacts(self._stores.here.catalog.runs.used(self.info.id))

    def logged_artifacts(self, per_page: int = 100) -> list[Artifact]:
        """What it logged, by name; removed versions left out."""
        return self._artifacts(self._stores.here.catalog.runs.logged(self.info.id))

    def use_artifact(self, artifact: Artifact, use_as: str | None = None) -> Artifact:
        """Record that it used a version.

        Raises:
            ArtifactNotLoggedError: The artifact is a draft.
        """
        info = artifact._logged("use_artifact()")
        artifact_edits.used(self._stores.here.catalog, self.info.id, info, use_as or artifact.use_as or "")
        return artifact

    def log_artifact(
        self, artifact: Artifact, aliases: list[str] | None = None, tags: list[str] | None = None
    ) -> Artifact:
        """Record that it logged a version, or a draft as a new one."""
        name = ArtifactName(self.info.entity, self.info.project, artifact.name.partition(":")[0])
        artifact._log(self._stores, self.info.id, name, list(aliases or ()), list(tags or ()))
        return artifact

    def _artifacts(self, versions: list[Any]) -> list[Artifact]:
        from refstore.tracking.artifact import Artifact

        return [Artifact._of(self._stores, version) for version in versions if not version.deleted]
