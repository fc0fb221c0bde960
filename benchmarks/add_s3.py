"""`refstore add` of a bucket with versions, against the bare listing of it.

The peers list the same bucket in the same turns: a boto3 loop over ListObjectVersions, which is what any client of the
AWS library has to do; `s5cmd ls`, which asks for no versions; and, for the stub, which wants no signature, a program
that reads the bytes of the pages and nothing more, which is the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import stubbed, tools
from benchmarks.bench import Bench, Result, peer, refstore

COUNT = 100_000
FAR = 0.05
PEER = "a boto3 loop over ListObjectVersions"
S5CMD = "`s5cmd ls`"
LIMIT = "the bytes of the pages"


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    near = stubbed.shared(bench, count)
    yield from _side_by_side(bench, "S3 stub", count, stubbed.URI, near.environment, near.requests, 3, limit=True)
    far = stubbed.shared(bench, count, each=100, latency=FAR)
    where = f"S3 stub, {1000 * FAR:.0f} ms away, 100 in a folder"
    yield from _side_by_side(bench, where, count, stubbed.URI, far.environment, far.requests, 3, limit=True)
    bulk, env = bench.bucket(count), bench.server.environment(logged=True)
    yield from _side_by_side(bench, "SeaweedFS", count, bulk.uri, env, bench.requests(bulk.bucket), 1)


def _side_by_side(
    bench: Bench,
    where: str,
    count: int,
    uri: str,
    env: Mapping[str, str],
    requests: Callable[[], int],
    runs: int,
    *,
    limit: bool = False,
) -> Iterator[Result]:
    stores: list[Path] = []

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    words = refstore("add", uri, "--name", "data", "--max-objects", count, "--json")
    took = bench.interleaved(
        {
            PEER: (peer("versions", uri), bench.folder),
            S5CMD: (
                [tools.s5cmd(), "--endpoint-url", env["AWS_ENDPOINT_URL"], "--log", "error", "ls", f"{uri}*"],
                bench.folder,
            ),
            **({LIMIT: (peer("pages", uri), bench.folder)} if limit else {}),
            "add": (words, store),
            "again": (words, lambda: stores[-1]),
        },
        env,
        runs=runs,
        requests=requests,
    )
    first, again = took.pop("add"), took.pop("again")
    for name, other in took.items():
        yield other.result(f"{where}: {name}, {count:,} objects")
    for name, other in took.items():
        yield first.result(f"{where}: `add` of {count:,} objects", name, other)
    yield again.result(f"{where}: `add` again, nothing changed", "the first time", first)
