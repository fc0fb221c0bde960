"""The import of client libraries, by one thread at a time."""

from __future__ import annotations

import threading

LOADING = threading.RLock()
"""Held while a client library is imported, and for nothing that waits for a request or for the event loop.

The modules of the client libraries import each other in circles. Of two threads that enter such a circle at different
places Python lets one see a module that is half loaded, rather than have both wait for ever:
https://docs.python.org/3/library/threading.html (and `_DeadlockError` in importlib's source).
"""
