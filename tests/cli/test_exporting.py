"""`export` writes to a file or to stdout, says what a person has to know, and `import jsonl` reads it back."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import Cli, environment


def test_stdout_is_what_ls_prints_as_json(mnist: Path, cli: Cli) -> None:
    assert cli("export", "mnist:v1").out == cli("ls", "mnist:v1", "--json").out
    found = list(csv.DictReader(io.StringIO(cli("export", "mnist:v1", "--format", "csv").out)))
    assert [row["path"] for row in found] == ["raw/extra.csv", "raw/test.csv", "raw/train.csv"]


def test_a_file_is_written_and_never_replaced_unasked(mnist: Path, cli: Cli) -> None:
    assert cli("export", "mnist:v1", "-o", "x.csv").out == "mnist:v1 -> x.csv  3 files as csv\n"
    assert "--force" in cli("export", "mnist:v1", "-o", "x.csv", code=2).err
    ran = cli("export", "mnist:v1", "-o", "x.csv", "--force", "--path", "raw/t*", "--json")
    expected = {"name": "uncategorized/mnist:v1", "format": "csv", "output": "x.csv", "file_count": 2}
    assert ran.object == {**expected, "left_out": 0, "notes": []}
    assert cli("export", "mnist:v1", "-o", "y.jsonl", "-q").out == ""


def test_a_path_that_matches_nothing_ends_with_3(mnist: Path, cli: Cli) -> None:
    assert "'typo'" in cli("export", "mnist:v1", "-p", "typo", "-o", "x.csv", code=3).err
    assert not (mnist / "x.csv").exists()


def test_what_is_not_pinned_by_version_is_no_reference_unless_asked_for(mnist: Path, cli: Cli) -> None:
    refused = cli("export", "mnist:v1", "-f", "references", code=2)
    assert refused.out == ""
    assert "3 of 3 files" in refused.err
    assert "raw/extra.csv: no object version pins it" in refused.err
    taken = cli("export", "mnist:v1", "-f", "references", "--allow-unpinned")
    assert "no object version pins" in taken.err
    assert json.loads(taken.out)["refs"].keys() == {"raw/extra.csv", "raw/test.csv", "raw/train.csv"}


def test_stored_content_is_refused_or_left_out_with_a_note(mnist: Path, data: Path, cli: Cli) -> None:
    cli("put", data / "raw", "-n", "kept")
    assert "--skip-content" in cli("export", "kept", "-f", "wandb", code=2).err
    ran = cli("export", "kept", "-f", "wandb", "--skip-content")
    assert "Files left out, as the store keeps their content: 3." in ran.err
    assert json.loads(ran.out)["contents"] == {}


def test_an_export_is_imported_with_the_same_digest(mnist: Path, cli: Cli) -> None:
    cli("export", "mnist:v0", "-o", "x.jsonl")
    assert "3 files" in cli("import", "jsonl", "x.jsonl", "--name", "again", "-a", "best").out
    again, before = cli("show", "again:best", "--json").object, cli("show", "mnist:v0", "--json").object
    assert again["digest"] == before["digest"]
    assert [source.rstrip("/") for source in again["sources"]] == before["sources"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2: that is no JSON"),
        ("[]", "line 2: that is no JSON object"),
        ('{"path": "a"}', "line 2 is not as"),
        ('{"path": "a", "scheme": "s3", "size": -1}', "line 2 is not as"),
        ('{"path": 1, "scheme": "s3"}', "line 2 is not as"),
        ('{"path": "a", "scheme": "s3", "bucket": "b", "key": "k", "checksum": "x"}', "line 2 is not as"),
        ('{"path": "a", "scheme": "s3", "bucket": "b", "key": "k", "more": "x"}', "line 2 is not as"),
        ('{"path": "b", "scheme": "s3", "bucket": "b", "key": "other"}', "would both be 'b'"),
        ('{"path": "\\ud800", "scheme": "s3", "bucket": "b", "key": "k"}', "not valid Unicode"),
    ],
)
def test_what_is_no_export_is_refused_in_a_sentence(line: str, why: str, project: Path, cli: Cli) -> None:
    (project / "x.jsonl").write_text('{"path": "b", "scheme": "s3", "bucket": "b", "key": "b"}\n' + line)
    assert why in cli("import", "jsonl", "x.jsonl", "-n", "x", code=2).err
    cli("show", "x", code=3)


@pytest.mark.parametrize(
    "place",
    [
        '"scheme": "https", "bucket": "example.org", "key": "a?X-Amz-Signature=hunter2"',
        '"scheme": "https", "bucket": "me:hunter2@example.org", "key": "a"',
    ],
)
def test_a_secret_in_an_export_is_not_taken_in(place: str, project: Path, cli: Cli) -> None:
    (project / "x.jsonl").write_text(f'{{"path": "b", {place}}}')
    ran = cli("import", "jsonl", "x.jsonl", "-n", "x", code=2)
    assert "hunter2" not in ran.err + ran.out


def test_an_interrupt_leaves_no_file(project: Path, cli: Cli, command: list[str]) -> None:
    lines = (
        f'{{"path": "d/{number:06}", "scheme": "s3", "bucket": "b", "key": "{number}", "size": 1, "version": "v"}}\n'
        for number in range(30_000)
    )
    (project / "many.jsonl").write_text("".join(lines))
    cli("import", "jsonl", "many.jsonl", "-n", "many")
    before = {file.name for file in project.iterdir()}
    process = subprocess.Popen(
        [*command, "export", "many", "-o", "x.csv"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    while not list(project.glob(".x.csv*")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert {file.name for file in project.iterdir()} == before
