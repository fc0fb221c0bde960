"""What a checkout has to do: entries, the ledger, and what is on the disk, compared a page at a time.

The plan is staged in a database on the disk, so that a version of a million files takes no more memory than one of a
thousand. Nothing at the destination is changed while it is made; it ends in an error that lists all conflicts, or in
work to do.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from refstore.checkout.archived import is_archived
from refstore.checkout.cache import Cache
from refstore.checkout.conflicts import Listed, through_link
from refstore.checkout.destination import Destination
from refstore.checkout.ledger import Ledger
from refstore.checkout.open_folders import Blocked
from refstore.checkout.paths import FilesAndFolders, decode, encode, folded, local_path
from refstore.checkout.recognise import Recognition
from refstore.checkout.select import Selection
from refstore.checkout.since import Manifest, Since, since_last
from refstore.checkout.staged import (
    FILE_IN_WAY,
    FOLDER_IN_WAY,
    KEEP,
    LINK_IN_WAY,
    PAGE,
    TAKE_OVER,
    WRITE,
    Staged,
    Totals,
    packed,
)
from refstore.checkout.written import WRITTEN_COLUMNS, Settled, Written, identity, is_settled
from refstore.errors import DestinationConflict, UnsafePath
from refstore.manifest.entry import Entry, Object


class Plan(Staged):
    """The plan for one destination. Made inside `Ledger.staging(Plan.schema)`.

    Args:
        db: From there.
        ledger: The ledger.
        dest: The destination.
        cache: Where the symbolic links point that checkouts make.
        owner: The artifact that files belong to.
        force: Whether what is not ours, or was changed, may be replaced.
    """

    def __init__(
        self, db: sqlite3.Connection, ledger: Ledger, dest: Destination, cache: Cache, owner: str, force: bool
    ) -> None:
        super().__init__(db, ledger, dest, owner)
        self._force = force
        self._known = Recognition(dest, cache)
        self._conflicts = Listed()
        self._sources = Listed()
        self._unsafe = Listed()

    def make(
        self, entries: Iterable[Entry], selection: Selection, label: str, manifest: Manifest | None = None
    ) -> None:
        """Compare everything, or what changed since the last checkout of the same artifact if that was complete.

        Args:
            entries: Sorted by path.
            selection: Which of them to take; what is not taken stays as it is.
            label: The version's name, for messages.
            manifest: That of the version.

        Raises:
            DestinationConflict: Files are in the way that a checkout may not replace.
            UnsafePath: Paths of the version can't exist side by side there, or a symbolic link is on the way to one.
            ArtifactNotFound: A glob selects nothing.
        """
        since = None
        if manifest is not None and not selection:
            since = since_last(manifest, self._ledger, self._dest, self.root, self._owner)
        if since is None or not self._compare_changed(since):
            self._compare_all(entries, selection, label)
        self._check_in_the_way()
        self._unsafe.raise_as(
            UnsafePath, f"{label} can't be checked out into {self._dest.path} as it is", "--path can leave these out:"
        )
        self._sources.raise_as(
            DestinationConflict,
            f"{self._dest.path} holds the very files that {label} was made from, and they were changed since",
            "They are never replaced: give another DEST.",
        )
        self._conflicts.raise_as(
            DestinationConflict,
            f"{self._dest.path} holds files that {label} would replace or remove, and that refstore did not write or "
            "that were changed since",
            "Move them away, or use --force to lose them.",
        )

    def _compare_changed(self, since: Since) -> bool:
        """Compare what changed; False, and nothing planned, where that is not enough to judge."""
        shapes, entries = FilesAndFolders(), iter(since.entries)
        while page := list(islice(entries, PAGE)):
            self._compare(page, shapes, False)
        for start in range(0, len(since.dropped), PAGE):
            some = since.dropped[start : start + PAGE]
            marks = ", ".join("?" * len(some))
            self._drop(
                self._db.execute(
                    f"select {WRITTEN_COLUMNS} from main.files f where f.root = ? and f.owner = ? and f.path in "
                    f"({marks}) order by f.path",
                    (self.root, self._owner, *some),
                ).fetchall()
            )
        (in_the_way,) = self._db.execute("select exists (select 1 from staging.drop_ where way > 0)").fetchone()
        if in_the_way or self._unsafe or self._conflicts or self._sources:
            for table in ("plan", "drop_", "appeared"):
                self._db.execute(f"delete from staging.{table}")
            self.totals = Totals()
            self._conflicts, self._sources, self._unsafe = Listed(), Listed(), Listed()
            return False
        self.totals.keep += since.kept
        self.totals.escaped = since.escaped
        return True

    def _compare_all(self, entries: Iterable[Entry], selection: Selection, label: str) -> None:
        ignores_case = self._dest.ignores_case()
        shapes = FilesAndFolders()
        chosen = (entry for entry in entries if selection.takes(entry.path))
        while page := list(islice(chosen, PAGE)):
            self._compare(page, shapes, ignores_case)
        selection.check_used(label)
        if not selection:
            self._find_dropped()

    def _compare(self, page: list[Entry], shapes: FilesAndFolders, ignores_case: bool) -> None:
        rows: list[tuple[str, Entry, bytes]] = []
        for entry in page:
            try:
                local = local_path(entry.path)
            except UnsafePath as error:
                self._unsafe.add(str(error))
                continue
            if (shorter := shapes.add(entry.path)) is not None:
                self._unsafe.add(f"{shorter!r} would have to be a file and, for {entry.path!r}, a folder")
                continue
            self.totals.escaped += local != entry.path
            rows.append((local, entry, identity(entry.object)))
        db = self._db
        db.execute("begin")
        db.execute("delete from staging.page")
        db.executemany(
            "insert into staging.page values (?, ?, ?)",
            [(number, encode(local), object_) for number, (local, _, object_) in enumerate(rows)],
        )
        columns = ", ".join(f"f.{column.strip()}" for column in WRITTEN_COLUMNS.split(","))
        known = db.execute(
            f"select c.md5, {columns} from staging.page p "
            "left join main.files f on f.root = ? and f.path = p.local "
            "left join main.contents c on c.object = p.object order by p.number",
            (self.root,),
        ).fetchall()
        planned = [
            self._decide(local, entry, object_, md5, Written(*written) if written[0] is not None else None)
            for (local, entry, object_), (md5, *written) in zip(rows, known, strict=True)
        ]
        if ignores_case:
            self._find_collisions(rows)
        db.executemany(
            "insert into staging.plan values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            planned,
        )
        db.execute("commit")

    def _find_collisions(self, rows: list[tuple[str, Entry, bytes]]) -> None:
        for local, entry, _ in rows:
            name = folded(local)
            other = self._db.execute("select path from staging.folded where name = ?", (name,)).fetchone()
            if other is not None:
                self._unsafe.add(f"{entry.path!r} and {other[0]!r} are one name to the file system there")
            else:
                self._db.execute("insert into staging.folded values (?, ?)", (name, entry.path))

    def _decide(
        self, local: str, entry: Entry, object_: bytes, md5: str | None, written: Written | None
    ) -> tuple[object, ...]:
        obj = entry.object
        try:
            found = None if self._dest.is_new else self._dest.stat(local)
        except Blocked as blocked:
            # judged when it is known what goes
            way = LINK_IN_WAY if blocked.link else FILE_IN_WAY
            self._db.execute("insert or ignore into staging.drop_ values (?, ?, null)", (encode(blocked.local), way))
            return self._write(local, entry, object_, md5, None)
        if found is None:
            return self._write(local, entry, object_, md5, None)
        if self._is_source(obj, found):
            # never ours, whatever it holds: a later version must not remove it, and nothing may replace it
            if self._known.prove(local, found, obj, md5) is None:
                self._sources.add(local)
            self.totals.keep += 1
            return (encode(local), KEEP, *[None] * 9)
        if stat.S_ISDIR(found.st_mode):
            self._db.execute("insert or ignore into staging.drop_ values (?, ?, null)", (encode(local), FOLDER_IN_WAY))
            return self._write(local, entry, object_, md5, None)
        ours = self._known.content_if_ours(local, found, written)
        key = self._known.key(local, found, written)
        if ours is not None and written is not None:
            was, link = ours, "symlink" if stat.S_ISLNK(found.st_mode) else written.link or ""
            size = self._known.size(local, found)
            same_object = (written.object, written.md5) == (object_, was) or (
                (written.pending_object, written.pending_md5) == (object_, was)
            )
            if was and (same_object or self._known.is_content(local, size, was, obj, md5)):
                settled = Settled(encode(local), object_, was, size, link, key, is_settled(found), False)
                unchanged = (written.object, written.md5, written.key, written.owner) == (
                    object_,
                    was,
                    key,
                    self._owner,
                )
                return self._there(settled, nothing_new=unchanged and written.settled)
            if was and was != written.md5 and written.pending_object is not None:
                # it came to its place and was never settled; a new intent would make it nobody's
                self._db.execute(
                    "insert into staging.appeared values (?, ?, ?, ?, ?, ?, ?)",
                    (encode(local), written.pending_object, was, size, link, key, is_settled(found)),
                )
            return self._write(local, entry, object_, md5, key)
        if (here := self._known.prove(local, found, obj, md5)) is not None:
            link = "symlink" if stat.S_ISLNK(found.st_mode) else ""
            size = self._known.size(local, found)
            settled = Settled(encode(local), object_, here, size, link, key, is_settled(found), False)
            return self._there(settled, nothing_new=False)
        if not self._force:
            self._conflicts.add(local)
        return self._write(local, entry, object_, md5, "")

    @staticmethod
    def _is_source(obj: Object, found: os.stat_result) -> bool:
        if obj.scheme != "file":
            return False
        try:
            return os.path.samestat(Path(obj.key).stat(), found)
        except (OSError, ValueError):
            return False

    def _write(
        self, local: str, entry: Entry, object_: bytes, md5: str | None, old_key: str | None
    ) -> tuple[object, ...]:
        self.totals.write += 1
        self.totals.write_bytes += entry.object.size or 0
        archived = is_archived(entry.object)
        self.totals.archived += archived
        return (encode(local), WRITE, packed(entry), object_, md5, None, None, None, None, old_key, archived)

    def _there(self, file: Settled, nothing_new: bool) -> tuple[object, ...]:
        self.totals.keep += 1
        if nothing_new:
            return (file.path, KEEP, *[None] * 9)
        known = (file.object, file.md5, file.size, file.link, file.key, file.settled)
        return (file.path, TAKE_OVER, None, *known, None, None)

    def _find_dropped(self) -> None:
        """Files of this artifact that an earlier checkout wrote here, and that this version lacks."""
        after = b""
        while True:
            rows = self._db.execute(
                f"select {WRITTEN_COLUMNS} from main.files f where f.root = ? and f.path > ? and f.owner = ? "
                "and not exists (select 1 from staging.plan p where p.local = f.path) order by f.path limit ?",
                (self.root, after, self._owner, PAGE),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            self._drop(rows)

    def _drop(self, rows: list[tuple[Any, ...]]) -> None:
        dropped: list[tuple[bytes, str]] = []
        gone: list[bytes] = []
        for row in rows:
            written = Written(*row)
            local = decode(written.path)
            try:
                found = self._dest.stat(local)
            except Blocked:
                found = None
            if found is None:
                gone.append(written.path)
            elif self._known.content_if_ours(local, found, written) is not None:
                dropped.append((written.path, self._known.key(local, found, written)))
            elif self._force and not stat.S_ISDIR(found.st_mode):
                dropped.append((written.path, ""))
            elif stat.S_ISDIR(found.st_mode):
                gone.append(written.path)
            else:
                self._conflicts.add(local)
        self.totals.drop += len(dropped)
        self._db.execute("begin")
        self._db.executemany("insert or replace into staging.drop_ values (?, 0, ?)", dropped)
        self._db.execute("commit")
        if gone:
            self._ledger.forget(self.root, gone)

    def _check_in_the_way(self) -> None:
        """Files where folders have to be, and folders where files have to be: each has to go as part of the plan."""
        for path, way in self._db.execute("select local, way from staging.drop_ where way > 0").fetchall():
            local = decode(path)
            if way == FILE_IN_WAY and not self._force:
                self._conflicts.add(local)
            if way == LINK_IN_WAY:
                self._unsafe.add(through_link(self._dest.path / local))
            for file in self._dest.files_below(local) if way == FOLDER_IN_WAY else ():
                if not self.drops(file):
                    self._conflicts.add(file)
