"""Azure Blob Storage: against Azurite, and its versions, which Azurite has not, against `servers/azure_versions.py`."""

from __future__ import annotations

import gzip
import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from refstore.backends.aio import run
from refstore.backends.azure import AzureBackend
from refstore.backends.azure import listing as azure_listing
from refstore.backends.azure.accounts import Account, ambient
from refstore.backends.azure.client import AzureClient
from refstore.backends.base import Location
from refstore.config import Endpoint, Settings
from refstore.errors import (
    CredentialsMissing,
    InvalidSetting,
    InvalidURI,
    SecretInURI,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
)
from refstore.manifest.entry import Checksum, Object, Pin
from tests.backends.conformance import ODD_KEYS, Conformance, Source, entries, find, only, read
from tests.servers import azure_versions
from tests.servers.azure_versions import AzureVersions
from tests.servers.azurite import ACCOUNT, KEY, Azurite
from tests.servers.faults import FaultProxy
from tests.servers.scripted import Answer, ScriptedServer


class AzuriteSource(Source):
    """A new container, found through AZURE_STORAGE_CONNECTION_STRING."""

    pin = Pin.CHECKSUM
    bogus_version = "2026-01-02T03:04:05.1234567Z"
    # Azurite makes a slash of a backslash, and its listing fails for control characters.
    odd_keys = tuple(key for key in ODD_KEYS if "\\" not in key and "\x07" not in key)
    secret_uris = (
        ("https://acct.blob.core.windows.net/c/k?sv=2024-01-01&sig=abad1dea%3D", "abad1dea"),
        ("az://c/k?sig=abad1dea", "abad1dea"),
        ("https://user:hunter2@acct.blob.core.windows.net/c/k", "hunter2"),
    )

    def __init__(self, server: Azurite, settings: Settings | None = None) -> None:
        self.server = server
        self.backend = AzureBackend(settings or Settings())
        self.container = server.make_container()
        # The SDK as it is rewrites `..` and other parts of names before it sends them.
        self.writer = AzureClient(Account(ACCOUNT, server.url, KEY))

    def put(self, key: str, data: bytes) -> None:
        if key in ODD_KEYS:
            run(self.writer._blob(self.container, key).upload_blob(data, overwrite=True))
        else:
            self.server.put(self.container, key, data)

    def delete(self, key: str) -> None:
        self.server.delete(self.container, key)

    def uri(self, key: str) -> str:
        return self.backend.uri(Location("az", ACCOUNT, self.container, key))


@pytest.fixture(autouse=True)
def emulator(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in azurite.environment(logged=True).items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def source(azurite: Azurite) -> AzuriteSource:
    return AzuriteSource(azurite)


class TestAzurite(Conformance):
    @pytest.fixture
    def source(self, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> AzuriteSource:
        # Azurite takes minutes for more than a page of 5000 blobs.
        monkeypatch.setattr(azure_listing, "PAGE", 40)
        source = AzuriteSource(azurite)
        source.page = 40
        return source


class VersionedSource(Source):
    """A new container of the stub, in an account that keeps versions."""

    pin = Pin.VERSION
    has_versions = True
    bogus_version = "2020-01-02T03:04:05.1234567Z"
    # XML can't hold it: https://www.w3.org/TR/xml/#charsets
    odd_keys = tuple(key for key in ODD_KEYS if "\x07" not in key)
    page = 40

    def __init__(self, server: AzureVersions) -> None:
        self.server = server
        self.backend = AzureBackend(Settings())
        self.container = server.make_container()

    def put(self, key: str, data: bytes) -> None:
        self.server.put(self.container, key, data)

    def delete(self, key: str) -> None:
        self.server.delete(self.container, key)

    def uri(self, key: str) -> str:
        return self.backend.uri(Location("az", azure_versions.ACCOUNT, self.container, key))


@pytest.fixture
def versions(monkeypatch: pytest.MonkeyPatch) -> Iterator[AzureVersions]:
    with AzureVersions() as server:
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", server.connection_string)
        yield server


class TestAzureVersions(Conformance):
    @pytest.fixture
    def source(self, versions: AzureVersions, monkeypatch: pytest.MonkeyPatch) -> VersionedSource:
        monkeypatch.setattr(azure_listing, "PAGE", 40)
        return VersionedSource(versions)


# -- URIs and accounts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "endpoint", "key", "version"),
    [
        ("az://c/k", ACCOUNT, "k", None),
        ("abfs://c/d/k", ACCOUNT, "d/k", None),
        ("abfss://c@acct.dfs.core.windows.net/d/k", "acct", "d/k", None),
        ("az://acct.blob.core.windows.net/c/k", "acct", "k", None),
        ("https://acct.blob.core.windows.net/c/k", "acct", "k", None),
        ("https://ACCT.dfs.core.windows.net/c/k", "acct", "k", None),
        ("https://acct.blob.core.usgovcloudapi.net/c/k", "acct.blob.core.usgovcloudapi.net", "k", None),
        ("https://acct.blob.core.chinacloudapi.cn/c/k", "acct.blob.core.chinacloudapi.cn", "k", None),
        ("https://acct.blob.core.windows.net/c/a%20b%2Fc%23?versionId=2026-01-02T03%3A04Z", "acct", "a b/c#",
         "2026-01-02T03:04Z"),
        ("https://acct.blob.core.windows.net/c/k?versionid=2026-01-02T03:04:05Z", "acct", "k", "2026-01-02T03:04:05Z"),
        ("az://c/k?versionId=2026-01-02T03:04:05Z", ACCOUNT, "k", "2026-01-02T03:04:05Z"),
        ("az://c/a%20b#c?d", ACCOUNT, "a%20b#c?d", None),
        ("az://c//k", ACCOUNT, "/k", None),
    ],
)  # fmt: skip
def test_uris_are_understood_as_users_of_azure_write_them(
    uri: str, endpoint: str, key: str, version: str | None
) -> None:
    location = AzureBackend(Settings()).parse(uri)
    assert (location.endpoint, location.bucket, location.key, location.version) == (endpoint, "c", key, version)
    assert AzureBackend(Settings()).parse(AzureBackend(Settings()).uri(location)) == location


@pytest.mark.parametrize("uri", ["az://c", "az://c/", "https://acct.blob.core.windows.net/c", "az://c/d/"])
def test_a_container_or_a_slash_at_the_end_can_only_mean_a_directory(uri: str) -> None:
    assert AzureBackend(Settings()).parse(uri).directory


@pytest.mark.parametrize(
    "uri",
    [
        "az://", "az:///k", "https://acct.blob.core.windows.net/", "az://c_d/k", "az://c?versionId=1",
        "az://c/?versionId=1", "https://acct.blob.core.windows.net/c/k?versionId=", "az://c/k?versionId=",
        "https://acct.blob.core.windows.net/c/k#x", "https://acct.blob.core.windows.net/c/k?comp=list",
        "https://acct.blob.core.windows.net/c/k?snapshot=2026-01-02T03:04:05Z",
    ],
)  # fmt: skip
def test_a_uri_that_means_no_blob_is_refused(uri: str) -> None:
    with pytest.raises(InvalidURI):
        AzureBackend(Settings()).parse(uri)


def test_an_az_uri_needs_an_account_from_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    with pytest.raises(InvalidURI, match="AZURE_STORAGE_CONNECTION_STRING"):
        AzureBackend(Settings()).parse("az://c/k")
    endpoints = (Endpoint("archive", "az", account="contoso", match=("az://c/d",)),)
    assert AzureBackend(Settings(endpoints=endpoints)).parse("az://c/d/k").endpoint == "archive"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "other")
    backend = AzureBackend(Settings(endpoints=endpoints))
    assert backend.parse("az://c/k").endpoint == "other"
    assert backend.parse("https://contoso.blob.core.windows.net/c/d/k").endpoint == "archive"
    assert backend.parse("https://other.blob.core.windows.net/c/d/k").endpoint == "other"


@pytest.mark.parametrize(
    ("text", "name", "url"),
    [
        ("DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=a2V5;EndpointSuffix=core.windows.net", "acct",
         "https://acct.blob.core.windows.net"),
        ("AccountName=acct;AccountKey=a2V5;EndpointSuffix=core.usgovcloudapi.net", "acct.blob.core.usgovcloudapi.net",
         "https://acct.blob.core.usgovcloudapi.net"),
        ("BlobEndpoint=https://acct.blob.core.windows.net/;SharedAccessSignature=sv=1&sig=x%3D", "acct",
         "https://acct.blob.core.windows.net"),
        ("BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;AccountKey=a2V5", "devstoreaccount1",
         "http://127.0.0.1:10000/devstoreaccount1"),
        ("AccountName=acct;AccountKey=a2V5;BlobEndpoint=https://blobs.example.com", "acct", "https://blobs.example.com"),
        ("UseDevelopmentStorage=true", "devstoreaccount1", "http://127.0.0.1:10000/devstoreaccount1"),
    ],
)  # fmt: skip
def test_an_account_is_known_by_its_name_wherever_it_answers(
    text: str, name: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    account = ambient()
    assert account is not None
    assert (account.name, account.url) == (name, url)
    assert account.has_secret
    assert "a2V5" not in repr(account)
    assert "sig" not in repr(account)


@pytest.mark.parametrize("text", ["nonsense", "AccountKey=c2VjcmV0", "AccountName=acct;AccountKey=s3cr3t!"])
def test_a_connection_string_that_cannot_be_read_is_not_repeated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    with pytest.raises(InvalidSetting) as caught:
        AzureBackend(Settings()).parse("az://c/k")
    assert text.rpartition("=")[2] not in str(caught.value)


def test_a_key_is_never_used_for_another_account(source: AzuriteSource) -> None:
    elsewhere = Object("az", "contoso", "c", "k", 1, etag="0x1")
    with pytest.raises(CredentialsMissing, match=r"'contoso', and AZURE_STORAGE_CONNECTION_STRING is for '" + ACCOUNT):
        source.backend.open(elsewhere)
    with pytest.raises(InvalidSetting, match=r"endpoints\.lab-1"):
        source.backend.open(replace(elsewhere, endpoint="lab-1"))


def test_a_configured_endpoint_is_recorded_by_name_and_may_be_anonymous(
    azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    container = azurite.make_container()
    azurite.put(container, "d/k", b"hello")
    endpoint = Endpoint("public", "az", url=azurite.url, match=(f"az://{container}",), anonymous=True)
    backend = AzureBackend(Settings(endpoints=(endpoint,)))
    with pytest.raises((SourceDenied, SourceMissing)):
        list(backend.find(backend.parse(f"az://{container}/d")))
    with azurite.service().get_container_client(container) as client:
        client.set_container_access_policy(signed_identifiers={}, public_access="container")
    (page,) = backend.find(backend.parse(f"az://{container}/d"))
    (entry,) = page.entries
    assert entry.object.endpoint == "public"
    assert backend.uri(entry.object) == f"az://{container}/d/k"
    with backend.open(entry.object) as reading:
        assert b"".join(reading.chunks) == b"hello"


def test_a_signature_is_enough_to_read_and_never_shown(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime, timedelta, timezone

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    container = azurite.make_container()
    azurite.put(container, "d/k", b"hello")
    soon = datetime.now(timezone.utc) + timedelta(hours=1)
    good = generate_container_sas(
        ACCOUNT, container, account_key=KEY, expiry=soon, permission=ContainerSasPermissions(read=True, list=True)
    )
    text = f"BlobEndpoint={azurite.url};SharedAccessSignature="
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text + good)
    backend = AzureBackend(Settings())
    (page,) = backend.find(backend.parse(f"az://{container}/d"))
    with backend.open(page.entries[0].object) as reading:
        assert b"".join(reading.chunks) == b"hello"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text + good.replace("sp=rl", "sp=r"))
    with pytest.raises(SourceDenied, match=f"az://{container}/d") as caught:
        list(AzureBackend(Settings()).find(backend.parse(f"az://{container}/d")))
    signature = good.rpartition("sig=")[2]
    cause: BaseException | None = caught.value
    assert signature not in str(cause)
    checks = AzureBackend(Settings()).diagnose(backend.parse(f"az://{container}/d")).checks
    assert signature not in repr(checks)
    assert any(check.ok is False for check in checks)


def test_a_wrong_key_is_denied(source: AzuriteSource, monkeypatch: pytest.MonkeyPatch) -> None:
    source.put("k", b"x")
    wrong = "d3Jvbmc="
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", source.server.connection_string.replace(KEY, wrong))
    backend = AzureBackend(Settings())
    with pytest.raises(SourceDenied, match="the account key in AZURE_STORAGE_CONNECTION_STRING") as caught:
        list(backend.find(backend.parse(source.uri("k"))))
    assert wrong not in str(caught.value)


def test_without_credentials_it_says_how_to_give_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("AZURE_STORAGE_CONNECTION_STRING")
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    with ScriptedServer(lambda asked: Answer(500)) as server:
        # A token goes over TLS only, so that no request is made before there is one.
        endpoint = Endpoint("e", "az", url=server.url.replace("http:", "https:"), account="acct", match=("az://c",))
        backend = AzureBackend(Settings(endpoints=(endpoint,)))
        began = time.monotonic()
        with pytest.raises(CredentialsMissing, match="az login"):
            list(backend.find(backend.parse("az://c/k")))
        assert time.monotonic() - began < 30
        assert server.asked == []


def test_a_wrong_key_is_not_taken_for_a_missing_role(monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = Answer(403, headers={"x-ms-error-code": "AuthenticationFailed"})
    with ScriptedServer(lambda asked: refusal) as server:
        backend = _at(server.url, monkeypatch)
        with pytest.raises(SourceDenied, match="key or signature is wrong or has expired"):
            list(backend.find(backend.parse("az://c/k")))


# -- what is recorded --------------------------------------------------------------------------------------------------


def test_every_field_comes_from_the_listing(source: AzuriteSource) -> None:
    etag = source.server.put(source.container, "d/a.txt", b"hello")
    found = entries(source, source.uri("d"))["a.txt"]
    assert found.etag == etag.strip('"')
    assert found.checksum == Checksum("md5", hashlib.md5(b"hello").hexdigest())
    assert (found.endpoint, found.size, found.version, found.storage_class) == (ACCOUNT, 5, None, None)


def test_a_blob_made_of_blocks_has_no_md5_and_is_pinned_by_its_etag(source: AzuriteSource) -> None:
    source.server.put_blocks(source.container, "d/big", [b"one", b"two"])
    found = entries(source, source.uri("d"))["big"]
    assert (found.pin, found.checksum) == (Pin.ETAG, None)
    with source.backend.open(found) as reading:
        assert b"".join(reading.chunks) == b"onetwo"
        assert reading.proofs == ()
    source.server.put_blocks(source.container, "d/big", [b"two", b"one"])
    with pytest.raises(SourceChanged, match="was overwritten: the blob there now has 6 bytes"):
        read(source, found)


def test_a_listing_without_versions_says_so_once(source: AzuriteSource) -> None:
    source.put("d/a", b"x")
    notes = [note for page in find(source, source.uri("d/")) for note in page.notes]
    assert len(notes) == 1
    assert "without a version id" in notes[0]


def test_a_listing_costs_one_request_a_page_and_at_most_two_others(
    source: AzuriteSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_listing, "PAGE", 4)
    source.put_many([f"d/{number}" for number in range(10)], b"x")
    for uri, most in ((source.uri("d"), 5), (source.uri("d/"), 3)):
        mark = source.server.mark()
        assert [len(page.entries) for page in find(source, uri)] == [4, 4, 2]
        assert len(source.server.requests_since(mark, source.container)) <= most


def test_a_read_is_one_request_under_a_precondition(source: AzuriteSource) -> None:
    source.put("k", b"x" * 9_000_000)
    found = only(source, "k")
    mark = source.server.mark()
    assert len(read(source, found)) == 9_000_000
    (request,) = source.server.requests_since(mark, source.container)
    assert request.if_match == f'"{found.etag}"'


def test_what_is_stored_with_gzip_comes_as_it_is_stored(source: AzuriteSource) -> None:
    from azure.storage.blob import ContentSettings

    packed = gzip.compress(b"hello" * 100)
    source.server.put(source.container, "k", packed, content_settings=ContentSettings(content_encoding="gzip"))
    found = only(source, "k")
    assert found.size == len(packed)
    assert read(source, found) == packed


def test_folders_of_a_hierarchical_namespace_are_markers(source: AzuriteSource) -> None:
    source.server.put(source.container, "d", b"", metadata={"hdi_isfolder": "true"})
    (page,) = find(source, source.uri("d"))
    assert (page.entries, page.markers) == ([], 1)
    source.server.put(source.container, "d/sub", b"", metadata={"Hdi_isfolder": "true"})
    source.put("d/sub/k", b"x")
    pages = find(source, source.uri("d"))
    assert [entry.path for page in pages for entry in page.entries] == ["sub/k"]
    assert sum(page.markers for page in pages) == 1


def test_a_container_that_does_not_exist_is_named(source: AzuriteSource) -> None:
    for uri in (
        "az://no-such-container/d/",
        "az://no-such-container/k",
        "az://no-such-container/k?versionId=2026-01-02T00:00:00Z",
    ):
        with pytest.raises(SourceMissing, match="'no-such-container'"):
            find(source, uri)


def test_a_service_that_ignores_the_version_is_not_believed(source: AzuriteSource) -> None:
    source.put("k", b"first")
    record = replace(only(source, "k"), version="2026-01-02T03:04:05.1234567Z")
    source.put("k", b"other")
    with pytest.raises(SourceChanged, match="answers with what is there now"):
        read(source, record)
    with pytest.raises(SourceMissing, match="keeps no such version"):
        source.backend.stat(Location.of(record))


# -- versions, against the stub ----------------------------------------------------------------------------------------


def test_a_deleted_version_is_missing_and_never_the_latest_instead(versions: AzureVersions) -> None:
    source = VersionedSource(versions)
    source.put("k", b"first")
    first = only(source, "k")
    source.put("k", b"other")
    assert read(source, first) == b"first"
    assert first.version is not None
    versions.delete_version(source.container, "k", first.version)
    with pytest.raises(SourceMissing, match="that version was deleted, and the blob there now has 5 bytes") as caught:
        read(source, first)
    assert source.backend.uri(first) in str(caught.value)


def test_old_versions_are_no_files_however_many_there_are(
    versions: AzureVersions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure_listing, "PAGE", 3)
    source = VersionedSource(versions)
    for number in range(8):
        source.put("d/a", str(number).encode())
    source.delete("d/a")
    assert entries(source, source.uri("d/")) == {}
    with pytest.raises(SourceMissing):
        find(source, source.uri("d"))
    source.put("d/b", b"x")
    source.put("d/b", b"y")
    assert set(entries(source, source.uri("d"))) == {"b"}


def test_where_versions_may_not_be_listed_the_rest_is_and_it_is_said(versions: AzureVersions) -> None:
    source = VersionedSource(versions)
    source.put("d/a", b"x")
    versions.may_list_versions = False
    (page,) = find(source, source.uri("d/"))
    assert [(entry.path, entry.object.version) for entry in page.entries] == [("a", None)]
    assert len(page.notes) == 1
    assert "not pinned by version" in page.notes[0]


def test_each_blob_is_pinned_by_what_it_has_itself(versions: AzureVersions) -> None:
    source = VersionedSource(versions)
    versions.put(source.container, "d/before", b"x", versioned=False)
    source.put("d/since", b"x")
    found = entries(source, source.uri("d"))
    assert {path: obj.pin for path, obj in found.items()} == {"before": Pin.CHECKSUM, "since": Pin.VERSION}
    assert read(source, found["before"]) == b"x"
    versions.put(source.container, "d/before", b"y")
    with pytest.raises(SourceChanged):
        read(source, found["before"])


def test_a_file_of_a_hierarchical_namespace_is_found_although_nothing_below_it_can_be_listed(
    versions: AzureVersions,
) -> None:
    versions.hierarchical = True
    source = VersionedSource(versions)
    source.put("d/a", b"x")
    assert set(entries(source, source.uri("d/a"))) == {"a"}
    assert set(entries(source, source.uri("d"))) == {"a"}


def test_what_is_archived_says_how_to_get_it_back(versions: AzureVersions) -> None:
    source = VersionedSource(versions)
    for tier in ("Archive", "Cool", "Hot"):
        versions.put(source.container, f"d/{tier}", b"x", tier=tier)
    found = entries(source, source.uri("d"))
    assert {path: obj.storage_class for path, obj in found.items()} == {
        "Archive": "Archive",
        "Cool": "Cool",
        "Hot": None,
    }
    assert read(source, found["Cool"]) == b"x"
    with pytest.raises(SourceUnreadable, match="rehydrated"):
        read(source, found["Archive"])


def test_a_diagnosis_tells_whether_there_are_versions(versions: AzureVersions, source: AzuriteSource) -> None:
    versioned = VersionedSource(versions)
    versioned.put("d/a", b"x")
    checks = versioned.backend.diagnose(versioned.backend.parse(versioned.uri("d/"))).checks
    assert [check.ok for check in checks if check.name == "versioning"] == [True]


def test_a_diagnosis_without_versions_says_what_to_turn_on(source: AzuriteSource) -> None:
    source.put("d/a", b"x")
    diagnosis = source.backend.diagnose(source.backend.parse(source.uri("d/")))
    assert diagnosis.url == source.server.logged_url
    (check,) = (check for check in diagnosis.checks if check.name == "versioning")
    assert (check.ok, "Turn on" in check.detail) == (None, True)
    assert KEY not in repr(diagnosis)


# -- the network -------------------------------------------------------------------------------------------------------


def _at(url: str, monkeypatch: pytest.MonkeyPatch) -> AzureBackend:
    monkeypatch.setenv(
        "AZURE_STORAGE_CONNECTION_STRING",
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url}/{ACCOUNT};",
    )
    return AzureBackend(Settings())


def test_a_server_that_is_not_there_is_unavailable_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    began = time.monotonic()
    for host, said in ((f"127.0.0.1:{port}", "refused"), ("no-such-host.invalid:80", "no such host")):
        backend = _at(f"http://{host}", monkeypatch)
        with pytest.raises(SourceUnavailable, match=said) as caught:
            list(backend.find(backend.parse("az://c/k")))
        assert "az://c/k" in str(caught.value)
        assert any(check.ok is False for check in backend.diagnose(backend.parse("az://c/k")).checks)
    assert time.monotonic() - began < 40


def test_a_body_that_breaks_off_is_never_taken_for_whole(
    azurite: Azurite, faults: Callable[..., FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    container = azurite.make_container()
    azurite.put(container, "k", b"x" * 3_000_000)
    for fault in ("cut", "truncate"):
        proxy = faults(azurite.url, after=1_500_000, **{fault: 1})
        backend = _at(proxy.url, monkeypatch)
        found = backend.stat(backend.parse(f"az://{container}/k"))
        with backend.open(found) as reading, pytest.raises(SourceUnavailable, match=container):
            list(reading.chunks)


def test_errors_of_single_requests_are_outlived(
    azurite: Azurite, flaky: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    container = azurite.make_container()
    azurite.put_many(container, {f"d/{number}": b"x" for number in range(4)})
    backend = _at(flaky(azurite.url), monkeypatch)
    for page in backend.find(backend.parse(f"az://{container}/d")):
        for entry in page.entries:
            with backend.open(entry.object) as reading:
                assert list(reading.chunks) == [b"x"]


def test_a_secret_in_a_uri_is_refused_with_what_to_do() -> None:
    with pytest.raises(SecretInURI, match="AZURE_STORAGE_SAS_TOKEN"):
        AzureBackend(Settings()).parse("abfss://c@acct.dfs.core.windows.net/k?sv=1&se=2&sr=c&sp=r&sig=x")


def test_a_process_that_ends_leaves_nothing_open(source: AzuriteSource) -> None:
    import subprocess
    import sys

    source.put("k", b"hello")
    code = (
        "import sys\n"
        "from refstore.backends.azure import AzureBackend\n"
        "from refstore.config import Settings\n"
        "backend = AzureBackend(Settings())\n"
        "(page,) = backend.find(backend.parse(sys.argv[1]))\n"
        "reading = backend.open(page.entries[0].object)\n"
        "print(next(reading.chunks))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, source.uri("k")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("b'hello'\n", "")
