"""No fork while a thread is inside SQLite: a child would inherit its locks, which nobody there could ever release.

See https://sqlite.org/howtocorrupt.html#_carrying_an_open_database_connection_across_a_fork_.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_PATIENCE = 60.0
"""Seconds that a fork waits for the other threads."""


class _Gate:
    """Many threads may be inside at once; a fork waits until there is none but its own, and lets none in meanwhile."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everybody: after a fork only one thread is left."""
        self._changed = threading.Condition(threading.Lock())
        self._inside: dict[int, int] = {}
        self._closed_by: int | None = None

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Keep the process from being forked, but by this thread itself."""
        me = threading.get_ident()
        with self._changed:
            while self._closed_by is not None and me not in self._inside and self._closed_by != me:
                self._changed.wait()
            self._inside[me] = self._inside.get(me, 0) + 1
        try:
            yield
        finally:
            with self._changed:
                left = self._inside.get(me, 1) - 1
                if left:
                    self._inside[me] = left
                else:
                    self._inside.pop(me, None)
                self._changed.notify_all()

    def holds(self) -> bool:
        """Whether this thread is inside."""
        return threading.get_ident() in self._inside

    def close(self) -> None:
        """Wait for all other threads to be out."""
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._closed_by is None, _PATIENCE)
            self._closed_by = me
            self._changed.wait_for(lambda: not (self._inside.keys() - {me}), _PATIENCE)

    def open(self) -> None:
        """Let them in again."""
        with self._changed:
            self._closed_by = None
            self._changed.notify_all()


_gate = _Gate()

inside_sqlite = _gate.inside
"""A context in which the process is not forked by another thread."""

is_inside = _gate.holds
"""Whether this thread is in such a context."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_gate.close, after_in_parent=_gate.open, after_in_child=_gate.reset)
