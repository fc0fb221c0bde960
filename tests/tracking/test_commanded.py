"""Scripts that `refstore run` started: `init` goes on with that run, and the command decides how it ends."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

import refstore
from refstore.tracking.past_run import PastRun

COMMAND = (sys.executable, "-m", "refstore", "run")


@pytest.fixture(autouse=True)
def store(project: Path) -> Path:
    refstore.create(project).close()
    return project


def run(text: str, *options: str, code: int = 0, cwd: Path | None = None) -> str:
    """Run a script as the command of `refstore run`; what it printed."""
    done = subprocess.run(
        [*COMMAND, "-q", *options, "--", sys.executable, "-c", "import os, sys, subprocess, refstore\n" + text],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


def runs() -> list[PastRun]:
    """All runs but those that commands imply, oldest first."""
    api = refstore.Api()
    with refstore.open() as store:
        return sorted((api.run(each.id) for each in store.runs() if each.pid), key=lambda each: each.created_at)


def test_init_goes_on_with_the_run_of_its_command(data: Path) -> None:
    text = f"""
run = refstore.init(config={{"lr": 0.1}}, tags=["mine"], notes="why", name="not this one", job_type="nor this")
run.config.epochs = 3
artifact = refstore.Artifact("mnist", type="dataset")
artifact.add_reference({data.as_uri()!r})
refstore.log_artifact(artifact)
refstore.use_artifact("mnist:latest")
print(run.id == os.environ["REFSTORE_RUN_ID"], run.state)
"""
    assert run(text, "--project", "team/vision", "--name", "first", "--config", "seed=7") == "True running\n"
    (only,) = runs()
    assert (only.entity, only.project, only.name, only.state, only.notes) == (
        "team",
        "vision",
        "first",
        "finished",
        "why",
    )
    assert only.config == {"seed": 7, "lr": 0.1, "epochs": 3}
    assert only.tags == ["mine"]
    assert [a.qualified_name for a in only.logged_artifacts()] == ["team/vision/mnist:v0"]
    assert [a.qualified_name for a in only.used_artifacts()] == ["team/vision/mnist:v0"]


def test_neither_finish_nor_the_end_of_the_script_ends_it() -> None:
    text = """
run = refstore.init()
run.finish()
print(refstore.Api().run(run.id).state)
try:
    run.log_artifact("x")
except refstore.RefstoreError as error:
    print("refused")
with refstore.init() as again:
    print(again.id == run.id)
subprocess.run([sys.executable, "-c", "import refstore; refstore.init(); raise SystemExit(3)"])
print(refstore.Api().run(run.id).state)
"""
    assert run(text) == "running\nrefused\nTrue\nrunning\n"
    assert [each.state for each in runs()] == ["finished"]


@pytest.mark.parametrize(("ending", "code"), [("run.finish(0); sys.exit(4)", 4), ("raise KeyError('x')", 1)])
def test_the_exit_code_of_the_command_decides_how_it_ends(ending: str, code: int) -> None:
    run(f"run = refstore.init()\n{ending}", code=code)
    assert [each.state for each in runs()] == ["failed"]
    run("refstore.init().finish(exit_code=1)")
    assert [each.state for each in runs()] == ["failed", "finished"]


def test_processes_of_the_command_share_its_run_and_lose_nothing_of_each_other(data: Path) -> None:
    (Path.cwd() / "part.py").write_text(f"""
import sys, refstore
number = sys.argv[1]
run = refstore.init(config={{"n" + number: 1}}, tags=["t" + number])
run.log({{"s" + number: 2}})
artifact = refstore.Artifact("part-" + number, type="dataset")
artifact.add_reference({data.as_uri()!r})
run.log_artifact(artifact)
""")
    text = """
run = refstore.init(config={"outer": 0})
parts = [subprocess.Popen([sys.executable, "part.py", str(n)]) for n in range(4)]
assert [part.wait() for part in parts] == [0] * 4
run.config.after = 1
"""
    run(text)
    (only,) = runs()
    assert only.config == {"outer": 0, "after": 1} | {f"n{n}": 1 for n in range(4)}
    assert only.summary == {f"s{n}": 2 for n in range(4)}
    assert sorted(only.tags) == [f"t{n}" for n in range(4)]
    assert [a.name for a in only.logged_artifacts()] == [f"part-{n}:v0" for n in range(4)]


def test_forked_and_spawned_workers_share_it_too(data: Path) -> None:
    (Path.cwd() / "work.py").write_text("""
import multiprocessing, refstore
def work(name):
    refstore.init(config={name: 1}).finish()
if __name__ == "__main__":
    refstore.init(config={"outer": 1})
    for method in ("fork", "spawn"):
        process = multiprocessing.get_context(method).Process(target=work, args=(method,))
        process.start()
        process.join()
        assert process.exitcode == 0
""")
    run("import runpy; runpy.run_path('work.py', run_name='__main__')")
    (only,) = runs()
    assert only.config == {"outer": 1, "fork": 1, "spawn": 1}


def test_a_script_in_another_folder_goes_on_with_it_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    run(f"os.chdir({str(tmp_path / 'elsewhere')!r})\nrefstore.init(config={{'lr': 1}})")
    assert not (tmp_path / "elsewhere" / ".refstore").exists()
    (only,) = runs()
    assert only.config == {"lr": 1}


@pytest.mark.parametrize("asked", ["project='speech'", "entity='other'", "id='mine'", "mode='disabled'"])
def test_who_asks_for_another_run_gets_one(asked: str) -> None:
    out = run(f"run = refstore.init({asked})\nprint(run.id == os.environ['REFSTORE_RUN_ID'])", "--project", "vision")
    assert out == "False\n"
    assert len(runs()) == (1 if "mode" in asked else 2)


def test_who_names_its_own_project_or_id_or_store_goes_on_with_it() -> None:
    for asked in ("project='vision'", "id=os.environ['REFSTORE_RUN_ID'], resume='must'", "dir='.'"):
        run(f"refstore.init({asked}, config={{'lr': 1}})", "--project", "vision")
    assert [each.config for each in runs()] == [{"lr": 1}] * 3


def test_another_store_that_is_named_gets_a_run_of_its_own(tmp_path: Path) -> None:
    other = tmp_path / "other"
    refstore.create(other).close()
    run(f"refstore.init(dir={str(other)!r}, config={{'lr': 1}})")
    assert [each.config for each in runs()] == [{}]
    with refstore.open(other) as store:
        assert [each.config for each in store.runs()] == [{"lr": 1}]


def test_a_second_run_of_one_script_is_its_own() -> None:
    run("first = refstore.init()\nsecond = refstore.init(reinit=True)\nassert first.id != second.id")
    assert [each.state for each in runs()] == ["finished", "finished"]


def test_a_run_that_has_ended_is_not_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    name, root = run("print(os.environ['REFSTORE_RUN_ID'], os.environ['REFSTORE_RUN_ROOT'])").split()
    monkeypatch.setenv("REFSTORE_RUN_ID", name)
    monkeypatch.setenv("REFSTORE_RUN_ROOT", root)
    with refstore.init() as own:
        assert own.id != name


def test_a_command_in_a_command_has_a_run_of_its_own() -> None:
    inner = [*COMMAND, "-q", "--config", "inner=1", "--", sys.executable, "-c", "import refstore; refstore.init()"]
    run(f"refstore.init(config={{'outer': 1}})\nsubprocess.run({inner!r}, check=True)")
    assert sorted(map(str, (each.config for each in runs()))) == ["{'inner': 1}", "{'outer': 1}"]


CHILD = """
import os, signal, sys, time
seen = []
signal.signal(signal.SIGINT, lambda *_: seen.append(1))
import refstore
refstore.init()
print("ready", flush=True)
for line in sys.stdin if not sys.argv[1:] else open("/dev/tty"):
    time.sleep(0.5)
    print("seen", len(seen), "times", flush=True)
    sys.exit(int(line))
"""


def until(terminal: int, word: bytes) -> bytes:
    """What the terminal shows, up to a word."""
    shown = b""
    while word not in shown:
        shown += os.read(terminal, 1000)
    return shown


def at_a_terminal(words: list[str], *, redirected: bool = False) -> tuple[int, int]:
    """A command that a terminal of its own controls: its process and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        if redirected:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execv(words[0], words)
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, settings)
    return pid, terminal


@pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")
@pytest.mark.parametrize("redirected", [False, True])
def test_the_key_that_interrupts_reaches_the_command_once(redirected: bool) -> None:
    (Path.cwd() / "child.py").write_text(CHILD)
    words = [*COMMAND, "-q", "--", sys.executable, "child.py", *(["tty"] if redirected else [])]
    pid, terminal = at_a_terminal(words, redirected=redirected)
    until(terminal, b"ready")
    os.write(terminal, b"\x03")
    os.write(terminal, b"5\n")
    assert b"seen 1 times" in until(terminal, b"times")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 5
    os.close(terminal)
    assert [each.state for each in runs()] == ["failed"]


@pytest.mark.filterwarnings("ignore:.*use of forkpty.*:DeprecationWarning")
def test_an_interrupted_command_is_a_failed_run_and_tells_the_signal() -> None:
    pid, terminal = at_a_terminal(
        [*COMMAND, "-q", "--", sys.executable, "-c", "print('ready', flush=True); import time; time.sleep(60)"]
    )
    until(terminal, b"ready")
    os.write(terminal, b"\x03")
    status = os.waitpid(pid, 0)[1]
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGINT
    assert [each.state for each in runs()] == ["failed"]
