"""The artifact as W&B's scripts know it: made and filled as a draft, logged by a run, and got back by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refstore.catalog.fork_gate import inside_sqlite
from refstore.catalog.infos import VersionInfo
from refstore.errors import RefstoreError, UsageError
from refstore.manifest.diff import pairs
from refstore.manifest.entry import Entry
from refstore.names import ArtifactName
from refstore.tracking import artifact_edits, downloads
from refstore.tracking.added_paths import AddedPaths
from refstore.tracking.artifact_adding import ArtifactAdding
from refstore.tracking.manifest import ArtifactManifest, ArtifactManifestEntry, Entries
from refstore.tracking.result import Recorded
from refstore.tracking.stores import Stores, logger

if TYPE_CHECKING:
    from refstore.tracking.past_run import PastRun


class Artifact(ArtifactAdding):
    """Files that a run makes or uses, by reference or with their content.

    A new one is a draft: it takes in files until it is logged, and is a version of the artifact of its name from then
    on, which never changes but for what is said of it.

    Args:
        name: Letters, digits, `_`, `-` and `.`.
        type: What kind of thing it is, such as `dataset` or `model`. An artifact has one type for good.
        description: What it is.
        metadata: Any JSON object.
        incremental: Keep the files of the latest version that this draft does not replace.
        use_as: What it is to the run that uses it.
        storage_region: Accepted, without a meaning here.
        digest_algorithm: Accepted; `digest` is W&B's MD5.

    Raises:
        InvalidName: The name or type breaks its rule.
    """

    def __init__(
        self,
        name: str,
        type: str,
        description: str | None = None,
        metadata: dict[str, Any] | None = None,
        incremental: bool = False,
        use_as: str | None = None,
        storage_region: str | None = None,
        digest_algorithm: str | None = None,
    ) -> None:
        super().__init__(name, type, description, metadata, incremental, use_as)

    @classmethod
    def _of(cls, stores: Stores, info: VersionInfo) -> Artifact:
        artifact = cls.__new__(cls)
        artifact._incremental, artifact._use_as, artifact._added = False, None, AddedPaths()
        artifact._become(stores, info)
        return artifact

    def __getstate__(self) -> dict[str, Any]:
        if self._draft is not None:
            raise UsageError(f"The draft {self.name!r} can't go to another process: log it first.")
        return self.__dict__

    # Reading

    @property
    def manifest(self) -> ArtifactManifest:
        """All entries, read as they are asked for."""
        return ArtifactManifest(self, Entries(self, self._page, self._get, lambda: self.file_count))

    @property
    def digest(self) -> str:
        """The MD5 of the manifest that W&B computes, in hex; `commit_hash` is refstore's own digest."""
        return self.manifest.digest()

    def get_entry(self, name: str | os.PathLike[str]) -> ArtifactManifestEntry:
        """The entry of a path.

        Raises:
            EntryNotFound: There is none (a KeyError).
        """
        return self.manifest.entries[os.fspath(name)]

    get_path = get_entry

    def get(self, name: str) -> None:
        """None: what W&B gives for a file that is no media object (table, image), of which refstore has none.

        `get_entry` has the file.

        Raises:
            ArtifactNotLoggedError: It is a draft.
        """
        self._logged("get()")

    __getitem__ = get

    def get_added_local_path_name(self, local_path: str | os.PathLike[str]) -> str | None:
        """The path in this artifact of a local file that `add_file` or `add_dir` took in; None for another one."""
        return self._added.path_of(local_path, lambda path: self._get(path) is not None)

    def files(self, names: Sequence[str] | None = None, per_page: int = 50) -> Sequence[ArtifactManifestEntry]:
        """Its entries, or those of some paths; read as they are asked for.

        Raises:
            EntryNotFound: One of the paths is not there.
        """
        return downloads.Files(self) if names is None else [self.get_entry(name) for name in names]

    def _page(self, after: str | None) -> list[Entry]:
        if self._info is None:
            return self._made.page(after)
        queries = self.store.catalog.queries
        with inside_sqlite():
            return queries.page(self._info, after)

    def _get(self, path: str) -> Entry | None:
        if self._info is None:
            return self._made.get(path)
        queries = self.store.catalog.queries
        with inside_sqlite():
            return queries.entry_or_none(self._info, path)

    def _below(self, folder: str) -> Iterator[ArtifactManifestEntry]:
        prefix = folder.strip("/") + "/"
        after = prefix
        while page := self._page(after):
            for entry in page:
                if not entry.path.startswith(prefix):
                    return
                yield ArtifactManifestEntry(entry.path, entry.object, self)
            after = page[-1].path

    def download(
        self,
        root: str | os.PathLike[str] | None = None,
        allow_missing_references: bool = False,
        skip_cache: bool | None = None,
        path_prefix: str | os.PathLike[str] | None = None,
        multipart: bool | None = None,
    ) -> str:
        """Make its files in a folder, with the recorded bytes or not at all, and return the folder.

        Args:
            root: The folder; `artifacts/mnist:v0` by default, below `REFSTORE_ARTIFACT_DIR` where that is set.
            allow_missing_references: Leave out files that are gone at their source; overwritten ones still fail.
            skip_cache: Don't keep the bytes in the cache.
            path_prefix: Only the file or the folder of this path.
            multipart: Accepted, without a meaning here.

        Raises:
            CheckoutIncomplete: Some files could not be had; all others are there.
            DestinationConflict: Files there are not refstore's to replace; nothing was done.
        """
        info = self._logged("download()")
        dest = Path(root) if root is not None else downloads.default_root(self.source_name)
        prefix = os.fspath(path_prefix).strip("/") if path_prefix is not None else ""
        entries = self._under(prefix) if prefix else self.manifest.entries.stream()
        downloads.download(
            self.store, info, entries, dest, part=bool(prefix), allow_missing=allow_missing_references,
            skip_cache=bool(skip_cache),
        )  # fmt: skip
        return str(dest)

    def _under(self, prefix: str) -> Iterator[Entry]:
        own = self._get(prefix)
        if own is not None:
            yield own
        for entry in self._below(prefix):
            yield Entry(entry.path, entry.object)

    def _download_entry(self, entry: ArtifactManifestEntry, root: str | None, skip_cache: bool) -> str:
        info = self._logged("download()")
        dest = Path(root) if root is not None else downloads.default_root(self.source_name)
        found = Entry(entry.path, entry.object)
        downloads.download(self.store, info, iter([found]), dest, part=True, skip_cache=skip_cache)
        return str(dest / entry.path)

    def checkout(self, root: str | os.PathLike[str] | None = None) -> str:
        """Make a folder hold this version, and return it: as `download`, to `artifacts/mnist` by default.

        Files that refstore made there for another version of it are replaced and removed; others are left alone.

        Raises:
            CheckoutIncomplete, DestinationConflict: As `download`.
        """
        info = self._logged("checkout()")
        dest = Path(root) if root is not None else downloads.default_root(self.source_name.partition(":")[0])
        downloads.download(self.store, info, self.manifest.entries.stream(), dest)
        return str(dest)

    def verify(self, root: str | os.PathLike[str] | None = None) -> None:
        """Compare the files of a downloaded folder with what is recorded: all bytes, of references too.

        Args:
            root: The folder; that of `download` by default.

        Raises:
            NotAsRecorded: A file is missing, other, or too many (a ValueError).
        """
        self._logged("verify()")
        dest = Path(root) if root is not None else downloads.default_root(self.source_name)
        downloads.verify(self.store, self.name, self.manifest.entries, dest)

    def file(self, root: str | None = None) -> str:
        """Download the only file of this artifact, and return where it is.

        Raises:
            UsageError: It has none, or several (a ValueError).
        """
        self._logged("file()")
        if self.file_count != 1:
            raise UsageError(f"{self.name} has {self.file_count} files, and file() needs exactly one: use download().")
        return next(iter(self.manifest.entries.values())).download(root)

    # Logging and changing

    def finalize(self) -> None:
        """End the adding: the draft takes in nothing more."""
        self._finalized = True

    def wait(self, timeout: float | None = None) -> Artifact:
        """This artifact: it was recorded when it was logged, and there is nothing to wait for.

        Raises:
            ArtifactNotLoggedError: It is a draft.
        """
        self._logged("wait()")
        return self

    def save(self, project: str | None = None, settings: Any = None) -> None:
        """Log a draft, by the current run if there is one; record what was changed of what is said of a version.

        Args:
            project: For a draft without a run.
            settings: Accepted, without a meaning here.
        """
        from refstore.tracking import current

        if self._info is not None:
            artifact_edits.apply(self.store.catalog, self._info, self._read, self._said)
            self._refresh()
        elif (run := current.run()) is not None:
            run.log_artifact(self)
        else:
            given = self.store.settings
            self._log(current.stores(), None, ArtifactName(given.entity, project or given.project, self._artifact_name))

    def _refresh(self) -> None:
        found = self.store.catalog.queries.version_by_id(self._info.id) if self._info is not None else None
        assert found is not None
        assert self._stores is not None
        self._become(self._stores, found)

    def _log(
        self, stores: Stores, run: str | None, name: ArtifactName, aliases: Sequence[str] = (), tags: Sequence[str] = ()
    ) -> Recorded | None:
        """Record this draft as a version, or that the run logs the version that this is."""
        from refstore.tracking.record import Labels, record

        if self._home is not None and (self._home.entity, self._home.project) != (name.entity, name.project):
            raise UsageError(f"{self._home} can't be logged to another project ({name}): link() it, or make a new one.")
        if self._info is not None:
            if run is not None:
                artifact_edits.logged(stores.here.catalog, run, self._info, aliases, tags)
            artifact_edits.apply(stores.here.catalog, self._info, self._read, self._said)
            self._refresh()
            return None
        draft = self._made
        if self._stores is not None and self._stores.root != stores.root:
            raise UsageError(
                f"The draft {self.name!r} was made for the store in {self._stores.root}, not {stores.root}."
            )
        store, said = stores.here, self._said
        labels = Labels(self._type, aliases, [*said.tags, *tags], said.description or None, said.metadata)
        labels.check()
        self._finalized = True
        entries: Iterable[Entry] = draft.entries()
        if self._incremental:
            draft.mixed()
            entries = self._over_latest(store.catalog.queries.latest(name), stores, draft.entries())
        try:
            done = record(
                store.catalog, name, entries,
                labels,
                job_type="save", sources=draft.sources, choice=draft.choice, markers=draft.markers, notes=draft.notes,
                dry_run=False, run=run,
            )  # fmt: skip
        except RefstoreError:
            self._finalized = False
            raise
        assert done.version is not None
        lifetime = said.lifetime
        for note in done.notes:
            logger.warning("refstore: %s: %s", done.name, note)
        self._become(stores, done.version)
        if lifetime and lifetime != self._said.lifetime:
            self._said.lifetime = lifetime
            artifact_edits.apply(store.catalog, done.version, self._read, self._said)
            self._refresh()
        return done

    @staticmethod
    def _over_latest(latest: VersionInfo | None, stores: Stores, entries: Iterator[Entry]) -> Iterator[Entry]:
        old = stores.here.catalog.queries.entries(latest) if latest is not None else iter(())
        return (after or before for before, after in pairs(old, entries))  # type: ignore[misc]

    def new_draft(self) -> Artifact:
        """A draft of the same artifact that starts with the files of this version.

        Raises:
            ArtifactNotLoggedError: This is a draft itself.
        """
        info = self._logged("new_draft()")
        draft = Artifact(self._artifact_name, self._type, self.description, self.metadata)
        draft._stores, draft._home = self._stores, info.artifact
        draft._take(self.manifest.entries.stream())
        return draft

    def delete(self, delete_aliases: bool = False) -> None:
        """Remove this version from the catalog; nothing at its sources is touched. Its number is never given again.

        Args:
            delete_aliases: Also where an alias other than `latest` means it.

        Raises:
            UsageError: An alias means it (a ValueError).
        """
        self._logged("delete()")
        self.store.remove(self.qualified_name, force=delete_aliases)
        self._refresh()

    def link(self, target_path: str, aliases: Iterable[str] | None = None) -> Artifact:
        """Make a link to this version, which is a version of another artifact: `[entity/][project/]artifact`.

        Raises:
            TypeConflict: The target has another type.
        """
        from refstore.tracking import current

        if self._info is None:
            self.save()
        info = self._logged("link()")
        target = current.artifact_name(target_path, info.artifact.entity, info.artifact.project, self.store.settings)
        if target == info.artifact:
            raise UsageError(f"{target} can't be a link to itself: give it an alias.")
        run = current.run()
        by = run.record_id if run is not None and self._stores is not None and run.root == self._stores.root else None
        made = artifact_edits.link(self.store.catalog, info, target, aliases or (), by)
        assert self._stores is not None
        return Artifact._of(self._stores, made)

    def unlink(self) -> None:
        """Remove this link from its artifact; what it links to stays.

        Raises:
            UsageError: It is no link (a ValueError).
        """
        info = self._logged("unlink()")
        if not info.source:
            raise UsageError(f"{self.qualified_name} is not a link: delete() removes it.")
        artifact_edits.unlink(self.store.catalog, info)
        self._refresh()

    @property
    def linked_artifacts(self) -> list[Artifact]:
        """The links to this version."""
        info = self._logged("linked_artifacts")
        assert self._stores is not None
        links = self.store.catalog.runs.links_to(info.source or info.id)
        return [Artifact._of(self._stores, link) for link in links]

    @property
    def source_artifact(self) -> Artifact:
        """What it links to; of no link, itself."""
        source = self._source
        assert self._stores is not None
        return Artifact._of(self._stores, source)

    def used_by(self) -> list[PastRun]:
        """The runs that used this version, oldest first."""
        from refstore.tracking.past_run import PastRun

        info, stores = self._logged("used_by()"), self._stores
        assert stores is not None
        return [PastRun(stores, run) for run in self.store.catalog.runs.used_by(info.id)]

    def logged_by(self) -> PastRun | None:
        """The run that made this version."""
        from refstore.tracking.past_run import PastRun

        self._logged("logged_by()")
        stores = self._stores
        assert stores is not None
        found = self.store.catalog.runs.run_by_id(self._source.run)
        return PastRun(stores, found) if found is not None else None

    def json_encode(self) -> dict[str, Any]:
        """What names it, as JSON."""
        info = self._logged("json_encode()")
        return {"_type": "artifactVersion", "id": info.id, "name": self.qualified_name, "version": self.version,
                "sequenceName": self._artifact_name, "usedAs": self._use_as}  # fmt: skip
