"""Digests over the bytes of an object while they stream, and what they prove."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from enum import Enum
from functools import cache, partial
from importlib import import_module
from typing import Protocol

from refstore.backends.base import Proof
from refstore.manifest.entry import Checksum, Object

STRONG = ("md5", "sha1", "sha256")
"""Digests that two files never share by accident: good enough to find content by, and to call a found file ours."""


class Hash(Protocol):
    """What `hashlib` makes."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in more bytes."""

    def digest(self) -> bytes:
        """The digest so far."""


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Running:
    """A checksum function that takes the last value and goes on from there."""

    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function, self._size, self._value = function, size, 0

    def update(self, data: bytes | memoryview) -> None:
        self._value = self._function(bytes(data), self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


@cache
def _maker(algorithm: str) -> Callable[[], Hash] | None:
    if algorithm in ("md5", "sha1"):
        return partial(getattr(hashlib, algorithm), usedforsecurity=False)
    if algorithm == "sha256":
        return hashlib.sha256
    if algorithm == "crc32":
        return _Crc32
    if algorithm == "crc32c":
        try:
            import google_crc32c
        except ImportError:
            return None
        return lambda: _Running(lambda data, value: int(google_crc32c.extend(value, data)), 4)
    if algorithm == "crc64nvme":
        try:
            checksums = import_module("awscrt.checksums")
        except ImportError:
            return None
        return lambda: _Running(lambda data, value: int(checksums.crc64nvme(data, value)), 8)
    return None


def computable(algorithm: str) -> bool:
    """Whether a digest can be computed here. `crc32c` and `crc64nvme` need a package (google-crc32c, awscrt)."""
    return _maker(algorithm) is not None


def new_hash(algorithm: str) -> Hash:
    """A running digest.

    Raises:
        ValueError: It is unknown, or its package is not installed.
    """
    maker = _maker(algorithm)
    if maker is None:
        raise ValueError(f"There is nothing here to compute {algorithm} with.")
    return maker()


class _InParts:
    """A digest over the digests of parts of one size, as S3 makes the ETag of a multipart upload."""

    def __init__(self, algorithm: str, part_size: int) -> None:
        self._algorithm, self._part_size = algorithm, part_size
        self._outer, self._inner, self._left = new_hash(algorithm), new_hash(algorithm), part_size
        self._any = False

    def update(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            taken = view[: self._left]
            self._inner.update(taken)
            self._any = True
            self._left -= len(taken)
            view = view[len(taken) :]
            if not self._left:
                self._end_part()

    def _end_part(self) -> None:
        self._outer.update(self._inner.digest())
        self._inner, self._left, self._any = new_hash(self._algorithm), self._part_size, False

    def digest(self) -> bytes:
        if self._any:
            self._end_part()
        return self._outer.digest()


class Verdict(Enum):
    """What digests say of content that arrived in full."""

    PROVEN = "proven"
    """A digest that the service or the record vouches for agrees, and none disagrees."""
    UNPROVEN = "unproven"
    """There is nothing to compare with."""
    DOUBTFUL = "doubtful"
    """What disagrees may be no digest of the content at all."""
    WRONG = "wrong"
    """A digest of the content disagrees."""


def proofs_of(obj: Object, reported: Sequence[Proof]) -> tuple[Proof, ...]:
    """What a backend reported with a reading, and what the record itself holds; only what can be computed here."""
    proofs = list(reported)
    if obj.checksum is not None and all(proof.checksum != obj.checksum for proof in proofs):
        proofs.append(Proof(obj.checksum))
    return tuple(proof for proof in proofs if computable(proof.checksum.algorithm))


class Digests:
    """All digests that an object's content needs, in one pass.

    The MD5 is always among them: the ledger and the cache know content by it.

    Args:
        proofs: What the content has to prove to be.
    """

    def __init__(self, proofs: Sequence[Proof] = ()) -> None:
        self.size = 0
        self._proofs = tuple(proofs)
        kinds = {("md5", None)} | {(proof.checksum.algorithm, proof.part_size) for proof in self._proofs}
        self._hashes: dict[tuple[str, int | None], Hash] = {
            (algorithm, part): new_hash(algorithm) if part is None else _InParts(algorithm, part)
            for algorithm, part in kinds
        }
        self._done: dict[tuple[str, int | None], str] = {}

    @property
    def provable(self) -> bool:
        """Whether there is anything to compare with."""
        return bool(self._proofs)

    def update(self, data: bytes | memoryview) -> None:
        """Take in the next bytes of the content."""
        self.size += len(data)
        for running in self._hashes.values():
            running.update(data)

    def value(self, algorithm: str = "md5", part_size: int | None = None) -> str:
        """A digest in hex, once all bytes are in."""
        kind = (algorithm, part_size)
        if kind not in self._done:
            self._done[kind] = self._hashes[kind].digest().hex()
        return self._done[kind]

    def has(self, algorithm: str) -> bool:
        """Whether this plain digest is among those computed."""
        return (algorithm, None) in self._hashes

    def verdict(self) -> Verdict:
        """What the digests say, once all bytes are in."""
        agrees = doubtful = False
        for proof in self._proofs:
            if self.value(proof.checksum.algorithm, proof.part_size) == proof.checksum.value:
                agrees = True
            elif proof.certain:
                return Verdict.WRONG
            else:
                doubtful = True
        if agrees:
            return Verdict.PROVEN
        return Verdict.DOUBTFUL if doubtful else Verdict.UNPROVEN

    def difference(self) -> str:
        """A clause on the digests that disagree, for a message."""
        for proof in self._proofs:
            here = self.value(proof.checksum.algorithm, proof.part_size)
            if here != proof.checksum.value:
                return f"its {proof.checksum.algorithm} is {here} and was {proof.checksum.value}"
        return "its digest differs"


def content_checksum(obj: Object, digests: Digests) -> Checksum:
    """What content is kept under in the cache: the recorded digest, if it is a strong one; else the MD5."""
    recorded = obj.checksum
    if recorded is not None and recorded.algorithm in STRONG and digests.has(recorded.algorithm):
        return Checksum(recorded.algorithm, digests.value(recorded.algorithm))
    return Checksum("md5", digests.value())
