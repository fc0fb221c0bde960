"""Recording 100,000 objects of S3 with their version ids: the first time, and again with nothing changed.

The stub answers at once, so that what the client costs is seen; SeaweedFS is a real server, and slower than most
clients. `s5cmd ls`, `rclone lsf` and the boto3 loop keep nothing, and the first two ask for no versions. W&B asks for
each object by itself and keeps nothing between two times, so it has one turn, and one line for both.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import dvc, environments, rclone, stubbed
from benchmarks.bench import Bench, Result, peer, refstore
from benchmarks.race import REFSTORE, Entrant, Race

COUNT = 100_000
BOTO3, S5CMD, RCLONE = "a boto3 loop over ListObjectVersions", "`s5cmd ls`", "`rclone lsf`"
TARGETS = {"W&B": 0.01, "DVC": 0.12, BOTO3: 0.25, S5CMD: 1.0}
DVC_MOST = 10_000
"""The most objects that DVC updates here: that takes half a minute, and nine times as long for three times as many."""
_HERE = Path(__file__).parent


def run(bench: Bench) -> Iterator[Result]:
    count = bench.scaled(COUNT)
    stub = stubbed.shared(bench, count)
    yield from _race(bench, "S3 stub", count, stubbed.URI, stub.environment, stub.requests, TARGETS)
    bulk, env = bench.bucket(count), bench.server.environment(logged=True)
    yield from _race(bench, "SeaweedFS", count, bulk.uri, env, bench.requests(bulk.bucket), {})


def _race(
    bench: Bench,
    where: str,
    count: int,
    uri: str,
    env: Mapping[str, str],
    requests: Callable[[], int],
    targets: Mapping[str, float],
) -> Iterator[Result]:
    stores: list[Path] = []
    repositories: list[dvc.Repository] = []

    def store() -> Path:
        stores.append(bench.store())
        return stores[-1]

    def repository() -> Path:
        repositories.append(dvc.Repository(bench))
        return repositories[-1].folder

    def new() -> Path:
        return Path(tempfile.mkdtemp(dir=bench.folder))

    words = refstore("add", uri, "--name", "data", "--max-objects", count, "--json")
    chain = lambda: [environments.python("datachain"), _HERE / "with_datachain.py", uri]  # noqa: E731
    wandb = lambda: [environments.python("wandb"), _HERE / "with_wandb.py", "record", uri, "manifest.json"]  # noqa: E731
    imported = ["import-url", "--quiet", "--version-aware", "--no-download", uri, "data"]
    listed = ["--endpoint-url", env["AWS_ENDPOINT_URL"], "--log", "error", "ls", f"{uri}*"]

    first = Race(bench, f"{where}: record {count:,} objects", env, requests=requests)
    first.enter(REFSTORE, lambda: Entrant(words, store))
    if targets:  # minutes, of which the server takes a small part
        first.enter("W&B", lambda: Entrant(wandb(), new, turns=1))
    first.enter("DVC", lambda: Entrant([environments.program("dvc"), *imported], repository))
    first.enter("DataChain", lambda: Entrant(chain(), new))
    first.enter(BOTO3, lambda: Entrant(peer("versions", uri), bench.folder))
    first.enter(S5CMD, lambda: Entrant([environments.program("s5cmd"), *listed], bench.folder))
    first.enter(RCLONE, lambda: Entrant([*rclone.words(env), "lsf", "-R", rclone.path(uri)], bench.folder))
    yield from first.run().lines(targets)

    if not targets:
        return  # what the server takes is nearly all, and the same
    # a race of its own, as only some keep anything; what stands against it is the first time, of the same minutes
    again = Race(bench, f"{where}: the same again, nothing changed", env, requests=requests)
    again.enter("the first time", lambda: Entrant(words, store))
    if REFSTORE in first.took:
        place = stores[-1]
        again.enter(REFSTORE, lambda: Entrant(words, place))
    if "DVC" in first.took and count <= DVC_MOST:
        update = [environments.program("dvc"), "update", "--quiet", "--no-download", "data.dvc"]
        again.enter("DVC", lambda: Entrant(update, repositories[-1].folder))
    yield from again.run().lines({"the first time": 1.0})
