"""`refstore://` against s3fs: many small files, and a large one.

Both read the same objects of S3 in a process of their own. s3fs gives what is there now; `refstore://` gives the
recorded versions, and compares what it reads with their digests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

from benchmarks.bench import Bench, Result, peer, refstore

SMALL = 1_000
LARGE = 256 << 20
PEER = "s3fs"


def run(bench: Bench) -> Iterator[Result]:
    server, count, size = bench.server, bench.scaled(SMALL), LARGE // (8 if bench.quick else 1)
    bucket, env = server.make_bucket(), server.environment(logged=True)
    server.put_many(bucket, {f"small/{number:05d}": b"object %d\n" % number * 100 for number in range(count)})
    server.put(bucket, "large/one", os.urandom(1 << 16) * (size >> 16))
    store = bench.store()
    for name in ("small", "large"):
        bench.once(refstore("add", f"s3://{bucket}/{name}/", "--name", name), store, env)
    small = [f"{number:05d}" for number in range(count)]
    counted = bench.requests(bucket)
    for how, what, names in (
        ("cat", f"{count:,} small files, at once", small),
        ("one by one", f"{count:,} small files, one by one", small),
        ("stream", f"a file of {size >> 20} MiB, in sequence", ["one"]),
        ("whole", f"a file of {size >> 20} MiB, at once", ["one"]),
    ):
        kind = "small" if len(names) > 1 else "large"
        (store / "wanted").write_text(json.dumps(names))
        bare = bench.took(peer("read", "wanted", f"s3://{bucket}/{kind}", how), store, env, requests=counted)
        yield bare.result(f"{PEER}: {what}")
        took = bench.took(peer("read", "wanted", f"refstore://{kind}:v0", how), store, env, requests=counted)
        yield took.result(f"`refstore://`: {what}", PEER, bare)
