"""The seam between a store and a place that it shares records with: a bucket, a folder, later a server.

A remote is a set of packs and a set of stored content, both of which only grow. A pack is a transaction or part file
(docs/format.md), named by the SHA-256 of its bytes: it is written once and never changes, so any number of people write
at the same time with no lock, and writing one twice does nothing.

Three questions are all that a store asks: which content do you have, take this, and what is new since.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from pathlib import Path

from refstore.manifest.entry import Checksum

MAX_PACK = 64 << 20
"""The most bytes that a pack may have, unpacked; a transaction file is cut long before that."""


class Remote(ABC):
    """A place to push to and pull from. One instance serves many threads.

    Every method raises the errors of `refstore.errors` and no others for what the outside can do to it, each one
    sentence that holds the URL.

    Attributes:
        url: Where it is, without credentials.
    """

    url: str

    @abstractmethod
    def identity(self, *, create: bool = False) -> str | None:
        """The random name that the place was given when it was first written to; None where nobody did. One request.

        What a store remembers of a remote holds for that name only: a place that was wiped and begun anew has another.

        Args:
            create: Give it one if it has none.
        """

    @abstractmethod
    def names(self) -> Iterator[str]:
        """The packs that are there, in no promised order: 64 hex digits each. One request for each page of them."""

    @abstractmethod
    def read(self, name: str) -> bytes:
        """A pack, decompressed and compared with its name. One request.

        Raises:
            RemoteCorrupt: It is not what its name says, or larger than any pack may be; the message names it.
        """

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Add a pack; whole or not at all, and durable on return. One request."""

    @abstractmethod
    def has_content(self, checksums: Collection[Checksum]) -> set[Checksum]:
        """Which of these it holds. The number of requests depends on how many are asked for, not on how many it has."""

    @abstractmethod
    def write_content(self, checksum: Checksum, path: Path) -> None:
        """Add stored content from a file, streamed; whole or not at all."""

    def stop(self) -> None:  # noqa: B027 - there may be nothing to give up
        """Give up what other threads are sending; they end with SourceUnavailable. Nothing half-sent stays visible."""

    @abstractmethod
    def read_content(self, checksum: Checksum, start: int = 0) -> Iterator[bytes]:
        """Stored content in pieces, from an offset on; the caller verifies it.

        Raises:
            SourceMissing: It is not there.
        """
