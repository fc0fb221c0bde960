"""What the GCS and Azure backends share: keys in URIs, which endpoint serves them, and that they come as extras."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refstore.backends.azure import AzureBackend
from refstore.backends.base import Location
from refstore.backends.endpoints import named, serving
from refstore.backends.gcs import GCSBackend
from refstore.backends.key_escapes import escape, unescape
from refstore.config import Endpoint, Settings

KEYS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("%?#/ 0123456789AFaf")), min_size=1)


@given(KEYS)
def test_every_key_reads_back_and_is_shown_printable(key: str) -> None:
    assert unescape(escape(key)) == key
    assert escape(key).isprintable()


@given(KEYS, st.none() | st.integers(1, 2**63).map(str))
def test_every_key_and_generation_go_through_a_gs_uri(key: str, generation: str | None) -> None:
    backend = GCSBackend(Settings())
    at = backend.parse(backend.uri(Location("gs", "", "bucket", key, generation)))
    assert (at.bucket, at.key, at.version) == ("bucket", key, generation)


@given(KEYS, st.none() | st.just("2026-01-02T03:04:05.1234567Z"))
def test_every_key_and_version_go_through_an_https_uri(key: str, version: str | None) -> None:
    backend = AzureBackend(Settings())
    at = backend.parse(backend.uri(Location("az", "acct", "container", key, version)))
    assert (at.endpoint, at.bucket, at.key, at.version) == ("acct", "container", key, version)


@pytest.mark.parametrize("text", ["a%20b", "100%", "%zz", "%C3%A9", "%ff%fe", "%2F", "%2e%2E", "é%E2%82"])
def test_other_escapes_are_part_of_the_key(text: str) -> None:
    assert unescape(text) == text


def test_the_longest_match_at_a_boundary_serves() -> None:
    wide = Endpoint("wide", "gs", match=("gs://b",))
    narrow = Endpoint("narrow", "gs", match=("gs://b/team", "gs://c/"))
    other = Endpoint("other", "s3", match=("s3://b",))
    settings = Settings(endpoints=(wide, narrow, other))
    found = [serving(settings, ("gs",), bucket, key) for bucket, key in (("b", "x"), ("b", "team/x"), ("b", "team2"))]
    assert found == [wide, narrow, wide]
    assert serving(settings, ("gs",), "c", "") is narrow
    assert serving(settings, ("gs",), "bb", "x") is None
    assert named(settings, ("gs",), "other") is None


@pytest.mark.parametrize(
    ("package", "uri", "extra"),
    [
        ("gcsfs", "gs://b/k", "gcs"),
        ("azure.identity", "az://c/k", "azure"),
        ("azure.storage.blob", "az://c/k", "azure"),
    ],
)
def test_what_to_install_is_said_where_a_package_is_missing(package: str, uri: str, extra: str) -> None:
    code = (
        "import importlib.util, sys\n"
        "real = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == sys.argv[1] else real(name, *rest)\n"
        "from refstore.backends.registry import Backends\n"
        "from refstore.config import Settings\n"
        "from refstore.errors import UnsupportedScheme\n"
        "try:\n"
        "    Backends(Settings()).for_uri(sys.argv[2])\n"
        "except UnsupportedScheme as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, package, uri], capture_output=True, text=True, check=False)
    assert f"pip install 'refstore[{extra}]'" in done.stdout, done.stderr
    assert package in done.stdout
