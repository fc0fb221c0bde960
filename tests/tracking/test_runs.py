"""Runs: how they begin and end, what is recorded of them, and what is left when a process is killed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import textwrap
from argparse import Namespace
from pathlib import Path

import pytest

import refstore
from refstore.errors import RunNotFound, UsageError
from refstore.tracking.command_line import redacted


def script(text: str, *arguments: str, cwd: Path, code: int | None = 0) -> str:
    """Run a script in a process of its own; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text), *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    if code is not None:
        assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def only_run(project: str = "vision") -> refstore.tracking.past_run.PastRun:
    (found,) = refstore.Api().runs(project)
    return found


def test_a_run_records_what_it_was(project: Path) -> None:
    run = refstore.init(
        project="vision", entity="team", job_type="train", name="first", config={"lr": 0.1}, tags=["a"], notes="n",
        group="g",
    )  # fmt: skip
    assert (run.project, run.entity, run.job_type, run.name, run.group) == ("vision", "team", "train", "first", "g")
    assert run.path == f"team/vision/{run.id}"
    assert run.url.endswith(f"/.refstore#team/vision/{run.id}")
    info = run.info
    assert (info.state, info.pid, info.config, info.tags) == ("running", os.getpid(), {"lr": 0.1}, ("a",))
    assert info.started.endswith("Z")
    assert info.host
    assert info.python == ".".join(map(str, sys.version_info[:3]))
    run.config.epochs = 3
    run.config.update({"lr": 0.2})
    run.summary["acc"] = 0.9
    run.tags = (*run.tags, "b")
    run.finish()
    past = refstore.Api().run(run.path)
    assert (past.state, past.config, past.summary) == ("finished", {"lr": 0.2, "epochs": 3}, {"acc": 0.9})
    assert past.tags == ["a", "b"]
    assert past.info.finished is not None
    assert past.info.finished > past.created_at


def test_init_without_a_store_makes_one_here_and_says_so_once(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "refstore"):
        refstore.init().finish()
        refstore.init().finish()
    assert [r.message for r in caplog.records if "made a new store" in r.message] == [
        f"refstore: made a new store in {project}/.refstore; 'refstore runs ls' and 'refstore ls' show it."
    ]
    assert (project / ".refstore" / "records").is_dir()


def test_init_in_a_git_repository_makes_the_store_at_its_root(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "src").mkdir()
    (project / "code.py").write_text("one")
    for command in (
        ["init", "-q"],
        ["add", "code.py"],
        ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "m"],
    ):
        subprocess.run(["git", *command], cwd=project, check=True)
    monkeypatch.chdir(project / "src")
    with refstore.init(project="vision") as clean:
        pass
    assert (project / ".refstore").is_dir()
    (project / "code.py").write_text("two")
    with refstore.init(project="vision") as dirty:
        pass
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=True).stdout
    assert (clean.info.git, clean.info.dirty, clean.info.diff) == (head.strip(), False, "")
    assert (dirty.info.git, dirty.info.dirty, len(dirty.info.diff)) == (head.strip(), True, 64)


def test_a_second_init_gives_the_run_that_goes_on(project: Path) -> None:
    first = refstore.init(project="vision")
    assert refstore.init(config={"lr": 1}) is first
    assert refstore.run is first
    assert refstore.config.lr == 1
    second = refstore.init(project="vision", reinit=True)
    assert second is not first
    assert first.state == "finished"
    refstore.finish()
    assert refstore.run is None
    assert [r.state for r in refstore.Api().runs("vision")] == ["finished", "finished"]


def test_a_name_space_and_odd_values_are_a_config() -> None:
    run = refstore.init(config=Namespace(path=Path("a/b"), steps={1, 2}, nan=float("nan")))
    assert run.config.as_dict() == {"path": "a/b", "steps": [1, 2], "nan": None}
    with pytest.raises(AttributeError):
        _ = run.config.missing
    with pytest.raises(ValueError, match="infinite"):
        run.config["x"] = float("inf")


def test_metrics_leave_their_last_value_in_the_summary() -> None:
    with refstore.init(project="vision") as run:
        for step in range(3):
            run.log({"loss": 1 / (step + 1)}, step=step)
        refstore.log({"acc": 1})
    assert refstore.Api().run(run.path).summary == {"loss": 1 / 3, "acc": 1}


@pytest.mark.parametrize(
    ("ending", "state", "code"),
    [
        ("", "finished", 0),
        ("sys.exit(0)", "finished", 0),
        ("sys.exit(3)", "failed", 3),
        ("raise KeyError('x')", "failed", 1),
        ("run.finish(); raise KeyError('x')", "finished", 1),
        ("run.finish(exit_code=1)", "failed", 0),
    ],
)
def test_a_script_ends_its_run(project: Path, ending: str, state: str, code: int) -> None:
    script(f"import refstore, sys\nrun = refstore.init(project='vision')\n{ending}", cwd=project, code=code)
    assert only_run().state == state


def test_an_exception_in_its_block_makes_a_run_failed(project: Path) -> None:
    with pytest.raises(KeyError), refstore.init(project="vision") as run:
        raise KeyError("x")
    assert refstore.Api().run(run.id).state == "failed"
    with pytest.raises(UsageError, match="has failed"):
        run.log_artifact(refstore.Artifact("a", "b"))


def test_a_killed_run_has_crashed_and_keeps_what_it_logged(project: Path, data: Path) -> None:
    text = """
        import os, signal, sys, refstore
        run = refstore.init(project="vision")
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference("file://" + sys.argv[1])
        run.log_artifact(artifact)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    script(text, str(data), cwd=project, code=-signal.SIGKILL)
    run = only_run()
    assert run.state == "crashed"
    assert [artifact.name for artifact in run.logged_artifacts()] == ["mnist:v0"]


def test_a_run_that_goes_on_elsewhere_is_running(project: Path) -> None:
    text = "import refstore, sys\nrefstore.init(project='vision')\nprint('up', flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", text],
        cwd=project,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        assert only_run().state == "running"
        process.kill()
        process.stdin.close()
    assert only_run().state == "crashed"


def test_a_pid_that_another_process_has_now_is_a_crash(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from refstore.catalog import run_queries

    run = refstore.init(project="vision")
    assert run.info.state == "running"
    monkeypatch.setattr(run_queries, "SLACK", -1e9)
    assert run.info.state == "crashed"


def test_resume_goes_on_with_a_run(project: Path) -> None:
    with refstore.init(project="vision", id="mine", config={"lr": 1}):
        pass
    with pytest.raises(UsageError, match="resume"):
        refstore.init(project="vision", id="mine")
    with refstore.init(project="vision", id="mine", resume="allow") as run:
        assert run.resumed
        assert run.config.lr == 1
        run.log({"acc": 1})
    assert only_run().summary == {"acc": 1}
    with pytest.raises(RunNotFound):
        refstore.init(project="vision", id="other", resume="must")


def test_a_disabled_run_leaves_nothing(project: Path, data: Path) -> None:
    with refstore.init(project="vision", mode="disabled") as run:
        artifact = refstore.Artifact("mnist", type="dataset")
        artifact.add_reference(data.as_uri())
        run.log_artifact(artifact)
        assert artifact.version == "v0"
    assert not (project / ".refstore").exists()
    assert not run.root.exists()


def test_functions_of_the_module_need_a_run(project: Path) -> None:
    with pytest.raises(UsageError, match=r"refstore.init\(\) first"):
        refstore.log_artifact("x")
    assert refstore.run is None
    assert len(refstore.config) == 0


def test_one_transaction_begins_a_run_and_one_ends_it(project: Path) -> None:
    refstore.create().close()
    records = project / ".refstore" / "records"
    run = refstore.init(project="vision")
    assert len(list(records.iterdir())) == 1
    run.config.lr = 1
    run.log({"a": 1})
    run.finish()
    assert len(list(records.iterdir())) == 2


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--password", "hunter2", "--lr", "1"], ["--password", "***", "--lr", "1"]),
        (
            ["--api-key=abc", "--tokenizer=bert", "--max-tokens=3"],
            ["--api-key=***", "--tokenizer=bert", "--max-tokens=3"],
        ),
        (["DB_PASSWORD=x", "s3://b/k?X-Amz-Signature=abc"], ["DB_PASSWORD=***", "s3://b/k?X-Amz-Signature=***"]),
        (["https://me:secret@host/x"], ["https://***@host/x"]),
        (["AKIAABCDEFGHIJKLMNOP", "--key", "a.txt"], ["***", "--key", "a.txt"]),
        (["monkey=1", "--authors=me", "--passes", "3"], ["monkey=1", "--authors=me", "--passes", "3"]),
    ],
)
def test_no_secret_of_the_command_line_is_kept(given: list[str], kept: list[str]) -> None:
    assert list(redacted(given)) == kept


def test_a_command_line_is_kept_without_its_secrets(project: Path) -> None:
    (project / "train.py").write_text("import refstore\nrefstore.init(project='vision')")
    subprocess.run([sys.executable, "train.py", "--lr", "1", "--token", "hunter2"], cwd=project, check=True)
    assert only_run().info.command[-5:] == ("train.py", "--lr", "1", "--token", "***")
    assert not any(b"hunter2" in file.read_bytes() for file in (project / ".refstore").rglob("*") if file.is_file())


def test_runs_are_found_by_what_they_have(project: Path) -> None:
    for lr in (1, 2, 3):
        with refstore.init(
            project="vision", config={"lr": lr, "net": {"depth": lr}}, tags=[f"t{lr}"], job_type="train"
        ):
            refstore.log({"acc": lr / 10})
    api = refstore.Api()

    def found(filters: dict[str, object]) -> list[int]:
        return sorted(run.config["lr"] for run in api.runs("vision", filters=filters))

    assert found({"config.lr": 2}) == [2]
    assert found({"config.net.depth": {"$gte": 2}}) == [2, 3]
    assert found({"summary_metrics.acc": {"$lt": 0.25}}) == [1, 2]
    assert found({"tags": "t1"}) == [1]
    assert found({"tags": {"$in": ["t1", "t3"]}}) == [1, 3]
    assert found({"$or": [{"config.lr": 1}, {"config.lr": 3}], "state": "finished"}) == [1, 3]
    assert found({"state": "failed"}) == []
    assert [run.config["lr"] for run in api.runs("vision", order="-created_at")] == [3, 2, 1]
    assert len(api.runs("vision")) == 3
    assert api.runs("vision")[0].config["lr"] == 1
    assert api.runs("vision")[-1].config["lr"] == 3
    with pytest.raises(UsageError, match="nothing"):
        len(api.runs("vision", filters={"nothing": 1}))


def test_importing_the_package_imports_nothing_heavy() -> None:
    out = script(
        "import refstore, sys\nprint(sorted(m for m in sys.modules if m.split('.')[0] in "
        "('sqlite3', 'fsspec', 'sqlite_utils', 'botocore', 'aiohttp', 'typer', 'rich', 'asyncio', 'subprocess')))",
        cwd=Path.cwd(),
    )
    assert out.strip() == "[]"
