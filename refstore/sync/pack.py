"""Folding many transaction files into few, without changing the set of records.

A pack is a transaction file like any other; its header has the sentences of all that went into it. What a pack holds
depends on what goes into it alone, so two branches that fold the same records write the same file; and since a record
may stand in several files, a folded branch and one that was not merge as any two do.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from refstore.errors import CatalogCorrupt, UsageError
from refstore.failed_write import storage_error
from refstore.records.encoding import FORMAT, canonical
from refstore.records.transaction import MAX_LINE, PART_SIZE, SUFFIX, NewFile, fsync_folder
from refstore.sync.examine import examine
from refstore.sync.history import History
from refstore.sync.references import References

if TYPE_CHECKING:
    from refstore.catalog.catalog import Catalog
    from refstore.progress import Progress


@dataclass(frozen=True, slots=True)
class Packed:
    """What `pack` did, or would do.

    Attributes:
        folded: How many transaction files went into packs.
        packs: How many files they became.
        size_before: The sum of the sizes of the former, in bytes.
        size_after: That of the latter.
        kept: How many transaction files stay as they are: the newest, and those that would be half of a pack or more.
        uncommitted: How many stay as they are since git has not committed them.
        dry_run: Whether nothing was done.
    """

    folded: int
    packs: int
    size_before: int
    size_after: int
    kept: int
    uncommitted: int
    dry_run: bool


def pack(catalog: Catalog, *, keep: int, dry_run: bool = False, progress: Progress | None = None) -> Packed:
    """Fold transaction files into few, the oldest first, each of at most some 4 MiB.

    Reads and writes what it folds once, and holds none of it in memory. The new files are there before the old ones go,
    so that an end at any moment loses nothing. Part files stay as they are. So does a file that would be half of its
    pack or more: git would take the pack for that file under another name, and two branches that fold it differently
    would conflict (https://git-scm.com/docs/git-diff#Documentation/git-diff.txt--Mltngt).

    Args:
        catalog: Whose files.
        keep: How many transaction files to leave as they are, the newest.
        dry_run: Only find out.
        progress: Told how many files were read.

    Raises:
        UsageError: `keep` is negative.
        CatalogCorrupt: One of the files is damaged; nothing was done.
        StorageFull: There is no space; nothing was done.
    """
    if keep < 0:
        raise UsageError(f"The number of files to keep must not be negative, and is {keep}.")
    with catalog.alone(), _Blocks(catalog.records) as blocks:
        history = History.of(catalog.folder)
        uncommitted = history.uncommitted() if history else set()
        found = sorted(_transactions(catalog.records), reverse=True)
        old = [name for _, name in found[keep:] if name not in uncommitted]
        late = sum(name in uncommitted for _, name in found[keep:])
        if progress is not None:
            progress.total(len(old), 0)
        for name in sorted(old):
            blocks.take(name)
            if progress is not None:
                progress.advance(1, 0)
        left = blocks.leave_what_dominates()
        old = [name for name in old if name not in left]
        packs = blocks.packs()
        new = dict(packs)
        came, went = new.keys() - set(old), set(old) - new.keys()
        # fewer files, or as many with duplicates dropped: else there is nothing to be had
        useful = len(new) < len(old) or sum(new.values()) < blocks.size
        outcome = Packed(
            len(went) if useful else 0,
            len(came) if useful else 0,
            sum(blocks.sizes[name] for name in went) if useful else 0,
            sum(new[name] for name in came) if useful else 0,
            min(keep, len(found)) + len(left),
            late,
            dry_run,
        )
        if useful and not dry_run:
            try:
                blocks.write(catalog.scratch, [name in came for name, _ in packs])
                fsync_folder(catalog.records)
                for name in sorted(went):
                    (catalog.records / (name + SUFFIX)).unlink(missing_ok=True)
                fsync_folder(catalog.records)
            except OSError as error:
                raise storage_error(error, f"for the catalog in {catalog.folder}") from error
    return outcome


def _transactions(records: Path) -> Iterator[tuple[str, str]]:
    """Time and name of every transaction file; part files are passed over. Reads the first line of each."""
    with os.scandir(records) as listing:
        names = [item.name for item in listing if item.name.endswith(SUFFIX)]
    for name in names:
        header = _header(records / name)
        if "part" not in header:
            yield header["time"], name.removesuffix(SUFFIX)


def _header(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline(MAX_LINE))
        if header["refstore"] == FORMAT and ("part" in header or isinstance(header["time"], str)):
            return dict(header)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise CatalogCorrupt(f"{path.name} can't be folded, since its first line is damaged: run 'refstore fsck'.")


class _Blocks:
    """Where the records of some files stand, sorted as packs have them: on disk, so that any number fits.

    A block is a record's line, and the change lines of a manifest with it.
    """

    def __init__(self, records: Path) -> None:
        self._records = records
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute(
            """CREATE TABLE blocks (time TEXT, hash BLOB, file TEXT, start INTEGER, size INTEGER,
               PRIMARY KEY (time, hash)) WITHOUT ROWID"""
        )
        self._db.execute(
            "CREATE TABLE sentences (time TEXT, text TEXT, file TEXT, PRIMARY KEY (time, text, file)) WITHOUT ROWID"
        )
        self._db.execute("BEGIN")
        self.sizes: dict[str, int] = {}

    def __enter__(self) -> _Blocks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    @property
    def size(self) -> int:
        """The sum of the sizes of all files taken, in bytes."""
        return sum(self.sizes.values())

    def take(self, name: str) -> None:
        """Note the records of a file, once it has proven to be whole.

        Raises:
            CatalogCorrupt: It is not.
        """
        path = self._records / (name + SUFFIX)
        with References() as unused:
            wrong = examine(path, unused)
        if wrong is not None:
            raise CatalogCorrupt(f"{wrong.message} Nothing was folded: 'refstore fsck' says more.")
        blocks: list[tuple[str, bytes, str, int, int]] = []
        with path.open("rb") as file:
            header = json.loads(file.readline(MAX_LINE))
            self._sentences(name, header)
            at = start = file.tell()
            left = 0
            for line in iter(lambda: file.readline(MAX_LINE), b""):
                at += len(line)
                if left:
                    left -= 1
                    time, hash, _, begun, _ = blocks[-1]
                    blocks[-1] = (time, hash, name, begun, at - begun)
                else:
                    record = json.loads(line)
                    left = record.get("changes", 0)
                    blocks.append((record["time"], hashlib.sha256(line).digest(), name, start, len(line)))
                start = at
        self.sizes[name] = at
        self._db.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?, ?, ?, ?)", blocks)

    def _sentences(self, name: str, header: dict[str, Any]) -> None:
        rows = []
        if header.get("pack"):
            for sentence in header["summary"]:
                time, _, text = sentence.partition(" ")
                rows.append((time, text, name))
        elif header.get("summary"):
            rows.append((header["time"], "; ".join(map(str, header["summary"])), name))
        self._db.executemany("INSERT OR IGNORE INTO sentences VALUES (?, ?, ?)", rows)

    def leave_what_dominates(self) -> set[str]:
        """Take out the files that would be half of a pack or more, the largest first; their names.

        What else has a record of theirs may go all the same, as they stay.
        """
        left: set[str] = set()
        while large := {name for group in self._groups() for name in group.dominant(self.sizes)}:
            name = max(large, key=lambda name: (self.sizes[name], name))
            self._db.execute("DELETE FROM blocks WHERE file = ?", (name,))
            self._db.execute("DELETE FROM sentences WHERE file = ?", (name,))
            del self.sizes[name]
            left.add(name)
        return left

    def packs(self) -> list[tuple[str, int]]:
        """The names and sizes of the packs that these records make, in order. Reads all of them."""
        out = []
        for group in self._groups():
            running, size = hashlib.sha256(), 0
            for piece in self._pieces(group):
                running.update(piece)
                size += len(piece)
            out.append((running.hexdigest(), size))
        return out

    def write(self, scratch: Path, wanted: Sequence[bool]) -> None:
        """Put packs into `records/`, those whose place in `packs` is wanted."""
        for group, wants in zip(self._groups(), wanted, strict=True):
            if not wants:
                continue
            file = NewFile(scratch)
            try:
                for piece in self._pieces(group):
                    file.write(piece)
                file.place(self._records)
            finally:
                file.discard()

    def _groups(self) -> Iterator[_Group]:
        rows: list[_Row] = []
        size, after = 0, ""
        for row in self._db.execute("SELECT time, file, start, size FROM blocks ORDER BY time, hash"):
            if rows and size + row[3] > PART_SIZE:
                yield _Group(rows, after, rows[-1][0])
                rows, size, after = [], 0, rows[-1][0]
            rows.append(row)
            size += row[3]
        if rows:
            yield _Group(rows, after, None)

    def _pieces(self, group: _Group) -> Iterator[bytes]:
        found = self._db.execute(
            "SELECT DISTINCT time, text FROM sentences WHERE time > ?1 AND (?2 IS NULL OR time <= ?2) "
            "ORDER BY time, text",
            (group.after, group.until),
        )
        summary = [f"{time} {text}" for time, text in found]
        header = {"pack": len(group.rows), "refstore": FORMAT, "summary": summary, "time": group.rows[-1][0]}
        yield canonical(header) + b"\n"
        with ExitStack() as stack:
            last = ""
            for _, name, start, size in group.rows:
                if name != last:
                    stack.close()
                    last, file = name, stack.enter_context((self._records / (name + SUFFIX)).open("rb"))
                file.seek(start)
                yield file.read(size)


_Row = tuple[str, str, int, int]


@dataclass(frozen=True, slots=True)
class _Group:
    """The blocks of one pack.

    Attributes:
        rows: Of each block the time, the file, the offset and the size.
        after: The time of the last block of the pack before; "" for the first.
        until: The time of its own last block; None for the last pack. A sentence stands in the first pack that has
            records of its time.
    """

    rows: list[_Row]
    after: str
    until: str | None

    def dominant(self, sizes: Mapping[str, int]) -> set[str]:
        """The files that are half of the pack or more."""
        whole = sum(row[3] for row in self.rows)
        return {row[1] for row in self.rows if 2 * sizes[row[1]] >= whole}
