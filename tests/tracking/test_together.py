"""Threads, processes, forks and workers of data loaders on one store at once."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import refstore


def test_threads_that_log_by_one_run_lose_nothing(project: Path, data: Path) -> None:
    run = refstore.init(project="vision")
    source = refstore.Artifact("source", type="dataset")
    source.add_reference(data.as_uri())
    run.log_artifact(source)

    def work(number: int) -> str:
        artifact = refstore.Artifact(f"shard-{number % 3}", type="dataset")
        artifact.add_reference(data.as_uri(), name=f"n{number}")
        run.use_artifact("source:v0")
        return run.log_artifact(artifact).name

    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(work, range(24)))
    assert sorted(names) == sorted(f"shard-{s}:v{v}" for s in range(3) for v in range(8))
    past = refstore.Api().run(run.id)
    assert len(past.logged_artifacts()) == 25
    assert [a.name for a in past.used_artifacts()] == ["source:v0"]


def test_processes_that_log_to_one_store_lose_nothing(project: Path, data: Path) -> None:
    refstore.create().close()
    text = """
import refstore, sys
with refstore.init(project="vision") as run:
    for i in range(4):
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference(sys.argv[2], name=f"{sys.argv[1]}-{i}")
        run.log_artifact(artifact, aliases=[f"from-{sys.argv[1]}"])
"""
    processes = [subprocess.Popen([sys.executable, "-c", text, str(n), data.as_uri()], cwd=project) for n in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    api = refstore.Api()
    versions = api.artifacts("dataset", "vision/mnist")
    assert [v.version for v in versions] == [f"v{n}" for n in reversed(range(16))]
    assert sorted(alias for v in versions for alias in v.aliases) == [f"from-{n}" for n in range(4)] + ["latest"]
    assert sorted(len(run.logged_artifacts()) for run in api.runs("vision")) == [4, 4, 4, 4]


def read(artifact: refstore.Artifact, path: str) -> bytes:
    """What a worker does with an artifact that its parent opened."""
    return Path(artifact.get_entry(path).download(root=f"worker-{os.getpid()}")).read_bytes()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_read_an_artifact_that_their_parent_opened(project: Path, data: Path, method: str) -> None:
    run = refstore.init(project="vision")
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference(data.as_uri())
    run.log_artifact(artifact)
    assert len(artifact.manifest.entries) == 3
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.starmap(read, [(artifact, path) for path in artifact.manifest.entries])
    assert found == [b"label\n7\n", b"zero", b"one"]
    assert run.state == "running"
    run.log_artifact(artifact, aliases=["after"])


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_logs_by_its_parents_run_and_does_not_end_it(project: Path, data: Path) -> None:
    run = refstore.init(project="vision")
    pid = os.fork()
    if pid == 0:
        try:
            artifact = refstore.Artifact("mnist", type="dataset")
            artifact.add_reference(data.as_uri())
            assert refstore.run is run
            run.log_artifact(artifact)
            run.finish()
            code = 0
        except BaseException:
            code = 1
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert run.info.state == "running"
    assert [a.name for a in run.logged_artifacts()] == ["mnist:v0"]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_while_threads_use_the_store_can_use_it(project: Path, data: Path) -> None:
    run = refstore.init(project="vision")
    artifact = refstore.Artifact("mnist", type="dataset")
    artifact.add_reference(data.as_uri())
    run.log_artifact(artifact)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            list(artifact.manifest.entries)
            run.log_artifact(artifact, tags=[f"t{threading.get_ident() % 7}"])

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        context = multiprocessing.get_context("fork")
        for _ in range(3):
            with context.Pool(1) as pool:
                assert pool.apply_async(read, (artifact, "labels.csv")).get(60) == b"label\n7\n"
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert refstore.Api().artifact("mnist").version == "v0"
