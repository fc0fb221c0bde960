"""`refstore://` for fsspec: every version is a folder of its pinned bytes, to be read without a checkout.

::

    refstore://                            the artifacts' versions, and folders of projects and entities
    refstore://vision                      the versions in a project; the projects of an entity
    refstore://mnist:v3/train/a.csv        a file of a version: by number,
    refstore://vision/mnist:best/a.csv     by alias (`latest` too),
    refstore://team/vision/mnist@3f2a/a.csv   or by digest

A name ends with its version, and a file's name has to have one: `vision/mnist/a.csv` could be a file of `vision` as
well as one of `vision/mnist`, and what it means would change with the next artifact that somebody makes. Listings show
versions by their numbers, so that each file is found once; aliases and digests work wherever a name does. Nothing in a
path is escaped.

Whatever is read is what was recorded, or is refused:

- what is read in full, from the first byte to the last one, is compared with its digest, where one is known;
- parts of an object that its service pins (a version, a generation, a strong ETag) are read at that version or under
  that condition;
- parts of a local file, which only its digest pins, are read after the whole was compared with it once, and while its
  inode, size and times stay what they were then;
- parts of anything else are read from a temporary copy that was compared in full;
- content in the store's cache is read from there.

What an entry of pin `none` refers to has nothing to be compared with but size and time, here as in a checkout.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NoReturn

from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.config import apply_config
from fsspec.spec import AbstractFileSystem
from fsspec.utils import isfilelike

from refstore.backends.times import datetime_from_iso
from refstore.catalog.fork_gate import inside_sqlite
from refstore.catalog.queries import VersionInfo
from refstore.checkout.disk import writing
from refstore.checkout.parallel import in_parallel
from refstore.checkout.pinned import PinnedReads
from refstore.checkout.reader import in_ranges
from refstore.errors import ArtifactNotFound, EntryNotFound, InvalidName, ReadOnly, RefstoreError, UnsafePath
from refstore.manifest.entry import STORED, Entry
from refstore.names import parse_version, split_file_path
from refstore.pinned_file import PinnedBytes, PinnedFile
from refstore.records.encoding import canonical
from refstore.store import Store, find
from refstore.tracking.stores import Stores, at

logger = logging.getLogger("refstore")


@dataclass(frozen=True, slots=True)
class _Place:
    """What a path means: a version, and the path in it."""

    name: str
    version: VersionInfo
    inside: str


class _InOneStore(type(AbstractFileSystem)):  # type: ignore[misc]
    """Names the store in the options of every instance, so that fsspec's cache and pickles mean that very one."""

    def __call__(cls, store: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        chosen = apply_config(cls, {}).get("store") if store is None else store
        return super().__call__(store=str(find(chosen)), **options)


class RefstoreFileSystem(AbstractFileSystem, metaclass=_InOneStore):  # type: ignore[misc]
    """The versions of one store, as folders. See the module for paths and for what is promised.

    Instances serve many threads, and forked and spawned processes. Each call sees what was recorded before it.

    Args:
        store: The folder that holds `.refstore`, or one below it; by default the current folder, or the variable
            `REFSTORE_STORE`. Looked up when the instance is made.

    Raises:
        StoreNotFound: There is none.
    """

    protocol = "refstore"
    root_marker = ""
    cachable = True

    def __init__(self, store: str, **options: Any) -> None:
        super().__init__(**options)
        self._stores: Stores = at(Path(store))
        self._reads: PinnedReads | None = None
        self._reads_of: object = None
        self._told: set[str] = set()

    @property
    def fsid(self) -> str:
        """The same for all instances that mean the same store."""
        return f"refstore-{sha256(os.fsencode(self._stores.root)).hexdigest()[:16]}"

    # What there is

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """What stands in a folder, by name. Opens only the parts of a manifest that hold that folder.

        Raises:
            EntryNotFound: There is no such folder or file.
        """
        path = self._strip_protocol(path)
        with inside_sqlite():
            store = self._stores.here
            place = self._place(store, path)
            if place is None:
                found = self._catalog_folder(store, path)
            else:
                folder = place.inside + "/" if place.inside else ""
                found = [
                    self._directory(f"{place.name}/{item}")
                    if isinstance(item, str)
                    else self._file_info(store, place, item)
                    for item in store.catalog.queries.folder(place.version, folder)
                ]
                if not found and place.inside:
                    found = [self._file_info(store, place, self._entry(store, place))]
        return found if detail else [info["name"] for info in found]

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """What is known of a file or folder, without a request: look-ups in the index.

        Of a file: `size` (bytes; None where its service didn't tell), `checksum`, `etag`, `version` (the object's),
        `uri`, `pin`, `mtime` (a `datetime`). Of a version: `digest`, `aliases`, `created`.

        Raises:
            EntryNotFound: There is no such thing.
        """
        path = self._strip_protocol(path)
        with inside_sqlite():
            store = self._stores.here
            place = self._place(store, path)
            if place is None:
                if path:
                    self._catalog_folder(store, path)
                return self._directory(path)
            if not place.inside:
                return self._version_info(path, place.version)
            entry = store.catalog.queries.entry_or_none(place.version, place.inside)
            if entry is not None:
                return self._file_info(store, place, entry)
            for _ in store.catalog.queries.folder(place.version, place.inside + "/"):
                return self._directory(path)
            raise self._no_file(place)

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **options: Any
    ) -> Any:
        """All files below a folder, by name: for a version, in one pass over the parts of its manifest that hold it."""
        path = self._strip_protocol(path)
        if maxdepth is not None or split_file_path(path) is None:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **options)
        out: dict[str, dict[str, Any]] = {}
        with inside_sqlite():
            store = self._stores.here
            try:
                place = self._place(store, path)
            except EntryNotFound:
                place = None
            if place is not None:
                folder = place.inside + "/" if place.inside else ""
                for entry in store.catalog.queries.entries(place.version, folder):
                    info = self._file_info(store, place, entry)
                    if withdirs:
                        above = info["name"]
                        while (above := above.rpartition("/")[0].rstrip("/")) not in out and len(above) >= len(path):
                            out[above] = self._directory(above)
                    out[info["name"]] = info
                if place.inside and (alone := store.catalog.queries.entry_or_none(place.version, place.inside)):
                    out[path] = self._file_info(store, place, alone)
                elif withdirs and out and not place.inside:
                    out[path] = self._version_info(path, place.version)
        return {name: out[name] for name in sorted(out)} if detail else sorted(out)

    def created(self, path: str) -> datetime:
        """When the version was recorded (UTC)."""
        return datetime_from_iso(self._found(path).version.created)

    def modified(self, path: str) -> datetime:
        """When a file was last modified at its source (UTC); where that is not known, when the version was recorded."""
        place = self._found(path)
        with inside_sqlite():
            store = self._stores.here
            entry = store.catalog.queries.entry_or_none(place.version, place.inside) if place.inside else None
        return datetime_from_iso((entry and entry.object.mtime) or place.version.created)

    def ukey(self, path: str) -> str:
        """A digest of what is recorded of a file: the same as long as it means the same bytes."""
        entry = self._file(path)[1]
        return sha256(canonical(entry.to_json())).hexdigest()

    def checksum(self, path: str) -> int:
        """`ukey` as a number."""
        return int(self.ukey(path), 16)

    # Reading

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        cache_type: str | None = None,
        size: int | None = None,
        **options: Any,
    ) -> PinnedFile:
        if mode != "rb":
            self._refuse()
        store, entry, place = self._file(path)
        return PinnedFile(
            self,
            path,
            f"{place.version.artifact}@{place.version.manifest}/{place.inside}",
            self._bytes(store, entry),
            block_size=block_size,
            cache_type=cache_type,
            cache_options=cache_options,
            info=self._file_info(store, place, entry),
        )

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """The bytes of a file, or a part of it: one request. Offsets below zero count from the end.

        Raises:
            EntryNotFound: There is no such file.
            SourceGone, SourceChanged, ChecksumMismatch, SourceUnavailable: The recorded bytes can't be had.
        """
        store, entry, _ = self._file(path)
        source = self._bytes(store, entry)
        return source.whole() if start is None and end is None else source.ranges([(start, end)])[0]

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **options: Any) -> Any:
        """The bytes of a file, or of many by their paths; many are read at once. See `fsspec`."""
        paths = self.expand_path(path, recursive=recursive)
        if len(paths) == 1 and not isinstance(path, list) and paths[0] == self._strip_protocol(path):
            return self.cat_file(paths[0])
        if recursive:
            paths = [each for each in paths if not self.isdir(each)]
        asked = (self._asking(each, PinnedBytes.whole) for each in paths)
        out = {}
        for each, answer in zip(paths, self._at_once(asked), strict=True):
            if isinstance(answer, BaseException) and on_error == "raise":
                raise answer
            if not isinstance(answer, BaseException) or on_error == "return":
                out[each] = answer
        return out

    def cat_ranges(
        self,
        paths: list[str],
        starts: int | list[int | None] | None,
        ends: int | list[int | None] | None,
        max_gap: int | None = None,
        on_error: str = "return",
        **options: Any,
    ) -> list[Any]:
        """Parts of files, read at once. What has to be read in full to be believed is so once for all its parts.

        Args:
            paths: One for each part.
            starts: Of each; one number for all.
            ends: Of each; one number for all.
            max_gap: Without a meaning here.
            on_error: `return` to have an error in the place of the part that it is about, `raise` to have it raised.
            **options: Without a meaning here.
        """
        starts = starts if isinstance(starts, list) else [starts] * len(paths)
        ends = ends if isinstance(ends, list) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("cat_ranges needs as many starts and ends as paths.")
        parts = list(zip(starts, ends, strict=True))
        together: dict[object, list[int]] = {}
        for number, path in enumerate(paths):
            try:
                alone = in_ranges(self._file(path)[1].object)
            except RefstoreError:
                alone = True
            together.setdefault(number if alone else path, []).append(number)
        groups = list(together.values())
        asked = (
            self._asking(paths[group[0]], partial(PinnedBytes.ranges, wanted=[parts[number] for number in group]))
            for group in groups
        )
        out: list[Any] = [None] * len(paths)
        for group, answer in zip(groups, self._at_once(asked), strict=True):
            if isinstance(answer, BaseException):
                if on_error == "raise":
                    raise answer
                answer = [answer] * len(group)
            for number, part in zip(group, answer, strict=True):
                out[number] = part
        return out

    def get_file(
        self, rpath: str, lpath: Any = None, callback: Any = DEFAULT_CALLBACK, outfile: Any = None, **options: Any
    ) -> None:
        """Copy one file to a local path, where it appears once all of its bytes are there and compared.

        Raises:
            EntryNotFound: There is no such file.
            UnsafePath: A part of its path is `..`: it could be written outside of the folder that was meant.
            SourceGone, SourceChanged, ChecksumMismatch, SourceUnavailable: The recorded bytes can't be had.
        """
        outfile = lpath if outfile is None and isfilelike(lpath) else outfile
        if outfile is None and self.isdir(rpath):
            Path(lpath).mkdir(parents=True, exist_ok=True)
            return
        store, entry, place = self._file(rpath)
        callback.set_size(entry.object.size)
        source = self._bytes(store, entry)
        if outfile is not None:
            outfile.write(source.whole())
            callback.relative_update(entry.object.size or 0)
            return
        if ".." in place.inside.replace("\\", "/").split("/"):
            raise UnsafePath(
                f"{self._strip_protocol(rpath)} is not copied, because of the '..' in it: open it instead."
            )
        target = Path(os.fspath(lpath))
        temporary = target.with_name(f".refstore-{uuid.uuid4().hex}")
        with writing(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        try:
            try:
                source.copy(file, str(target), callback.relative_update)
                with writing(target):
                    os.fsync(file)
            finally:
                os.close(file)
            with writing(target):
                temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise

    # Writing: never

    def _refuse(self, *arguments: Any, **options: Any) -> NoReturn:
        raise ReadOnly(
            "refstore:// is read-only, for a version never changes: record a new one with 'refstore add' or "
            "'refstore put'."
        )

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = copy = mv = touch = _refuse
    pipe = pipe_file = put = put_file = write_text = sign = _refuse

    # From paths to entries

    def _place(self, store: Store, path: str) -> _Place | None:
        """The version and the path in it that a path means; None where it names no version."""
        parts = split_file_path(path)
        if parts is None:
            return None
        name, inside = parts
        try:
            wanted = parse_version(name, entity=store.settings.entity, project=store.settings.project)
            version = store.catalog.queries.version(wanted)
        except (ArtifactNotFound, InvalidName) as error:
            raise EntryNotFound(str(error)) from error
        for note in version.notes:
            if note not in self._told:
                self._told.add(note)
                logger.warning("refstore: %s", note)
        return _Place(name, version, inside)

    def _found(self, path: str) -> _Place:
        path = self._strip_protocol(path)
        with inside_sqlite():
            place = self._place(self._stores.here, path)
        if place is None:
            raise self._no_version(path)
        return place

    def _file(self, path: str) -> tuple[Store, Entry, _Place]:
        path = self._strip_protocol(path)
        with inside_sqlite():
            store = self._stores.here
            place = self._place(store, path)
            if place is None:
                raise self._no_version(path)
            return store, self._entry(store, place), place

    def _entry(self, store: Store, place: _Place) -> Entry:
        entry = store.catalog.queries.entry_or_none(place.version, place.inside) if place.inside else None
        if entry is None:
            raise self._no_file(place)
        return entry

    @staticmethod
    def _no_file(place: _Place) -> EntryNotFound:
        return EntryNotFound(
            f"{place.name} has no file {place.inside!r}." if place.inside else f"{place.name} is a folder, not a file."
        )

    @staticmethod
    def _no_version(path: str) -> EntryNotFound:
        return EntryNotFound(
            f"refstore://{path} names no version: write one behind the artifact's name, as in "
            "refstore://mnist:v0/train.csv or refstore://vision/mnist:latest/train.csv."
        )

    def _catalog_folder(self, store: Store, path: str) -> list[dict[str, Any]]:
        """The versions and folders at the root, in a project or in an entity."""
        queries, settings = store.catalog.queries, store.settings
        parts = path.split("/") if path else []
        versions: list[VersionInfo] = []
        folders: set[str] = set()
        if not parts:
            versions = queries.versions_in(settings.entity, settings.project)
            for found in queries.projects():
                if found.entity == settings.entity and found.project != settings.project:
                    folders.add(found.project)
                elif found.entity != settings.entity and found.entity:
                    folders.add(found.entity)
        elif len(parts) == 1:
            versions = queries.versions_in(settings.entity, parts[0])
            folders = {f"{path}/{found.project}" for found in queries.projects() if path == found.entity}
        elif len(parts) == 2:
            versions = queries.versions_in(*parts)
        if parts and not versions and not folders:
            raise self._no_version(path)
        before = path + "/" if path else ""
        out = [self._version_info(f"{before}{v.artifact.artifact}:v{v.number}", v) for v in versions]
        return [*out, *map(self._directory, sorted(folders))]

    # What is said of them

    @staticmethod
    def _directory(path: str) -> dict[str, Any]:
        return {"name": path, "size": 0, "type": "directory"}

    def _version_info(self, path: str, version: VersionInfo) -> dict[str, Any]:
        more = {"digest": version.manifest, "aliases": list(version.aliases), "created": version.created}
        return self._directory(path) | more

    @staticmethod
    def _file_info(store: Store, place: _Place, entry: Entry) -> dict[str, Any]:
        obj = entry.object
        uri = None
        if obj.scheme != STORED:
            # the package that would read it may not be installed
            with suppress(RefstoreError):
                uri = store.backends.for_object(obj).uri(obj)
        return {
            "name": f"{place.name}/{entry.path}",
            "size": obj.size,
            "type": "file",
            "checksum": str(obj.checksum) if obj.checksum is not None else None,
            "etag": obj.etag,
            "version": obj.version,
            "uri": uri,
            "pin": obj.pin.value,
            "mtime": datetime_from_iso(obj.mtime) if obj.mtime is not None else None,
        }

    # From entries to bytes

    def _bytes(self, store: Store, entry: Entry) -> PinnedBytes:
        if self._reads is None or self._reads_of is not store.backends:
            self._reads, self._reads_of = PinnedReads(store.backends), store.backends
        return PinnedBytes(entry, store, self._reads)

    def _asking(self, path: str, read: Callable[[PinnedBytes], Any]) -> Callable[[], Any]:
        """A read of one file that can be done in any thread; the index is asked in this one."""
        try:
            store, entry, _ = self._file(path)
            source = self._bytes(store, entry)
        except RefstoreError as error:
            return partial(_same, error)
        return partial(_answer, read, source)

    def _at_once(self, asked: Iterable[Callable[[], Any]]) -> Iterator[Any]:
        return in_parallel(lambda ask: ask(), asked, self._stores.here.settings.jobs)


def _same(answer: Any) -> Any:
    return answer


def _answer(read: Callable[[PinnedBytes], Any], source: PinnedBytes) -> Any:
    try:
        return read(source)
    except RefstoreError as error:
        return error
