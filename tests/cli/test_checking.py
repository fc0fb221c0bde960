"""`checkout`, `status`, `verify`, `doctor`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.s3 import S3Server

from .conftest import Cli


def test_checkout_makes_the_files_and_a_second_one_has_nothing_to_do(mnist: Path, cli: Cli) -> None:
    said = cli("checkout", "mnist").out
    assert said == "mnist:v1 -> artifacts/mnist:v1  3 files written  (5.9 KiB transferred)\n"
    assert (mnist / "artifacts/mnist:v1/raw/extra.csv").read_text() == "7\n"
    assert "3 already there" in cli("checkout", "mnist").out


def test_checkout_takes_a_folder_and_globs(mnist: Path, tmp_path: Path, cli: Cli) -> None:
    done = cli("checkout", "mnist", tmp_path / "here", "--path", "raw/e*", "--json").object
    assert (done["written"], done["kept"], done["dest"]) == (1, 0, str(tmp_path / "here"))
    assert [p.name for p in (tmp_path / "here").rglob("*.csv")] == ["extra.csv"]
    assert cli("checkout", "mnist", tmp_path / "here", "-q").out == f"{tmp_path}/here\n"


def test_an_incomplete_checkout_lists_each_failure_with_what_was_recorded_and_found(mnist: Path, cli: Cli) -> None:
    ran = cli("checkout", "mnist:v0", code=7)
    assert ran.out == ""
    assert "1 of 3 files are there" in ran.err.splitlines()[0]
    assert ran.err.count("There is no file or folder") == 1
    for words in ("labels.json: gone", "raw/test.csv: overwritten", "recorded: 6 B", "found:    12 B"):
        assert words in ran.err
    error = cli("checkout", "mnist:v0", "--json", code=7).object["error"]
    assert (error["kind"], error["exit_code"]) == ("CheckoutIncomplete", 7)
    assert [(failure["path"], failure["kind"]) for failure in error["failures"]] == [
        ("labels.json", "gone"),
        ("raw/test.csv", "overwritten"),
    ]
    assert error["failures"][1]["recorded"]["size"] == 6
    assert error["failures"][1]["found"]["size"] == 12


def test_missing_files_can_be_allowed_and_are_still_listed(mnist: Path, data: Path, cli: Cli) -> None:
    (data / "raw" / "extra.csv").unlink()
    ran = cli("checkout", "mnist:v1", "--allow-missing")
    assert "raw/extra.csv: gone" in ran.err
    assert "2 files written, 1 missing" in ran.out
    assert [f["path"] for f in cli("checkout", "mnist:v1", "--allow-missing", "--json").object["failures"]] == [
        "raw/extra.csv"
    ]


def test_a_file_that_was_changed_at_the_destination_is_not_replaced_without_force(mnist: Path, cli: Cli) -> None:
    cli("checkout", "mnist")
    mine = mnist / "artifacts/mnist:v1/raw/extra.csv"
    mine.write_text("mine")
    assert "--force" in cli("checkout", "mnist", code=7).err
    assert mine.read_text() == "mine"
    cli("checkout", "mnist", "--force")
    assert mine.read_text() == "7\n"


@pytest.mark.parametrize("link", ["copy", "hardlink", "symlink"])
def test_checkout_makes_the_kind_of_link_that_was_asked_for(mnist: Path, cli: Cli, link: str) -> None:
    cli("checkout", "mnist", "--link", link, "--jobs", "2")
    made = mnist / "artifacts/mnist:v1/raw/extra.csv"
    assert made.is_symlink() == (link == "symlink")
    assert (made.stat().st_nlink > 1) == (link == "hardlink")
    assert made.read_text() == "7\n"


def test_status_of_what_is_unchanged_ends_with_0(mnist: Path, cli: Cli) -> None:
    assert cli("status", "mnist").out == "mnist:v1 is as recorded: 3 files unchanged\n"
    assert {line["state"] for line in cli("status", "mnist", "--json").lines} == {"unchanged"}


def test_status_shows_what_drifted_and_ends_with_4(mnist: Path, cli: Cli) -> None:
    said = cli("status", "mnist:v0", code=4).out.splitlines()
    assert [line[0] for line in said] == ["-", "~", "+", "m"]
    assert said[-1] == "mnist:v0: 1 unchanged, 1 changed, 1 gone, 1 new at the source"
    assert cli("status", "mnist:v0", "--quiet", code=4).out.splitlines() == said[-1:]
    states = {line["path"]: line["state"] for line in cli("status", "mnist:v0", "--json", code=4).lines}
    assert states["raw/train.csv"] == "unchanged"
    assert states["labels.json"] == "gone"


def test_what_is_only_new_at_the_source_is_shown_and_is_no_drift(mnist: Path, data: Path, cli: Cli) -> None:
    (data / "new").write_text("x")
    assert cli("status", "mnist").out.splitlines()[-1] == "mnist:v1: 3 unchanged, 1 new at the source"


def test_verify_says_which_files_can_be_had_and_ends_with_4_if_one_cannot(mnist: Path, cli: Cli) -> None:
    assert cli("verify", "mnist").out == "mnist:v1: 3 of 3 files can be had\n"
    assert "were read" in cli("verify", "mnist", "--bytes").out
    said = cli("verify", "mnist:v0", code=4).out
    assert "-  labels.json: gone" in said
    assert said.endswith("mnist:v0: 1 of 3 files can be had\n")
    states = [line["state"] for line in cli("verify", "mnist:v0", "--json", code=4).lines]
    assert states == ["gone", "overwritten", "ok"]


def test_verify_of_stored_content_reads_it_when_asked(project: Path, data: Path, cli: Cli) -> None:
    cli("put", data, "--name", "kept")
    cli("verify", "kept", "--bytes")
    stored = next(p for p in (project / ".refstore/cache/md5").rglob("*") if p.is_file())
    stored.chmod(0o644)
    stored.write_text("damaged")
    assert "2 of 3 files were read" in cli("verify", "kept", "--bytes", code=4).out


def test_doctor_finds_out_what_works_without_a_store(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "The best pin there: checksum." in cli("doctor", data).out
    found = cli("doctor", data / "nothing", "--json", code=4).object
    assert [check["ok"] for check in found["checks"]][:2] == [True, False]


@pytest.fixture
def s3(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """SeaweedFS as the environment's S3."""
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    return seaweed


def test_the_main_job_on_s3_gives_the_old_bytes_back(project: Path, s3: S3Server, cli: Cli) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"data/mnist/a.txt": b"old", "data/mnist/b.txt": b"same", "data/mnist2/c.txt": b"other"})
    said = cli("add", f"s3://{bucket}/data/mnist", "--name", "mnist", "--type", "dataset").out
    assert said == "mnist:v0  2 files, 7 B  (2 added)  pinned: version 2\n"
    s3.put(bucket, "data/mnist/a.txt", b"newer")
    s3.delete(bucket, "data/mnist/b.txt")
    said = cli("status", "mnist:v0", code=4).out
    assert said == "~  3 B -> 5 B  a.txt\n-         4 B  b.txt\nmnist:v0: 0 unchanged, 1 changed, 1 gone\n"
    assert cli("verify", "mnist:v0").out == "mnist:v0: 2 of 2 files can be had\n"
    cli("checkout", "mnist:v0")
    assert (project / "artifacts/mnist:v0/a.txt").read_text() == "old"
    assert (project / "artifacts/mnist:v0/b.txt").read_text() == "same"
    assert cli("ls", "-l", "mnist:v0").out.startswith("version")


def test_doctor_of_a_bucket_with_versions_finds_the_pin(tmp_path: Path, s3: S3Server, cli: Cli) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "a", b"x")
    found = cli("doctor", f"s3://{bucket}/", "--json").object
    assert (found["pin"], found["bucket"], found["url"]) == ("version", bucket, s3.url)
    assert "secret" not in str(found)


def test_doctor_does_not_take_a_wrong_secret_for_a_missing_permission(
    s3: S3Server, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.make_bucket()
    s3.put(bucket, "a", b"x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    said = cli("doctor", f"s3://{bucket}/a", code=4).out
    assert "check AWS_SECRET_ACCESS_KEY" in said
    assert "Missing" not in said
    assert said.endswith("How files there are pinned can't be told.\n")


def test_doctor_of_a_missing_object_asks_for_no_permission(s3: S3Server, cli: Cli) -> None:
    said = cli("doctor", f"s3://{s3.make_bucket()}/nothing", code=4).out
    assert "does not exist" in said
    assert "Missing" not in said
    assert "best pin" not in said


def test_what_shuts_everything_out_is_told_a_few_times_and_every_file_is_listed(
    project: Path, s3: S3Server, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {f"d/{n}": b"x" for n in range(8)})
    cli("add", f"s3://{bucket}/d", "--name", "d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    err = cli("checkout", "d", code=7).err
    assert err.count("check AWS_SECRET_ACCESS_KEY") == 3
    assert all(f"  {n}: denied\n" in err for n in range(8))
    out = cli("verify", "d", code=4).out
    assert out.count("check AWS_SECRET_ACCESS_KEY") == 3
    assert all(f"-  {n}: denied\n" in out for n in range(8))


def test_who_is_shut_out_of_everything_is_not_kept_waiting_for_the_rest(
    project: Path, s3: S3Server, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {f"d/{n:03}": b"x" for n in range(250)})
    cli("add", f"s3://{bucket}/d", "--name", "d")
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    ran = cli("verify", "d", "-q", code=2)
    assert "gave up after 100" in ran.err
    assert "not set up here" in ran.err
    failures = cli("checkout", "d", "--json", code=7).object["error"]["failures"]
    assert {failure["kind"] for failure in failures} == {"unsupported"}
    assert 100 <= len(failures) < 200


def test_the_default_folder_is_kept_out_of_git_when_checkout_makes_it(
    mnist: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("checkout", "mnist")
    assert (mnist / "artifacts/.gitignore").read_text().endswith("\n*\n")
    assert "3 already there" in cli("checkout", "mnist").out
    other = mnist / "other"
    (other / "artifacts").mkdir(parents=True)
    monkeypatch.chdir(other)
    cli("checkout", "mnist")
    assert not (other / "artifacts/.gitignore").exists()


def test_a_checkout_that_comes_to_nothing_leaves_no_default_folder(mnist: Path, cli: Cli) -> None:
    cli("checkout", "mnist", "--path", "nothing", code=3)
    assert not (mnist / "artifacts").exists()


def test_directory_markers_that_were_left_out_are_told(project: Path, s3: S3Server, cli: Cli) -> None:
    bucket = s3.make_bucket()
    s3.put_many(bucket, {"d/": b"", "d/a": b"x", "d/empty": b""})
    ran = cli("add", f"s3://{bucket}/", "--name", "d")
    assert "2 files" in ran.out
    assert ran.err == "note: Left out: 1 directory marker, which are no files.\n"
