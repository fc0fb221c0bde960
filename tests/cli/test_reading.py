"""`ls`, `show`, `log`, `diff`, and the changes of aliases, tags and descriptions that they show."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Cli


def test_ls_lists_the_artifacts_of_all_projects(mnist: Path, data: Path, cli: Cli) -> None:
    cli("add", data, "--name", "speech/words")
    said = cli("ls").out.splitlines()
    assert [line.split()[0] for line in said] == ["speech/words", "mnist"]
    assert "fixed=v1" in said[1]
    (only,) = cli("ls", "speech/", "--json").lines
    assert (only["name"], only["latest"], only["versions"]) == ("speech/words", 0, 1)


def test_ls_of_an_artifact_lists_its_versions_newest_first(mnist: Path, cli: Cli) -> None:
    said = cli("ls", "mnist").out.splitlines()
    assert [line.split()[0] for line in said] == ["mnist:v1", "mnist:v0"]
    assert said[0].endswith("latest, fixed")
    assert [line["number"] for line in cli("ls", "mnist", "--json").lines] == [1, 0]


def test_ls_of_a_version_lists_its_files_with_size_and_pin(mnist: Path, data: Path, cli: Cli) -> None:
    said = [line.split() for line in cli("ls", "mnist:v0").out.splitlines()]
    assert said[0] == ["16", "B", "checksum", "labels.json"]
    line = cli("ls", "mnist:v0", "--json").lines[0]
    assert line["uri"] == f"file://{data}/labels.json"
    assert (line["size"], line["pin"], line["version"]) == (16, "checksum", None)


def test_ls_of_a_folder_or_a_glob_lists_only_those_files(mnist: Path, cli: Cli) -> None:
    def paths(*words: str) -> list[str]:
        return [line["path"] for line in cli("ls", *words, "--json").lines]

    assert paths("mnist:v0", "raw") == paths("mnist:v0", "raw/") == ["raw/test.csv", "raw/train.csv"]
    assert paths("mnist:v0", "--path", "*.json") == ["labels.json"]


def test_ls_of_a_folder_or_a_glob_that_takes_nothing_ends_with_3(mnist: Path, cli: Cli) -> None:
    for folder in ("ra", "typo/"):
        ran = cli("ls", "mnist:v0", folder, code=3)
        assert ran.out == ""
        assert ran.err == f"refstore: mnist:v0 has no folder '{folder.rstrip('/')}/': see `refstore ls mnist:v0`.\n"
    assert "'typo'" in cli("ls", "mnist:v0", "--path", "typo", code=3).err
    assert (
        cli("ls", "mnist:v0", "--path", "raw", "--path", "typo", "--json", code=3).lines[-1]["error"]["exit_code"] == 3
    )


def test_the_long_form_shows_pin_version_etag_and_checksum(mnist: Path, cli: Cli) -> None:
    said = cli("ls", "-l", "mnist:v0").out.splitlines()[0].split()
    assert said[0] == "checksum"
    assert any(word.startswith("md5:") for word in said)
    assert said[-2] == "labels.json"
    assert said[-1].startswith("file://")
    assert said[-1].endswith("/data/labels.json")
    assert "2 versions" in cli("ls", "-l").out


def test_ls_lists_projects(mnist: Path, data: Path, cli: Cli) -> None:
    cli("add", data, "--name", "team/speech/words")
    found = [(line["entity"], line["project"], line["artifacts"]) for line in cli("ls", "--projects", "--json").lines]
    assert found == [(None, "uncategorized", 1), ("team", "speech", 1)]


def test_an_empty_store_lists_nothing_and_says_so_on_stderr(project: Path, cli: Cli) -> None:
    ran = cli("ls")
    assert ran.out == ""
    assert "no artifacts yet" in ran.err


def test_a_folder_without_a_version_is_refused(mnist: Path, cli: Cli) -> None:
    assert "name one" in cli("ls", "mnist", "raw", code=2).err


def test_show_tells_all_of_a_version(mnist: Path, data: Path, cli: Cli) -> None:
    said = cli("show", "mnist").out
    for words in ("uncategorized/mnist:v1", "checksum 3", "latest, fixed", f"file://{data}", "metadata split:"):
        assert words in said
    assert cli("show", "mnist:v0", "--json").object["description"] == "as downloaded"


def test_a_version_is_found_by_number_alias_and_digest(mnist: Path, cli: Cli) -> None:
    digest = cli("show", "mnist:v1", "--json").object["digest"]
    for name in ("mnist:v1", "mnist:fixed", "mnist", "mnist:latest", f"mnist@{digest[:12]}", "uncategorized/mnist"):
        assert cli("show", name, "--json").object["number"] == 1


def test_log_tells_what_happened_newest_first(mnist: Path, cli: Cli) -> None:
    cli("tag", "mnist:v0", "old")
    events = cli("log", "--json").lines
    assert [event["kind"] for event in events][-1] == "version"
    assert (events[0]["kind"], events[0]["subject"]) == ("tag", "uncategorized/mnist:v0")
    assert len(cli("log", "mnist", "--limit", "1").out.splitlines()) == 1


def test_diff_marks_added_removed_and_changed_and_sums_them_up(mnist: Path, cli: Cli) -> None:
    said = cli("diff", "mnist:v0", "mnist:v1").out.splitlines()
    assert [line.split()[0] for line in said[:3]] == ["-", "+", "~"]
    assert said[2].split(maxsplit=1)[1] == "6 B -> 12 B  raw/test.csv"
    assert said[3] == "1 added (2 B), 1 removed (16 B), 1 changed (12 B)"
    changes = {line["path"]: line for line in cli("diff", "mnist:v0", "mnist:v1", "--json").lines}
    assert {path: line["change"] for path, line in changes.items()} == {
        "labels.json": "removed",
        "raw/extra.csv": "added",
        "raw/test.csv": "changed",
    }
    assert changes["raw/extra.csv"]["old"] is None
    assert changes["raw/test.csv"]["old"]["size"] == 6


def test_diff_of_a_version_with_itself_is_nothing(mnist: Path, cli: Cli) -> None:
    assert cli("diff", "mnist:v1", "mnist").out == "The two are the same.\n"
    assert cli("diff", "mnist:v1", "mnist", "--json").out == ""


def test_aliases_are_set_moved_and_removed(mnist: Path, cli: Cli) -> None:
    assert cli("alias", "set", "mnist:v0", "best", "--json").object["aliases"] == ["best"]
    cli("alias", "set", "mnist:v1", "best", "prod")
    assert cli("show", "mnist:best", "--json").object["number"] == 1
    cli("alias", "rm", "mnist:best")
    assert "best" in cli("show", "mnist:best", code=3).err


def test_tags_and_descriptions_change(mnist: Path, cli: Cli) -> None:
    assert cli("tag", "mnist:v0", "good", "reviewed").out == "mnist:v0  tags: good, reviewed\n"
    assert cli("tag", "mnist:v0", "good", "--remove", "--json").object["tags"] == ["reviewed"]
    cli("describe", "mnist:v0", "the first")
    assert cli("show", "mnist:v0", "--json").object["description"] == "the first"


def test_rm_removes_a_version_but_not_one_with_an_alias_and_never_gives_the_number_again(
    mnist: Path, data: Path, cli: Cli
) -> None:
    assert "alias fixed" in cli("rm", "mnist:v1", code=2).err
    assert cli("rm", "mnist:v1", "--force", "--json").object == {"removed": ["uncategorized/mnist:v1"]}
    assert cli("show", "mnist", "--json").object["number"] == 0
    cli("add", data, "--name", "mnist")
    assert cli("show", "mnist", "--json").object["number"] == 2
    assert data.exists()


HOSTILE = "a\x1b[31mred\n\u202efdp.exe"


@pytest.mark.parametrize(
    "words", [("ls", "x:v0"), ("ls", "-l", "x:v0"), ("diff", "x:v0", "x:v1"), ("ls", "x:v0", "--json")]
)
def test_names_that_would_command_a_terminal_are_shown_escaped(
    project: Path, data: Path, cli: Cli, words: tuple[str, ...]
) -> None:
    (data / HOSTILE).write_text("x")
    cli("add", data, "--name", "x")
    (data / HOSTILE).unlink()
    cli("add", data, "--name", "x")
    said = cli(*words).out
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "red\\n" in said


def test_config_lists_each_setting_with_where_it_comes_from(
    project: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("config", "jobs", "4").out == f"jobs = 4  ({project}/.refstore.toml)\n"
    monkeypatch.setenv("REFSTORE_LINK", "copy")
    found = {line["name"]: (line["value"], line["origin"]) for line in cli("config", "--json").lines}
    assert found["jobs"] == (4, f"{project}/.refstore.toml")
    assert found["link"] == ("copy", "REFSTORE_LINK")
    assert cli("config", "jobs").out == "4\n"
    cli("config", "jobs", "--unset")
    assert cli("config", "jobs").out == "16\n"
    cli("config", "endpoints.lab.scheme", "s3")
    cli("config", "endpoints.lab.match", "s3://a,s3://b")
    assert "endpoints.lab.match   s3://a, s3://b  " in cli("config", "endpoints.lab").out


def test_config_refuses_what_is_no_setting(project: Path, cli: Cli) -> None:
    assert "did you mean 'project'" in cli("config", "projet", "x", code=2).err
    assert "there are project" in cli("config", "projet", code=2).err
    assert "not both" in cli("config", "jobs", "4", "--unset", code=2).err


def test_log_of_a_version_tells_only_of_that_version(mnist: Path, cli: Cli) -> None:
    cli("alias", "set", "mnist:v0", "old")
    cli("alias", "set", "mnist:v1", "new")
    assert {line["subject"] for line in cli("log", "mnist:v0", "--json").lines} == {"uncategorized/mnist:v0"}
    assert [line["detail"] for line in cli("log", "mnist:new", "-n", "1", "--json").lines] == ["alias new set"]
