"""How `s3://` URIs are read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refstore.backends.base import Location
from refstore.backends.s3 import S3Backend
from refstore.backends.s3.uri import render, split
from refstore.config import Settings
from refstore.errors import InvalidURI, SecretInURI
from tests.backends.conformance import ODD_KEYS

KEYS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text(st.sampled_from("ab/%?#=&25EFacC230\n\x7f\x85 +versionId."), max_size=40),
    st.lists(st.sampled_from(["%25", "%3f", "%0A", "%C2%85", "?versionId=", "%", "é", "/"]), max_size=6).map("".join),
)


@given(key=KEYS, version=st.none() | KEYS.filter(bool))
def test_every_key_and_version_goes_there_and_back(key: str, version: str | None) -> None:
    if version is not None and not key:
        return
    uri = render("bucket", key, version)
    assert uri.isprintable()
    assert split(uri) == ("bucket", key, version)


@pytest.mark.parametrize(
    "key", [key for key in ODD_KEYS if key.isprintable() and "?versionId=" not in key and "%25" not in key]
)
def test_a_key_is_taken_as_it_is_typed(key: str) -> None:
    assert split(f"s3://bucket/{key}") == ("bucket", key, None)


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("a%20b", "a%20b"),
        ("a%2Fb", "a%2Fb"),
        ("a%41b", "a%41b"),
        ("100%", "100%"),
        ("a%25b", "a%b"),
        ("a%3fb", "a?b"),
        ("a%3FversionId=1", "a?versionId=1"),
        ("a%23b", "a#b"),
        ("a%0Ab", "a\nb"),
        ("a%E2%80%8Bb", "a\u200bb"),
        ("a%C3%A9b", "a%C3%A9b"),
        ("a%FFb", "a%FFb"),
    ],
)
def test_only_the_escapes_that_are_written_are_read(typed: str, key: str) -> None:
    assert split(f"s3://bucket/{typed}")[1] == key


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://b", Location("s3", "", "b", "", None, True)),
        ("s3://b/", Location("s3", "", "b", "", None, True)),
        ("s3://b/k", Location("s3", "", "b", "k")),
        ("s3://b/p/", Location("s3", "", "b", "p/", None, True)),
        ("s3://b//k", Location("s3", "", "b", "/k")),
        ("S3://b/K", Location("s3", "", "b", "K")),
        ("s3a://b/k", Location("s3", "", "b", "k")),
        ("s3n://b/k", Location("s3", "", "b", "k")),
        ("s3://b/k?versionId=3/L4kq+x", Location("s3", "", "b", "k", "3/L4kq+x")),
        ("s3://b/k?versionId=1?versionId=2", Location("s3", "", "b", "k?versionId=1", "2")),
        ("s3://b/k?versionId=null", Location("s3", "", "b", "k", "null")),
        ("s3://b/user@host", Location("s3", "", "b", "user@host")),
    ],
)
def test_the_forms_of_a_uri(uri: str, expected: Location) -> None:
    assert S3Backend(Settings()).parse(uri) == expected


def test_an_access_point_may_stand_for_the_bucket() -> None:
    arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine"
    assert split(f"s3://{arn}/a/b") == (arn, "a/b", None)
    assert split(render(arn, "a/b", "v")) == (arn, "a/b", "v")


@pytest.mark.parametrize(
    "uri", ["s3://", "s3:///key", "s3://b?versionId=1", "s3://b/?versionId=1", "s3://b/k?versionId=", "s3://b c/k"]
)
def test_a_uri_that_means_nothing_is_refused(uri: str) -> None:
    with pytest.raises(InvalidURI) as caught:
        split(uri)
    assert "s3://" in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "s3://AKIA:hunter2@bucket/key",
        "s3://hunter2@bucket",
        "s3://bucket/key?X-Amz-Signature=hunter2",
        "s3://bucket/key?versionId=1&X-Amz-Security-Token=hunter2",
        "s3://bucket/key?AWSAccessKeyId=AKIA&Signature=hunter2&Expires=1",
    ],
)
def test_a_secret_in_a_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(SecretInURI) as caught:
        split(uri)
    assert "hunter2" not in str(caught.value)
