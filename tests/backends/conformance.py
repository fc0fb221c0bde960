"""What every backend has to do, checked against a real server.

To hold a backend to it, write a `Source` (a fresh, empty place on the server, and how to change it from outside
refstore) and subclass `Conformance` with a fixture `source` that makes one for each test::

    class TestGCS(Conformance):
        @pytest.fixture
        def source(self, gcs):
            return GCSSource(gcs)

Checks that a place can't have (versions, markers, odd keys …) are skipped by the flags of its `Source`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from refstore.backends.base import Backend, Location, Page, Proof
from refstore.errors import AmbiguousURI, SecretInURI, SourceChanged, SourceMissing
from refstore.manifest.entry import Entry, Object, Pin

ODD_KEYS = (
    "odd/hash#1.txt",
    "odd/what?.txt",
    "odd/what?versionId=1.txt",
    "odd/per%20cent.txt",
    "odd/per%2Fcent.txt",
    "odd/100%.txt",
    "odd/%25.txt",
    "odd/a space.txt",
    "odd/plus+plus.txt",
    "odd/a&b=c;d,e.txt",
    "odd/quote'\".txt",
    "odd/<tag>.txt",
    "odd/back\\slash.txt",
    "odd/[glob]*.txt",
    "odd/@at:colon.txt",
    "odd/blå-日本-🙂.txt",
    "odd/new\nline.txt",
    "odd/tab\tbell\x07.txt",
    "odd/ leading and trailing ",
    "odd/double//slash.txt",
    "odd/../up.txt",
    "odd/./here.txt",
    "odd/..",
    "odd/con/nul.",
)
"""Keys that some tool has lost. A source names those that its server keeps in `Source.odd_keys`."""


class Source:
    """A fresh, empty place on a real server, changed by other means than refstore.

    Attributes:
        backend: What is tested; settings and credentials are set up so that it can read the place.
        pin: How well an object put there is pinned after a listing with checksums.
        has_versions: Overwritten and deleted objects can still be read by their version.
        bogus_version: A well-formed version that no object has; None if URIs can't hold versions.
        flat: Keys are mere strings: `a` and `a/b` may both exist, and `a/` may be an object.
        exact_directories: A missing directory, typed with its last `/`, can be told from an empty one.
        odd_keys: Keys that the server keeps exactly as they are.
        page: How many objects one listing request brings; None where there are no pages.
        known_faults: (path, field) where this server's listing and its stat disagree by a fault of its own.
        secret_uris: (URI, the secret in it) that `parse` must refuse.
    """

    backend: Backend
    pin: Pin = Pin.ETAG
    has_versions: bool = False
    bogus_version: str | None = None
    flat: bool = True
    exact_directories: bool = False
    odd_keys: Sequence[str] = ODD_KEYS
    page: int | None = 1000
    known_faults: Collection[tuple[str, str]] = ()
    secret_uris: Sequence[tuple[str, str]] = ()

    def put(self, key: str, data: bytes) -> None:
        """Store a new object; with `flat` also directory markers (`put("dir/", b"")`)."""
        raise NotImplementedError

    def overwrite(self, key: str, data: bytes) -> None:
        """Store other bytes under a key that exists, so that a careful reader can tell (a new mtime, say)."""
        self.put(key, data)

    def delete(self, key: str) -> None:
        """Remove an object."""
        raise NotImplementedError

    def uri(self, key: str) -> str:
        """The URI for a key of this place as `Backend.uri` would show it; `uri("")` is the whole place."""
        raise NotImplementedError

    def put_many(self, keys: Iterable[str], data: bytes) -> None:
        """Store the same bytes under many keys."""
        with ThreadPoolExecutor(8) as pool:
            for _ in pool.map(lambda key: self.put(key, data), keys):
                pass


def find(source: Source, uri: str) -> list[Page]:
    """All pages for a URI."""
    return list(source.backend.find(source.backend.parse(uri)))


def entries(source: Source, uri: str) -> dict[str, Object]:
    """All objects for a URI by path; a path must not come twice."""
    found: list[Entry] = [entry for page in find(source, uri) for entry in page.entries]
    assert len({entry.path for entry in found}) == len(found), "a path came twice"
    return {entry.path: entry.object for entry in found}


def only(source: Source, key: str) -> Object:
    """The one object of a key, as `find` reports it."""
    (obj,) = entries(source, source.uri(key)).values()
    return obj


def read(source: Source, obj: Object, *, start: int = 0, length: int | None = None) -> bytes:
    """The bytes of a recorded object."""
    with source.backend.open(obj, start=start, length=length) as reading:
        pieces = list(reading.chunks)
    assert all(len(piece) <= 4 * 2**20 for piece in pieces), "a piece is larger than 4 MiB"
    return b"".join(pieces)


def proves(proof: Proof, data: bytes) -> bool | None:
    """Whether bytes are what a proof says; None for an algorithm that the standard library lacks."""
    algorithm = proof.checksum.algorithm
    if algorithm not in hashlib.algorithms_available:
        return None
    if proof.part_size is None:
        return hashlib.new(algorithm, data).hexdigest() == proof.checksum.value
    parts = [data[at : at + proof.part_size] for at in range(0, len(data), proof.part_size)]
    digests = b"".join(hashlib.new(algorithm, part).digest() for part in parts)
    return hashlib.new(algorithm, digests).hexdigest() == proof.checksum.value


class Conformance:
    """Every backend passes all of these."""

    # -- URIs ----------------------------------------------------------------------------------------------------------

    def test_a_uri_that_is_shown_reads_back_as_the_same_place(self, source: Source) -> None:
        for key in source.odd_keys:
            location = source.backend.parse(source.uri(key))
            assert location.key.endswith(key), key
            assert location.version is None, key
            shown = source.backend.uri(location)
            assert shown.isprintable(), f"{key!r} is shown with control characters"
            assert source.backend.parse(shown) == location, key

    def test_the_uri_of_a_recorded_object_reads_back_with_its_version(self, source: Source) -> None:
        source.put("d/a.txt", b"one")
        obj = only(source, "d/a.txt")
        location = source.backend.parse(source.backend.uri(obj))
        assert location == Location.of(obj)
        assert location.version == obj.version

    def test_a_uri_with_a_credential_is_refused_without_repeating_it(self, source: Source) -> None:
        for uri, secret in source.secret_uris:
            with pytest.raises(SecretInURI) as caught:
                source.backend.parse(uri)
            assert secret not in str(caught.value)

    # -- finding -------------------------------------------------------------------------------------------------------

    def test_one_object_is_found_under_its_base_name(self, source: Source) -> None:
        source.put("data/sub/a.txt", b"hello")
        found = entries(source, source.uri("data/sub/a.txt"))
        assert list(found) == ["a.txt"]
        assert found["a.txt"].size == 5
        assert found["a.txt"].key.endswith("data/sub/a.txt")

    def test_a_directory_is_found_with_paths_relative_to_it(self, source: Source) -> None:
        for key in ("data/a.txt", "data/sub/b.txt", "data/sub/deep/c.txt", "other/d.txt"):
            source.put(key, key.encode())
        expected = {"a.txt", "sub/b.txt", "sub/deep/c.txt"}
        assert set(entries(source, source.uri("data"))) == expected
        assert set(entries(source, source.uri("data/"))) == expected

    def test_the_whole_place_is_found(self, source: Source) -> None:
        for key in ("top.txt", "data/a.txt"):
            source.put(key, b"x")
        assert set(entries(source, source.uri(""))) == {"top.txt", "data/a.txt"}

    def test_a_name_that_is_neither_object_nor_directory_is_missing(self, source: Source) -> None:
        source.put("data/a.txt", b"x")
        for key in ("dat", "data/a", "nothing/at/all"):
            with pytest.raises(SourceMissing):
                find(source, source.uri(key))

    def test_a_directory_without_objects_gives_no_entries(self, source: Source) -> None:
        source.put("data/a.txt", b"x")
        if source.exact_directories:
            with pytest.raises(SourceMissing):
                find(source, source.uri("nothing/"))
        else:
            assert entries(source, source.uri("nothing/")) == {}

    def test_a_name_that_is_both_object_and_directory_is_ambiguous(self, source: Source) -> None:
        if not source.flat:
            pytest.skip("a name can't be both here")
        source.put("both", b"object")
        source.put("both/inside.txt", b"x")
        with pytest.raises(AmbiguousURI):
            find(source, source.uri("both"))
        assert set(entries(source, source.uri("both/"))) == {"inside.txt"}
        assert set(entries(source, source.uri(""))) == {"both", "both/inside.txt"}

    def test_a_sibling_with_a_longer_name_is_not_taken_in(self, source: Source) -> None:
        for key in ("p/mnist/a.txt", "p/mnist2/b.txt", "p/mnist.txt", "p/mnist-old/c.txt"):
            source.put(key, b"x")
        for uri in (source.uri("p/mnist"), source.uri("p/mnist/")):
            assert set(entries(source, uri)) == {"a.txt"}

    def test_a_zero_byte_object_is_kept(self, source: Source) -> None:
        source.put("data/empty", b"")
        source.put("data/full", b"x")
        found = entries(source, source.uri("data"))
        assert {path: obj.size for path, obj in found.items()} == {"empty": 0, "full": 1}
        assert read(source, found["empty"]) == b""
        assert only(source, "data/empty").size == 0

    def test_directory_markers_are_left_out_and_counted(self, source: Source) -> None:
        if not source.flat:
            pytest.skip("directories are no objects here")
        for key in ("data/", "data/sub/"):
            source.put(key, b"")
        source.put("data/sub/a.txt", b"x")
        pages = find(source, source.uri("data"))
        assert [entry.path for page in pages for entry in page.entries] == ["sub/a.txt"]
        assert sum(page.markers for page in pages) == 2

    def test_a_listing_of_more_than_one_page_has_every_object_once(self, source: Source) -> None:
        if source.page is None:
            pytest.skip("there are no pages here")
        keys = [f"many/{number % 7}/{number:05d}" for number in range(source.page + 7)]
        source.put_many(keys, b"x")
        pages = find(source, source.uri("many"))
        paths = [entry.path for page in pages for entry in page.entries]
        assert sorted(paths) == sorted(key.removeprefix("many/") for key in keys)
        assert len(pages) > 1

    # -- what is reported ----------------------------------------------------------------------------------------------

    def test_a_listing_and_a_stat_report_the_same_fields(self, source: Source) -> None:
        source.put("data/a.txt", b"hello")
        source.put("data/empty", b"")
        for path, listed in entries(source, source.uri("data/")).items():
            seen = source.backend.stat(Location.of(listed, pinned=False))
            for field in ("scheme", "endpoint", "bucket", "key", "size", "version", "etag", "mtime", "storage_class"):
                if (path, field) not in source.known_faults:
                    assert getattr(listed, field) == getattr(seen, field), (path, field)

    def test_an_object_is_pinned_as_well_as_the_service_can(self, source: Source) -> None:
        source.put("data/a.txt", b"hello")
        assert entries(source, source.uri("data/"))["a.txt"].pin is source.pin
        assert only(source, "data/a.txt").pin.strength >= source.pin.strength

    def test_an_etag_has_no_quotes_and_a_time_is_utc(self, source: Source) -> None:
        source.put("data/a.txt", b"hello")
        for obj in (entries(source, source.uri("data/"))["a.txt"], only(source, "data/a.txt")):
            assert obj.etag is None or '"' not in obj.etag.removeprefix("W/")
            assert obj.mtime is None or (obj.mtime[10] == "T" and obj.mtime.endswith("Z"))

    def test_stat_of_a_missing_object_says_so_with_its_uri(self, source: Source) -> None:
        uri = source.uri("data/nothing.txt")
        with pytest.raises(SourceMissing) as caught:
            source.backend.stat(source.backend.parse(uri))
        assert uri in str(caught.value)

    # -- reading -------------------------------------------------------------------------------------------------------

    def test_odd_keys_are_kept_exactly_and_can_be_read(self, source: Source) -> None:
        contents = {key: f"content of {key!r}".encode() for key in source.odd_keys}
        for key, data in contents.items():
            source.put(key, data)
        found = entries(source, source.uri("odd/"))
        assert {"odd/" + path for path in found} == set(contents)
        for path, obj in found.items():
            assert read(source, obj) == contents["odd/" + path], path
            assert source.backend.stat(source.backend.parse(source.backend.uri(obj))).size == obj.size, path

    def test_bytes_are_read_whole_and_in_ranges(self, source: Source) -> None:
        data = bytes(range(256)) * 20
        source.put("data/r.bin", data)
        obj = only(source, "data/r.bin")
        size = len(data)
        whole = [(0, None), (0, size), (0, size + 5)]
        parts = [(0, 1), (0, 0), (1, None), (100, 50), (size - 1, None), (size - 1, 1), (size, None), (5, size)]
        for start, length in (*whole, *parts):
            end = None if length is None else start + length
            assert read(source, obj, start=start, length=length) == data[start:end], (start, length)

    def test_a_larger_object_comes_in_pieces_and_whole(self, source: Source) -> None:
        data = b"".join(number.to_bytes(4, "big") for number in range(5 * 2**20 // 4 + 1))
        source.put("data/large.bin", data)
        assert read(source, only(source, "data/large.bin")) == data

    def test_a_read_that_is_given_up_half_way_harms_no_other(self, source: Source) -> None:
        data = b"0123456789abcdef" * 2**17
        source.put("data/large.bin", data)
        obj = only(source, "data/large.bin")
        for _ in range(3):
            with source.backend.open(obj) as reading:
                next(reading.chunks)
        assert read(source, obj) == data

    def test_many_threads_read_at_once(self, source: Source) -> None:
        contents = {f"data/{number}": f"{number} ".encode() * 1000 for number in range(20)}
        for key, data in contents.items():
            source.put(key, data)
        found = entries(source, source.uri("data/"))
        with ThreadPoolExecutor(8) as pool:
            for path, data in zip(found, pool.map(lambda obj: read(source, obj), found.values()), strict=True):
                assert data == contents["data/" + path]

    def test_more_readings_are_open_at_once_than_any_pool_has_connections(self, source: Source) -> None:
        data = b"0123456789abcdef" * (3 * 2**16)
        source.put("data/large.bin", data)
        obj = only(source, "data/large.bin")
        with ExitStack() as stack:
            readings = [stack.enter_context(source.backend.open(obj)) for _ in range(40)]
            first = [next(reading.chunks) for reading in readings]
            assert all(piece + b"".join(reading.chunks) == data for piece, reading in zip(first, readings, strict=True))

    def test_every_proof_fits_the_bytes(self, source: Source) -> None:
        data = b"prove me " * 1000
        source.put("data/a.bin", data)
        for obj in (entries(source, source.uri("data/"))["a.bin"], only(source, "data/a.bin")):
            with source.backend.open(obj) as reading:
                assert b"".join(reading.chunks) == data
                for proof in reading.proofs:
                    assert proves(proof, data) is not False, proof

    # -- after a change outside ----------------------------------------------------------------------------------------

    def test_recorded_bytes_come_back_after_an_overwrite_or_it_is_called_changed(self, source: Source) -> None:
        if source.pin is Pin.NONE:
            pytest.skip("nothing pins objects here")
        source.put("data/a.txt", b"first")
        before = entries(source, source.uri("data/"))["a.txt"]
        source.overwrite("data/a.txt", b"other")
        if source.has_versions:
            assert read(source, before) == b"first"
            assert read(source, before, start=2, length=2) == b"rs"
        else:
            with pytest.raises(SourceChanged) as caught:
                read(source, before)
            assert source.backend.uri(before) in str(caught.value)
        after = entries(source, source.uri("data/"))["a.txt"]
        assert read(source, after) == b"other"
        assert not before.same_as(after)

    def test_recorded_bytes_come_back_after_a_delete_or_it_is_called_missing(self, source: Source) -> None:
        source.put("data/a.txt", b"first")
        source.put("data/b.txt", b"stays")
        before = entries(source, source.uri("data/"))["a.txt"]
        source.delete("data/a.txt")
        if source.has_versions:
            assert read(source, before) == b"first"
            assert source.backend.stat(Location.of(before)).size == 5
        else:
            with pytest.raises(SourceMissing) as caught:
                read(source, before)
            assert source.backend.uri(before) in str(caught.value)
        with pytest.raises(SourceMissing):
            source.backend.stat(Location.of(before, pinned=False))
        assert set(entries(source, source.uri("data/"))) == {"b.txt"}
        with pytest.raises(SourceMissing):
            find(source, source.uri("data/a.txt"))

    def test_a_version_in_the_uri_is_the_version_that_is_found(self, source: Source) -> None:
        if not source.has_versions:
            pytest.skip("there are no versions here")
        source.put("data/a.txt", b"first")
        first = only(source, "data/a.txt")
        source.overwrite("data/a.txt", b"second!")
        found = entries(source, source.backend.uri(first))
        assert {path: obj.version for path, obj in found.items()} == {"a.txt": first.version}
        assert read(source, found["a.txt"]) == b"first"

    def test_a_version_that_does_not_exist_is_missing(self, source: Source) -> None:
        if source.bogus_version is None:
            pytest.skip("URIs hold no versions here")
        source.put("data/a.txt", b"first")
        at = source.backend.parse(source.uri("data/a.txt"))
        bogus = Location(at.scheme, at.endpoint, at.bucket, at.key, source.bogus_version)
        with pytest.raises(SourceMissing):
            list(source.backend.find(bogus))
        with pytest.raises(SourceMissing):
            source.backend.stat(bogus)

    # -- diagnosis -----------------------------------------------------------------------------------------------------

    def test_a_diagnosis_of_a_good_place_finds_nothing_amiss(self, source: Source) -> None:
        source.put("data/a.txt", b"hello")
        diagnosis = source.backend.diagnose(source.backend.parse(source.uri("data/")))
        assert diagnosis.checks
        assert [check for check in diagnosis.checks if check.ok is False] == []
        assert diagnosis.pin is source.pin

    def test_a_diagnosis_of_a_missing_object_does_not_raise(self, source: Source) -> None:
        diagnosis = source.backend.diagnose(source.backend.parse(source.uri("nothing/here.txt")))
        assert any(check.ok is False for check in diagnosis.checks)
