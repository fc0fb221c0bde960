"""What a draft takes in: references, and files with their content."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from refstore.backends.sources import Choice
from refstore.errors import DuplicatePath, EntryNotFound, InvalidURI, NothingToAdd, UsageError
from refstore.manifest.entry import STORED, Entry, Object
from refstore.tracking.artifact_state import ArtifactState
from refstore.tracking.manifest import SCHEME, ArtifactManifestEntry, EntryList

if TYPE_CHECKING:
    from refstore.tracking.artifact import Artifact


class ArtifactAdding(ArtifactState):
    """The methods of a draft that put files in and take them out."""

    def add_reference(
        self,
        uri: str | os.PathLike[str] | ArtifactManifestEntry,
        name: str | os.PathLike[str] | None = None,
        checksum: bool = True,
        max_objects: int | None = None,
    ) -> Sequence[ArtifactManifestEntry]:
        """Take in references to what a URI names: an object, or all objects of a directory. No content is kept.

        Costs one listing request for each thousand objects. Either all of it is added, or nothing.

        Args:
            uri: Of an object or a directory; a `pathlib.Path`; an entry of another artifact, which is taken in as it is
                recorded there.
            name: The path of a single object; what stands before the paths of many.
            checksum: False to not read local files, and HTTP bodies without an ETag, for their checksums.
            max_objects: The most objects to take; the setting (10,000) by default.

        Returns:
            The new entries, by path.

        Raises:
            InvalidURI: It has no scheme, or none that is known.
            TooManyObjects: There are more than `max_objects`.
            NothingToAdd: There is nothing of that name.
            DuplicatePath: Something else has one of the paths.
            ArtifactFinalizedError: The artifact is logged.
        """
        draft = self._changing()
        path = os.fspath(name) if name is not None else None
        if isinstance(uri, ArtifactManifestEntry):
            return self._take([Entry(path or uri.path.rpartition("/")[2], uri.object)])
        if isinstance(uri, str) and "://" not in uri and not uri.startswith("file:"):
            raise InvalidURI(
                f"References must be URIs, and {uri!r} is none. To refer to a local file, use file:// and an absolute "
                "path, or give a pathlib.Path."
            )
        text = os.fspath(uri)
        if text.startswith(f"{SCHEME}://"):
            id, _, inside = text[len(SCHEME) + 3 :].partition("/")
            info = self.store.catalog.queries.version_by_id(id)
            if info is None:
                raise EntryNotFound(f"There is no version {id} in this catalog, which {text} is of.")
            found = self.store.catalog.queries.entry(info, inside)
            return self._take([Entry(path or inside.rpartition("/")[2], found.object)])
        limit = self.store.settings.max_objects if max_objects is None else max_objects
        if limit < 1:
            raise UsageError(f"max_objects must be at least 1, not {limit}.")
        return EntryList(
            draft.find(self.store.backends, text, path, checksum=checksum, max_objects=limit), cast("Artifact", self)
        )

    def add_file(
        self,
        local_path: str | os.PathLike[str],
        name: str | os.PathLike[str] | None = None,
        is_tmp: bool = False,
        skip_cache: bool = False,
        policy: str = "mutable",
        overwrite: bool = False,
    ) -> ArtifactManifestEntry:
        """Take in a local file with its content, which the store keeps in its cache.

        Args:
            local_path: The file.
            name: Its path in the artifact; its own name by default.
            is_tmp: Name it after its content, so that temporary files of one name don't collide.
            skip_cache: Accepted; the cache is where the content is kept.
            policy: Accepted; the content is always copied, or shared where the file system can.
            overwrite: Replace what has that path.

        Raises:
            NothingToAdd: There is no such file.
            DuplicatePath: Something else has the path.
            StorageFull: There is no space for the content.
        """
        self._changing()
        file = Path(local_path)
        if not file.is_file():
            raise NothingToAdd(f"{file} is not a file; a folder goes in with add_dir.")
        store = self.store
        checksum, size = store.cache.add_file(file, store.settings.hash)
        path = os.fspath(name) if name is not None else file.name
        if is_tmp:
            folder, slash, last = path.rpartition("/")
            path = f"{folder}{slash}{'.'.join([checksum.value[:20], *last.split('.')[1:]])}"
        entry = Entry(path, Object(STORED, "", "", "", size, checksum=checksum))
        taken = self._take([entry], replace=overwrite)[0]
        self._added.file(local_path, path)
        return taken

    def add_dir(
        self,
        local_path: str | os.PathLike[str],
        name: str | None = None,
        skip_cache: bool = False,
        policy: str = "mutable",
        merge: bool = False,
    ) -> None:
        """Take in all files of a local folder with their content; see `add_file`.

        Args:
            local_path: The folder.
            name: What stands before their paths.
            skip_cache: Accepted, see `add_file`.
            policy: Accepted, see `add_file`.
            merge: Replace what has one of their paths.

        Raises:
            NothingToAdd: There is no such folder, or no file in it.
            DuplicatePath: Something else has one of the paths.
        """
        from refstore.catalog.staging import Staging
        from refstore.tracking.keep import keep

        draft = self._changing()
        if not Path(local_path).is_dir():
            raise NothingToAdd(f"{Path(local_path)} is not a folder; a file goes in with add_file.")
        store = self.store
        with Staging() as staging:
            found = keep(
                store.backends,
                store.cache,
                [os.path.join(os.fspath(local_path), "")],  # noqa: PTH118 - a Path would lose the last slash
                staging,
                Choice.of((), (), name or ""),
                algorithm=store.settings.hash,
                max_objects=10_000_000,
                allow_empty=True,
                dry_run=False,
                jobs=store.settings.jobs,
                progress=None,
            )
            draft.take(staging.entries(), replace=merge)
        draft.notes += found.notes
        self._added.folder(local_path, name or "")

    @contextmanager
    def new_file(
        self, name: str, mode: str = "x", encoding: str | None = None, policy: str = "mutable"
    ) -> Iterator[IO[Any]]:
        """A new file to write to, which is taken in when the block ends, and not if it raises.

        Args:
            name: Its path in the artifact.
            mode: `x` for a new one, `w` to replace what has that path; with `b` for bytes.
            encoding: Of text; UTF-8 by default.
            policy: Accepted, see `add_file`.

        Raises:
            DuplicatePath: With `x`, something has that path.
        """
        draft = self._changing()
        if mode.rstrip("bt") not in ("x", "w"):
            raise UsageError(f"A new file is opened with 'x' or 'w', and 'b' for bytes, not {mode!r}.")
        if "x" in mode and draft.get(name) is not None:
            raise DuplicatePath(f"There is a file {name!r} in this artifact: mode='w' replaces it.")
        folder = tempfile.mkdtemp(prefix="refstore-")
        try:
            path = Path(folder) / "new"
            with path.open(mode, encoding=None if "b" in mode else encoding or "utf-8") as file:
                yield file
            self.add_file(path, name, overwrite="w" in mode)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(
        self, obj: ArtifactManifestEntry, name: str | None = None, overwrite: bool = False
    ) -> ArtifactManifestEntry:
        """Take in an entry of another artifact. Media objects of W&B (tables, images) have no counterpart here.

        Raises:
            UsageError: It is no entry.
            DuplicatePath: Something else has its path.
        """
        if not isinstance(obj, ArtifactManifestEntry):
            raise UsageError(f"Only entries can be added, not {type(obj).__name__}: write it to a file, and add that.")
        return self._take([Entry(name or obj.path, obj.object)], replace=overwrite)[0]

    def __setitem__(self, name: str, item: ArtifactManifestEntry) -> None:
        self.add(item, name)

    def remove(self, item: str | os.PathLike[str] | ArtifactManifestEntry) -> None:
        """Take an entry, or all of a folder, out of this draft.

        Raises:
            EntryNotFound: There is none (a KeyError and a FileNotFoundError).
            ArtifactFinalizedError: The artifact is logged.
        """
        self._changing().drop(item.path if isinstance(item, ArtifactManifestEntry) else os.fspath(item))

    def _take(self, entries: Iterable[Entry], *, replace: bool = False) -> EntryList:
        return EntryList(self._changing().take(entries, replace=replace), cast("Artifact", self))
