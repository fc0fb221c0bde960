"""`refstore run`: a command with its inputs and outputs recorded, and nothing between it and its terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import refstore
from tests.cli.conftest import Cli
from tests.servers.s3 import S3Server

PRINT = "import os;print(os.environ['REFSTORE_RUN_ID'], os.environ['REFSTORE_PROJECT'])"


def write(path: str, text: str = "weights") -> list[str]:
    """The words of a command that writes a file."""
    return [sys.executable, "-c", f"open({path!r}, 'w').write({text!r})"]


def test_what_a_command_used_and_made_is_recorded(mnist: Path, cli: Cli) -> None:
    ran = cli(
        *("run", "--project", "vision", "--name", "first", "--job-type", "train", "--use", "uncategorized/mnist:v0"),
        *("--config", "epochs=3", "--config", "name=resnet", "--log", "model.bin=cnn:model", "--alias", "best"),
        *("--", *write("model.bin")),
    )
    assert "used mnist:v0; logged vision/cnn:v0" in ran.err
    run = cli("runs", "show", cli("runs", "ls", "--json").object["run"], "--json").object
    assert (run["state"], run["name"], run["job_type"], run["project"]) == ("finished", "first", "train", "vision")
    assert run["config"] == {"epochs": 3, "name": "resnet"}
    assert [each["name"] for each in run["used"]] == ["uncategorized/mnist:v0"]
    assert [each["name"] for each in run["logged"]] == ["vision/cnn:v0"]
    version = cli("show", "vision/cnn:best", "--json").object
    assert (version["type"], version["file_count"], version["run"]) == ("model", 1, run["id"])


def test_a_uri_that_a_command_wrote_becomes_a_reference(project: Path, cli: Cli, seaweed: S3Server) -> None:
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "models/cnn/model.bin", b"weights")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in seaweed.environment().items():
            patch.setenv(name, value)
        cli("run", "-q", "--log", f"s3://{bucket}/models/cnn=cnn:model", "--", "true")
    (file,) = cli("ls", "cnn:latest", "--json").lines
    assert (file["path"], file["scheme"], file["key"]) == ("model.bin", "s3", "models/cnn/model.bin")


def test_a_command_that_fails_logs_nothing_and_its_code_is_returned(mnist: Path, cli: Cli) -> None:
    (mnist / "model.bin").write_text("half")
    ran = cli("run", "--use", "mnist", "--log", "model.bin=cnn", "--", "sh", "-c", "exit 9", code=9)
    assert "nothing was logged, as the command ended with 9" in ran.err
    assert cli("runs", "ls", "--json").object["state"] == "failed"
    cli("show", "cnn", code=3)


def test_an_input_that_is_not_there_keeps_the_command_from_starting(project: Path, cli: Cli) -> None:
    cli("run", "--use", "nothing", "--", *write("made"), code=3)
    assert not (project / "made").exists()
    assert cli("runs", "ls", "--json").lines == []


def test_an_output_that_is_not_there_fails_the_run(project: Path, cli: Cli) -> None:
    cli("run", "--log", "nothing.bin=cnn", "--", "true", code=4)
    assert cli("runs", "ls", "--json").object["state"] == "failed"


def test_what_can_not_be_started_is_said_and_the_run_failed(project: Path, cli: Cli) -> None:
    ran = cli("run", "--", "no-such-program", code=2)
    assert "'no-such-program' can't be started" in ran.err
    assert cli("runs", "ls", "--json").object["state"] == "failed"


@pytest.mark.parametrize("output", ["model.bin", "=cnn", "a=b/c", "a=b c", "a=b:x/y"])
def test_an_output_has_a_place_and_a_name(output: str, project: Path, cli: Cli) -> None:
    cli("run", "--log", output, "--", *write("made"), code=2)
    assert not (project / "made").exists()


def test_inputs_are_what_the_names_meant_before_the_start(mnist: Path, cli: Cli, data: Path) -> None:
    add = [sys.executable, "-m", "refstore", "add", str(data / "raw"), "--name", "mnist", "-q"]
    cli("run", "--use", "mnist:latest", "--", *add)
    assert cli("show", "mnist", "--json").object["number"] == 2
    run = cli("runs", "show", cli("runs", "ls", "--json").object["run"], "--json").object
    assert [each["name"] for each in run["used"]] == ["uncategorized/mnist:v1"]


def test_the_command_has_the_streams_and_knows_its_run(project: Path, command: list[str]) -> None:
    ran = subprocess.run(
        [*command, "run", "-q", "--project", "vision", "--", sys.executable, "-c", PRINT + ";print(input())"],
        input="from the outside\n",
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = ran.stdout.splitlines()
    with refstore.open() as store:
        (run,) = (run for run in store.runs() if run.pid)
    assert (first, second) == (f"{run.run} vision", "from the outside")


def test_no_password_of_the_command_line_is_recorded(project: Path, cli: Cli) -> None:
    cli("run", "--", "true", "--password", "hunter2", "https://me:hunter2@example.org/")
    assert "hunter2" not in json.dumps(cli("runs", "ls", "--json").object)
    assert not [path for path in project.rglob("*.jsonl") if "hunter2" in path.read_text("utf-8")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_are_passed_on_and_the_run_ends_all_the_same(
    number: signal.Signals, project: Path, command: list[str]
) -> None:
    child = "import signal,sys,time;[signal.signal(n, lambda n, f: sys.exit(40 + n)) for n in (1, 2, 15)];"
    child += "print('ready', flush=True);time.sleep(60)"
    with subprocess.Popen(
        [*command, "run", "--", sys.executable, "-c", child],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert process.wait(30) == 40 + number
    with refstore.open() as store:
        assert [run.state for run in store.runs() if run.pid] == ["failed"]


def test_a_signal_that_ends_the_command_is_told_as_a_shell_does(project: Path, cli: Cli) -> None:
    cli("run", "--", "sh", "-c", "kill -TERM $$", code=128 + signal.SIGTERM)


def test_a_run_whose_process_was_killed_has_crashed(mnist: Path, command: list[str], cli: Cli) -> None:
    words = [
        *command,
        "run",
        "--use",
        "mnist",
        "--",
        sys.executable,
        "-c",
        "import sys;print(1, flush=True);sys.stdin.read()",
    ]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cli("runs", "ls", "--json").object["state"] == "running"
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    for _ in range(50):
        if (run := cli("runs", "ls", "--json").object)["state"] == "crashed":
            break
        time.sleep(0.1)
    assert run["state"] == "crashed"
    assert cli("runs", "ls", "--state", "crashed", "--json").object["run"] == run["run"]
    # What it had recorded stays.
    assert "crashed" in cli("lineage", "mnist").out
