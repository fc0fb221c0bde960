"""The store: a folder `.refstore/` that remembers which external files a piece of work used and made."""

from refstore.store.folder import FOLDER, find
from refstore.store.store import Store

__all__ = ["FOLDER", "Store", "find"]
