"""What only a process of its own shows: start-up, pipes, signals, terminals."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Cli, environment

HEAVY = ("rich", "fsspec", "sqlite_utils", "sqlite3", "aiohttp", "botocore", "s3fs", "asyncio", "refstore.store")


def run(command: list[str], *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=60, env=environment(**variables), check=False
    )


def imported(*words: str) -> set[str]:
    """The modules that are loaded when a command has ended."""
    script = (
        "import sys; from refstore.cli import main; code = main(sys.argv[1:]); "
        "print('\\n'.join(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, timeout=60, check=True)
    return set(ran.stderr.splitlines())


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("add", "--help")])
def test_version_and_help_import_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not {name for name in HEAVY if name in imported(*words)}


def test_reading_the_catalog_imports_no_sdk_and_no_rich(mnist: Path) -> None:
    loaded = imported("ls", "mnist:v0")
    assert not loaded & {"rich", "aiohttp", "botocore", "s3fs", "gcsfs", "adlfs", "asyncio"}


def test_the_installed_command_and_the_module_are_the_same(command: list[str]) -> None:
    script = Path(sys.executable).parent / "refstore"
    assert run([str(script)], "--version").stdout == run(command, "--version").stdout != ""


def test_a_closed_pipe_ends_quietly(mnist: Path, data: Path, command: list[str], cli: Cli) -> None:
    for number in range(3000):
        (data / f"file-{number:06}-with-a-name-that-fills-the-pipe").touch()
    cli("add", data, "--name", "many")
    process = subprocess.Popen([*command, "ls", "many:v0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


def test_a_full_disk_under_the_output_is_one_sentence(mnist: Path, command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([*command, "ls"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ran.returncode == 8
    assert ran.stderr == "refstore: The output can't be written: no space is left.\n"


@pytest.fixture
def silent_server() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_ctrl_c_ends_with_130_and_one_line(project: Path, command: list[str], silent_server: int, cli: Cli) -> None:
    process = subprocess.Popen(
        [*command, "add", "s3://bucket/x", "--name", "x"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(
            AWS_ENDPOINT_URL=f"http://127.0.0.1:{silent_server}", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b"
        ),
    )
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "refstore: Interrupted. The same command again carries on.\n")
    assert cli("ls", "--json").lines == []


def in_terminal(command: list[str], *words: str, **variables: str) -> str:
    """What a command writes to a terminal, stdout and stderr as one."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [*command, *words], stdout=child, stderr=child, stdin=child, env=environment(TERM="xterm", **variables)
    )
    os.close(child)
    said = b""
    while True:
        try:
            piece = os.read(parent, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(parent)
    process.wait(60)
    return said.decode()


def test_colour_goes_to_a_terminal_only_and_not_against_no_color(mnist: Path, command: list[str]) -> None:
    assert "\x1b[32m+" in in_terminal(command, "diff", "mnist:v0", "mnist:v1")
    assert "\x1b" not in in_terminal(command, "diff", "mnist:v0", "mnist:v1", NO_COLOR="1")
    assert "\x1b" not in run(command, "diff", "mnist:v0", "mnist:v1").stdout


def test_a_long_add_shows_a_bar_on_a_terminal_and_takes_it_away(project: Path, data: Path, command: list[str]) -> None:
    for number in range(12_000):
        (data / f"{number}.txt").write_text("x")
    words = ("add", str(data), "--name", "many", "--max-objects", "20000")
    said = in_terminal(command, *words)
    assert "Listing" in said
    assert said.rstrip().endswith("pinned: checksum 12,003")
    assert "Listing" not in in_terminal(command, *words, "--quiet")


def test_a_traceback_is_only_for_those_who_ask(project: Path, command: list[str]) -> None:
    assert "Traceback" not in run(command, "show", "nothing").stderr
    assert "Traceback" in run(command, "show", "nothing", REFSTORE_DEBUG="1").stderr


def test_an_unexpected_error_is_one_sentence_without_its_text(project: Path) -> None:
    script = (
        "import sys, refstore.store\n"
        "def boom(*args): raise KeyError('https://host/x?sig=SECRET')\n"
        "refstore.store.Store.artifacts = boom\n"
        "from refstore.cli import main\n"
        "sys.exit(main(['ls', '--json']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 70
    assert ran.stderr.startswith("refstore: This is a bug in refstore (KeyError).")
    assert '"kind": "Bug"' in ran.stdout
    assert "SECRET" not in ran.stdout + ran.stderr


def test_shell_completion_offers_commands_and_names(mnist: Path, command: list[str]) -> None:
    def complete(words: str) -> list[str]:
        ran = run(command, _REFSTORE_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=f"refstore {words}")
        return [line for line in ran.stdout.splitlines() if line]

    assert any("checkout" in line for line in complete("che"))
    assert any("mnist" in line for line in complete("show m"))
    assert any("v1" in line for line in complete("show mnist:"))


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["che"], ["checkout"]),
        (["show", "mn"], ["mnist"]),
        (["show", "mnist", ":"], ["fixed", "latest", "v0", "v1"]),
        (["show", "mnist", ":", "v"], ["v0", "v1"]),
        (["diff", "mnist", ":", "v0", "mnist", ":", "l"], ["latest"]),
        (["show", "mnist:v"], ["mnist:v0", "mnist:v1"]),
        (["add", "s3", ":", "//bucket", "--name", "mn"], ["mnist"]),
        (["config", "j"], ["jobs"]),
    ],
)
def test_bash_completes_names_though_it_cuts_words_at_colons(
    mnist: Path, tmp_path: Path, command: list[str], words: list[str], offered: list[str]
) -> None:
    program = tmp_path / "refstore"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    program.chmod(0o755)
    script = run(command, "--show-completion", "bash").stdout
    cut = " ".join(f"'{word}'" for word in ["refstore", *words])
    script += f'\nCOMP_WORDS=({cut}) COMP_CWORD={len(words)}; _refstore_completion {program}; echo "${{COMPREPLY[*]}}"'
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert sorted(ran.stdout.split()) == offered


def test_the_long_form_names_its_columns_on_a_terminal_only(mnist: Path, command: list[str]) -> None:
    said = in_terminal(command, "ls", "-l", "mnist:v0").splitlines()
    assert said[0].split()[:3] == ["PIN", "SIZE", "MODIFIED"]
    assert said[1].startswith("checksum")
    assert "PIN" not in run(command, "ls", "-l", "mnist:v0").stdout
    assert "PIN" not in in_terminal(command, "ls", "-l", "mnist:v0", "nothing")


def test_a_store_elsewhere_is_named_by_an_option_or_a_variable(mnist: Path, tmp_path: Path, command: list[str]) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = ["env", "-C", str(elsewhere), *command]
    assert run(script, "ls").returncode == 3
    assert "mnist" in run(script, "-C", str(mnist), "ls").stdout
    assert "mnist" in run(script, "ls", REFSTORE_STORE=str(mnist)).stdout
