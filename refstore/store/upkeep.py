"""What is removed from a store, and what keeps it whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from refstore.catalog.catalog import Catalog
from refstore.errors import ArtifactNotFound, UsageError
from refstore.version import Version

if TYPE_CHECKING:
    from refstore.manifest.entry import Checksum
    from refstore.progress import Progress
    from refstore.sync.follow import Synced
    from refstore.sync.fsck import Fsck
    from refstore.sync.pack import Packed
from refstore.store.asking import StoreAsking


class StoreUpkeep(StoreAsking):
    """Removing versions and content, and looking after the catalog."""

    def remove(self, name: str, *, force: bool = False) -> list[Version]:
        """Remove a version (`mnist:v3`), or an artifact with all its versions (`mnist`), from the catalog.

        No source is touched. A removed version's number is never given again, and its records stay in the history.

        Args:
            name: A version, or an artifact without a version.
            force: Also where an alias other than `latest` means the version.

        Returns:
            What was removed.

        Raises:
            ArtifactNotFound: There is no such thing.
            UsageError: An alias means it, and `force` is not set.
        """
        from refstore.records.types import Tombstone

        wanted = self._version_name(name)
        bare = ":" not in name and "@" not in name
        gone = self.versions(name) if bare else [self.version(name)]
        if not gone:
            raise ArtifactNotFound(f"All versions of {wanted.artifact} were removed before.")
        for version in gone:
            aliases = [alias for alias in version.aliases if alias != "latest"]
            if aliases and not force:
                raise UsageError(
                    f"{version.qualified_name} has the alias {aliases[0]}: remove that first, or remove both with "
                    "--force (in Python force=True)."
                )
        with self.catalog.writing() as writing:
            for version in gone:
                writing.add(Tombstone(**writing.stamp, version=version.id))
            writing.summarise(f"{', '.join(version.qualified_name for version in gone)} removed")
            writing.commit()
        return gone

    def gc(self, *, dry_run: bool = False) -> list[Version]:
        """Remove the versions whose lifetime has ended (`ttl`) from the catalog; never anything at a source.

        What an alias other than `latest` means stays, and so does the latest version of each artifact.

        Args:
            dry_run: Only tell what would go.

        Returns:
            What was removed, or would be.
        """
        from refstore.tracking.expiry import expire

        return [Version(self, info) for info in expire(self.catalog, dry_run=dry_run)]

    def cache_gc(self, *, dry_run: bool = False) -> list[tuple[Checksum, int]]:
        """Delete cached content that nothing needs: no version says that the store keeps it, no checkout links to it.

        Args:
            dry_run: Only tell what would go.

        Returns:
            Checksum and size in bytes of each.
        """
        from refstore.manifest.entry import Checksum

        keep = {Checksum.parse(text) for text in self.catalog.queries.stored_checksums()}
        keep.update(self.ledger.linked())
        return [(gone.checksum, gone.size) for gone in self.cache.remove_unreferenced(keep, dry_run=dry_run)]

    def sync(self) -> Synced:
        """Bring the index to what the files say, and tell what came and went.

        Commands do it by themselves. In a process that goes on, call it after a pull or a change of branch.
        """
        from refstore.sync.follow import sync

        if self._catalog is None:
            self._catalog = Catalog(self.folder, self.settings.index_dir, follow=False)
        return sync(self._catalog)

    def fsck(self, *, content: bool = True, repair: bool = False, progress: Progress | None = None) -> Fsck:
        """Check that the store is whole: iterate over the answer for what is wrong. No source is asked.

        Every file of the catalog is compared with its name, line by line, and its records with those that they refer
        to; the index with one that is made anew; the cache with the checksums that it is known by. Streams.

        Args:
            content: Also read all of the cache.
            repair: Put right what can be: files from git or by their own bytes, the index, the cache.
            progress: Told how many files were read.
        """
        from refstore.sync.fsck import Fsck

        return Fsck(self, content=content, repair=repair, progress=progress)

    def pack(self, *, keep: int = 100, dry_run: bool = False, progress: Progress | None = None) -> Packed:
        """Fold old transaction files into few, of at most some 4 MiB, without changing what the catalog says.

        Files that git has not committed stay as they are.

        Args:
            keep: How many transaction files to leave as they are, the newest.
            dry_run: Only find out.
            progress: Told how many files were read.

        Raises:
            CatalogCorrupt: One of them is damaged; nothing was done.
            StorageFull: There is no space; nothing was done.
        """
        from refstore.sync.pack import pack

        return pack(self.catalog, keep=keep, dry_run=dry_run, progress=progress)
