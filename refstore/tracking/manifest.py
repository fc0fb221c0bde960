"""An artifact's entries in the shape that W&B gives them. They are read as they are asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, ItemsView, Iterator, Mapping, Sequence, ValuesView
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

from refstore.errors import ArtifactFinalizedError, EntryNotFound, UsageError
from refstore.manifest.entry import STORED, Entry, Object
from refstore.tracking import wandb_form

if TYPE_CHECKING:
    from refstore.tracking.artifact import Artifact

SCHEME = "refstore-artifact"
"""Of the URI of a file in a version: `refstore-artifact://VERSION_ID/path`."""


class ArtifactManifestEntry:
    """One file of an artifact. Made by `Artifact.add_reference`, `Artifact.get_entry` and their like.

    Attributes:
        path: Inside the artifact.
        object: What it refers to, with everything that is recorded of it.
    """

    def __init__(self, path: str, object: Object, artifact: Artifact | None = None) -> None:
        self.path = path
        self.object = object
        self._artifact = artifact

    def __repr__(self) -> str:
        return f"<refstore.ArtifactManifestEntry {self.path!r} {self.digest}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArtifactManifestEntry) and (other.path, other.object) == (self.path, self.object)

    def __hash__(self) -> int:
        return hash((self.path, self.object))

    @property
    def name(self) -> str:
        """Its path, as `Artifact.files` has it in W&B."""
        return self.path

    @property
    def digest(self) -> str:
        """As W&B computes it: the MD5 of content and local files in base64, the ETag of objects."""
        return wandb_form.digest_of(self.object)

    @property
    def ref(self) -> str | None:
        """The URI that it refers to, without a version; None for content that the store keeps."""
        return wandb_form.ref_of(self.object)

    @property
    def size(self) -> int | None:
        """In bytes; None where its service does not tell."""
        return self.object.size

    @property
    def extra(self) -> dict[str, Any]:
        """`etag` and `versionID`, where there are any."""
        return wandb_form.extra_of(self.object)

    @property
    def birth_artifact_id(self) -> str | None:
        """None: content is found by its checksum, whatever version it came with."""
        return None

    @property
    def local_path(self) -> str | None:
        """Where the store keeps the content, if it does and has it; else None."""
        checksum = self.object.checksum
        if self.object.scheme != STORED or checksum is None or self._artifact is None:
            return None
        cache = self._artifact.store.cache
        return str(cache.path(checksum)) if cache.has(checksum, self.object.size) else None

    def parent_artifact(self) -> Artifact:
        """The artifact that it is a file of.

        Raises:
            UsageError: It belongs to none.
        """
        if self._artifact is None:
            raise UsageError(f"The entry {self.path!r} belongs to no artifact.")
        return self._artifact

    def download(self, root: str | None = None, skip_cache: bool | None = None) -> str:
        """Make this one file, with the recorded bytes, and return where it is.

        Args:
            root: The folder to put its path in; the artifact's own by default (see `Artifact.download`).
            skip_cache: Don't keep the bytes in the cache.

        Raises:
            CheckoutIncomplete: The source does not hold the recorded bytes any more.
        """
        return self.parent_artifact()._download_entry(self, root, bool(skip_cache))

    def ref_target(self) -> str:
        """The URI that it refers to.

        Raises:
            UsageError: It is content that the store keeps, and refers to nothing.
        """
        if self.ref is None:
            raise UsageError(f"{self.path!r} is no reference: the store keeps its content.")
        return self.ref

    def ref_url(self) -> str:
        """The URI of this file in its version, which `add_reference` takes.

        Raises:
            ArtifactNotLoggedError: The artifact is a draft.
        """
        return f"{SCHEME}://{self.parent_artifact()._logged('ref_url()').id}/{self.path}"


class EntryList(Sequence[ArtifactManifestEntry]):
    """Entries of an artifact, made as they are asked for."""

    def __init__(self, entries: Sequence[Entry], artifact: Artifact) -> None:
        self._entries, self._artifact = entries, artifact

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[ArtifactManifestEntry]:
        return (ArtifactManifestEntry(e.path, e.object, self._artifact) for e in self._entries)

    @overload
    def __getitem__(self, index: int) -> ArtifactManifestEntry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[ArtifactManifestEntry]: ...

    def __getitem__(self, index: int | slice) -> ArtifactManifestEntry | Sequence[ArtifactManifestEntry]:
        if isinstance(index, slice):
            return [ArtifactManifestEntry(e.path, e.object, self._artifact) for e in self._entries[index]]
        entry = self._entries[index]
        return ArtifactManifestEntry(entry.path, entry.object, self._artifact)

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, islice(self, 3)))
        return f"[{shown}{', …' if len(self) > 3 else ''}]"


class Entries(Mapping[str, ArtifactManifestEntry]):
    """Paths and their entries, by path. Nothing is read before it is asked for, and no more than a page is held.

    Args:
        artifact: Whose entries they are.
        page: Gives up to a thousand entries after a path.
        get: Gives the entry of a path.
        count: Tells how many there are.
    """

    def __init__(
        self,
        artifact: Artifact,
        page: Callable[[str | None], list[Entry]],
        get: Callable[[str], Entry | None],
        count: Callable[[], int],
    ) -> None:
        self._artifact, self._page, self._get, self._count = artifact, page, get, count

    def stream(self) -> Iterator[Entry]:
        """All entries by path, in byte order."""
        page = self._page(None)
        while page:
            yield from page
            page = self._page(page[-1].path)

    def __len__(self) -> int:
        return self._count()

    def __iter__(self) -> Iterator[str]:
        return (entry.path for entry in self.stream())

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._get(path) is not None

    def __getitem__(self, path: str) -> ArtifactManifestEntry:
        entry = self._get(str(path))
        if entry is None:
            raise EntryNotFound(f"There is no file {path!r} in {self._artifact.name}.")
        return ArtifactManifestEntry(entry.path, entry.object, self._artifact)

    def values(self) -> ValuesView[ArtifactManifestEntry]:
        """The entries, by path."""
        return _Values(self)

    def items(self) -> ItemsView[str, ArtifactManifestEntry]:
        """Paths and entries, by path."""
        return _Items(self)

    def entry(self, entry: Entry) -> ArtifactManifestEntry:
        """An entry in W&B's shape."""
        return ArtifactManifestEntry(entry.path, entry.object, self._artifact)

    def __repr__(self) -> str:
        return f"<{len(self)} entries of {self._artifact.name}>"


class _Values(ValuesView[ArtifactManifestEntry]):
    _mapping: Entries

    def __iter__(self) -> Iterator[ArtifactManifestEntry]:
        return map(self._mapping.entry, self._mapping.stream())


class _Items(ItemsView[str, ArtifactManifestEntry]):
    _mapping: Entries

    def __iter__(self) -> Iterator[tuple[str, ArtifactManifestEntry]]:
        return ((entry.path, self._mapping.entry(entry)) for entry in self._mapping.stream())


class ArtifactManifest:
    """All entries of an artifact; `Artifact.manifest`.

    Attributes:
        entries: Paths and entries.
    """

    def __init__(self, artifact: Artifact, entries: Entries) -> None:
        self._artifact = artifact
        self.entries = entries

    def __len__(self) -> int:
        return len(self.entries)

    def digest(self) -> str:
        """The MD5 over all paths and digests that W&B computes for these entries, in hex. Reads all of them.

        It tells nothing of where the bytes are: `Artifact.commit_hash` is refstore's own digest, which does.
        """
        md5 = hashlib.md5(wandb_form.HEADER, usedforsecurity=False)
        for entry in self.entries.stream():
            md5.update(f"{entry.path}:{wandb_form.digest_of(entry.object)}\n".encode())
        return md5.hexdigest()

    def size(self) -> int:
        """The sum of the sizes, in bytes."""
        return self._artifact.size

    def to_manifest_json(self) -> dict[str, Any]:
        """The manifest in W&B's format. Holds all entries at once."""
        return {
            **wandb_form.MANIFEST,
            "contents": {entry.path: wandb_form.contents_of(entry.object) for entry in self.entries.stream()},
        }

    def get_entry_by_path(self, path: str) -> ArtifactManifestEntry | None:
        """The entry of a path; None where there is none."""
        return self.entries.get(path)

    def get_entries_in_directory(self, directory: str) -> list[ArtifactManifestEntry]:
        """The entries below a folder."""
        return list(self._artifact._below(directory))

    def add_entry(self, entry: ArtifactManifestEntry, overwrite: bool = False) -> None:
        """Take an entry of another artifact into this draft.

        Raises:
            ArtifactFinalizedError: The artifact is no draft.
            DuplicatePath: Something else has its path.
        """
        self._artifact._take([Entry(entry.path, entry.object)], replace=overwrite)

    def remove_entry(self, entry: ArtifactManifestEntry) -> None:
        """Take an entry out of this draft.

        Raises:
            ArtifactFinalizedError: The artifact is no draft.
            EntryNotFound: It has no such path.
        """
        if not self._artifact.is_draft():
            raise ArtifactFinalizedError(f"{self._artifact.name} never changes: make a draft of it with new_draft().")
        self._artifact.remove(entry)
