"""`refstore add` of a bucket with versions, against the bare listing of it.

The peers are what any client has to do: ask for page after page with the AWS library, and forget them; and, for the
stub, which wants no signature, to read the bytes of the pages and nothing more, which is the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import stubbed
from benchmarks.bench import Bench, Result, peer, refstore

COUNT = 100_000
PEER = "a bare listing with aiobotocore"
LIMIT = "the bytes of the pages"


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    stub = stubbed.shared(bench, count)
    words = peer("pages", stubbed.URI)
    limit = bench.took(words, bench.folder, stub.environment, requests=stub.requests)
    yield limit.result(f"S3 stub: {LIMIT}, {count:,} objects")
    for result in _both(bench, "S3 stub", count, stubbed.URI, stub.environment, stub.requests, 3):
        yield result
        if result.ratio is not None and result.seconds is not None:
            yield Result("the same", against=LIMIT, ratio=result.seconds / limit.seconds)
    bulk, env = bench.bucket(count), bench.server.environment(logged=True)
    yield from _both(bench, "SeaweedFS", count, bulk.uri, env, bench.requests(bulk.bucket), 1)


def _both(
    bench: Bench, where: str, count: int, uri: str, env: Mapping[str, str], requests: Callable[[], int], runs: int
) -> Iterator[Result]:
    bare = bench.took(peer("listing", uri), bench.folder, env, runs=runs, requests=requests)
    yield bare.result(f"{where}: {PEER}, {count:,} objects")
    stores: list[Path] = []

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    words = refstore("add", uri, "--name", "data", "--max-objects", count, "--json")
    first = bench.took(words, store, env, runs=runs, requests=requests)
    yield first.result(f"{where}: `add` of {count:,} objects", PEER, bare)
    again = bench.took(words, stores[-1], env, runs=runs, requests=requests)
    yield again.result(f"{where}: `add` again, nothing changed", PEER, bare)
