"""Where `catalog.db` may live: beside the records, or on a local disk where that place can't hold it.

SQLite's write-ahead log does not work over a network (https://www.sqlite.org/wal.html, "Overview"). And even who only
reads writes beside it, so a store that is mounted read-only, or is another user's, is indexed elsewhere.
"""

from __future__ import annotations

import os
from pathlib import Path

from refstore.mounts import is_network


def is_writable(folder: Path) -> bool:
    """Whether this user may keep databases in a folder, those that are there already included."""
    databases = (folder / name for name in ("catalog.db", "local.db"))
    return os.access(folder, os.W_OK | os.X_OK) and all(
        os.access(path, os.R_OK | os.W_OK) for path in databases if path.exists()
    )


def index_path(folder: Path, chosen: str) -> Path:
    """The path of `catalog.db`.

    Args:
        folder: The store's `.refstore`.
        chosen: The setting `index_dir`; "" to decide here.
    """
    if not chosen and not is_network(folder) and is_writable(folder):
        return folder / "catalog.db"
    # Loading it loads all of OpenSSL.
    import hashlib

    if chosen:
        base = Path(chosen).expanduser()
    else:
        import platformdirs

        base = Path(platformdirs.user_cache_dir("refstore", appauthor=False)) / "index"
    return (
        base / hashlib.sha256(str(folder.resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16] / "catalog.db"
    )
