"""Questions to the index about the files of a version. What reads them is imported where they are asked for."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from refstore.errors import ArtifactNotFound, CatalogCorrupt

if TYPE_CHECKING:
    from refstore.catalog.infos import VersionInfo
    from refstore.manifest.diff import Change
    from refstore.manifest.entry import Entry, Pin


class EntryQueries:
    """Questions about the files of versions."""

    _db: sqlite3.Connection

    def entries(self, version: VersionInfo, prefix: str = "") -> Iterator[Entry]:
        """The entries of a version by path, those that start with `prefix` if it is given; streams.

        Raises:
            CatalogCorrupt: Its manifest is not in the catalog.
        """
        from refstore.catalog import chunks

        root = self._root(version)
        return chunks.read_prefix(self._db, root, prefix) if prefix else chunks.read_entries(self._db, root)

    def page(self, version: VersionInfo, after: str | None = None, limit: int = 1000) -> list[Entry]:
        """Some entries of a version by path, those that follow one path; no cursor stays open between two pages."""
        from refstore.catalog import chunks

        entries = chunks.read_entries(self._db, self._root(version), after or "")
        return list(islice((entry for entry in entries if after is None or entry.path != after), limit))

    def entry(self, version: VersionInfo, path: str) -> Entry:
        """One entry.

        Raises:
            ArtifactNotFound: The version has no such path.
        """
        entry = self.entry_or_none(version, path)
        if entry is None:
            raise ArtifactNotFound(f"{version.artifact}:v{version.number} has no file {path!r}.")
        return entry

    def entry_or_none(self, version: VersionInfo, path: str) -> Entry | None:
        """One entry; None where the version has no such path."""
        from refstore.catalog import chunks

        return chunks.read_entry(self._db, self._root(version), path)

    def folder(self, version: VersionInfo, folder: str) -> Iterator[Entry | str]:
        """What stands in one folder of a version (`train/`, or ""), by path: its entries, and the names of folders."""
        from refstore.catalog.folders import read_folder

        return read_folder(self._db, self._root(version), folder)

    def diff(self, old: VersionInfo, new: VersionInfo) -> Iterator[Change]:
        """What differs between two versions, by path; opens only the chunks that differ."""
        from refstore.catalog import chunks

        return chunks.diff(self._db, self._root(old), self._root(new))

    def changes_since(self, version: VersionInfo, manifest: str) -> Iterator[Change] | None:
        """What differs between a manifest, by its id, and a version; None where it is not in the index."""
        from refstore.catalog import chunks

        old = chunks.root_number(self._db, manifest)
        return None if old is None else chunks.diff(self._db, old, self._root(version))

    def pins(self, version: VersionInfo) -> dict[Pin, int]:
        """How many files of a version are pinned in each way, strongest first. Reads all entries, inside SQLite."""
        from refstore.catalog import chunks

        return chunks.pins(self._db, self._root(version))

    def stored_checksums(self) -> Iterator[str]:
        """The checksums of all content that versions of this catalog say the store keeps, removed versions left out.

        Looks at each chunk once, however many versions share it; at none where nothing was ever stored.
        """
        if self._db.execute("SELECT 1 FROM sources WHERE scheme = 'store'").fetchone() is None:
            return iter(())
        rows = self._db.execute(
            """WITH nodes(id) AS (SELECT DISTINCT root FROM versions WHERE NOT deleted),
                    groups(id) AS (SELECT DISTINCT child FROM links WHERE parent IN (SELECT id FROM nodes)),
                    leaves(id) AS (SELECT DISTINCT child FROM links WHERE parent IN (SELECT id FROM groups))
               SELECT DISTINCT e.checksum FROM leaves l CROSS JOIN entries e ON e.chunk = l.id
               WHERE e.source IN (SELECT id FROM sources WHERE scheme = 'store')"""
        )
        return (row[0] for row in rows)

    def _root(self, version: VersionInfo) -> int:
        if version.root is None:
            raise CatalogCorrupt(
                f"The manifest of {version.artifact}:v{version.number} is not in the catalog: "
                "the file that holds it is missing or damaged. Restore .refstore/records from git or from a remote."
            )
        return version.root
