"""Listing in several chains at once: the same objects as one chain lists, in few requests, or one chain after all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refstore.backends.s3 import S3Backend, listing, pace
from refstore.config import Settings
from refstore.errors import SourceDenied
from tests.servers.faults import FaultProxy
from tests.servers.nginx import AccessLog
from tests.servers.s3 import S3Server
from tests.servers.scripted import Answer, Asked, ScriptedServer

SPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DENIED = Answer(403, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")


@dataclass
class Bucket:
    """A bucket as the documentation of LIST describes it, over a list of keys; `b/` is what it is called.

    `order` is how the service sorts keys. A key in `old` has an older version too, and one in `deleted` is a marker.
    """

    keys: list[str]
    old: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    order: Callable[[str], object] = str.encode
    versions: bool = True
    page: int = 1000
    asked: list[dict[str, str]] = field(default_factory=list)
    deny_behind: str | None = None

    def answer(self, asked: Asked) -> Answer:
        query = dict(parse_qsl(urlsplit(asked.path).query, keep_blank_values=True))
        self.asked.append(query)
        if "versions" in query:
            if not self.versions:
                return Answer(501, b"<Error><Code>NotImplemented</Code></Error>")
            return self._versions(query)
        return self._plain(query)

    def _sorted(self, prefix: str) -> list[str]:
        return sorted({key for key in self.keys if key.startswith(prefix)}, key=self.order)

    def _versions(self, query: dict[str, str]) -> Answer:
        rows = []
        for key in self._sorted(query.get("prefix", "")):
            rows += [(key, "2")] + ([(key, "1")] if key in self.old else [])
        after, version = query.get("key-marker", ""), query.get("version-id-marker")
        if after:
            at = (self.order(after), -int(version) if version else 0)
            rows = [(k, v) for k, v in rows if (self.order(k), -int(v)) > at and (version or k != after)]
        if self.deny_behind is not None and rows and rows[0][0] > self.deny_behind:
            return DENIED
        text = "".join(map(self._row, rows[: self.page]))
        more = ""
        if len(rows) > self.page:
            key, v = rows[self.page - 1]
            more = f"<NextKeyMarker>{quote(key)}</NextKeyMarker><NextVersionIdMarker>{v}</NextVersionIdMarker>"
        return self._document("ListVersionsResult", more, text)

    def _row(self, row: tuple[str, str]) -> str:
        key, version = row
        latest = str(version == "2").lower()
        said = f"<Key>{quote(key)}</Key><VersionId>{version}</VersionId><IsLatest>{latest}</IsLatest>"
        if key in self.deleted and version == "2":
            return f"<DeleteMarker>{said}<Owner><ID>x</ID></Owner></DeleteMarker>"
        return f"<Version>{said}<ETag>&quot;{version}&quot;</ETag><Size>5</Size><Owner><ID>x</ID></Owner></Version>"

    def _plain(self, query: dict[str, str]) -> Answer:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = bytes.fromhex(query.get("continuation-token", "")).decode() or query.get("start-after", "")
        found: dict[str, bool] = {}
        for key in self._sorted(prefix):
            if key in self.deleted or (after and self.order(key) <= self.order(after)):
                continue
            end = key.find("/", len(prefix)) if delimiter else -1
            found[key if end < 0 else key[: end + 1]] = end >= 0
        some = list(found.items())[: self.page]
        text = "".join(
            f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>"
            if folder
            else f"<Contents><Key>{quote(name)}</Key><ETag>&quot;2&quot;</ETag><Size>5</Size></Contents>"
            for name, folder in some
        )
        token = some[-1][0].encode().hex() if len(found) > self.page else ""
        more = f"<NextContinuationToken>{token}</NextContinuationToken>" if token else ""
        return self._document("ListBucketResult", more, text)

    def _document(self, name: str, more: str, rows: str) -> Answer:
        truncated = str(bool(more)).lower()
        head = f"<EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>{more}"
        return Answer(200, f"<{name}{SPACE}>{head}{rows}</{name}>".encode())


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[ScriptedServer, dict[str, Bucket]]]:
    now: dict[str, Bucket] = {}
    with ScriptedServer(lambda asked: now["bucket"].answer(asked)) as server:
        yield server, now


@pytest.fixture
def keys(server: tuple[ScriptedServer, dict[str, Bucket]], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Lists a bucket as if it were far away: whatever its pages took, chains are tried."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server[0].url)
    monkeypatch.setattr(pace.Pace, "is_far", property(lambda self: 2 <= self._next_survey <= self._pages))
    monkeypatch.setattr(pace.Pace, "is_latency", True)
    backend = S3Backend(Settings())

    def found(bucket: Bucket, uri: str = "s3://b/p/") -> list[str]:
        server[1]["bucket"] = bucket
        monkeypatch.setattr(listing, "PAGE", bucket.page)
        return [e.object.key for page in backend.find(backend.parse(uri)) for e in page.entries]

    return found


def tree(folders: int, each: int) -> list[str]:
    return [f"p/d{folder:04d}/f{number:04d}" for folder in range(folders) for number in range(each)]


NAMES = st.text("a-/é\n+%", max_size=5) | st.builds(
    "{}/{}".format, st.sampled_from("abcdefgh"), st.text("ab/", max_size=3)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(NAMES, max_size=80),
    st.sets(NAMES, max_size=20),
    st.sets(NAMES, max_size=20),
    st.integers(1, 9),
    st.booleans(),
)
@example({f"{n:02d}/{m}" for n in range(40) for m in range(3)}, set(), {"03/0", "04/0", "04/1", "04/2"}, 4, True)
def test_chains_find_what_one_chain_finds(
    keys: Callable[..., list[str]], names: set[str], old: set[str], deleted: set[str], page: int, versions: bool
) -> None:
    put = [{f"p/{name}" for name in some} for some in (names | deleted, old, deleted)]
    found = keys(Bucket(list(put[0]), put[1] & put[0], put[2], page=page, versions=versions))
    assert sorted(found) == sorted(put[0] - put[2])


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(NAMES, min_size=30, max_size=80), st.integers(2, 6))
@example({f"{n}/{m}" for n in ("a", "a-", "b", "é", "c", "d", "e", "f") for m in range(4)}, 3)
def test_a_service_that_sorts_otherwise_is_listed_whole(
    keys: Callable[..., list[str]], names: set[str], page: int
) -> None:
    by_folder = Bucket([f"p/{name}" for name in names], order=lambda key: key.encode().replace(b"/", b"\0"), page=page)
    assert set(keys(by_folder)) == set(by_folder.keys)
    odd_first = Bucket(by_folder.keys, order=lambda key: (key.isascii(), key.encode()), page=page)
    assert set(keys(odd_first)) == set(odd_first.keys)


def test_a_service_that_takes_no_notice_of_where_to_begin_is_listed_whole(keys: Callable[..., list[str]]) -> None:
    class Deaf(Bucket):
        def answer(self, asked: Asked) -> Answer:
            if "key-marker" in asked.path and "version-id-marker" not in asked.path:
                asked = Asked(asked.method, asked.path.replace("key-marker", "nothing"), asked.headers)
            return super().answer(asked)

    bucket = Deaf(tree(40, 5), page=10)
    assert set(keys(bucket)) == set(bucket.keys)


def test_a_service_that_begins_with_the_key_to_be_gone_behind_gives_no_key_twice(
    keys: Callable[..., list[str]],
) -> None:
    class Inclusive(Bucket):
        """As Ceph does, where no version is named beside the key."""

        def _versions(self, query: dict[str, str]) -> Answer:
            if "key-marker" in query and "version-id-marker" not in query:
                query = {**query, "key-marker": query["key-marker"][:-1] + chr(ord(query["key-marker"][-1]) - 1)}
            return super()._versions(query)

    bucket = Inclusive(tree(40, 5), page=10)
    assert sorted(keys(bucket)) == bucket.keys
    assert sum("key-marker" in asked and "version-id-marker" not in asked for asked in bucket.asked) > 1


def test_many_folders_cost_few_requests_more_than_one_chain_does(keys: Callable[..., list[str]]) -> None:
    bucket = Bucket(tree(1000, 10), page=100)
    assert sorted(keys(bucket)) == bucket.keys
    surveys = [query for query in bucket.asked if "delimiter" in query]
    pages = len(bucket.asked) - len(surveys)
    begun = [query for query in bucket.asked if "key-marker" in query and "version-id-marker" not in query]
    assert len(begun) > 8, "so many chains were begun at least"
    assert len(surveys) <= 12
    assert 100 <= pages <= 100 + 3 * len(begun)


def test_folders_that_lie_deeper_are_found(keys: Callable[..., list[str]]) -> None:
    bucket = Bucket([f"p/x/y/{key[2:]}" for key in tree(50, 10)] + tree(3, 10), page=20)
    assert sorted(keys(bucket)) == sorted(bucket.keys)
    assert [query["prefix"] for query in bucket.asked if "delimiter" in query][-1] == "p/x/y/"


def test_a_flat_prefix_costs_its_pages_and_nothing_more(keys: Callable[..., list[str]]) -> None:
    bucket = Bucket([f"p/f{number:04d}" for number in range(1000)], page=50)
    assert keys(bucket) == bucket.keys
    assert len(bucket.asked) == 20


def test_an_error_in_one_chain_ends_all(keys: Callable[..., list[str]]) -> None:
    bucket = Bucket(tree(400, 10), page=10, deny_behind="p/d0200/")
    with pytest.raises(SourceDenied):
        keys(bucket)
    assert len(bucket.asked) < 300


def test_who_stops_reading_stops_the_chains(
    server: tuple[ScriptedServer, dict[str, Bucket]],
    keys: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = server[1]["bucket"] = Bucket(tree(400, 10), page=10)
    monkeypatch.setattr(listing, "PAGE", 10)
    backend = S3Backend(Settings())
    found = backend.find(backend.parse("s3://b/p/"))
    for _ in range(8):
        next(found)
    found.close()  # type: ignore[attr-defined]
    assert len(bucket.asked) < 80


def test_far_away_a_real_server_is_asked_by_several_chains_at_once(
    seaweed: S3Server, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = seaweed.make_bucket()
    seaweed.put_many(name, {f"p/d{folder:02d}/f{number}": b"x" for folder in range(24) for number in range(5)})
    seaweed.put(name, "p/d03/f1", b"newer")
    seaweed.delete(name, "p/d04/f1")
    proxy = faults(seaweed.logged_url, latency=0.05)
    for variable, value in seaweed.environment(url=proxy.url).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(listing, "PAGE", 10)
    log: AccessLog = seaweed.log
    mark = log.mark()
    backend = S3Backend(Settings())
    found = [e.object for page in backend.find(backend.parse(f"s3://{name}/p/")) for e in page.entries]
    assert sorted(o.key for o in found) == sorted(
        f"p/d{folder:02d}/f{number}" for folder in range(24) for number in range(5) if (folder, number) != (4, 1)
    )
    assert next(o.size for o in found if o.key == "p/d03/f1") == 5
    assert len(log.since(mark, f"/{name}")) < 60
