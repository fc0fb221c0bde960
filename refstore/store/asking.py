"""What a store can be asked. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from refstore.catalog.infos import ArtifactInfo, Event, ProjectInfo
from refstore.names import parse_artifact
from refstore.version import Diff, Version

if TYPE_CHECKING:
    from refstore.backends.base import Diagnosis
    from refstore.catalog.run_queries import RunInfo
    from refstore.tracking.lineage import Lineage
from refstore.store.parts import StoreParts


class StoreAsking(StoreParts):
    """Artifacts, versions, runs and what ties them together."""

    def version(self, name: str) -> Version:
        """The version that a name means: `mnist`, `mnist:v3`, `mnist:best`, `mnist@3f2a91`, `team/vision/mnist:v3`.

        Raises:
            ArtifactNotFound: There is none.
            InvalidName: It is not a name.
        """
        version = Version(self, self.catalog.queries.version(self._version_name(name)))
        if self.on_note is not None:
            for note in version.notes:
                self.on_note(note)
        return version

    def projects(self) -> list[ProjectInfo]:
        """All projects, by name."""
        return self.catalog.queries.projects()

    def artifacts(self, project: str | None = None) -> list[ArtifactInfo]:
        """All artifacts, by name; those of one project (`[entity/]project`) where it is given."""
        if project is None:
            return self.catalog.queries.artifacts()
        place = parse_artifact(f"{project}/_", entity=self.settings.entity)
        return self.catalog.queries.artifacts(place.entity, place.project)

    def artifact(self, name: str) -> ArtifactInfo:
        """One artifact.

        Raises:
            ArtifactNotFound: There is none of that name.
        """
        return self.catalog.queries.artifact(self._artifact_name(name))

    def versions(self, name: str) -> list[Version]:
        """The versions of an artifact, newest first, without those that were removed.

        Raises:
            ArtifactNotFound: There is no such artifact.
        """
        return [Version(self, info) for info in self.catalog.queries.versions(self._artifact_name(name))]

    def log(self, name: str | None = None, limit: int | None = None) -> Iterator[Event]:
        """What happened, newest first: in the whole catalog, to one artifact, or to one version of it.

        Raises:
            ArtifactNotFound: There is no such artifact or version.
        """
        if name is None:
            return self.catalog.queries.events(None, limit)
        if ":" in name or "@" in name:
            info = self.catalog.queries.version(self._version_name(name))
            title = f"{info.artifact}:v{info.number}"
            events = self.catalog.queries.events(info.artifact)
            return islice((event for event in events if event.subject == title), limit)
        artifact = self._artifact_name(name)
        self.catalog.queries.artifact(artifact)
        return self.catalog.queries.events(artifact, limit)

    def diff(self, old: str, new: str) -> Diff:
        """What differs between two versions."""
        return self.version(old).diff(new)

    def runs(self, project: str | None = None, *, limit: int | None = None) -> Iterator[RunInfo]:
        """Runs, newest first; those of one project (`[entity/]project`) where it is given. Streams."""
        place = parse_artifact(f"{project}/_", entity=self.settings.entity) if project else None
        if place is None:
            return self.catalog.runs.runs(limit=limit)
        return self.catalog.runs.runs(place.entity, place.project, limit=limit)

    def run(self, name: str) -> RunInfo:
        """One run, by its id, by `[entity/]project/id`, or by the id of its record.

        Raises:
            RunNotFound: There is none.
            InvalidName: Several projects have a run of that id.
        """
        return self.catalog.runs.run(name)

    def lineage(
        self, name_or_run: Any, *, direction: Literal["both", "up", "down"] = "both", depth: int | None = None
    ) -> Lineage:
        """Which run made a version, from what, and what came of it: across projects, in one SQL statement each way.

        Args:
            name_or_run: The name of a version, a `Version` or an artifact; or a run, or its id.
            direction: `up` for what it came from, `down` for what came of it.
            depth: The most runs to pass each way; None for no limit.

        Raises:
            ArtifactNotFound, RunNotFound: There is no such thing.
        """
        from refstore.tracking.lineage import lineage
        from refstore.tracking.run_or_version import run_or_version

        return lineage(self, *run_or_version(self, name_or_run), direction, depth)

    def doctor(self, uri: str) -> Diagnosis:
        """Try out, read-only, what works at a URI: credentials, listing, versions, reading.

        Raises:
            InvalidURI: It has no meaning.
        """
        backend = self.backends.for_uri(uri)
        return backend.diagnose(backend.parse(uri))
