"""The stub as a server of a run of the measurements."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench import Bench
from tests.servers.nginx import direct

BUCKET = "bucket"
URI = f"s3://{BUCKET}/data/"


@dataclass(frozen=True)
class Stubbed:
    """Where it listens."""

    url: str

    @property
    def environment(self) -> dict[str, str]:
        """What makes a client talk to it."""
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self.url, **keys}

    @property
    def requests(self) -> Callable[[], int]:
        """How many listings there were so far."""

        def count() -> int:
            with direct.open(f"{self.url}/-/requests") as answer:
                return int(answer.read())

        return count


def shared(bench: Bench, count: int, each: int = 1000, latency: float = 0) -> Stubbed:
    """A stub with so many objects, so many in each folder, that waits so many seconds before it answers."""
    name = f"stub-{count}-{each}-{latency}"

    def start() -> Stubbed:
        port, folder = bench.run.port(), bench.run.server_folder(name)
        program = str(Path(__file__).with_name("stub.py"))
        command = [sys.executable, program, str(port), str(count), str(each), str(latency)]
        bench.run.spawn(folder, command, port=port)
        return Stubbed(f"http://127.0.0.1:{port}")

    return bench.run.shared(name, Stubbed, start)
