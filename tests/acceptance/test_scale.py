"""A hundred thousand objects: what adding them asks of the server and of the machine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from refstore.backends.s3.ranges import CHAINS
from tests.servers import seaweed_bulk
from tests.servers.running import Run
from tests.servers.s3 import S3Server, operation

from .conftest import NewStore, write_tree
from .process import refstore

MANY, FEWER = 100_000, 20_000
GROWTH = 1.5  # the most that five times as many objects may add to the memory that is needed


@pytest.fixture(scope="session")
def bulk_server(run: Run) -> S3Server:
    return seaweed_bulk.shared_server(run)


@pytest.fixture(scope="session")
def bulk(run: Run) -> seaweed_bulk.Bulk:
    """A bucket with versions and 100,000 objects, 20,000 of them below one prefix."""
    return seaweed_bulk.shared(run, MANY, FEWER)


@pytest.mark.timeout(600)
def test_adding_100_000_versioned_objects_takes_a_request_a_thousand_and_no_more_memory_than_fewer(
    bulk_server: S3Server, bulk: seaweed_bulk.Bulk, new_store: NewStore
) -> None:
    store, env = new_store("store"), bulk_server.environment(logged=True)
    few = refstore("add", bulk.part_uri, "--name", "few", "--max-objects", MANY, "--json", cwd=store, env=env)
    mark = bulk_server.mark()
    many = refstore("add", bulk.uri, "--name", "many", "--max-objects", MANY, "--json", cwd=store, env=env)

    asked = Counter(operation(request) for request in bulk_server.requests_since(mark, bulk.bucket))
    assert asked.keys() <= {"ListObjectVersions", "ListObjectsV2"}
    # A busy machine can make this server look far away; then ranges are listed at once, each with a page more.
    assert asked["ListObjectsV2"] <= 4
    assert MANY // 1000 <= asked["ListObjectVersions"] <= MANY // 1000 + 2 * CHAINS
    assert [(ran.lines[-1]["file_count"], ran.lines[-1]["pins"]) for ran in (few, many)] == [
        (FEWER, {"version": FEWER}),
        (MANY, {"version": MANY}),
    ]
    assert many.peak < GROWTH * few.peak, f"{few.peak:,} bytes for {FEWER:,} objects, {many.peak:,} for {MANY:,}"


def test_adding_100_000_local_files_takes_no_more_memory_than_fewer(tmp_path: Path, new_store: NewStore) -> None:
    tree = tmp_path / "tree"
    write_tree(tree / "part", FEWER)
    store = new_store("store")
    few = refstore("add", tree / "part", "--name", "few", "--max-objects", MANY, "--json", cwd=store)
    write_tree(tree, MANY - FEWER, start=FEWER)
    many = refstore("add", tree, "--name", "many", "--max-objects", MANY, "--json", cwd=store)

    assert [(ran.lines[-1]["file_count"], ran.lines[-1]["pins"]) for ran in (few, many)] == [
        (FEWER, {"checksum": FEWER}),
        (MANY, {"checksum": MANY}),
    ]
    assert many.peak < GROWTH * few.peak, f"{few.peak:,} bytes for {FEWER:,} files, {many.peak:,} for {MANY:,}"
