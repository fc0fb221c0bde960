"""What a store can be given: references, content, and what other tools recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refstore.errors import UsageError

if TYPE_CHECKING:
    from refstore.backends.registry import Backends
    from refstore.progress import Progress
    from refstore.tracking.imports.imported import Imported
    from refstore.tracking.result import Recorded
from refstore.store.parts import StoreParts


class StoreRecording(StoreParts):
    """Making versions."""

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
        from refstore.catalog.staging import Staging
        from refstore.tracking.again import add_again, remember
        from refstore.tracking.gather import gather
        from refstore.tracking.record import Labels, record

        listed = [os.fspath(uri) for uri in ([uris] if isinstance(uris, str | os.PathLike) else uris)]
        if not listed:
            raise UsageError("There is nothing to add: give at least one URI or path.")
        artifact, labels = self._artifact_name(name), Labels(type, aliases, tags, description, metadata or {})
        labels.check()
        choice = Choice.of(include, exclude, prefix)
        limit = self._limit(max_objects)
        if checksum:
            again = add_again(
                self.backends,
                listed,
                choice,
                self.catalog,
                artifact,
                labels,
                max_objects=limit,
                progress=progress,
                dry_run=dry_run,
            )
            if again is not None:
                return again
        growing = self.catalog.growing() if self.catalog.queries.latest(artifact) is None else None
        with Staging(growing) as staging:
            found = gather(
                self.backends,
                listed,
                staging,
                choice,
                checksum=checksum,
                max_objects=limit,
                allow_empty=allow_empty,
                progress=progress,
            )
            made = record(
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
        if checksum:
            remember(self.backends, listed, choice, made)
        return replace(made, notes=(*made.notes, *found.forgetful)) if made.new else made

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
        from refstore.catalog.staging import Staging
        from refstore.tracking.keep import keep
        from refstore.tracking.record import Labels, record

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

    def import_jsonl(
        self,
        file: str | os.PathLike[str],
        *,
        name: str,
        skip_content: bool = False,
        dry_run: bool = False,
        **labels: Any,
    ) -> Recorded:
        """Make a version of what `Version.export` wrote as JSON Lines: the same files, and so the same digest.

        Content that the store keeps has to be in its cache; else as `import_wandb`.
        """
        from functools import partial

        from refstore.tracking.imports.jsonl import read_jsonl

        return self._import(partial(read_jsonl, self.cache), file, name, skip_content, dry_run, labels)

    def _import(
        self,
        read: Callable[[Backends, Path, Imported], None],
        file: str | os.PathLike[str],
        name: str,
        skip: bool,
        dry_run: bool,
        labels: dict[str, Any],
    ) -> Recorded:
        from refstore.tracking.imports.imported import Imported, keep
        from refstore.tracking.record import Labels

        said = Labels(**{key: value for key, value in labels.items() if value is not None})
        said.check()
        where = Path(file)
        artifact = self._artifact_name(name)
        with Imported() as found:
            read(self.backends, where, found)
            return keep(self, artifact, found, said, where, skip=skip, dry_run=dry_run)

    def _limit(self, max_objects: int | None) -> int:
        limit = self.settings.max_objects if max_objects is None else max_objects
        if limit < 1:
            raise UsageError(f"The limit of objects must be at least 1, not {limit}.")
        return limit
