from __future__ import annotations

import hashlib
import zlib

import pytest

from refstore.backends.base import Proof
from refstore.checkout.proof import Digests, Verdict, computable, content_checksum, new_hash, proofs_of
from refstore.manifest.entry import Checksum, Object

DATA = bytes(range(256)) * 100


def digests(*proofs: Proof, data: bytes = DATA) -> Digests:
    made = Digests(proofs)
    for start in range(0, len(data), 777):
        made.update(data[start : start + 777])
    return made


def md5(data: bytes = DATA) -> Checksum:
    return Checksum("md5", hashlib.md5(data).hexdigest())


def test_every_digest_is_that_of_its_definition() -> None:
    proofs = [Proof(Checksum(name, hashlib.new(name, DATA).hexdigest())) for name in ("md5", "sha1", "sha256")]
    proofs.append(Proof(Checksum("crc32", f"{zlib.crc32(DATA):08x}")))
    # the check value of the algorithm's catalogue: https://reveng.sourceforge.io/crc-catalogue/17plus.htm
    for algorithm, value in (("crc32c", "e3069283"), ("crc64nvme", "ae8b14860a799888")):
        if computable(algorithm):
            running = new_hash(algorithm)
            running.update(b"12345")
            running.update(b"6789")
            assert running.digest().hex() == value
    for proof in proofs:
        assert digests(proof).verdict() is Verdict.PROVEN
        assert digests(proof, data=DATA + b"x").verdict() is Verdict.WRONG


@pytest.mark.parametrize("part_size", [1000, 5120, len(DATA) - 1, len(DATA), len(DATA) + 1])
def test_a_digest_over_parts_needs_their_size(part_size: int) -> None:
    parts = [DATA[start : start + part_size] for start in range(0, len(DATA), part_size)]
    outer = hashlib.md5(b"".join(hashlib.md5(part).digest() for part in parts)).hexdigest()
    assert digests(Proof(Checksum("md5", outer), part_size=part_size)).verdict() is Verdict.PROVEN
    assert digests(Proof(Checksum("md5", outer), part_size=part_size // 2)).verdict() is Verdict.WRONG


def test_a_doubtful_digest_counts_only_where_nothing_better_speaks() -> None:
    token = Proof(Checksum("md5", "0" * 32), certain=False)
    assert digests(token).verdict() is Verdict.DOUBTFUL
    assert digests(token, Proof(md5())).verdict() is Verdict.PROVEN
    assert digests(Proof(md5(), certain=False)).verdict() is Verdict.PROVEN
    assert digests(token, Proof(md5(b"other"))).verdict() is Verdict.WRONG
    assert digests().verdict() is Verdict.UNPROVEN


def test_the_recorded_checksum_is_a_proof_and_unknown_ones_are_none() -> None:
    obj = Object("s3", "", "b", "k", checksum=md5())
    assert proofs_of(obj, ()) == (Proof(md5()),)
    assert proofs_of(obj, (Proof(md5(), certain=False),)) == (Proof(md5(), certain=False),)
    assert proofs_of(Object("s3", "", "b", "k"), (Proof(Checksum("blake9", "00")),)) == ()


def test_the_cache_knows_content_by_the_recorded_digest_if_it_is_a_strong_one() -> None:
    sha = Checksum("sha256", hashlib.sha256(DATA).hexdigest())
    assert content_checksum(Object("s3", "", "b", "k", checksum=sha), digests(Proof(sha))) == sha
    crc = Checksum("crc32", f"{zlib.crc32(DATA):08x}")
    assert content_checksum(Object("s3", "", "b", "k", checksum=crc), digests(Proof(crc))) == md5()
