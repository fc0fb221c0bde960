"""Recording 100,000 objects in 1,000 folders of S3 that is 50 ms away, where one chain of pages waits most of its time.

Only the bytes of the pages come in one chain for all that count on it: boto3, `s5cmd ls`, and the program that reads
them and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import environments, rclone, stubbed
from benchmarks.bench import Bench, Result, peer, refstore
from benchmarks.race import REFSTORE, Entrant, Race
from benchmarks.s3_record import BOTO3, RCLONE, S5CMD

COUNT, EACH, LATENCY = 100_000, 100, 0.05
PAGES = "the bytes of the pages"


def run(bench: Bench) -> Iterator[Result]:
    count, stores = bench.scaled(COUNT), list[Path]()
    stub = stubbed.shared(bench, count, each=EACH, latency=LATENCY)
    env, uri = stub.environment, stubbed.URI

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    words = refstore("add", uri, "--name", "data", "--max-objects", count, "--json")
    listed = ["--endpoint-url", env["AWS_ENDPOINT_URL"], "--log", "error", "ls", f"{uri}*"]
    where = f"{1000 * LATENCY:.0f} ms away, {EACH} in a folder"
    first = Race(bench, f"record {count:,} objects {where}", env, requests=stub.requests)
    first.enter(REFSTORE, lambda: Entrant(words, store))
    first.enter(BOTO3, lambda: Entrant(peer("versions", uri), bench.folder))
    first.enter(S5CMD, lambda: Entrant([environments.program("s5cmd"), *listed], bench.folder))
    first.enter(RCLONE, lambda: Entrant([*rclone.words(env), "lsf", "-R", rclone.path(uri)], bench.folder))
    first.enter(PAGES, lambda: Entrant(peer("pages", uri), bench.folder))
    yield from first.run().lines({BOTO3: 0.15, S5CMD: 0.15})
    again = Race(bench, f"the same again, nothing changed, {where}", env, requests=stub.requests)
    again.enter("the first time", lambda: Entrant(words, store))
    again.enter(REFSTORE, lambda: Entrant(words, stores[0]))
    yield from again.run().lines({"the first time": 1.0})
