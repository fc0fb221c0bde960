"""Where packs wait that were read from a remote and are not in the catalog."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.errors import RemoteCorrupt
from refstore.failed_write import storage_error
from refstore.names import check_part
from refstore.records.encoding import digest
from refstore.records.transaction import SUFFIX

if TYPE_CHECKING:
    from refstore.catalog.catalog import Catalog
    from refstore.sync.remote import Remote


class Incoming:
    """Packs that were read, and are not in the catalog: `.refstore/incoming/<name>/`, one file each.

    Args:
        catalog: Of the store.
        remote: Where they come from.
        name: What the user calls it; "" to make a name from the URL.
    """

    def __init__(self, catalog: Catalog, remote: Remote, name: str) -> None:
        self._remote = remote
        self._records = catalog.records
        self.folder = catalog.folder / "incoming" / (check_part(name) if name else digest(remote.url.encode())[:16])

    def path(self, name: str) -> Path:
        """Where a pack is kept, or would be."""
        return self.folder / (name + SUFFIX)

    def find(self, name: str) -> Path:
        """Where a pack is: here or among the records; read again where it is nowhere.

        Raises:
            RemoteCorrupt, SourceMissing, SourceUnavailable, AccessError: It can't be had.
        """
        for path in (self.path(name), self._records / (name + SUFFIX)):
            if path.exists():
                return path
        self.read(name)
        return self.path(name)

    def read(self, name: str) -> bytes:
        """A pack, from here, from the records, or from the remote; it is what its name says."""
        for path in (self.path(name), self._records / (name + SUFFIX)):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            if digest(data) == name:
                return data
        data = self._remote.read(name)
        if digest(data) != name:
            raise RemoteCorrupt(f"The pack {name} of {self._remote.url} is not what its name says.")
        self._keep(name, data)
        return data

    def drop(self, name: str) -> None:
        """Forget a pack."""
        self.path(name).unlink(missing_ok=True)

    def _keep(self, name: str, data: bytes) -> None:
        temporary = self.folder / f"{name}-{os.getpid()}-{secrets.token_hex(4)}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                temporary.write_bytes(data)
                temporary.replace(self.path(name))
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(error, f"for what came from {self._remote.url}") from error

    def remove_unfinished(self) -> None:
        """Delete what killed processes left half-written over an hour ago."""
        for path in self.folder.glob("*.tmp"):
            if time.time() - path.stat().st_mtime > 3600:
                path.unlink(missing_ok=True)
