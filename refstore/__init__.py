"""refstore: remember which external files a piece of work used, and get those exact bytes back.

>>> import refstore
>>> store = refstore.create()
>>> store.add("s3://bucket/datasets/mnist", name="mnist", max_objects=100_000)
>>> store.version("mnist:v0").checkout("data")

Everything public is listed here; nothing else is.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from refstore.version_number import __version__

if TYPE_CHECKING:
    from refstore import errors
    from refstore.errors import RefstoreError
    from refstore.store import Store
    from refstore.version import Diff, Version

__all__ = ["Diff", "RefstoreError", "Store", "Version", "__version__", "create", "errors", "open"]

_PLACES = {"Store": "store", "Version": "version", "Diff": "version", "RefstoreError": "errors"}


def open(path: str | os.PathLike[str] | None = None) -> Store:
    """Open the store that a folder is in.

    Args:
        path: The folder that holds `.refstore`, or one below it; the current folder by default.

    Raises:
        StoreNotFound: There is none there or above.
    """
    from refstore.store import Store

    return Store.open(path)


def create(path: str | os.PathLike[str] | None = None) -> Store:
    """Make a store in a folder (the current one by default), or open the one that is there: `refstore init`.

    Raises:
        StoreError: The folder can't be written.
    """
    from refstore.store import Store

    return Store.create(path)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name == "errors":
        return import_module("refstore.errors")
    if name in _PLACES:
        return getattr(import_module(f"refstore.{_PLACES[name]}"), name)
    raise AttributeError(f"module 'refstore' has no attribute {name!r}")
