"""`refstore checkout` from S3, against plain parallel GETs to files.

The peer asks for the same objects, as many at once, and writes what comes: it verifies nothing, syncs nothing, and
leaves half a file behind when it is killed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench import Bench, Result, forget, peer, refstore

SMALL, LARGE = 10_000, 8
LARGE_SIZE = 64 << 20
JOBS = 16
PEER = "plain GETs with aiobotocore"


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(SMALL)
    small = bench.bucket(count)
    yield from _compare(bench, f"{count:,} small objects", small.bucket, small.uri, count)
    server, size = bench.server, LARGE_SIZE // (4 if bench.quick else 1)
    bucket = server.make_bucket()
    for number in range(LARGE):
        server.put(bucket, f"data/large-{number}", os.urandom(1 << 16) * (size >> 16))
    yield from _compare(bench, f"{LARGE} objects of {size >> 20} MiB", bucket, f"s3://{bucket}/data/", LARGE)


def _compare(bench: Bench, what: str, bucket: str, uri: str, count: int) -> Iterator[Result]:
    env, store = bench.server.environment(logged=True), bench.store()
    bench.once(refstore("add", uri, "--name", "data", "--max-objects", count), store, env)
    listed = bench.once(refstore("ls", "data:v0", "--json"), store).lines
    (store / "wanted").write_text(json.dumps([[row["path"], row["key"], row["version"]] for row in listed]))

    def clean() -> Path:
        forget(store / "out")
        return store

    counted = bench.requests(bucket)
    bare = bench.took(peer("gets", "wanted", bucket, "out", JOBS), clean, env, requests=counted)
    yield bare.result(f"{PEER}, {JOBS} at once: {what}")
    words = refstore("checkout", "data", "out", "--jobs", JOBS, "--json")
    took = bench.took(words, clean, env, requests=counted)
    yield took.result(f"`checkout --jobs {JOBS}`: {what}", PEER, bare)
