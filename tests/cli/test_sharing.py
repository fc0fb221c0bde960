"""`remote`, `push`, `pull`, `fetch` and `clone`, as people use them."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from refstore.cli.options import complete_remote
from tests.servers.s3 import S3Server

from .conftest import Cli, environment


@pytest.fixture
def share(tmp_path: Path) -> Path:
    return tmp_path / "share"


@pytest.fixture
def pushed(mnist: Path, share: Path, cli: Cli, data: Path) -> Path:
    """The store of `mnist` and of stored content, pushed with all of it to a folder. The value is the project."""
    cli("put", data, "--name", "kept")
    cli("remote", "add", "origin", share)
    cli("push", "--content")
    return mnist


def test_two_people_share_a_catalog(
    pushed: Path, share: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("clone", share, "theirs").out == f"Cloned {share} into {tmp_path}/theirs: 3 versions.\n"
    monkeypatch.chdir(tmp_path / "theirs")
    assert cli("ls", "mnist").out.count("mnist:v") == 2
    ran = cli("checkout", "kept", "out")
    assert "came from the remote origin" in ran.err
    assert (tmp_path / "theirs/out/labels.json").exists() is False
    cli("alias", "set", "mnist:v0", "good")
    assert cli("push").out.startswith("Pushed 1 record (1 pack, ")
    assert cli("push").out == f"Everything is there already: origin (file://{share}).\n"
    monkeypatch.chdir(pushed)
    assert "1 record of origin" in cli("fetch").out
    assert cli("pull").out.startswith("Pulled 1 record (1 pack, ")
    assert cli("pull").out.startswith("Everything is here already")
    assert "There is nothing new" in cli("fetch").out
    assert "good" in cli("show", "mnist:v0").out


def test_the_first_push_says_how_to_add_a_remote(mnist: Path, cli: Cli) -> None:
    assert "refstore remote add origin URL" in cli("push", code=3).err
    assert "refstore remote add origin" in cli("remote", "list").out


def test_remotes_are_listed_renamed_and_removed(project: Path, share: Path, cli: Cli) -> None:
    assert "'refstore push' sends the catalog there" in cli("remote", "add", "origin", "s3://my-bucket/team").out
    assert cli("remote", "add", "backup", share, "--json").object == {"name": "backup", "url": str(share)}
    assert "There is a remote 'backup' already" in cli("remote", "add", "backup", share, code=2).err
    assert cli("remote", "rename", "backup", "spare").out == "The remote backup is called spare now.\n"
    assert [row["name"] for row in cli("remote", "list", "--json").lines] == ["origin", "spare"]
    assert f"What {share} holds is still there." in cli("remote", "remove", "spare").out
    assert "did you mean 'origin'?" in cli("remote", "remove", "orign", code=3).err
    assert (project / ".refstore.toml").read_text() == '[remotes.origin]\nurl = "s3://my-bucket/team"\n'
    assert cli("config", "remotes.origin.url").out == "s3://my-bucket/team\n"


@pytest.mark.parametrize(
    ("url", "code", "said"),
    [
        ("s3://me:hunter2@b/k", 2, "user name or password"),
        ("https://example.org/x", 2, "can't be a remote"),
        ("nope://x", 2, "nope://"),
        ("", 2, "needs a URL"),
    ],
)
def test_what_can_be_no_remote_is_refused_and_not_written(
    project: Path, cli: Cli, url: str, code: int, said: str
) -> None:
    ran = cli("remote", "add", "origin", url, code=code)
    assert said in ran.err
    assert "hunter2" not in ran.err
    assert not (project / ".refstore.toml").exists()


def test_a_url_takes_the_place_of_a_name(pushed: Path, tmp_path: Path, cli: Cli) -> None:
    assert cli("push", f"file://{tmp_path}/other").out.startswith("Pushed ")
    assert cli("pull", tmp_path / "other").out.startswith("Everything is here already")
    assert [row["name"] for row in cli("remote", "list", "--json").lines] == ["origin"]


def test_a_push_without_content_says_that_there_is_some(mnist: Path, share: Path, cli: Cli, data: Path) -> None:
    cli("put", data, "--name", "kept")
    cli("remote", "add", "origin", share)
    assert "only with 'refstore push --content'" in cli("push").err
    assert "Sent 3 files of stored content" in cli("push", "--content").out


def test_json_says_what_was_moved(pushed: Path, share: Path, cli: Cli) -> None:
    cli("alias", "set", "mnist:v0", "reviewed")
    moved = cli("push", "--content", "--json").object
    assert (moved["remote"], moved["url"], moved["records"]) == ("origin", f"file://{share}", 1)
    assert moved["content"] == {"files": 0, "size": 0, "missing": 0}


def test_a_place_where_nothing_was_pushed_is_said_to_be_that(
    project: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    cli("remote", "add", "origin", tmp_path / "empty")
    ran = cli("pull")
    assert "Nothing was pushed to" in ran.err
    assert "already" not in ran.out
    monkeypatch.chdir(tmp_path)
    assert "no refstore remote at" in cli("clone", tmp_path / "empty", "theirs", code=4).err
    assert not (tmp_path / "theirs").exists()


def test_a_folder_of_something_else_is_no_remote(pushed: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "else").mkdir()
    (tmp_path / "else/refstore.json").write_text("{}")
    for command in ("push", "pull", "fetch"):
        assert "no refstore remote" in cli(command, tmp_path / "else", code=8).err
    assert [path.name for path in (tmp_path / "else").iterdir()] == ["refstore.json"]


def test_a_clone_into_a_store_is_refused(pushed: Path, share: Path, cli: Cli) -> None:
    assert "There is a store in" in cli("clone", share, pushed, code=2).err


def test_a_pack_that_was_tampered_with_is_refused_by_name(
    pushed: Path, share: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    (pack,) = (share / "packs").iterdir()
    pack.write_bytes(pack.read_bytes()[:-9])
    monkeypatch.chdir(tmp_path)
    cli("init")
    ran = cli("pull", share, code=8)
    assert pack.name.partition(".")[0] in ran.err
    assert cli("ls", "--json").lines == []


def test_names_of_remotes_are_completed(pushed: Path, cli: Cli) -> None:
    import typer.main

    from refstore.cli.app import app

    with typer.main.get_command(app).make_context("refstore", ["-C", str(pushed), "push"]) as context:
        assert complete_remote(context, "or") == ["origin"]
        assert complete_remote(context, "x") == []


@pytest.fixture
def bucket(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return seaweed.make_bucket(versioned=False)


def test_in_a_bucket_with_wrong_credentials_and_without_a_network(
    mnist: Path, bucket: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cli("remote", "add", "origin", f"s3://{bucket}/team")
    assert f"origin (s3://{bucket}/team)" in cli("push").out
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    cli("alias", "set", "mnist:v0", "good")
    assert "secret key" in cli("push", code=5).err
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "No credentials" in cli("push", code=5).err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "admin")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "adminsecret")
    assert "can't be reached" in cli("pull", code=6).err
    assert "good" in cli("show", "mnist:v0").out


def test_ctrl_c_in_the_middle_of_a_push_of_content_leaves_both_sides_whole(
    project: Path, bucket: str, seaweed: S3Server, tmp_path: Path, cli: Cli, command: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files = tmp_path / "many"
    files.mkdir()
    for number in range(400):
        (files / f"{number}.bin").write_bytes(b"%d" % number * 20_000)
    cli("put", files, "--name", "many")
    cli("remote", "add", "origin", f"s3://{bucket}/team")
    words = [*command, "push", "--content", "--jobs", "1"]
    ran = subprocess.Popen(words, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    client = seaweed.client()

    def there(prefix: str) -> int:
        return int(client.list_objects_v2(Bucket=bucket, Prefix=f"team/{prefix}")["KeyCount"])

    end = time.monotonic() + 60
    while there("content/") < 3 and time.monotonic() < end:
        time.sleep(0.05)
    ran.send_signal(signal.SIGINT)
    _, said = ran.communicate(timeout=60)
    assert (ran.returncode, said) == (130, "refstore: Interrupted. The same command again carries on.\n")
    sent = there("content/")
    assert 0 < sent < 400
    assert there("packs/") == 0
    assert f"Sent {400 - sent} files" in cli("push", "--content").out
    monkeypatch.chdir(tmp_path)
    cli("clone", f"s3://{bucket}/team", "theirs", "--content")
    assert cli("-C", tmp_path / "theirs", "verify", "many", "--bytes").out.startswith("many:v0: 400 of 400")
