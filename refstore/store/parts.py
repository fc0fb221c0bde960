"""What a store is made of, each part opened when it is first needed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from refstore.catalog.catalog import Catalog
from refstore.catalog.index_place import index_path
from refstore.config import Settings, load
from refstore.names import ArtifactName, VersionName, parse_artifact, parse_version

if TYPE_CHECKING:
    from refstore.backends.registry import Backends
    from refstore.checkout.cache import Cache
    from refstore.checkout.ledger import Ledger
    from refstore.sync.remotes import Remotes
from refstore.store.folder import FOLDER


class StoreParts:
    """The catalog, the cache and what else a store has.

    Args:
        root: The folder that holds `.refstore`.
        created: Whether this call made it.
    """

    def __init__(self, root: Path, *, created: bool = False) -> None:
        self.root = root
        self.folder = root / FOLDER
        self.created = created
        self.on_note: Callable[[str], None] | None = None
        self.settings: Settings = load(root)
        self._catalog: Catalog | None = None
        self._backends: Backends | None = None
        self._cache: Cache | None = None
        self._remotes: Remotes | None = None
        self._ledger: Ledger | None = None

    def close(self) -> None:
        """Let go of all files."""
        for part in (self._catalog, self._ledger):
            if part is not None:
                part.close()
        self._catalog = self._ledger = None

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

            # Beside the index: SQLite is no safer on a network file system for this than for that.
            seen = index_path(self.folder, self.settings.index_dir).with_name("seen.db")
            self._backends = Backends(self.settings, seen)
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
            folder = self.root / Path(chosen).expanduser() if chosen else self.folder / "cache"
            self._cache = Cache(folder, self.remotes.elsewhere())
        return self._cache

    @property
    def remotes(self) -> Remotes:
        """The places that the catalog is pushed to and pulled from."""
        if self._remotes is None:
            from refstore.sync.remotes import Remotes

            self._remotes = Remotes(self)
        return self._remotes

    @property
    def ledger(self) -> Ledger:
        """What this machine has checked out, and where."""
        if self._ledger is None:
            from refstore.checkout.ledger import Ledger

            # Beside the index: SQLite is no safer on a network file system for this than for that.
            self._ledger = Ledger(index_path(self.folder, self.settings.index_dir).with_name("local.db"))
        return self._ledger

    def _artifact_name(self, name: str) -> ArtifactName:
        return parse_artifact(name, entity=self.settings.entity, project=self.settings.project)

    def _version_name(self, name: str) -> VersionName:
        return parse_version(name, entity=self.settings.entity, project=self.settings.project)
