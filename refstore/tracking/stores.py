"""One store for many threads and processes: each thread has a connection of its own, and a forked one starts anew."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from pathlib import Path

from refstore.backends.registry import Backends
from refstore.catalog.fork_gate import is_inside
from refstore.errors import StoreNotFound
from refstore.store import Store, find
from refstore.tracking.git_state import git_root

logger = logging.getLogger("refstore")


class _Held:
    """A thread's own store, closed when the thread ends."""

    def __init__(self, root: Path) -> None:
        self.store = Store(root)
        self.process, self.thread = os.getpid(), threading.get_ident()
        _LIVE.add(self)

    def __del__(self) -> None:
        # SQLite forbids to use or close a connection on the other side of a fork: https://sqlite.org/howtocorrupt.html
        if self.process == os.getpid():
            self.store.close()


_LIVE: weakref.WeakSet[_Held] = weakref.WeakSet()
_INHERITED: list[_Held] = []


def _before_fork() -> None:
    # Held until the child has replaced its memory or ended, so that nothing there closes them.
    _INHERITED.extend(_LIVE)
    # What is closed leaves nothing behind in SQLite's own memory; other threads may be in the middle of theirs.
    for held in _INHERITED:
        if held.thread == threading.get_ident() and not is_inside():
            held.store.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_INHERITED.clear)


class Stores:
    """The way to a store from any thread, and from forked and spawned processes: it can be pickled.

    Attributes:
        root: The folder that holds `.refstore`.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._local = threading.local()
        self._backends: Backends | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return at, (self.root,)

    @property
    def here(self) -> Store:
        """This thread's own store, up to date with what others recorded."""
        held: _Held | None = getattr(self._local, "held", None)
        if held is None or held.process != os.getpid():
            if held is not None:
                _INHERITED.append(held)
            held = self._local.held = _Held(self.root)
            held.store.share(self._shared(held.store))
        else:
            held.store.catalog.refresh()
        return held.store

    def _shared(self, store: Store) -> Backends:
        if self._process != os.getpid():
            # The lock of a forked process may be held by a thread that is not there any more.
            self._lock, self._backends, self._process = threading.Lock(), None, os.getpid()
        with self._lock:
            if self._backends is None:
                self._backends = store.backends
            return self._backends


_BY_ROOT: dict[Path, Stores] = {}


def at(root: Path) -> Stores:
    """The store in a folder."""
    return _BY_ROOT.setdefault(root, Stores(root))


def found_or_made(folder: str | os.PathLike[str] | None = None) -> Stores:
    """The store that a folder is in; where there is none, a new one, which a warning tells of.

    A new one is made at the root of the git repository, so that its records are committed with the code, or in the
    folder itself outside of one.

    Raises:
        StoreError: It can't be made.
    """
    try:
        return at(find(folder))
    except StoreNotFound:
        start = Path(folder or os.environ.get("REFSTORE_STORE") or ".").absolute()
        made = Store.create(git_root(start) or start)
        logger.warning("refstore: made a new store in %s; 'refstore runs ls' and 'refstore ls' show it.", made.folder)
        made.close()
        return at(made.root)
