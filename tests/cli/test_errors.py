"""Each wrong input gives one clear sentence and the documented exit code, and never a traceback."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.servers.s3 import S3Server

from .conftest import Cli

WRONG = [
    (("chekout",), 2, "Did you mean 'checkout'? See 'refstore --help'."),
    (("add", "."), 2, "Missing option '--name'"),
    (("add", ".", "-n", "x", "--nothing"), 2, "No such option: --nothing"),
    (("checkout", "mnist", "--link", "hard"), 2, "'hard' is not one of 'auto'"),
    (("checkout", "mnist", "--jobs", "0"), 2, "'--jobs'"),
    (("add", ".", "-n", "x", "--max-objects", "many"), 2, "'--max-objects'"),
    (("add", "nope://x/y", "-n", "x"), 2, "nope://"),
    (("add", "https://me:hunter2@host/x", "-n", "x"), 2, "host"),
    (("add", "", "-n", "x"), 2, "empty URI"),
    (("add", ".", "-n", "a b"), 2, "'a b' is not a valid artifact name"),
    (("add", ".", "-n", "mnist:v7"), 2, "leave ':v7' out"),
    (("add", ".", "-n", "x", "--alias", "v3"), 2, "reserved"),
    (("add", ".", "-n", "x", "--type", "a/b"), 2, "not a valid artifact type"),
    (("show", "a/b/c/d"), 2, "too many parts"),
    (("show", "mnist:"), 2, "not a valid alias"),
    (("add", ".", "-n", "x", "--max-objects", "1"), 2, "more objects than the limit of 1;"),
    (("add", ".", "-n", "mnist", "--type", "model"), 2, "dataset"),
    (("show", "nothing"), 3, "nothing"),
    (("show", "mnist:v7"), 3, "v7"),
    (("show", "mnist:nobody"), 3, "nobody"),
    (("show", "mnist@0000"), 3, "0000"),
    (("diff", "mnist:v0", "mnist:v9"), 3, "v9"),
    (("checkout", "mnist", "--path", "nope*"), 3, "nope*"),
    (("alias", "rm", "mnist:nobody"), 3, "nobody"),
    (("checkout", "mnist", ""), 2, "DEST of a checkout is empty"),
    (("log", "mnist:v9"), 3, "v9"),
    (("show", "thing"), 3, "'refstore ls' lists"),
    (("show", "minst"), 3, "did you mean uncategorized/mnist?"),
    (("add", "nowhere", "-n", "x"), 4, "nowhere"),
]


@pytest.mark.parametrize(("words", "code", "said"), WRONG, ids=[" ".join(words) for words, _, _ in WRONG])
def test_a_wrong_input_is_one_sentence_and_the_documented_code(
    mnist: Path, cli: Cli, words: tuple[str, ...], code: int, said: str
) -> None:
    for name in ("one", "two"):
        (mnist / name).write_text(name)
    before = cli("log", "--json").out
    ran = cli(*words, code=code)
    assert ran.out == ""
    assert ran.err.startswith("refstore: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err
    assert "hunter2" not in ran.err
    error = cli(*words, "--json", code=code).object["error"]
    assert error["exit_code"] == code
    assert ran.err == f"refstore: {error['message']}\n"
    assert cli("log", "--json").out == before


def test_without_a_store_every_command_that_needs_one_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("ls",), ("add", ".", "-n", "x"), ("checkout", "x"), ("status", "x"), ("config", "jobs", "3")):
        assert "refstore init" in cli(*words, code=3).err


def test_a_setting_without_meaning_stops_every_command(mnist: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (mnist / ".refstore.toml").write_text("jbos = 3\n")
    assert "did you mean 'jobs'" in cli("ls", code=2).err
    (mnist / ".refstore.toml").unlink()
    monkeypatch.setenv("REFSTORE_JOBS", "many")
    assert "REFSTORE_JOBS" in cli("ls", code=2).err


def test_both_an_object_and_a_folder_of_one_name_are_asked_about(
    project: Path, seaweed: S3Server, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put_many(bucket, {"x": b"1", "x/y": b"2"})
    assert f"s3://{bucket}/x/" in cli("add", f"s3://{bucket}/x", "-n", "x", code=2).err


def test_s3_errors_have_their_codes(
    project: Path, seaweed: S3Server, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    bucket = seaweed.make_bucket()
    seaweed.put(bucket, "a", b"x")
    assert "typo" in cli("add", f"s3://{bucket}-typo/a", "-n", "x", code=4).err
    assert "nothing" in cli("add", f"s3://{bucket}/nothing", "-n", "x", code=4).err
    assert "bogus" in cli("add", f"s3://{bucket}/a?versionId=bogus", "-n", "x", code=4).err
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    err = cli("add", f"s3://{bucket}/a", "-n", "x", code=5).err
    assert "wrong" not in err.replace("is wrong", "")
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no AWS profile 'nobody'" in cli("add", f"s3://{bucket}/a", "-n", "x", code=5).err


def test_no_credentials_are_one_sentence(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "AWS_ACCESS_KEY_ID" in cli("add", "s3://bucket/x", "-n", "x", code=5).err


def test_a_server_that_is_not_there_is_unavailable(project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "127.0.0.1:9" in cli("add", "http://127.0.0.1:9/x", "-n", "x", code=6).err


def test_a_catalog_from_a_newer_version_is_refused(mnist: Path, cli: Cli) -> None:
    record = next(iter((mnist / ".refstore/records").glob("*.jsonl")))
    text = record.read_text()
    (mnist / ".refstore/catalog.db").unlink()
    record.chmod(0o644)
    assert text.startswith('{"refstore":1,')
    record.write_text(text.replace('"refstore":1', '"refstore":99', 1))
    assert "upgrade refstore" in cli("ls", code=8).err


def test_a_damaged_file_of_the_catalog_is_named_and_the_rest_still_answers(mnist: Path, data: Path, cli: Cli) -> None:
    cli("add", data, "--name", "other")
    for record in (mnist / ".refstore/records").glob("*.jsonl"):
        if "mnist:v1" in record.read_text().partition("\n")[0]:
            record.chmod(0o644)
            record.write_bytes(record.read_bytes()[:-20] + b"garbage")
            damaged = record.name
    (mnist / ".refstore/catalog.db").unlink()
    ran = cli("ls", "--json")
    assert "warning: The catalog is not whole" in ran.err
    assert damaged in ran.err
    assert {line["artifact"] for line in ran.lines} == {"mnist", "other"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_that_may_not_be_written_is_one_sentence(mnist: Path, data: Path, cli: Cli) -> None:
    records = mnist / ".refstore/records"
    records.chmod(stat.S_IRUSR | stat.S_IXUSR)
    (data / "more").write_text("x")
    try:
        assert cli("add", data, "-n", "mnist", code=8).err.startswith("refstore: ")
    finally:
        records.chmod(0o755)
