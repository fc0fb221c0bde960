"""What a stored remote asks of its storage: to read, write and list files below one folder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

PART = 8 << 20
"""Bytes that one request writes at most, as a rule; a longer file goes in parts of this size or a multiple."""

_MOST_PARTS = 9_000


def part_size(size: int) -> int:
    """The size of parts, in bytes, for a file of `size` bytes: whole MiB, and fewer parts than S3's 10,000.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
    """
    return max(PART, -(-size // _MOST_PARTS // (1 << 20)) * (1 << 20))


class Place(ABC):
    """Files below one folder, bucket or prefix, by keys like `packs/0a1b.gz`. Safe to use from several threads.

    What is written appears whole or not at all. All methods raise the errors of `refstore.errors` and no others.

    Attributes:
        url: Where it is, as a person would write it; without credentials.
    """

    url: str

    @abstractmethod
    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """A file's bytes from an offset on, in pieces of at most some MiB; None where there is no such file.

        The request is made at once. Give the iterator up with `close`, if it has one.
        """

    @abstractmethod
    def put(self, key: str, data: bytes, *, only_new: bool = False) -> bool:
        """Write a file.

        Args:
            key: Its key.
            data: Its bytes.
            only_new: Leave a file that is there as it is. Not every storage can do that with certainty.

        Returns:
            Whether it was written.
        """

    @abstractmethod
    def put_parts(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """Write a long file; nothing of it appears before its last part is there, nor if a part can't be had.

        Args:
            key: Its key.
            size: In bytes.
            parts: Gives its parts, each `part_size(size)` bytes long but for the last. Called again to start over.
        """

    @abstractmethod
    def has(self, key: str) -> bool:
        """Whether there is such a file. One request."""

    @abstractmethod
    def names(self, folder: str) -> Iterator[str]:
        """The names of the files directly in a folder, in no promised order; none where it does not exist."""
