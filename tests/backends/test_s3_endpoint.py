"""Which endpoint serves a bucket, and what is recorded of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from refstore.backends.s3 import S3Backend
from refstore.backends.s3.endpoint import AWS, VARIABLES, for_place, for_record, normalized
from refstore.config import Endpoint, Settings
from refstore.errors import InvalidSetting
from refstore.manifest.entry import Object

LAB = Endpoint("lab", "s3", "http://lab:9000", match=("s3://data", "s3://shared/team-a"))
ARCHIVE = Endpoint("archive", "s3", "http://archive:9000", match=("s3://data/old/", "gs://other"))
SETTINGS = Settings(endpoints=(LAB, ARCHIVE, Endpoint("google", "gs", "http://g")))


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("s3://data", "lab"),
        ("s3://data/x/y", "lab"),
        ("s3a://data/x", "lab"),
        ("s3://data/old/x", "archive"),
        ("s3://data/old", "archive"),
        ("s3://data/older", "lab"),
        ("s3://shared/team-a", "lab"),
        ("s3://shared/team-a/x", "lab"),
        ("s3://shared/team-ab", ""),
        ("s3://data2/x", ""),
        ("s3://other/x", ""),
    ],
)
def test_the_longest_match_serves_a_place(uri: str, name: str) -> None:
    assert S3Backend(SETTINGS).parse(uri).endpoint == name


def test_variables_come_in_their_order_and_behind_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, variable in reversed(list(enumerate(VARIABLES))):
        monkeypatch.setenv(variable, f"http://Host{number}:9000/")
        assert for_place(SETTINGS, "elsewhere", "").name == f"http://host{number}:9000"
    assert for_place(SETTINGS, "data", "x") == LAB


def test_the_switch_of_aws_for_its_variables_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://host:9000")
    assert for_place(Settings(), "b", "") == AWS


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:8333", "http://127.0.0.1:8333"),
        ("HTTPS://User:Secret@MinIO.Example/Path/", "https://minio.example/Path"),
    ],
)
def test_an_endpoint_is_recorded_without_user_info_and_in_lower_case(url: str, name: str) -> None:
    assert normalized(url) == name


def test_a_variable_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "lab:9000/with-secret")
    with pytest.raises(InvalidSetting, match="AWS_ENDPOINT_URL") as caught:
        S3Backend(Settings()).parse("s3://b/k")
    assert "secret" not in str(caught.value)


def test_the_endpoint_of_the_aws_profile_holds(isolated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = isolated / ".aws" / "config"
    config.parent.mkdir()
    config.write_text(
        "[default]\nendpoint_url = http://global:1\n[profile lab]\nservices = here\nendpoint_url = http://no:1\n"
        "[services here]\ns3 =\n  endpoint_url = http://service:2\n"
    )
    assert for_place(Settings(), "b", "").name == "http://global:1"
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert for_place(Settings(), "b", "").name == "http://service:2"


def test_a_recorded_object_goes_back_to_where_it_was_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://host:9000")
    assert for_record(SETTINGS, "", "s3://b/k") == AWS
    assert for_record(SETTINGS, "lab", "s3://b/k") == LAB
    assert for_record(SETTINGS, "http://host:9000", "s3://b/k").url == "http://host:9000"
    assert for_record(SETTINGS, "http://archive:9000", "s3://b/k") == ARCHIVE


@pytest.mark.parametrize(
    ("name", "hint"),
    [("minio", r"\[endpoints.minio\]"), ("http://evil:1", "AWS_ENDPOINT_URL_S3"), ("google", "google")],
)
def test_credentials_go_to_no_address_that_only_a_catalog_names(name: str, hint: str) -> None:
    obj = Object("s3", name, "b", "k", 1, None, "etag")
    with pytest.raises(InvalidSetting, match=hint):
        S3Backend(SETTINGS).open(obj)
