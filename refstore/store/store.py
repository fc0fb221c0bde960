"""The store as people have it in their hands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refstore.progress import Progress
from refstore.store.folder import find, make
from refstore.store.labelling import StoreLabelling
from refstore.store.recording import StoreRecording
from refstore.store.upkeep import StoreUpkeep


class Store(StoreRecording, StoreLabelling, StoreUpkeep):
    """A store. Made by `refstore.open` or `refstore.create`; use it as a context manager, or `close` it.

    One instance belongs to one thread; several processes may use one store at once.

    Attributes:
        root: The folder that holds `.refstore`.
        folder: The folder `.refstore`.
        created: Whether this call made it.
        on_note: Called with each sentence that a person should read of a name that was resolved: that a merge
            renumbered what it meant before.
    """

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
        return cls(root, created=make(root))

    @classmethod
    def clone(
        cls,
        url: str,
        path: str | os.PathLike[str] | None = None,
        *,
        content: bool = False,
        progress: Progress | None = None,
    ) -> Store:
        """Make a store that has what a remote has, with the remote as its `origin`.

        Args:
            url: Of the remote: `s3://bucket/team`, a folder and so on.
            path: The folder to make it in; one named as the URL ends, in the current one, by default.
            content: Fetch all stored content too. Without it a checkout fetches what it needs.
            progress: Told of packs, or of files and bytes.

        Raises:
            UsageError: There is a store in that folder already.
            SourceMissing: There is no remote at the URL.
            AccessError, SourceUnavailable, RemoteCorrupt: It can't be read.
        """
        from refstore.sync.remotes import clone

        return clone(url, path, content=content, progress=progress)

    def __enter__(self) -> Store:
        return self
