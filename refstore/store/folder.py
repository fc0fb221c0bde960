"""Where a store is: a folder `.refstore`, found upwards from the current one as `.git` is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.errors import StoreNotFound
from refstore.failed_write import storage_error

if TYPE_CHECKING:
    pass


FOLDER = ".refstore"

_IGNORE = """# Only the catalog is committed; all else is made again or belongs to this machine.
*
!.gitignore
!.gitattributes
!records/
!records/*.jsonl
"""
_ATTRIBUTES = "*.jsonl -text\n"


def find(path: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the store: the one given, or the first above the current one.

    Args:
        path: The folder that holds `.refstore`, or one below it; the current folder by default, or the variable
            `REFSTORE_STORE`.

    Raises:
        StoreNotFound: There is none.
    """
    start = Path(path if path is not None else os.environ.get("REFSTORE_STORE") or ".").absolute()
    for folder in (start, *start.parents):
        if folder.name == FOLDER and folder.is_dir():
            return folder.parent
        if (folder / FOLDER).is_dir():
            return folder
    raise StoreNotFound(
        f"There is no refstore store in {start} or in any folder above it: make one with 'refstore init'."
    )


def make(root: Path) -> bool:
    """Make a store's folder in another, or complete it; whether there was none before.

    Raises:
        StorageFull, StoreError: It can't be written.
    """
    folder = root / FOLDER
    created = not (folder / "records").is_dir()
    try:
        (folder / "records").mkdir(parents=True, exist_ok=True)
        for name, text in ((".gitignore", _IGNORE), (".gitattributes", _ATTRIBUTES)):
            if not (folder / name).exists():
                (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise storage_error(error, f"for the store {folder}") from error
    return created
