"""Artifacts and their types, as `Api` gives them in W&B's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refstore.catalog.infos import ArtifactInfo, VersionInfo
from refstore.errors import ArtifactNotFound, TypeConflict
from refstore.names import ArtifactName
from refstore.tracking.stores import Stores

if TYPE_CHECKING:
    from refstore.tracking.artifact import Artifact


class ArtifactCollection:
    """An artifact with all its versions."""

    def __init__(self, stores: Stores, name: ArtifactName) -> None:
        self._stores = stores
        self._name = name
        self._description: str | None = None
        self._tags: list[str] | None = None

    def __repr__(self) -> str:
        return f"<refstore.ArtifactCollection {self._name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArtifactCollection) and other._name == self._name

    def __hash__(self) -> int:
        return hash(self._name)

    @property
    def info(self) -> ArtifactInfo:
        """What the catalog says of it now.

        Raises:
            ArtifactNotFound: It is not there.
        """
        return self._stores.here.catalog.queries.artifact(self._name)

    @property
    def name(self) -> str:
        """`mnist`."""
        return self._name.artifact

    @property
    def entity(self) -> str:
        """What stands before the project, or ""."""
        return self._name.entity

    @property
    def project(self) -> str:
        """The project that it is in."""
        return self._name.project

    @property
    def qualified_name(self) -> str:
        """`entity/project/mnist`, without an entity where there is none."""
        return str(self._name)

    @property
    def id(self) -> str:
        """Its full name: an artifact has no other id."""
        return str(self._name)

    @property
    def type(self) -> str:
        """The type of all its versions."""
        return self.info.type

    @property
    def description(self) -> str:
        """That of its latest version. Set it, and `save`."""
        return self.info.description if self._description is None else self._description

    @description.setter
    def description(self, description: str | None) -> None:
        self._description = description or ""

    @property
    def aliases(self) -> list[str]:
        """All aliases of its versions."""
        return list(self.info.aliases)

    @property
    def tags(self) -> list[str]:
        """The tags of its latest version. Change the list, and `save`."""
        if self._tags is None:
            latest = self._stores.here.catalog.queries.latest(self._name)
            self._tags = list(latest.tags) if latest is not None else []
        return self._tags

    @tags.setter
    def tags(self, tags: list[str]) -> None:
        self._tags = list(tags)

    @property
    def created_at(self) -> str:
        """UTC, ISO 8601."""
        return self.info.created

    @property
    def updated_at(self) -> str:
        """UTC, ISO 8601."""
        return self.info.updated

    def artifacts(self, per_page: int = 50) -> list[Artifact]:
        """Its versions, newest first."""
        return versions(self._stores, self._name)

    versions = artifacts

    def is_sequence(self) -> bool:
        """Whether its versions were logged, and are not links."""
        return not any(version._source.id != version.id for version in self.artifacts())

    def save(self) -> None:
        """Record a changed description and changed tags, as those of the latest version: an artifact has none itself.

        Raises:
            ArtifactNotFound: It has no version.
            InvalidName: A tag breaks its rule.
        """
        latest = next(iter(self.artifacts()), None)
        if latest is None:
            raise ArtifactNotFound(f"{self.qualified_name} has no version that could be described.")
        if self._description is not None:
            latest.description = self._description
        if self._tags is not None:
            latest.tags = self._tags
        latest.save()
        self._description = self._tags = None

    def change_type(self, new_type: str) -> None:
        """Refuse: an artifact has one type for good.

        Raises:
            TypeConflict: It is another type than it has (a ValueError).
        """
        if new_type != self.type:
            raise TypeConflict(
                f"{self.qualified_name} is of type {self.type!r} for good and can't become {new_type!r}: log its files "
                "under another name."
            )

    def delete(self) -> None:
        """Remove it with all its versions from the catalog; nothing at their sources is touched."""
        self._stores.here.remove(str(self._name), force=True)

    def __len__(self) -> int:
        return self.info.versions


class ArtifactType:
    """A type of artifacts of one project.

    Attributes:
        name: `dataset`, say.
    """

    def __init__(self, stores: Stores, entity: str, project: str, name: str) -> None:
        self._stores, self.entity, self.project, self.name = stores, entity, project, name

    def __repr__(self) -> str:
        return f"<refstore.ArtifactType {self.name}>"

    @property
    def id(self) -> str:
        """Its name."""
        return self.name

    def collections(
        self, filters: object = None, order: str | None = None, per_page: int = 50
    ) -> list[ArtifactCollection]:
        """The artifacts of this type, by name."""
        found = self._stores.here.catalog.queries.artifacts(self.entity, self.project)
        return [ArtifactCollection(self._stores, a.name) for a in found if a.type == self.name]

    def collection(self, name: str) -> ArtifactCollection:
        """One artifact of this type.

        Raises:
            ArtifactNotFound: There is none of that name.
        """
        found = next((each for each in self.collections() if each.name == name), None)
        if found is None:
            raise ArtifactNotFound(f"There is no artifact {name!r} of type {self.name!r} in {self.project}.")
        return found


def versions(stores: Stores, name: ArtifactName) -> list[Artifact]:
    """The versions of an artifact, newest first, without those that were removed.

    Raises:
        ArtifactNotFound: There is no such artifact.
    """
    return [made(stores, info) for info in stores.here.catalog.queries.versions(name)]


def made(stores: Stores, info: VersionInfo) -> Artifact:
    """A version in W&B's shape."""
    from refstore.tracking.artifact import Artifact

    return Artifact._of(stores, info)
