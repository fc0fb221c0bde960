"""A checkout of ten thousand small objects: many requests at once, one for each, and none the second time."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.servers import seaweed_bulk
from tests.servers.running import Run
from tests.servers.s3 import operation

from .conftest import NewStore
from .overlap import OverlapProxy
from .process import refstore

COUNT, JOBS = 10_000, 16
LATENCY = 0.02


def set_endpoint(store: Path, bucket: str, url: str) -> None:
    """The server keeps its name, and so what was recorded its identity, wherever it is to be reached."""
    (store / ".refstore.toml").write_text(
        f'[endpoints.lab]\nscheme = "s3"\nurl = "{url}"\nmatch = ["s3://{bucket}"]\nregion = "us-east-1"\n'
    )


@pytest.mark.timeout(600)
def test_checking_out_10_000_objects_runs_in_parallel_and_the_second_time_asks_for_nothing(
    run: Run, new_store: NewStore
) -> None:
    server, bulk = seaweed_bulk.shared_server(run), seaweed_bulk.shared(run, COUNT, 0)
    env, store = server.environment(), new_store("store")
    set_endpoint(store, bulk.bucket, server.logged_url)
    refstore("add", bulk.uri, "--name", "data", "--max-objects", COUNT, cwd=store, env=env)
    words = ("checkout", "data", "out", "--jobs", JOBS, "--json")

    mark = server.mark()
    with OverlapProxy(server.logged_url, LATENCY) as proxy:
        set_endpoint(store, bulk.bucket, proxy.url)
        first = refstore(*words, cwd=store, env=env)
    set_endpoint(store, bulk.bucket, server.logged_url)
    asked = Counter(operation(request) for request in server.requests_since(mark, bulk.bucket))
    assert asked == {"GetObject": COUNT}
    assert proxy.requests == COUNT
    assert JOBS // 2 <= proxy.most <= JOBS
    assert proxy.mean > JOBS / 4
    assert (first.lines[-1]["written"], first.lines[-1]["failures"]) == (COUNT, [])
    for number in (0, 4321, COUNT - 1):
        assert (store / "out" / bulk.key(number).removeprefix("data/")).read_bytes() == bulk.content(number)

    mark = server.mark()
    second = refstore(*words, cwd=store, env=env)
    assert server.requests_since(mark, bulk.bucket) == []
    assert (second.lines[-1]["written"], second.lines[-1]["kept"]) == (0, COUNT)
