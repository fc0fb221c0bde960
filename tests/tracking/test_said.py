"""What is said of a run while it goes on: recorded soon and seldom; and how a run goes on after its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import refstore
from refstore.catalog import run_queries
from refstore.records.encoding import now
from refstore.records.types import RunFinished, RunResumed, RunStarted
from refstore.tracking import run_state
from refstore.tracking.run_said import RunSaid


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is recorded because time goes by."""
    monkeypatch.setattr(run_state, "SOON", 1e6)


def files(project: Path) -> int:
    return len(list((project / ".refstore" / "records").iterdir()))


def eventually(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never became so")


def test_ten_thousand_assignments_are_a_handful_of_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "SOON", 0.2)
    run = refstore.init(project="vision")
    before, began = files(project), time.monotonic()
    for number in range(10_000):
        run.config[f"k{number % 50}"] = number
        run.summary["step"] = number
    took = time.monotonic() - began
    run.finish()
    assert files(project) - before <= 2 + took / 0.2
    assert refstore.Api().run(run.id).config["k49"] == 9999


def test_a_change_is_recorded_after_a_while_without_any_other_call(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_state, "SOON", 0.05)
    run = refstore.init(project="vision")
    run.config.lr = 0.1
    eventually(lambda: refstore.Api().run(run.id).config == {"lr": 0.1})
    run.log({"acc": 1})
    eventually(lambda: refstore.Api().run(run.id).summary == {"acc": 1})
    run.tags = ("a",)
    eventually(lambda: refstore.Api().run(run.id).tags == ["a"])
    assert refstore.Api().run(run.id).state == "running"


def test_a_change_waits_longer_the_longer_a_run_goes_on(project: Path) -> None:
    run = refstore.init(project="vision")
    run._since -= 36_000
    run.config.lr = 1
    assert run._timer is not None
    assert 3600 <= run._timer.interval < 4000


@pytest.mark.parametrize("call", ["run.log_artifact(made)", "run.use_artifact('mnist:v0')", "time.sleep(60)"])
def test_a_killed_run_keeps_its_config_and_summary(project: Path, data: Path, call: str) -> None:
    with refstore.init(project="vision") as first:
        made = refstore.Artifact("mnist", type="dataset")
        made.add_reference(data.as_uri())
        first.log_artifact(made)
    text = f"""
import sys, time, refstore
from refstore.tracking import run_state
run_state.SOON = {0.05 if "sleep" in call else 1e6}
run = refstore.init(project="vision", id="killed", config={{"given": 1}})
made = refstore.Artifact("cnn", type="model")
made.add_reference({data.as_uri()!r})
run.config.update({{"lr": 0.1}}, depth=3)
run.log({{"loss": 0.5}})
print("up", flush=True)
{call}
print("done", flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", text], cwd=project, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        if "sleep" in call:
            eventually(lambda: "lr" in refstore.Api().run("killed").config)
        else:
            assert process.stdout.readline() == "done\n"
        process.kill()
    past = refstore.Api().run("killed")
    assert (past.state, past.config) == ("crashed", {"given": 1, "lr": 0.1, "depth": 3})
    assert past.summary == {"loss": 0.5}


def test_nothing_new_is_nothing_to_record(project: Path, data: Path, never: None) -> None:
    run = refstore.init(project="vision", config={"lr": 1})
    run.config.lr = 1
    before = files(project)
    made = refstore.Artifact("mnist", type="dataset")
    made.add_reference(data.as_uri())
    run.log_artifact(made)
    assert files(project) == before + 1
    run.finish()
    assert files(project) == before + 2


def test_a_full_disk_keeps_a_change_for_later(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_state, "SOON", 0.02)
    run = refstore.init(project="vision")
    records = project / ".refstore" / "records"
    tmp = project / ".refstore" / "tmp"
    for folder in tmp.glob("*"):
        folder.unlink()
    tmp.rmdir()
    tmp.write_text("in the way")
    run.config.lr = 1
    eventually(lambda: "was not recorded yet" in caplog.text)
    tmp.unlink()
    run.finish()
    assert refstore.Api().run(run.id).config == {"lr": 1}
    assert len(list(records.iterdir())) == 2


def test_processes_that_share_a_run_change_only_what_they_changed() -> None:
    before = RunSaid("n", "", ("a", "b"), {"lr": 1, "gone": 1, "both": 1}, {})
    mine = RunSaid("n", "mine", ("a", "c"), {"lr": 2, "both": 1, "new": 1}, {"acc": 1})
    others = RunSaid("other", "", ("a", "b", "d"), {"lr": 1, "gone": 1, "both": 5, "theirs": 1}, {"loss": 1})
    assert mine.onto(others, before) == RunSaid(
        "other", "mine", ("a", "d", "c"), {"lr": 2, "both": 5, "theirs": 1, "new": 1}, {"loss": 1, "acc": 1}
    )


def test_a_resumed_run_is_running_in_its_new_process(project: Path) -> None:
    text = "import refstore\nrun = refstore.init(project='vision', id='mine', resume='allow', config={'n': 1})\n"
    subprocess.run([sys.executable, "-c", text], cwd=project, check=True)
    first = refstore.Api().run("mine")
    assert first.state == "finished"
    words = [sys.executable, "-c", text + "print('up', flush=True); input()", "--again"]
    with subprocess.Popen(words, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        again = refstore.Api().run("mine")
        assert (again.state, again.info.pid, again.info.finished) == ("running", process.pid, None)
        assert again.info.command[-1] == "--again"
        assert again.created_at == first.created_at
        assert again.info.resumed is not None
        assert again.info.resumed > first.info.finished
        process.send_signal(signal.SIGKILL)
    assert refstore.Api().run("mine").state == "crashed"
    with refstore.init(project="vision", id="mine", resume="must") as third:
        assert refstore.Api().run("mine").state == "running"
        assert third.info.pid == os.getpid()
    assert refstore.Api().run("mine").state == "finished"


def test_a_process_younger_than_the_start_of_its_run_is_alive_where_it_resumed_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with refstore.init(project="vision", id="mine"):
        pass
    run = refstore.init(project="vision", id="mine", resume="allow")
    old = replace(run.info, started="2020-01-01T00:00:00.000000Z")
    assert run_queries._alive(old)
    assert not run_queries._alive(replace(old, resumed=None))


def test_the_last_record_tells_whether_a_run_is_running(project: Path) -> None:
    with refstore.create() as store:
        started = RunStarted(time=now(), clock=1, run="mine", project="vision", host="there", pid=1)
        ended = RunFinished(time=now(), clock=2, run=started.id, state="failed")
        resumed = RunResumed(time=now(), clock=3, run=started.id, host="elsewhere", pid=2)
        for record in (resumed, ended, started):
            with store.catalog.writing() as writing:
                writing.add(record)
                writing.commit()
            found = store.catalog.runs.run_by_id(started.id)
        assert found is not None
        assert (found.state, found.finished, found.host, found.pid) == ("running", None, "elsewhere", 2)
        with store.catalog.writing() as writing:
            writing.add(RunFinished(time=now(), clock=4, run=started.id, state="finished"))
            writing.commit()
        found = store.catalog.runs.run_by_id(started.id)
        assert found is not None
        assert (found.state, found.host, found.resumed) == ("finished", "elsewhere", resumed.time)
