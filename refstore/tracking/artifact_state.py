"""What an artifact is and what is said of it: a draft that is being made, or a version that never changes."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any

from refstore.catalog.infos import VersionInfo
from refstore.errors import ArtifactFinalizedError, ArtifactNotLoggedError, UsageError
from refstore.names import ArtifactName, check_type, parse_artifact
from refstore.tracking.added_paths import AddedPaths
from refstore.tracking.artifact_edits import Said
from refstore.tracking.draft import Draft
from refstore.tracking.plain import plain_object
from refstore.tracking.stores import Stores

if TYPE_CHECKING:
    from refstore.store import Store
    from refstore.tracking.collections import ArtifactCollection

MAX_METADATA_KEYS = 100


class ArtifactTTL(Enum):
    """`INHERIT`: as the artifact's type has it. refstore keeps such versions for good."""

    INHERIT = 0


class ArtifactState:
    """The attributes of an artifact. `Artifact` adds what can be done with it."""

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
    ) -> None:
        if "/" in name or ":" in name:
            raise UsageError(f"An artifact's name has no '/' and no ':' in it ({name!r}): the run says the project.")
        self._artifact_name = parse_artifact(name).artifact
        self._type = check_type(type)
        self._incremental = incremental
        self._use_as = use_as
        self._stores: Stores | None = None
        self._draft: Draft | None = Draft()
        self._info: VersionInfo | None = None
        self._home: ArtifactName | None = None
        self._finalized = False
        self._added = AddedPaths()
        self._said = Said(description=description or "", metadata=_metadata(metadata))
        self._read = Said()

    def __repr__(self) -> str:
        return f"<refstore.{type(self).__name__} {(self._info and self.qualified_name) or self._artifact_name}>"

    # Where it stands

    @property
    def store(self) -> Store:
        """The store that it is in, or will be."""
        if self._stores is None:
            from refstore.tracking import current

            self._stores = current.stores()
        return self._stores.here

    def is_draft(self) -> bool:
        """Whether it is not logged yet, and can change."""
        return self._info is None

    def _logged(self, what: str) -> VersionInfo:
        if self._info is None:
            raise ArtifactNotLoggedError(
                f"{what} needs a logged artifact, and {self._artifact_name!r} is a draft: log it first, with "
                "run.log_artifact(artifact) or artifact.save()."
            )
        return self._info

    def _changing(self) -> Draft:
        if self._draft is None or self._finalized:
            raise ArtifactFinalizedError(
                f"{self.name} is finalized and never changes: make a draft of it with new_draft()."
            )
        return self._draft

    def _become(self, stores: Stores, info: VersionInfo) -> None:
        self._stores, self._info, self._draft = stores, info, None
        self._artifact_name, self._type, self._home = info.artifact.artifact, info.type, info.artifact
        self._finalized = True
        self._read, self._said = Said.of(info), Said.of(info)

    @property
    def state(self) -> str:
        """`PENDING` for a draft, else `COMMITTED`, or `DELETED`."""
        if self._info is None:
            return "PENDING"
        return "DELETED" if self._info.deleted else "COMMITTED"

    # Names

    @property
    def name(self) -> str:
        """`mnist:v0`; of a draft `mnist`."""
        return f"{self._artifact_name}:v{self._info.number}" if self._info else self._artifact_name

    @property
    def type(self) -> str:
        """The artifact's type."""
        return self._type

    @property
    def entity(self) -> str:
        """What stands before the project, or ""."""
        return self._logged("entity").artifact.entity

    @property
    def project(self) -> str:
        """The project that it is in."""
        return self._logged("project").artifact.project

    @property
    def qualified_name(self) -> str:
        """`entity/project/mnist:v0`, without an entity where there is none."""
        info = self._logged("qualified_name")
        return f"{info.artifact}:v{info.number}"

    @property
    def version(self) -> str:
        """`v0`."""
        return f"v{self._logged('version').number}"

    @property
    def id(self) -> str | None:
        """The id of the version's record, 64 hex digits; None for a draft."""
        return self._info.id if self._info else None

    @property
    def commit_hash(self) -> str:
        """Refstore's own digest: the manifest's id, over URIs, object versions, sizes and checksums."""
        return self._logged("commit_hash").manifest

    @property
    def url(self) -> str:
        """The catalog and the name in it: `file:///home/me/project/.refstore#mnist:v0`."""
        return f"{self.store.folder.as_uri()}#{self.qualified_name}"

    @property
    def collection(self) -> ArtifactCollection:
        """The artifact with all its versions."""
        from refstore.tracking.collections import ArtifactCollection

        info = self._logged("collection")
        assert self._stores is not None
        return ArtifactCollection(self._stores, info.artifact)

    # What it is a link to

    @property
    def is_link(self) -> bool:
        """Whether it is a link to a version of another artifact."""
        return bool(self._logged("is_link").source)

    @property
    def _source(self) -> VersionInfo:
        info = self._logged("source_…")
        return (self.store.catalog.queries.version_by_id(info.source) if info.source else None) or info

    @property
    def source_entity(self) -> str:
        """The entity of what it links to; of no link, its own."""
        return self._source.artifact.entity

    @property
    def source_project(self) -> str:
        """The project of what it links to; of no link, its own."""
        return self._source.artifact.project

    @property
    def source_name(self) -> str:
        """The name of what it links to, `mnist:v0`; of no link, its own."""
        return f"{self._source.artifact.artifact}:v{self._source.number}"

    @property
    def source_version(self) -> str:
        """The version of what it links to; of no link, its own."""
        return f"v{self._source.number}"

    @property
    def source_qualified_name(self) -> str:
        """The full name of what it links to; of no link, its own."""
        return f"{self._source.artifact}:v{self._source.number}"

    @property
    def source_collection(self) -> ArtifactCollection:
        """The artifact that what it links to is a version of; of no link, its own."""
        from refstore.tracking.collections import ArtifactCollection

        source = self._source
        assert self._stores is not None
        return ArtifactCollection(self._stores, source.artifact)

    @property
    def linked_at(self) -> str | None:
        """When the link was made; None for no link."""
        info = self._logged("linked_at")
        return info.created if info.source else None

    # What is said of it

    @property
    def aliases(self) -> list[str]:
        """Its aliases. Change the list, and `save`."""
        self._logged("aliases")
        return self._said.aliases

    @aliases.setter
    def aliases(self, aliases: list[str]) -> None:
        self._logged("aliases")
        self._said.aliases = list(aliases)

    @property
    def tags(self) -> list[str]:
        """Its tags. Change the list, and `save`; those of a draft are logged with it."""
        return self._said.tags

    @tags.setter
    def tags(self, tags: list[str]) -> None:
        self._said.tags = list(tags)

    @property
    def description(self) -> str | None:
        """What it is. Of a version, `save` records a change."""
        return self._said.description or None

    @description.setter
    def description(self, description: str | None) -> None:
        self._said.description = description or ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Any JSON object. Of a version, `save` records a change."""
        return self._said.metadata

    @metadata.setter
    def metadata(self, metadata: dict[str, Any]) -> None:
        self._said.metadata = _metadata(metadata)

    @property
    def ttl(self) -> timedelta | None:
        """How long it is kept from its time on, before `refstore gc` may remove it; None for good."""
        return timedelta(seconds=self._said.lifetime) if self._said.lifetime else None

    @ttl.setter
    def ttl(self, ttl: timedelta | ArtifactTTL | None) -> None:
        if isinstance(ttl, timedelta) and ttl.total_seconds() < 1:
            raise UsageError(f"An artifact's ttl must be at least a second, not {ttl}.")
        if self._info is not None and self._info.source:
            raise UsageError(f"{self.name} is a link: set the ttl of {self.source_qualified_name}.")
        self._said.lifetime = int(ttl.total_seconds()) if isinstance(ttl, timedelta) else 0

    # What it holds

    @property
    def incremental(self) -> bool:
        """Whether it adds to the latest version when it is logged, and keeps the other files of it."""
        return self._incremental

    @property
    def use_as(self) -> str | None:
        """What it is to the run that uses it."""
        return self._use_as

    @property
    def size(self) -> int:
        """The sum of its files' sizes, in bytes."""
        return self._info.size if self._info else self._made.size

    @property
    def file_count(self) -> int:
        """How many files it has."""
        return self._info.file_count if self._info else self._made.count

    @property
    def _made(self) -> Draft:
        assert self._draft is not None
        return self._draft

    @property
    def created_at(self) -> str:
        """When it was logged: UTC, ISO 8601."""
        return self._logged("created_at").created

    @property
    def updated_at(self) -> str:
        """When it was logged: a version never changes."""
        return self._logged("updated_at").created

    @property
    def digest_algorithm(self) -> str:
        """Of `digest`: `MD5`."""
        return "MD5"

    @property
    def distributed_id(self) -> str | None:
        """None: what several processes log are versions in their own right."""
        return None

    @property
    def history_step(self) -> int | None:
        """None: refstore keeps no history of metrics."""
        return None


def _metadata(value: Any) -> dict[str, Any]:
    data = plain_object(value, "metadata")
    if len(data) > MAX_METADATA_KEYS:
        raise UsageError(f"An artifact's metadata have at most {MAX_METADATA_KEYS} keys at the top, not {len(data)}.")
    return data
