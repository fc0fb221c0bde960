"""`init`, `add`, `put`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.nginx import Nginx

from .conftest import Cli


def test_init_makes_a_store_and_a_second_init_says_that_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("init").out == f"Made a store in {tmp_path}/.refstore\n"
    assert cli("init", "--json").object == {"store": f"{tmp_path}/.refstore", "created": False, "commit": None}


def test_a_store_inside_another_is_made_and_told(project: Path, cli: Cli) -> None:
    ran = cli("init", "sub")
    assert ran.out == f"Made a store in {project}/sub/.refstore\n"
    assert ran.err == f"note: From here on down it takes the place of the store in {project}.\n"
    assert cli("init", "sub").err == ""


def test_init_takes_a_folder_as_an_argument_or_after_the_option_c(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    cli("init", tmp_path / "a")
    cli("-C", tmp_path / "b", "init")
    assert (tmp_path / "a/.refstore/records").is_dir()
    assert (tmp_path / "b/.refstore/records").is_dir()


def test_add_says_what_the_version_holds_and_how_it_is_pinned(project: Path, data: Path, cli: Cli) -> None:
    said = cli("add", data, "--name", "mnist").out
    assert said == "mnist:v0  3 files, 5.9 KiB  (3 added)  pinned: checksum 3\n"


def test_adding_the_same_again_says_which_version_it_is(project: Path, data: Path, cli: Cli) -> None:
    cli("add", data, "--name", "mnist")
    assert cli("add", data, "--name", "mnist").out.startswith("mnist:v0 is unchanged: 3 files, 5.9 KiB")
    again = cli("add", data, "--name", "mnist", "--json").object
    assert (again["new"], again["version"]["number"]) == (False, 0)


def test_add_counts_what_was_added_removed_and_changed(mnist: Path, cli: Cli) -> None:
    shown = cli("show", "mnist:v1", "--json").object
    assert shown["description"] is None
    assert shown["metadata"] == {"split": "all"}
    assert shown["aliases"] == ["latest", "fixed"]
    assert shown["pins"] == {"checksum": 3}


def test_the_json_of_add_has_the_version_the_counts_and_the_pins(project: Path, data: Path, cli: Cli) -> None:
    made = cli("add", data, "--name", "team/vision/mnist", "--type", "images", "--tag", "raw data", "--json").object
    assert made["name"] == "team/vision/mnist:v0"
    assert (made["new"], made["added"], made["removed"], made["changed"], made["file_count"]) == (True, 3, 0, 0, 3)
    assert made["pins"] == {"checksum": 3}
    assert made["version"]["entity"] == "team"
    assert made["version"]["type"] == "images"
    assert made["version"]["tags"] == ["raw data"]


def test_a_dry_run_shows_the_changes_and_records_nothing(project: Path, data: Path, cli: Cli) -> None:
    said = cli("add", data, "--name", "mnist", "--dry-run").out
    assert "Would make mnist:v0:" in said
    assert [line.split()[0] for line in said.splitlines()[:3]] == ["+", "+", "+"]
    *changes, summary = cli("add", data, "--name", "mnist", "--dry-run", "--json").lines
    assert [change["path"] for change in changes] == ["labels.json", "raw/test.csv", "raw/train.csv"]
    assert {change["change"] for change in changes} == {"added"}
    assert (summary["dry_run"], summary["version"]) == (True, None)
    assert cli("ls", "--json").lines == []


def test_quiet_add_prints_only_the_name_of_the_version(project: Path, data: Path, cli: Cli) -> None:
    ran = cli("add", data, "--name", "mnist", "--quiet")
    assert (ran.out, ran.err) == ("mnist:v0\n", "")


def test_include_exclude_and_prefix_choose_and_place_what_is_recorded(project: Path, data: Path, cli: Cli) -> None:
    cli("add", data, "-n", "x", "--include", "*.csv", "--exclude", "test.csv", "--prefix-in-artifact", "in/here")
    assert [line["path"] for line in cli("ls", "x:v0", "--json").lines] == ["in/here/raw/train.csv"]


def test_metadata_may_stand_in_a_file(project: Path, data: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "meta.json").write_text('{"camera": 3}')
    made = cli("add", data, "--name", "x", "--metadata", f"@{tmp_path}/meta.json", "--json").object
    assert made["version"]["metadata"] == {"camera": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "holds no JSON"), ("[1]", "no JSON object"), ("@nowhere.json", "can't be read: No such file")],
)
def test_metadata_that_are_no_json_object_are_refused(
    project: Path, data: Path, cli: Cli, text: str, said: str
) -> None:
    assert said in cli("add", data, "--name", "x", "--metadata", text, code=2).err


def test_notes_go_to_stderr_and_into_the_json(project: Path, data: Path, cli: Cli) -> None:
    (data / "link").symlink_to(data / "raw")
    ran = cli("add", data, "--name", "x")
    assert ran.err.startswith("note: Left out, because links to folders")
    made = cli("add", data, "--name", "y", "--json")
    assert made.err == ""
    assert made.object["notes"][0].startswith("Left out")


def test_what_a_disk_forgets_is_told_once_where_a_reference_to_it_is_new(project: Path, data: Path, cli: Cli) -> None:
    ran = cli("add", data, data / "raw", "--name", "x")
    assert ran.err.count("A disk keeps no old versions") == ran.err.count("note:") == 1
    assert "refstore put" in ran.err
    assert cli("add", data, data / "raw", "--name", "x").err == ""
    assert cli("put", data, "--name", "y").err == ""
    assert cli("put", data, "--name", "z", "--dry-run").err == ""


def test_what_a_web_server_forgets_is_told(project: Path, nginx: Nginx, cli: Cli) -> None:
    web = nginx.folder({"a.txt": b"a"})
    assert "A web server keeps no old versions" in cli("add", nginx.href(web, "a.txt"), "--name", "x").err


def test_put_keeps_the_content_and_gc_leaves_what_a_version_needs(project: Path, data: Path, cli: Cli) -> None:
    said = cli("put", data, "--name", "kept").out
    assert said == "kept:v0  3 files, 5.9 KiB  (3 added)  pinned: checksum 3\n"
    assert "3 files, 5.9 KiB in " in cli("cache", "ls").out
    assert len(cli("cache", "ls", "--json").lines) == 3
    assert cli("cache", "gc", "--json").lines == []
    cli("rm", "kept")
    assert cli("cache", "gc", "--dry-run").out.startswith("Would remove 3 files")
    assert {line["removed"] for line in cli("cache", "gc", "--json").lines} == {True}
    assert cli("cache", "ls", "--json").lines == []


def test_the_project_of_the_settings_is_left_out_of_what_people_see(project: Path, data: Path, cli: Cli) -> None:
    cli("config", "project", "vision")
    assert cli("add", data, "--name", "mnist").out.startswith("mnist:v0  ")
    assert cli("add", data, "--name", "speech/words").out.startswith("speech/words:v0  ")
    assert cli("show", "vision/mnist", "--json").object["qualified_name"] == "vision/mnist:v0"
