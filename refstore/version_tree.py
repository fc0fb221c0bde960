"""The versions of a store as a tree of folders and files: names, listings, and what is recorded of each file.

What a path means is told in `refstore.filesystem`, which adds the bytes.
"""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from fsspec.config import apply_config
from fsspec.spec import AbstractFileSystem

from refstore.backends.times import datetime_from_iso
from refstore.catalog.fork_gate import inside_sqlite
from refstore.catalog.infos import VersionInfo
from refstore.errors import ArtifactNotFound, EntryNotFound, InvalidName, RefstoreError
from refstore.manifest.entry import STORED, Entry
from refstore.names import parse_version, split_file_path
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


class InOneStore(type(AbstractFileSystem)):  # type: ignore[misc]
    """Names the store in the options of every instance, so that fsspec's cache and pickles mean that very one."""

    def __call__(cls, store: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Make an instance, or take the one of that store.

        Raises:
            StoreNotFound: There is no store.
        """
        chosen = apply_config(cls, {}).get("store") if store is None else store
        return super().__call__(store=str(find(chosen)), **options)


class VersionTree(AbstractFileSystem, metaclass=InOneStore):  # type: ignore[misc]
    """What there is in one store. Instances serve many threads, and forked and spawned processes.

    Args:
        store: As of `RefstoreFileSystem`.
    """

    def __init__(self, store: str, **options: Any) -> None:
        super().__init__(**options)
        self._stores: Stores = at(Path(store))
        self._told: set[str] = set()

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
