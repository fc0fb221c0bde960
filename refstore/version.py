"""A version, and all that can be done with it."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from refstore.catalog.infos import VersionInfo
from refstore.manifest.diff import Change
from refstore.manifest.entry import Entry, Pin
from refstore.names import ArtifactName

if TYPE_CHECKING:
    from refstore.checkout.result import CheckoutResult
    from refstore.checkout.status import Drift
    from refstore.checkout.verify import Verified
    from refstore.progress import Progress
    from refstore.store.asking import StoreAsking
    from refstore.tracking.exports.export import Exported


class Diff:
    """What differs between two versions.

    Attributes:
        old: The version before.
        new: The version after.
    """

    def __init__(self, store: StoreAsking, old: Version, new: Version) -> None:
        self._store = store
        self.old = old
        self.new = new

    def changes(self) -> Iterator[Change]:
        """Each path that differs, in byte order. Opens only the chunks that differ; streams."""
        return self._store.catalog.queries.diff(self.old.info, self.new.info)

    def __iter__(self) -> Iterator[Change]:
        return self.changes()


class Version:
    """One immutable state of an artifact. Made by `Store.version`, never by hand.

    Attributes:
        info: What the catalog says of it.
    """

    def __init__(self, store: StoreAsking, info: VersionInfo) -> None:
        self._store = store
        self.info = info

    def __repr__(self) -> str:
        return f"<refstore.Version {self.name}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and other.info.id == self.info.id

    def __hash__(self) -> int:
        return hash(self.info.id)

    @property
    def name(self) -> str:
        """The name with the version: `mnist:v3`."""
        return f"{self.info.artifact.artifact}:v{self.info.number}"

    @property
    def qualified_name(self) -> str:
        """The full name: `entity/project/mnist:v3`."""
        return f"{self.info.artifact}:v{self.info.number}"

    @property
    def artifact(self) -> ArtifactName:
        """The artifact that it is a version of."""
        return self.info.artifact

    @property
    def number(self) -> int:
        """3 for `v3`."""
        return self.info.number

    @property
    def renumbered_from(self) -> int | None:
        """The number that it was given at first, where a merge made it give way to another version."""
        return self.info.was

    @property
    def notes(self) -> tuple[str, ...]:
        """What to know of the name that it was asked for by: which other version had that number before a merge."""
        return self.info.notes

    @property
    def type(self) -> str:
        """The artifact's type."""
        return self.info.type

    @property
    def id(self) -> str:
        """The id of the version's record: 64 hex digits."""
        return self.info.id

    @property
    def digest(self) -> str:
        """The manifest's id: 64 hex digits, the same for the same set of entries."""
        return self.info.manifest

    @property
    def aliases(self) -> list[str]:
        """Its aliases, `latest` first if it is that."""
        return list(self.info.aliases)

    @property
    def tags(self) -> list[str]:
        """Its tags."""
        return list(self.info.tags)

    @property
    def description(self) -> str:
        """What people say of it, or ""."""
        return self.info.description

    @property
    def metadata(self) -> dict[str, Any]:
        """What was given with it: any JSON object."""
        return dict(self.info.metadata)

    @property
    def size(self) -> int:
        """The sum of its files' sizes, in bytes."""
        return self.info.size

    @property
    def file_count(self) -> int:
        """How many files it has."""
        return self.info.file_count

    @property
    def created(self) -> str:
        """When it was recorded: UTC, ISO 8601."""
        return self.info.created

    @property
    def sources(self) -> list[str]:
        """The URIs that were added, without credentials."""
        return list(self.info.sources)

    def pins(self) -> dict[Pin, int]:
        """How many of its files are pinned in each way, strongest first."""
        return self._store.catalog.queries.pins(self.info)

    def files(self, prefix: str = "", *, paths: Sequence[str] = ()) -> Iterator[Entry]:
        """Its entries by path; streams.

        Args:
            prefix: Only those whose path starts with this; opens only the chunks that hold them.
            paths: Only those that one of these globs takes.

        Raises:
            ArtifactNotFound: One of the globs takes nothing; known when all entries have passed.
        """
        from refstore.checkout.select import Selection

        selection = Selection(paths)
        for entry in self._store.catalog.queries.entries(self.info, prefix):
            if selection.takes(entry.path):
                yield entry
        selection.check_used(self.name)

    def entry(self, path: str) -> Entry:
        """One entry.

        Raises:
            ArtifactNotFound: There is no such path in this version.
        """
        return self._store.catalog.queries.entry(self.info, path)

    def open(self, path: str, mode: str = "rb", encoding: str = "utf-8") -> IO[Any]:
        """A seekable file object on the pinned bytes of one file.

        Args:
            path: Inside the artifact.
            mode: `rb` for bytes, `r` or `rt` for text.
            encoding: Of text.

        Raises:
            ArtifactNotFound: There is no such path.
            SourceMissing, SourceChanged: The source does not hold the recorded bytes any more.
        """
        from refstore.checkout.reader import open_entry

        if mode not in ("r", "rt", "rb"):
            raise ValueError(f"a version can only be read: mode must be 'rb' or 'r', not {mode!r}")
        with self._telling():
            file = open_entry(self.entry(path), self._store.backends, self._store.cache, self._store.ledger)
        return file if mode == "rb" else io.TextIOWrapper(file, encoding=encoding)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Say afterwards which remotes stored content came from."""
        try:
            yield
        finally:
            elsewhere, tell = self._store.cache.elsewhere, self._store.on_note
            for note in elsewhere.told() if elsewhere is not None else ():
                if tell is not None:
                    tell(note)

    def checkout(
        self,
        dest: str | Path | None = None,
        *,
        paths: Sequence[str] = (),
        jobs: int | None = None,
        link: str | None = None,
        force: bool = False,
        allow_missing: bool = False,
        progress: Progress | None = None,
    ) -> CheckoutResult:
        """Make the files of this version, byte for byte as recorded.

        Args:
            dest: A folder; by default `artifacts/<name>:v<N>` in the current one. An `artifacts/` that it makes is kept
                out of git, by a `.gitignore` in it.
            paths: Only those that one of these globs takes.
            jobs: Transfers at once; the setting by default.
            link: `auto`, `reflink`, `hardlink`, `symlink` or `copy`; the setting by default.
            force: Replace files that refstore did not write, or that were changed since.
            allow_missing: Report files that are gone, and don't fail for them.
            progress: Told how far it is.

        Raises:
            CheckoutIncomplete: Some files could not be had; the others are there.
            DestinationConflict: Files there are not ours to replace; nothing was done.
        """
        # A colon can't stand in a file name on Windows.
        import os

        from refstore.checkout.artifacts_folder import in_artifacts
        from refstore.checkout.checkout import checkout
        from refstore.checkout.since import Manifest
        from refstore.errors import UsageError

        if dest is not None and not os.fspath(dest):
            raise UsageError("The DEST of a checkout is empty: name a folder, '.' for the current one.")
        settings, queries = self._store.settings, self._store.catalog.queries
        name = f"{self.info.artifact.artifact}{'-' if os.name == 'nt' else ':'}v{self.info.number}"
        with self._telling(), in_artifacts(name) if dest is None else nullcontext(Path(dest)) as folder:
            return checkout(
                queries.entries(self.info),
                folder,
                label=self.qualified_name,
                backends=self._store.backends,
                cache=self._store.cache,
                ledger=self._store.ledger,
                store=self._store.folder,
                paths=paths,
                jobs=settings.jobs if jobs is None else jobs,
                link=settings.link if link is None else link,
                force=force,
                allow_missing=allow_missing,
                progress=progress,
                manifest=Manifest(
                    self.info.manifest,
                    lambda other: queries.changes_since(self.info, other),
                    lambda path: queries.entry_or_none(self.info, path),
                ),
            )

    def export(
        self,
        path_or_file: str | Path | IO[bytes],
        *,
        format: str | None = None,
        paths: Sequence[str] = (),
        skip_content: bool = False,
        allow_unpinned: bool = False,
        force: bool = False,
        progress: Progress | None = None,
    ) -> Exported:
        """Write the list of its files for other programs. No source is asked. Streams.

        Args:
            path_or_file: A file's path, where it appears whole or not at all, or a file object open for bytes.
            format: `jsonl`, `csv`, `parquet`, `wandb` or `references` (a reference set of fsspec); by default what the
                path's ending says, and `jsonl` for a file object.
            paths: Only the files that one of these globs takes.
            skip_content: Leave out content that the store keeps, where the format has no word for it, instead of
                refusing.
            allow_unpinned: Let `references` hold URLs that no object version pins.
            force: Replace a file.
            progress: Told how many files were written.

        Raises:
            UsageError: The format can't say what some files are; or there is a file of that name, or it can't be made.
            ArtifactNotFound: A glob takes nothing.
            StorageFull: No space is left.
        """
        from refstore.tracking.exports.export import export, form_of
        from refstore.tracking.exports.form import Subject

        target = Path(path_or_file) if isinstance(path_or_file, str | Path) else path_or_file
        return export(
            self.files,
            target,
            form_of(format, target if isinstance(target, Path) else None),
            Subject(self.qualified_name, self.digest, self._store.backends),
            paths=paths,
            skip_content=skip_content,
            allow_unpinned=allow_unpinned,
            force=force,
            progress=progress,
        )

    def diff(self, other: Version | str) -> Diff:
        """What differs between this version (the old one) and another."""
        return Diff(self._store, self, other if isinstance(other, Version) else self._store.version(other))

    def status(self, *, jobs: int | None = None) -> Iterator[Drift]:
        """The source now against what was recorded, a finding for each path. Lists again; downloads nothing.

        Args:
            jobs: How many objects are looked at at once, where that has to be done one by one; the setting by default.
        """
        from refstore.backends.sources import Choice, sources
        from refstore.checkout.status import status

        return status(
            self._store.catalog.queries.entries(self.info),
            sources(
                self._store.backends,
                self.info.sources,
                Choice(self.info.include, self.info.exclude, self.info.prefix, self.info.names),
            ),
            self._store.backends,
            jobs=self._store.settings.jobs if jobs is None else jobs,
        )

    def verify(self, *, content: bool = False, jobs: int | None = None) -> Iterator[Verified]:
        """Whether the recorded bytes can still be had, a finding for each path.

        Args:
            content: Read all bytes and prove them, instead of one request a file.
            jobs: Files at once; the setting by default.

        Raises:
            SourceDenied, SourceUnavailable, UsageError: Many files in a row could not even be asked for; the rest is
                not tried.
        """
        from refstore.checkout.verify import verify

        return verify(
            self._store.catalog.queries.entries(self.info),
            self._store.backends,
            self._store.cache,
            bytes=content,
            jobs=self._store.settings.jobs if jobs is None else jobs,
        )
