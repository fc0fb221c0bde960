"""The store: a folder `.refstore/` that remembers which external files a piece of work used and made."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from refstore.catalog.catalog import Catalog
from refstore.catalog.index_place import index_path
from refstore.catalog.queries import ArtifactInfo, Event, ProjectInfo
from refstore.catalog.staging import Staging
from refstore.config import Settings, load
from refstore.errors import ArtifactNotFound, InvalidName, StoreNotFound, UsageError
from refstore.manifest.entry import Checksum
from refstore.names import ArtifactName, VersionName, check_alias, check_tag, parse_artifact, parse_version
from refstore.records.transaction import storage_error
from refstore.tracking.record import Labels, record
from refstore.tracking.result import Recorded
from refstore.version import Diff, Version

if TYPE_CHECKING:
    from refstore.backends.base import Diagnosis
    from refstore.backends.registry import Backends
    from refstore.catalog.run_queries import RunInfo
    from refstore.checkout.cache import Cache
    from refstore.checkout.ledger import Ledger
    from refstore.progress import Progress
    from refstore.tracking.imports.imported import Imported
    from refstore.tracking.lineage import Lineage

FOLDER = ".refstore"

_IGNORE = """# Only the catalog is committed; all else is made again or belongs to this machine.
*
!.gitignore
!.gitattributes
!records/
!records/*.jsonl
"""
_ATTRIBUTES = "*.jsonl -text\n"


def find(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the store: the one given, or the first above the current one.

    Args:
        path: The folder that holds `.refstore`, or one below it; the current folder by default, or the variable
            `REFSTORE_STORE`.

    Raises:
        StoreNotFound: There is none.
    """
    start = Path(path if path is not None else os.environ.get("REFSTORE_STORE") or ".").absolute()
    for folder in (start, *start.parents):
        if folder.name == FOLDER and folder.is_dir():
            return folder.parent
        if (folder / FOLDER).is_dir():
            return folder
    raise StoreNotFound(
        f"There is no refstore store in {start} or in any folder above it: make one with 'refstore init'."
    )


class Store:
    """A store. Made by `refstore.open` or `refstore.create`; use it as a context manager, or `close` it.

    One instance belongs to one thread; several processes may use one store at once.

    Attributes:
        root: The folder that holds `.refstore`.
        folder: The folder `.refstore`.
        created: Whether this call made it.
    """

    def __init__(self, root: Path, *, created: bool = False) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.created = created
        self.settings: Settings = load(root)
        self._catalog: Catalog | None = None
        self._backends: Backends | None = None
        self._cache: Cache | None = None
        self._ledger: Ledger | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None) -> Store:
        """Open the store that a folder is in.

        Raises:
            StoreNotFound: There is none.
        """
        return cls(find(path))

    @classmethod
    def create(cls, path: str | os.PathLike[str] | None = None) -> Store:
        """Make a store in a folder (the current one by default), or open the one that is there.

        Raises:
            StorageFull, StoreError: The folder can't be written.
        """
        root = Path(path or ".").absolute()
        folder = root / FOLDER
        created = not (folder / "records").is_dir()
        try:
            (folder / "records").mkdir(parents=True, exist_ok=True)
            for name, text in ((".gitignore", _IGNORE), (".gitattributes", _ATTRIBUTES)):
                if not (folder / name).exists():
                    (folder / name).write_text(text, encoding="utf-8")
        except OSError as error:
            raise storage_error(error, f"for the store {folder}") from error
        return cls(root, created=created)

    def close(self) -> None:
        """Let go of all files."""
        for part in (self._catalog, self._ledger):
            if part is not None:
                part.close()
        self._catalog = self._ledger = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<refstore.Store {self.folder}>"

    @property
    def catalog(self) -> Catalog:
        """The records and their index; opened at first use."""
        if self._catalog is None:
            self._catalog = Catalog(self.folder, self.settings.index_dir)
        return self._catalog

    @property
    def backends(self) -> Backends:
        """The storage schemes, with this store's settings."""
        if self._backends is None:
            from refstore.backends.registry import Backends

            self._backends = Backends(self.settings)
        return self._backends

    def share(self, backends: Backends) -> None:
        """Use the backends of another instance of this store: they serve many threads, and hold connections."""
        self._backends = backends

    @property
    def cache(self) -> Cache:
        """Content by checksum."""
        if self._cache is None:
            from refstore.checkout.cache import Cache

            chosen = self.settings.cache_dir
            self._cache = Cache(self.root / Path(chosen).expanduser() if chosen else self.folder / "cache")
        return self._cache

    @property
    def ledger(self) -> Ledger:
        """What this machine has checked out, and where."""
        if self._ledger is None:
            from refstore.checkout.ledger import Ledger

            # Beside the index: SQLite is no safer on a network file system for this than for that.
            self._ledger = Ledger(index_path(self.folder, self.settings.index_dir).with_name("local.db"))
        return self._ledger

    # Names

    def _artifact_name(self, name: str) -> ArtifactName:
        return parse_artifact(name, entity=self.settings.entity, project=self.settings.project)

    def _version_name(self, name: str) -> VersionName:
        return parse_version(name, entity=self.settings.entity, project=self.settings.project)

    # Recording

    def add(
        self,
        uris: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        name: str,
        type: str | None = None,
        aliases: Sequence[str] = (),
        tags: Sequence[str] = (),
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_objects: int | None = None,
        checksum: bool = True,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        prefix: str = "",
        allow_empty: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Recorded:
        """Record references to external files as a version; no content is kept, and the sources are only read.

        Costs one listing request per page of a source and no request per object (HTTP excepted), one pass over what was
        listed, and memory for a page and a batch of chunks. Nothing is visible before all of it is recorded.

        Args:
            uris: URIs or paths of objects and directories. One alone stands for itself; several keep their paths below
                the folder that they have in common.
            name: `[entity/][project/]artifact`.
            type: Of the artifact; `dataset` for a new one by default.
            aliases: To set on the version, also where it is not new.
            tags: To set on the version.
            description: Of the version.
            metadata: Any JSON object.
            max_objects: The most objects to take; the setting (10,000) by default.
            checksum: False to not read local files (and HTTP bodies) for their checksums: faster, and not pinned.
            include: Globs of paths in the artifact; only what one of them takes is recorded.
            exclude: Globs of what to leave out.
            prefix: A path in the artifact to put before all others.
            allow_empty: Record a version without files rather than raise `SourceMissing`.
            dry_run: Find out what would change, and record nothing.
            progress: Told how many objects and bytes were found.

        Raises:
            UsageError: A name, URI or option is wrong.
            TooManyObjects: There are more than `max_objects`; nothing was recorded.
            SourceMissing: There is nothing at one of the URIs.
        """
        from refstore.backends.sources import Choice
        from refstore.tracking.gather import gather

        listed = [os.fspath(uri) for uri in ([uris] if isinstance(uris, str | os.PathLike) else uris)]
        if not listed:
            raise UsageError("There is nothing to add: give at least one URI or path.")
        artifact, labels = self._artifact_name(name), Labels(type, aliases, tags, description, metadata or {})
        labels.check()
        choice = Choice.of(include, exclude, prefix)
        with Staging() as staging:
            found = gather(
                self.backends,
                listed,
                staging,
                choice,
                checksum=checksum,
                max_objects=self._limit(max_objects),
                allow_empty=allow_empty,
                progress=progress,
            )
            return record(
                self.catalog,
                artifact,
                staging.entries(),
                labels,
                job_type="add",
                sources=found.sources,
                choice=choice,
                markers=found.markers,
                notes=found.notes,
                dry_run=dry_run,
            )

    def put(
        self,
        paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        name: str,
        type: str | None = None,
        aliases: Sequence[str] = (),
        tags: Sequence[str] = (),
        description: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        max_objects: int | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        prefix: str = "",
        allow_empty: bool = False,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Recorded:
        """Keep the content of local files in the store's cache, each once, and record them as a version.

        For files that have no other home. Costs one pass over their bytes. The arguments are those of `add`.

        Raises:
            UsageError: A name, path or option is wrong.
            SourceMissing: There is no such file.
            StorageFull: There is no space for the content; nothing was recorded.
        """
        from refstore.backends.sources import Choice
        from refstore.tracking.keep import keep

        listed = [os.fspath(path) for path in ([paths] if isinstance(paths, str | os.PathLike) else paths)]
        if not listed:
            raise UsageError("There is nothing to put: give at least one path.")
        artifact, labels = self._artifact_name(name), Labels(type, aliases, tags, description, metadata or {})
        labels.check()
        choice = Choice.of(include, exclude, prefix)
        with Staging() as staging:
            found = keep(
                self.backends,
                self.cache,
                listed,
                staging,
                choice,
                algorithm=self.settings.hash,
                max_objects=self._limit(max_objects),
                allow_empty=allow_empty,
                dry_run=dry_run,
                jobs=self.settings.jobs,
                progress=progress,
            )
            return record(
                self.catalog,
                artifact,
                staging.entries(),
                labels,
                job_type="put",
                sources=(),
                choice=choice,
                markers=found.markers,
                notes=found.notes,
                dry_run=dry_run,
            )

    def import_wandb(
        self,
        manifest: str | os.PathLike[str],
        *,
        name: str,
        skip_content: bool = False,
        dry_run: bool = False,
        **labels: Any,
    ) -> Recorded:
        """Make a version of the references in a W&B manifest (version 1). No data is touched, and no request is made.

        Args:
            manifest: The JSON file.
            name: `[entity/][project/]artifact`.
            skip_content: Leave out what W&B itself keeps, instead of refusing.
            dry_run: Find out what would change, and record nothing.
            labels: `type`, `aliases`, `tags`, `description` and `metadata` as in `add`.

        Raises:
            UsageError: It is no such manifest, or holds what can't be a reference.
        """
        from refstore.tracking.imports.wandb import read_manifest

        return self._import(read_manifest, manifest, name, skip_content, dry_run, labels)

    def import_dvc(
        self,
        file: str | os.PathLike[str],
        *,
        name: str,
        skip_content: bool = False,
        dry_run: bool = False,
        **labels: Any,
    ) -> Recorded:
        """Make a version of what `dvc import-url` recorded in a `.dvc` file; else as `import_wandb`."""
        from refstore.tracking.imports.dvc import read_dvc

        return self._import(read_dvc, file, name, skip_content, dry_run, labels)

    def _import(
        self,
        read: Callable[[Backends, Path], Imported],
        file: str | os.PathLike[str],
        name: str,
        skip: bool,
        dry_run: bool,
        labels: dict[str, Any],
    ) -> Recorded:
        from refstore.tracking.imports.imported import keep

        said = Labels(**{key: value for key, value in labels.items() if value is not None})
        said.check()
        where = Path(file)
        found = read(self.backends, where)
        return keep(self, self._artifact_name(name), found, said, where, skip=skip, dry_run=dry_run)

    def _limit(self, max_objects: int | None) -> int:
        limit = self.settings.max_objects if max_objects is None else max_objects
        if limit < 1:
            raise UsageError(f"The limit of objects must be at least 1, not {limit}.")
        return limit

    # Asking

    def version(self, name: str) -> Version:
        """The version that a name means: `mnist`, `mnist:v3`, `mnist:best`, `mnist@3f2a91`, `team/vision/mnist:v3`.

        Raises:
            ArtifactNotFound: There is none.
            InvalidName: It is not a name.
        """
        return Version(self, self.catalog.queries.version(self._version_name(name)))

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

    # Labelling

    def set_alias(self, version: str, alias: str) -> None:
        """Let an alias mean a version; it moves there from wherever it was.

        Raises:
            InvalidName: The alias breaks its rule, or is `latest` or like `v3`.
        """
        from refstore.records.types import Alias

        check_alias(alias)
        found = self.version(version)
        with self.catalog.writing() as writing:
            writing.add(Alias(**writing.stamp, **found.artifact.parts, alias=alias, version=found.id))
            writing.summarise(f"{found.qualified_name}: alias {alias} set")
            writing.commit()

    def remove_alias(self, name: str) -> None:
        """Take an alias away: `mnist:best`. The version stays.

        Raises:
            ArtifactNotFound: There is no such alias.
        """
        from refstore.records.types import Alias

        wanted = self._version_name(name)
        if wanted.alias is None:
            raise InvalidName(f"{name!r} names no alias that could be removed: use artifact:alias, as in 'mnist:best'.")
        found = self.version(name)
        with self.catalog.writing() as writing:
            writing.add(Alias(**writing.stamp, **found.artifact.parts, alias=wanted.alias))
            writing.summarise(f"{found.artifact}: alias {wanted.alias} removed")
            writing.commit()

    def tag(self, version: str, tags: Sequence[str]) -> None:
        """Set tags on a version.

        Raises:
            InvalidName: One breaks the rule of tags.
        """
        self._tag(version, tags, present=True)

    def untag(self, version: str, tags: Sequence[str]) -> None:
        """Take tags from a version.

        Raises:
            ArtifactNotFound: It does not have one of them.
        """
        self._tag(version, tags, present=False)

    def _tag(self, version: str, tags: Sequence[str], *, present: bool) -> None:
        from refstore.records.types import Tag

        found = self.version(version)
        for tag in tags:
            check_tag(tag)
            if not present and tag not in found.tags:
                raise ArtifactNotFound(f"{found.qualified_name} has no tag {tag!r}.")
        changed = [tag for tag in dict.fromkeys(tags) if (tag in found.tags) != present]
        if not changed:
            return
        with self.catalog.writing() as writing:
            for tag in changed:
                writing.add(Tag(**writing.stamp, version=found.id, tag=tag, present=present))
            writing.summarise(f"{found.qualified_name}: tag {', '.join(changed)} {'set' if present else 'removed'}")
            writing.commit()

    def describe(self, version: str, description: str) -> None:
        """Replace a version's description."""
        from refstore.records.types import Description

        found = self.version(version)
        with self.catalog.writing() as writing:
            writing.add(Description(**writing.stamp, version=found.id, description=description))
            writing.summarise(f"{found.qualified_name}: description changed")
            writing.commit()

    # Removing

    def remove(self, name: str, *, force: bool = False) -> list[Version]:
        """Remove a version (`mnist:v3`), or an artifact with all its versions (`mnist`), from the catalog.

        No source is touched. A removed version's number is never given again, and its records stay in the history.

        Args:
            name: A version, or an artifact without a version.
            force: Also where an alias other than `latest` means the version.

        Returns:
            What was removed.

        Raises:
            ArtifactNotFound: There is no such thing.
            UsageError: An alias means it, and `force` is not set.
        """
        from refstore.records.types import Tombstone

        wanted = self._version_name(name)
        bare = ":" not in name and "@" not in name
        gone = self.versions(name) if bare else [self.version(name)]
        if not gone:
            raise ArtifactNotFound(f"All versions of {wanted.artifact} were removed before.")
        for version in gone:
            aliases = [alias for alias in version.aliases if alias != "latest"]
            if aliases and not force:
                raise UsageError(
                    f"{version.qualified_name} has the alias {aliases[0]}: remove that first, or remove both with "
                    "--force (in Python force=True)."
                )
        with self.catalog.writing() as writing:
            for version in gone:
                writing.add(Tombstone(**writing.stamp, version=version.id))
            writing.summarise(f"{', '.join(version.qualified_name for version in gone)} removed")
            writing.commit()
        return gone

    def gc(self, *, dry_run: bool = False) -> list[Version]:
        """Remove the versions whose lifetime has ended (`ttl`) from the catalog; never anything at a source.

        What an alias other than `latest` means stays, and so does the latest version of each artifact.

        Args:
            dry_run: Only tell what would go.

        Returns:
            What was removed, or would be.
        """
        from refstore.tracking.expiry import expire

        return [Version(self, info) for info in expire(self.catalog, dry_run=dry_run)]

    def cache_gc(self, *, dry_run: bool = False) -> list[tuple[Checksum, int]]:
        """Delete cached content that nothing needs: no version says that the store keeps it, no checkout links to it.

        Args:
            dry_run: Only tell what would go.

        Returns:
            Checksum and size in bytes of each.
        """
        keep = {Checksum.parse(text) for text in self.catalog.queries.stored_checksums()}
        keep.update(self.ledger.linked())
        return [(gone.checksum, gone.size) for gone in self.cache.remove_unreferenced(keep, dry_run=dry_run)]
