"""Settings: the defaults, the file beside the store, the variables over it, and the file that documents them."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest

from refstore.config import Endpoint, Settings, load, settings_with_origin
from refstore.errors import InvalidSetting, SecretInURI
from refstore.settings_file import drop_table, rename_table, set_setting, unset_setting

# As an attribute of the package, `config` is that of the current run.
config = import_module("refstore.config")
EXAMPLE = Path(__file__).parent.parent / ".refstore.example.toml"


def write(root: Path, text: str) -> Path:
    (root / ".refstore.toml").write_text(text, "utf-8")
    return root


# The three descriptions of the settings agree.


def test_the_example_file_documents_every_setting_with_its_default() -> None:
    data = config.parse(EXAMPLE.read_text("utf-8"))
    assert data is not None
    assert list(data) == [f.name for f in fields(Settings)]
    for field in fields(Settings):
        if field.name not in config.TABLES:
            assert data[field.name] == field.default, field.name


def test_every_scalar_setting_names_its_variable_in_the_example_file() -> None:
    text = EXAMPLE.read_text("utf-8")
    assert re.findall(r"# Variable: (\w+)", text) == [f"REFSTORE_{name.upper()}" for name in config.SCALARS]


def test_every_setting_but_the_tables_is_a_scalar_with_a_variable() -> None:
    assert [*config.SCALARS, *config.TABLES] == [f.name for f in fields(Settings)]


def test_every_endpoint_option_is_in_the_example_file_and_nothing_else_is() -> None:
    data = config.parse(EXAMPLE.read_text("utf-8"))
    assert data is not None
    used = {option for table in data["endpoints"].values() for option in table}
    assert used == set(config.OPTIONS) == {f.name for f in fields(Endpoint)} - {"name"}


def test_the_example_file_loads(tmp_path: Path) -> None:
    settings = load(write(tmp_path, EXAMPLE.read_text("utf-8")), {})
    assert [e.name for e in settings.endpoints] == ["lab", "archive"]
    assert settings.endpoints[0].match == ("s3://lab-data", "s3://shared/team-a")
    assert settings.endpoints[1].account == "contosoarchive"


def test_every_choice_is_named_in_the_example_file() -> None:
    text = EXAMPLE.read_text("utf-8")
    for choices in config.CHOICES.values():
        for choice in choices:
            assert f'"{choice}"' in text


# What holds.


def test_without_a_file_and_variables_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == load(None, {}) == Settings()


def test_the_file_wins_over_the_default_and_a_variable_over_the_file(tmp_path: Path) -> None:
    write(tmp_path, 'project = "vision"\njobs = 3\n')
    assert load(tmp_path, {}).project == "vision"
    settings = load(tmp_path, {"REFSTORE_PROJECT": "speech"})
    assert (settings.project, settings.jobs) == ("speech", 3)


@pytest.mark.parametrize("name", list(config.SCALARS))
def test_each_variable_sets_its_setting(tmp_path: Path, name: str) -> None:
    value = "7" if config.SCALARS[name] is int else config.CHOICES.get(name, (str(tmp_path),))[-1]
    if name in ("project", "entity"):
        value = "team"
    found = getattr(load(None, {f"REFSTORE_{name.upper()}": value}), name)
    assert str(found) == value


def test_folders_start_at_the_store_and_know_the_home_folder(tmp_path: Path) -> None:
    write(tmp_path, 'cache_dir = "shared/cache"\nindex_dir = "~/indexes"\n')
    settings = load(tmp_path, {})
    assert settings.cache_dir == str(tmp_path / "shared/cache")
    assert settings.index_dir == str(Path("~/indexes").expanduser())


def test_each_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path, 'project = "vision"\n[endpoints.lab]\nscheme = "s3"\nurl = "http://lab:9000"\nmatch = ["s3://d"]\n')
    found = {s.name: (s.value, s.origin) for s in settings_with_origin(tmp_path, {"REFSTORE_JOBS": "2"})}
    assert found["project"] == ("vision", str(tmp_path / ".refstore.toml"))
    assert found["jobs"] == (2, "REFSTORE_JOBS")
    assert found["link"] == ("auto", "default")
    assert found["endpoints.lab.match"] == (["s3://d"], str(tmp_path / ".refstore.toml"))
    assert "endpoints.lab.anonymous" not in found


# What is refused, and with which words.

REFUSED = [
    ('projct = "x"', "'projct' is no setting; did you mean 'project'"),
    ("zzz = 1", "there are cache_dir, endpoints"),
    ('jobs = "4"', "whole number"),
    ("jobs = 0", "at least 1"),
    ("jobs = true", "whole number"),
    ("max_objects = 1.5", "whole number"),
    ("project = 3", "quotation marks"),
    ('project = "a/b"', "letters, digits"),
    ('entity = "a b"', "letters, digits"),
    ('hash = "sha1"', "md5, sha256"),
    ('link = "hard"', "auto, reflink, hardlink, symlink, copy"),
    ('symlinks = "record"', "follow, skip, error"),
    ('cache_dir = "a\\u0000b"', "no path"),
    ("project = ", "not valid TOML"),
    ("endpoints = 3", "[endpoints.NAME]"),
    ("remotes = 3", "[remotes.NAME]"),
    ("[remotes.origin]", "url is needed"),
    ('[remotes.origin]\nurl = ""', "url is needed"),
    ('[remotes."a.b"]\nurl = "s3://b"', "name is made of"),
    ('[remotes.origin]\nurl = "s3://b"\nregion = "x"', "'region' is no option of a remote"),
    ("[endpoints.lab]", "scheme is needed"),
    ('[endpoints.lab]\nscheme = "http"', "scheme is needed"),
    ('[endpoints."a/b"]\nscheme = "s3"', "name is made of"),
    ('[endpoints.lab]\nscheme = "s3"\nregoin = "x"', "did you mean 'region'"),
    ('[endpoints.lab]\nscheme = "s3"\nurl = 1', "quotation marks"),
    ('[endpoints.lab]\nscheme = "s3"\nurl = "lab:9000"', "http://HOST"),
    ('[endpoints.lab]\nscheme = "s3"\nurl = "http://lab:port"', "http://HOST"),
    ('[endpoints.lab]\nscheme = "s3"\nanonymous = "yes"', "true or false"),
    ('[endpoints.lab]\nscheme = "s3"\nmatch = "s3://d"', "list of URIs"),
    ('[endpoints.lab]\nscheme = "s3"\nmatch = ["gs://d"]', "is not s3://BUCKET"),
    ('[endpoints.lab]\nscheme = "s3"\nmatch = ["s3://"]', "is not s3://BUCKET"),
    ('[endpoints.lab]\nscheme = "gs"\npath_style = true', "no meaning for gs://"),
    (
        '[endpoints.a]\nscheme = "s3"\nmatch = ["s3://d"]\n[endpoints.b]\nscheme = "s3"\nmatch = ["s3://d/"]',
        "both match",
    ),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[text.replace("\n", " ") for text, _ in REFUSED])
def test_a_file_without_meaning_is_refused_with_its_name_the_key_and_what_is_allowed(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        load(write(tmp_path, text), {})
    assert said in str(caught.value)
    assert str(tmp_path / ".refstore.toml") in str(caught.value)


@pytest.mark.parametrize(
    "text", ['secret_access_key = "hunter2"', 'url = "http://me:hunter2@lab:9000"', 'token = "hunter2"']
)
def test_a_credential_in_the_file_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidSetting, match="never stand") as caught:
        load(write(tmp_path, f'[endpoints.lab]\nscheme = "s3"\n{text}\n'), {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("REFSTORE_JOBS", "many", "whole number"),
        ("REFSTORE_HASH", "crc", "md5, sha256"),
        ("REFSTORE_PROJCT", "x", "did you mean REFSTORE_PROJECT"),
    ],
)
def test_a_variable_without_meaning_is_refused_by_its_name(variable: str, value: str, said: str) -> None:
    with pytest.raises(InvalidSetting, match=variable) as caught:
        load(None, {variable: value})
    assert said in str(caught.value)


def test_variables_that_are_near_to_no_setting_are_left_to_others() -> None:
    assert load(None, {"REFSTORE_TEST_SERVERS": "x", "REFSTORE_DEBUG": "1"}) == Settings()


def test_a_folder_in_place_of_the_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / ".refstore.toml").mkdir()
    with pytest.raises(InvalidSetting, match="can't be read"):
        load(tmp_path, {})


# Changing the file.

WRITTEN = """\
# our settings
project = "old"  # the team's

# for the lab
[endpoints.lab]  # rack 4
scheme = "s3"
url = "http://lab:9000"
"""


def test_setting_a_value_keeps_comments_and_everything_else(tmp_path: Path) -> None:
    write(tmp_path, WRITTEN)
    set_setting(tmp_path, "project", "new")
    set_setting(tmp_path, "jobs", "4")
    set_setting(tmp_path, "endpoints.lab.match", "s3://a, s3://b/c")
    text = (tmp_path / ".refstore.toml").read_text("utf-8")
    assert (
        text
        == WRITTEN.replace('"old"  # the team\'s', '"new"  # the team\'s\njobs = 4')
        + 'match = ["s3://a", "s3://b/c"]\n'
    )
    assert load(tmp_path, {}).endpoints[0].match == ("s3://a", "s3://b/c")


def test_setting_makes_the_file_and_unsetting_brings_the_default_back(tmp_path: Path) -> None:
    set_setting(tmp_path, "endpoints.pub.scheme", "s3")
    set_setting(tmp_path, "endpoints.pub.anonymous", "true")
    set_setting(tmp_path, "link", "copy")
    settings = load(tmp_path, {})
    assert settings.endpoints == (Endpoint("pub", "s3", anonymous=True),)
    assert settings.link == "copy"
    unset_setting(tmp_path, "link")
    unset_setting(tmp_path, "jobs")
    assert load(tmp_path, {}).link == "auto"


def test_a_value_is_written_so_that_it_reads_back(tmp_path: Path) -> None:
    value = 'a "quoted" \\ path # no comment, é and 🙂'
    set_setting(tmp_path, "cache_dir", value)
    set_setting(tmp_path, "cache_dir", value + "!")
    assert load(tmp_path, {}).cache_dir == str(tmp_path / (value + "!"))


def test_a_file_that_takes_a_person_to_edit_is_left_as_it_was(tmp_path: Path) -> None:
    text = 'project = """\nold"""\n'
    write(tmp_path, text)
    with pytest.raises(InvalidSetting, match="by hand"):
        set_setting(tmp_path, "project", "new")
    assert (tmp_path / ".refstore.toml").read_text("utf-8") == text


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("projct", "x", "did you mean 'project'"),
        ("jobs", "many", "whole number"),
        ("jobs", "0", "at least 1"),
        ("endpoints", "x", "endpoints.lab.url"),
        ("endpoints.lab.nothing", "x", "options of an endpoint"),
        ("endpoints.lab.url", "http://x", "scheme is needed"),
        ("endpoints.lab.anonymous", "maybe", "true or false"),
    ],
)
def test_a_change_without_meaning_is_refused_and_writes_nothing(
    tmp_path: Path, key: str, value: str, said: str
) -> None:
    with pytest.raises(InvalidSetting) as caught:
        set_setting(tmp_path, key, value)
    assert said in str(caught.value)
    assert list(tmp_path.iterdir()) == []


# Remotes.


@pytest.mark.parametrize("url", ["s3://me:hunter2@b/k", "sftp://me:hunter2@h/k", "s3://b/k?X-Amz-Signature=hunter2"])
def test_a_remote_with_a_credential_in_its_url_is_refused(tmp_path: Path, url: str) -> None:
    write(tmp_path, f'[remotes.origin]\nurl = "{url}"\n')
    with pytest.raises(SecretInURI) as raised:
        load(tmp_path, {})
    assert "hunter2" not in str(raised.value)
    (tmp_path / ".refstore.toml").unlink()
    with pytest.raises(SecretInURI):
        set_setting(tmp_path, "remotes.origin.url", url)
    assert not (tmp_path / ".refstore.toml").exists()


def test_remotes_are_added_renamed_and_removed_around_what_else_is_there(tmp_path: Path) -> None:
    before = '# ours\njobs = 3\n\n# the lab\n[endpoints.lab]\nscheme = "s3"\n'
    write(tmp_path, before)
    set_setting(tmp_path, "remotes.origin.url", "s3://b/team")
    set_setting(tmp_path, "remotes.backup.url", "/mnt/share")
    assert [(r.name, r.url) for r in load(tmp_path, {}).remotes] == [
        ("origin", "s3://b/team"),
        ("backup", "/mnt/share"),
    ]
    rename_table(tmp_path, "remotes.backup", "remotes.remotes")
    rename_table(tmp_path, "remotes.remotes", "remotes.spare")
    drop_table(tmp_path, "remotes.origin")
    assert [r.name for r in load(tmp_path, {}).remotes] == ["spare"]
    drop_table(tmp_path, "remotes.spare")
    assert (tmp_path / ".refstore.toml").read_text("utf-8").rstrip() == before.rstrip()


def test_the_comment_of_the_next_table_stays_when_a_remote_goes(tmp_path: Path) -> None:
    write(tmp_path, '[remotes.origin]\nurl = "s3://b"\n\n# the lab\n[endpoints.lab]\nscheme = "s3"\n')
    drop_table(tmp_path, "remotes.origin")
    assert (tmp_path / ".refstore.toml").read_text("utf-8").lstrip() == '# the lab\n[endpoints.lab]\nscheme = "s3"\n'


def test_a_remote_of_the_settings_says_where_it_comes_from(tmp_path: Path) -> None:
    write(tmp_path, '[remotes.origin]\nurl = "s3://b"\n')
    found = {s.name: (s.value, s.origin) for s in settings_with_origin(tmp_path, {})}
    assert found["remotes.origin.url"] == ("s3://b", str(tmp_path / ".refstore.toml"))
