"""The documentation is true: generated pages are fresh, commands are described, and what is shown happens."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import refstore
from refstore.cli import main
from refstore.records.types import Lifetime
from tests.servers.s3 import S3Server

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

sys.path.insert(0, str(ROOT / "scripts"))


@pytest.fixture
def generator() -> Any:
    import docs

    return docs


def test_the_generated_pages_are_fresh(generator: Any) -> None:
    for path, text in generator.pages().items():
        assert path.read_text("utf-8") == text, f"{path.name} is stale: run 'make docs'"


def commands(generator: Any) -> list[tuple[str, Any]]:
    import typer.main

    from refstore.cli.app import app

    return list(generator.commands(typer.main.get_command(app)))


def test_every_command_and_option_has_help_text_and_is_in_the_reference(generator: Any) -> None:
    page = (ROOT / "docs/cli.md").read_text("utf-8")
    for path, command in commands(generator):
        assert command.help, path
        assert f"### {path}\n" in page
        for parameter in command.params:
            assert getattr(parameter, "help", None) or "--help" in parameter.opts, (path, parameter.name)
        assert "--json" in {word for parameter in command.params for word in parameter.opts}, path


def test_every_command_of_every_module_is_one_that_can_be_called(generator: Any) -> None:
    import typer.main

    from refstore.cli.commands import HOMES

    for home in set(HOMES.values()):
        app = typer.Typer()
        app.callback()(lambda: None)
        importlib.import_module(f"refstore.cli.{home}").register(app)
        assert set(typer.main.get_group(app).commands) == {name for name, at in HOMES.items() if at == home}
    registering = {path.stem for path in (ROOT / "refstore/cli").glob("*.py") if "def register(" in path.read_text()}
    assert registering == set(HOMES.values())


def test_every_error_and_its_exit_code_are_in_the_reference() -> None:
    from refstore import errors

    page = (ROOT / "docs/cli.md").read_text("utf-8")
    for name, item in vars(errors).items():
        if isinstance(item, type) and issubclass(item, errors.RefstoreError) and item is not errors.RefstoreError:
            (line,) = (line for line in page.splitlines() if f"`{name}`" in line)
            assert line.startswith(f"| {item.exit_code} |")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_json_block_is_json(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        json.loads(block)


def test_the_policies_of_the_how_tos_allow_nothing_but_reading() -> None:
    allowed = re.compile(r"s3:(Get|List)\w+|storage\.\w+\.(get|list)|Microsoft\.Storage/.*/read")
    found = []
    for page in (ROOT / "docs/howto").glob("*.md"):
        for block in re.findall(r"```json\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
            policy = json.loads(block)
            found += [action for statement in policy.get("Statement", ()) for action in statement["Action"]]
            found += [*policy.get("includedPermissions", ()), *policy.get("DataActions", ())]
    assert len(found) > 8
    assert [action for action in found if not allowed.fullmatch(action)] == []


# The blocks run, one after another, and print what stands below each command.


@dataclass(frozen=True)
class Step:
    """A command of a `console` block with what it prints, or a `python` block."""

    command: str
    output: str
    python: bool = False


def steps(page: Path) -> list[Step]:
    found = []
    for kind, block in re.findall(r"```(console|python)\n(.*?)```", page.read_text("utf-8"), re.DOTALL):
        if kind == "python":
            found.append(Step(block, "…", python=True))
            continue
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append(Step(command, output))
    return found


class Reader:
    """Somebody who follows a page in a folder of their own."""

    def __init__(self, folder: Path, server: S3Server, bucket: str) -> None:
        self._folder = folder
        self._server = server
        self._bucket = bucket
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, **server.environment(), "PATH": path}

    def follow(self, step: Step) -> None:
        command = step.command.replace("my-bucket", self._bucket)
        if command.startswith("aws s3 "):
            self._aws(shlex.split(command, comments=True)[2:])
            return
        words = [sys.executable, "-c", command] if step.python else ["bash", "-c", command]
        ran = subprocess.run(
            words,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        said = ran.stdout.replace(self._bucket, "my-bucket").rstrip()
        assert ran.returncode == 0, f"$ {step.command}\n{said}"
        pattern = ".*".join(map(re.escape, step.output.rstrip().split("…")))
        assert re.fullmatch(pattern, said, re.DOTALL), f"$ {step.command}\n{said}\n--- but the page has\n{step.output}"

    def _aws(self, words: list[str]) -> None:
        """The two commands of the AWS CLI that the pages show."""
        if words[0] == "cp":
            data, target = (self._folder / words[1]).read_bytes(), words[2]
            self._server.put(self._bucket, target.removeprefix(f"s3://{self._bucket}/"), data)
        else:
            assert words[0] == "rm"
            self._server.delete(self._bucket, words[1].removeprefix(f"s3://{self._bucket}/"))


PAGES_THAT_RUN = (
    "README.md",
    "docs/tutorial.md",
    "docs/howto/share.md",
    "docs/howto/export.md",
    "docs/howto/read-without-checkout.md",
)


@pytest.mark.parametrize("name", PAGES_THAT_RUN)
def test_what_a_page_shows_is_what_happens(name: str, tmp_path: Path, seaweed: S3Server) -> None:
    bucket = seaweed.make_bucket()
    train = "".join(f"{number}\n" for number in range(1, 50_001)).encode()
    seaweed.put(bucket, "datasets/mnist/train.csv", train)
    seaweed.put(bucket, "datasets/mnist/labels.json", b'{"classes": 10}\n')
    folder = tmp_path / "project"
    folder.mkdir()
    reader = Reader(folder, seaweed, bucket)
    followed = steps(ROOT / name)
    assert len(followed) > 5
    for step in followed:
        reader.follow(step)


JSON_COMMANDS = {
    "init": (("init",),),
    "add, put": (("add", "{data}", "--name", "other/x"), ("put", "{data}", "--name", "kept")),
    "ls": (("ls",), ("ls", "--projects"), ("ls", "mnist:v0")),
    "log": (("log",),),
    "diff": (("diff", "mnist:v0", "mnist:v1"),),
    "status": (("status", "mnist:v0"),),
    "verify": (("verify", "mnist:v1"),),
    "checkout": (("checkout", "mnist:v1"),),
    "sync": (("sync",),),
    "pack": (("pack",),),
    "cache ls, cache gc": (("cache", "ls"),),
    "config": (("config",),),
    "push, pull, fetch, clone": (
        ("push", "{data}/../share", "--content"),
        ("pull", "{data}/../share"),
        ("fetch", "{data}/../share"),
        ("clone", "{data}/../share", "there"),
    ),
    "remote": (("remote", "add", "origin", "{data}/../share"), ("remote", "list")),
    "doctor": (("doctor", "{data}"),),
    "Versions": (("show", "mnist"),),
    "export": (("export", "mnist:v1", "--output", "x.csv"),),
    "runs": (("runs", "ls", "--all"), ("runs", "show", "{run}")),
    "run": (("run", "--use", "mnist:v1", "--", sys.executable, "-c", ""),),
    "lineage": (("lineage", "mnist:v1"),),
    "gc": (("gc", "--dry-run"),),
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, which is the current folder, with two versions of something; the value is the folder of the data."""
    data, project = tmp_path / "data", tmp_path / "project"
    data.mkdir()
    project.mkdir()
    monkeypatch.chdir(project)
    with refstore.create() as store:
        for text in ("a", "bb"):
            (data / "a.txt").write_text(text)
            store.add(data, name="mnist")
        store.put(data, name="kept")
        outlived = store.version("mnist:v0")
        with store.catalog.writing() as writing:
            writing.add(Lifetime(**writing.stamp, version=outlived.id, seconds=1))
            writing.commit()
    return data


@pytest.mark.parametrize("section", list(JSON_COMMANDS))
def test_the_shapes_of_json_are_those_that_are_documented(
    section: str, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs/json.md").read_text("utf-8")
    text = re.search(rf"^## {re.escape(section)}$(.*?)(^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert text
    shapes = [list(json.loads(block)) for block in re.findall(r"```json\n(.*?)```", text[1], re.DOTALL)]
    with refstore.open() as store:
        run = next(store.runs()).path
        ended = datetime.fromisoformat(store.version("mnist:v0").created.replace("Z", "+00:00")).timestamp() + 1
    for words in JSON_COMMANDS[section]:
        while section == "gc" and time.time() <= ended:
            time.sleep(0.1)
        said = [word.format(data=small, run=run) for word in words]
        at = said.index("--") if "--" in said else len(said)
        main([*said[:at], "--json", *said[at:]])
        out, err = capsys.readouterr()
        assert out, err
        for line in map(json.loads, out.splitlines()):
            assert list(line) in shapes, (words, list(line))
