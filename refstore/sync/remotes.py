"""The remotes of a store: `store.remotes`."""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.config import RemoteURL, check_remote_name, load
from refstore.errors import ArtifactNotFound, RefstoreError, SourceMissing, UsageError
from refstore.manifest.entry import Checksum
from refstore.settings_file import drop_table, rename_table, set_setting
from refstore.sync.content import FromRemotes, Moved, pull_content, push_content
from refstore.sync.stored import StoredRemote

if TYPE_CHECKING:
    from refstore.progress import Progress
    from refstore.store.parts import StoreParts
    from refstore.store.store import Store
    from refstore.sync.fetch import Fetched
    from refstore.sync.pull import Pulled
    from refstore.sync.push import Pushed

ORIGIN = "origin"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://")


@dataclass(frozen=True, slots=True)
class Shared:
    """What was moved between a store and a remote.

    Attributes:
        name: The remote's name; "" where a URL was given.
        url: Where it is.
        records: What became of records.
        content: What became of stored content; None where it was not asked for.
    """

    name: str
    url: str
    records: Pushed | Pulled | Fetched
    content: Moved | None = None


class Remotes:
    """The places that a store pushes to and pulls from: `[remotes.NAME]` in `.refstore.toml`.

    Args:
        store: Whose.
    """

    def __init__(self, store: StoreParts) -> None:
        self._store = store
        self._made: dict[str, StoredRemote] = {}

    def list(self) -> tuple[RemoteURL, ...]:
        """All of them, in the order of the settings file."""
        return self._store.settings.remotes

    def add(self, name: str, url: str) -> RemoteURL:
        """Set up a remote. No request is made.

        Args:
            name: `origin` is what commands mean by themselves.
            url: `s3://bucket/prefix`, `gs://`, `az://`, `sftp://host/path` or another protocol of fsspec, or a folder.

        Raises:
            UsageError: There is one of that name, or the URL can't be a remote.
            SecretInURI: The URL holds a credential.
        """
        check_remote_name(name, "refstore remote")
        if any(remote.name == name for remote in self.list()):
            raise UsageError(f"There is a remote {name!r} already: choose another name, or remove that one first.")
        written = absolute(url)
        StoredRemote(written, self._store.backends)
        set_setting(self._store.root, f"remotes.{name}.url", written)
        self._changed()
        return RemoteURL(name, written)

    def remove(self, name: str) -> RemoteURL:
        """Forget a remote. What it holds stays there.

        Raises:
            ArtifactNotFound: There is none of that name.
        """
        found = self._named(name)
        drop_table(self._store.root, f"remotes.{name}")
        shutil.rmtree(self._incoming(name), ignore_errors=True)
        self._changed()
        return found

    def rename(self, old: str, new: str) -> RemoteURL:
        """Give a remote another name.

        Raises:
            ArtifactNotFound: There is none of that name.
            UsageError: There is one of the new name.
        """
        found = self._named(old)
        check_remote_name(new, "refstore remote")
        if any(remote.name == new for remote in self.list()):
            raise UsageError(f"There is a remote {new!r} already: choose another name, or remove that one first.")
        rename_table(self._store.root, f"remotes.{old}", f"remotes.{new}")
        with suppress(OSError):
            self._incoming(old).rename(self._incoming(new))
        self._changed()
        return RemoteURL(new, found.url)

    def push(
        self, name: str = ORIGIN, *, content: bool = False, jobs: int | None = None, progress: Progress | None = None
    ) -> Shared:
        """Send the records that a remote lacks; with `content` also what versions say the store keeps.

        Content goes first, so that no record there refers to what is not there. An interrupted push leaves both sides
        whole, and the next one sends the rest.

        Args:
            name: A remote's name, or a URL.
            content: Send stored content too.
            jobs: Requests at once; the setting by default.
            progress: Told of packs, or of files and bytes.

        Raises:
            ArtifactNotFound: There is no such remote.
            AccessError, SourceUnavailable, SourceError: It can't be written.
            RemoteCorrupt: It is no remote.
        """
        from refstore.sync.push import push

        called, remote = self.get(name)
        at_once = jobs or self._store.settings.jobs
        moved = None
        if content:
            remote.identity(create=True)
            moved = push_content(self._stored(), self._store.cache, remote, jobs=at_once, progress=progress)
        pushed = push(self._store.catalog, remote, called, jobs=min(at_once, 8), progress=progress)
        return Shared(called, remote.url, pushed, moved)

    def fetch(self, name: str = ORIGIN, *, jobs: int | None = None, progress: Progress | None = None) -> Shared:
        """Read what is new at a remote, and check it; a later `pull` takes it in. Raises as `push` does."""
        from refstore.sync.fetch import fetch

        called, remote = self.get(name)
        at_once = jobs or self._store.settings.jobs
        return Shared(
            called, remote.url, fetch(self._store.catalog, remote, called, jobs=min(at_once, 8), progress=progress)
        )

    def pull(
        self, name: str = ORIGIN, *, content: bool = False, jobs: int | None = None, progress: Progress | None = None
    ) -> Shared:
        """Take in the records that the catalog lacks; with `content` also fetch stored content that the cache lacks.

        The arguments are those of `push`.

        Raises:
            ArtifactNotFound: There is no such remote.
            AccessError, SourceUnavailable, SourceError: It can't be read.
            RemoteCorrupt: It is no remote. A single pack that can't be believed is in the answer.
            ChecksumMismatch: It holds other content than its name says.
        """
        from refstore.sync.pull import pull

        called, remote = self.get(name)
        at_once = jobs or self._store.settings.jobs
        pulled = pull(self._store.catalog, remote, called, jobs=min(at_once, 8), progress=progress)
        moved = None
        if content:
            moved = pull_content(self._stored(), self._store.cache, remote, jobs=at_once, progress=progress)
        return Shared(called, remote.url, pulled, moved)

    def get(self, name: str = ORIGIN) -> tuple[str, StoredRemote]:
        """A remote and what it is called: "" for one that was given as a URL.

        Raises:
            ArtifactNotFound: There is no such remote.
        """
        known = next((remote for remote in self.list() if remote.name == name), None)
        if known is None and (_URL.match(name) or "/" in name):
            return "", StoredRemote(absolute(name), self._store.backends, jobs=self._store.settings.jobs)
        url = (known or self._named(name)).url
        if not _URL.match(url) and not url.startswith(("/", "~", "file:")):
            url = os.fspath(self._store.root / url)
        return name, StoredRemote(url, self._store.backends, jobs=self._store.settings.jobs)

    def elsewhere(self) -> FromRemotes:
        """Where stored content is looked for that the cache lacks: at each remote, `origin` first."""
        return FromRemotes(self._all)

    def _all(self) -> Iterator[tuple[str, StoredRemote]]:
        for remote in sorted(self.list(), key=lambda remote: remote.name != ORIGIN):
            if remote.name not in self._made:
                self._made[remote.name] = self.get(remote.name)[1]
            yield remote.name, self._made[remote.name]

    def _stored(self) -> Iterator[Checksum]:
        return map(Checksum.parse, self._store.catalog.queries.stored_checksums())

    def _named(self, name: str) -> RemoteURL:
        names = [remote.name for remote in self.list()]
        if name in names:
            return self.list()[names.index(name)]
        if not names:
            raise ArtifactNotFound(
                "This store has no remote yet: add one with `refstore remote add origin URL`, such as s3://bucket/team "
                "or a shared folder."
            )
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"this store has {', '.join(names)}."
        raise ArtifactNotFound(f"There is no remote {name!r}: {hint}")

    def _incoming(self, name: str) -> Path:
        return self._store.folder / "incoming" / name

    def _changed(self) -> None:
        self._store.settings = load(self._store.root)
        self._made.clear()


def absolute(url: str) -> str:
    """The URL as it is written into settings: a path from the root on."""
    if not url:
        raise UsageError("A remote needs a URL, such as s3://bucket/team, or a folder.")
    if _URL.match(url) or url.lower().startswith("file:"):
        return url.rstrip("/") if not url.endswith("://") else url
    return os.path.normpath(Path(url).expanduser().absolute())


def clone(
    url: str, path: str | os.PathLike[str] | None = None, *, content: bool = False, progress: Progress | None = None
) -> Store:
    """Make a store that has what a remote has, with the remote as its `origin`; see `Store.clone`.

    Raises:
        UsageError: There is a store in that folder already.
        SourceMissing: There is no remote at the URL.
        RefstoreError: As `Remotes.pull`.
    """
    from refstore.store import FOLDER, Store

    written = absolute(url)
    root = Path(path if path is not None else written.rstrip("/").rpartition("/")[2] or "store").absolute()
    if (root / FOLDER).exists():
        raise UsageError(
            f"There is a store in {root} already: use `refstore pull` there, or clone into another folder."
        )
    from refstore.backends import Backends

    remote = StoredRemote(written, Backends(load(root)))
    if remote.identity() is None:
        raise SourceMissing(
            f"There is no refstore remote at {remote.url}: check the URL, or push to it from the store that it is for."
        )
    store = Store.create(root)
    try:
        if any(known.name == ORIGIN for known in store.remotes.list()):
            store.remotes.remove(ORIGIN)  # of the settings file that stood in the folder
        store.remotes.add(ORIGIN, written)
        store.remotes.pull(ORIGIN, content=content, progress=progress)
    except RefstoreError as error:
        store.close()
        error.args = (f"{error} The store {root} is there; `refstore pull` in it carries on.", *error.args[1:])
        raise
    except BaseException:
        store.close()
        raise
    return store
