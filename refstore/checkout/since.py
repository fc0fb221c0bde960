"""A checkout where an earlier one of the same artifact was complete: only what changed since then is looked at closely.

The ledger remembers which manifest a destination holds in full. So what is to be done is what differs between the two
manifests, and which files were touched: one pass over the ledger with a `stat` for each file tells those.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from refstore.checkout.destination import Destination
from refstore.checkout.ledger import Ledger
from refstore.checkout.open_folders import Blocked
from refstore.checkout.paths import decode, encode, entry_path, local_path
from refstore.errors import UnsafePath
from refstore.manifest.diff import Change
from refstore.manifest.entry import Entry

MOST = 10_000
"""If more files than this changed, or were touched, all are compared anew."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is known of a whole version, besides its entries.

    Attributes:
        id: Of its manifest.
        changes_since: What differs from another manifest, by its id; None where that one is not known.
        entry: The entry of a path; None where there is none.
    """

    id: str
    changes_since: Callable[[str], Iterable[Change] | None]
    entry: Callable[[str], Entry | None]


@dataclass(frozen=True, slots=True)
class Since:
    """What is left to compare.

    Attributes:
        entries: By path: those that are new or another, and those whose files were touched.
        dropped: The local paths of those that are gone.
        kept: How many files of the others are there, as they were written.
        escaped: How many paths of the version are not their local names.
    """

    entries: list[Entry]
    dropped: list[bytes]
    kept: int
    escaped: int


def since_last(manifest: Manifest, ledger: Ledger, dest: Destination, root: int, owner: str) -> Since | None:
    """What changed since the last whole checkout; None where there was none, or too much did."""
    last = ledger.whole(root, owner)
    if last is None or dest.is_new or dest.ignores_case():
        return None
    changes = () if last.manifest == manifest.id else manifest.changes_since(last.manifest)
    if changes is None:
        return None
    changed = list(islice(iter(changes), MOST + 1))
    wanted: dict[str, Entry] = {}
    gone: set[bytes] = set()
    escaped = last.escaped
    try:
        for change in changed:
            local = local_path(change.path)
            escaped += (local != change.path) * ((change.new is not None) - (change.old is not None))
            if change.new is None:
                gone.add(encode(local))
            else:
                wanted[change.path] = Entry(change.path, change.new)
        named = gone | {encode(local_path(path)) for path in wanted}
        looks = _Looks(ledger, dest, root, owner, named)
        for path in looks.touched():
            name = entry_path(decode(path))
            entry = manifest.entry(name)
            if entry is None:
                return None
            wanted[name] = entry
            if len(wanted) > MOST:
                return None
    except (Blocked, UnsafePath):
        return None
    if len(changed) > MOST:
        return None
    return Since([wanted[name] for name in sorted(wanted, key=encode)], sorted(gone), looks.kept, escaped)


class _Looks:
    """A look at each file that a checkout wrote.

    Attributes:
        kept: How many are as they were written.

    Args:
        ledger: Says what was written.
        dest: Where.
        root: The number of the destination in the ledger.
        owner: The artifact that the files belong to.
        passed: Local paths that need no look.
    """

    def __init__(self, ledger: Ledger, dest: Destination, root: int, owner: str, passed: Container[bytes]) -> None:
        self.kept = 0
        self._ledger, self._dest, self._root, self._owner, self._passed = ledger, dest, root, owner, passed

    def touched(self) -> Iterator[bytes]:
        """Those that are not as they were written. All others cost no more than a `stat` and these few lines."""
        above: bytes | None = None
        folder: int | None = None
        passed, look, is_regular = self._passed, os.stat, stat.S_ISREG
        for path, key, settled in self._ledger.keys(self._root, self._owner):
            at, _, name = path.rpartition(b"/")
            if at != above or folder is None:
                folder, above = self._dest.folder(decode(at)), at
            if path in passed:
                continue
            if settled and folder is not None:
                try:
                    found = look(name, dir_fd=folder, follow_symlinks=False)
                except OSError:
                    yield path
                    continue
                ctime = "" if key[-1] == ":" else found.st_ctime_ns
                now = f"{found.st_dev}:{found.st_ino}:{found.st_size}:{found.st_mtime_ns}:{ctime}"
                if now == key and is_regular(found.st_mode):
                    self.kept += 1
                    continue
            yield path
