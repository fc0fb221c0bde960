"""The test servers are real: each does what the tests of `refstore` rely on."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.servers.azurite import Azurite
from tests.servers.caddy import Caddy
from tests.servers.faults import FaultProxy
from tests.servers.gcs import Gcs
from tests.servers.nginx import Nginx, WebServer
from tests.servers.s3 import S3Server


def fetch(url: str, method: str = "GET", **headers: str) -> tuple[bytes, dict[str, str], str]:
    """Body, headers by lower-case name, and the URL that answered."""
    request = urllib.request.Request(url, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read(), {k.lower(): v for k, v in answer.headers.items()}, answer.url


def status(url: str, method: str = "GET") -> int:
    try:
        fetch(url, method)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    return 200


def check_versions(server: S3Server) -> None:
    bucket = server.make_bucket()
    first = server.put(bucket, "a/b.txt", b"one")
    second = server.put(bucket, "a/b.txt", b"two")
    assert first
    assert second
    assert first != second
    server.delete(bucket, "a/b.txt")
    assert server.get(bucket, "a/b.txt", first) == b"one"
    assert server.get(bucket, "a/b.txt", second) == b"two"
    with pytest.raises(ClientError, match="NoSuchKey"):
        server.get(bucket, "a/b.txt")
    plain = server.make_bucket(versioned=False)
    assert server.put(plain, "x", b"x") is None


def check_reader(server: S3Server) -> None:
    bucket = server.make_bucket()
    version = server.put(bucket, "k", b"data")
    reader = server.client(reader=True)
    assert reader.get_object(Bucket=bucket, Key="k", VersionId=version)["Body"].read() == b"data"
    assert reader.list_objects_v2(Bucket=bucket)["KeyCount"] == 1
    assert len(reader.list_object_versions(Bucket=bucket)["Versions"]) == 1
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.put_object(Bucket=bucket, Key="k", Body=b"other")
    with pytest.raises(ClientError, match="AccessDenied"):
        reader.delete_object(Bucket=bucket, Key="k")


def check_access_log(server: S3Server) -> None:
    import s3fs

    bucket = server.make_bucket()
    server.put_many(bucket, {f"d/{n}": b"x" * n for n in range(5)})
    mark = server.mark()
    files = s3fs.S3FileSystem(
        key=server.reader_key,
        secret=server.reader_secret,
        endpoint_url=server.logged_url,
        version_aware=True,
        use_listings_cache=False,
        skip_instance_cache=True,
        config_kwargs={"s3": {"addressing_style": "path"}},
    )
    assert len(files.find(f"{bucket}/d", detail=True)) == 5
    assert files.cat_file(f"{bucket}/d/3") == b"xxx"
    operations = server.operations_since(mark, bucket)
    assert operations["ListObjectVersions"] == 1
    assert operations["GetObject"] == 1
    assert {r.status for r in server.requests_since(mark, bucket)} <= {200, 206}


def test_seaweed_keeps_versions(seaweed: S3Server) -> None:
    check_versions(seaweed)


def test_seaweed_refuses_writes_by_the_reader(seaweed: S3Server) -> None:
    check_reader(seaweed)


def test_seaweed_shows_what_was_asked_of_it(seaweed: S3Server) -> None:
    check_access_log(seaweed)


def test_seaweed_takes_objects_in_parts(seaweed: S3Server) -> None:
    bucket = seaweed.make_bucket()
    version = seaweed.put_multipart(bucket, "big", [b"a" * (5 << 20), b"b"])
    row = seaweed.client().list_object_versions(Bucket=bucket)["Versions"][0]
    assert row["VersionId"] == version
    assert row["ETag"].endswith('-2"')


def test_rgw_keeps_versions_and_odd_keys_and_a_log(rgw: S3Server) -> None:
    check_versions(rgw)
    check_reader(rgw)
    check_access_log(rgw)
    bucket = rgw.make_bucket(versioned=False)
    odd = {"a//b", "a/../b", "./a", "a\\b", "a\nb", "a/", "é", "a?versionId=1", "a b+c%20"}
    rgw.put_many(bucket, {key: key.encode() for key in odd})
    listed = [row["Key"] for row in rgw.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert set(listed) == odd
    assert listed == sorted(listed, key=str.encode)


def test_gcs_keeps_generations(gcs: Gcs) -> None:
    bucket = gcs.make_bucket()
    first = gcs.put(bucket, "a/b c.txt", b"one")
    second = gcs.put(bucket, "a/b c.txt", b"two")
    assert first != second
    assert gcs.get(bucket, "a/b c.txt", first) == b"one"
    assert gcs.info(bucket, "a/b c.txt")["generation"] == second
    gcs.delete(bucket, "a/b c.txt")
    with pytest.raises(FileNotFoundError):
        gcs.get(bucket, "a/b c.txt")


def test_gcsfs_finds_the_server_by_its_environment(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    import gcsfs

    bucket = gcs.make_bucket()
    gcs.put_many(bucket, {"a": b"1", "b": b"22"})
    for name, value in gcs.environment(logged=True).items():
        monkeypatch.setenv(name, value)
    mark = gcs.mark()
    files = gcsfs.GCSFileSystem(token="anon", use_listings_cache=False, skip_instance_cache=True)
    assert sorted(files.find(bucket)) == [f"{bucket}/a", f"{bucket}/b"]
    assert gcs.requests_since(mark, bucket)


def test_azurite_keeps_etags_and_md5(azurite: Azurite) -> None:
    container = azurite.make_container()
    first = azurite.put(container, "a/b.txt", b"one")
    second = azurite.put(container, "a/b.txt", b"two")
    assert first != second
    assert azurite.get(container, "a/b.txt") == b"two"
    azurite.put_blocks(container, "blocks", [b"one", b"two"])
    assert azurite.get(container, "blocks") == b"onetwo"
    azurite.delete(container, "blocks")


def test_azurite_logs_what_it_is_asked(azurite: Azurite) -> None:
    from azure.storage.blob import BlobServiceClient

    container = azurite.make_container()
    azurite.put_many(container, {"a": b"1", "b": b"22"})
    mark = azurite.mark()
    with BlobServiceClient.from_connection_string(azurite.logged_connection_string) as service:
        assert sorted(service.get_container_client(container).list_blob_names()) == ["a", "b"]
    assert azurite.requests_since(mark, container)


def check_web_server(server: WebServer) -> dict[str, str]:
    folder = server.folder({"a.txt": b"hello", "sub/é #1.txt": b"odd"})
    body, headers, _ = fetch(server.href(folder, "a.txt"))
    assert body == b"hello"
    assert headers["etag"].startswith('"')
    assert fetch(server.href(folder, "sub/é #1.txt"))[0] == b"odd"
    assert b"a.txt" in fetch(server.href(folder))[0]
    return headers


def test_nginx_serves_and_lists(nginx: Nginx) -> None:
    check_web_server(nginx)
    folder = nginx.folder({"a.txt": b"hello"})
    assert json.loads(fetch(nginx.json_href(folder))[0])[0]["size"] == 5
    mark = nginx.log.mark()
    fetch(nginx.href(folder, "a.txt"))
    assert [r.method for r in nginx.log.since(mark, f"/{folder.name}")] == ["GET"]


def test_caddy_serves_and_lists(caddy: Caddy) -> None:
    check_web_server(caddy)
    folder = caddy.folder({"a.txt": b"hello"})
    assert json.loads(fetch(caddy.href(folder), accept="application/json")[0])[0]["name"] == "a.txt"


def test_nginx_is_odd_when_asked(nginx: Nginx) -> None:
    folder = nginx.folder({"a.txt": b"hello" * 100})

    def odd(name: str) -> str:
        return nginx.odd(name, folder, "a.txt")

    assert status(odd("nohead"), "HEAD") == 405
    assert status(odd("nohead")) == 200
    zipped, headers, _ = fetch(odd("gzip"), accept_encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert headers["etag"].startswith("W/")
    assert len(zipped) < 100
    body, headers, _ = fetch(odd("bare"))
    assert body == b"hello" * 100
    assert not {"etag", "last-modified"} & set(headers)
    assert fetch(odd("weak"))[1]["etag"] == 'W/"weak"'
    body, headers, _ = fetch(odd("chunked"))
    assert body == b"hello" * 100
    assert headers["transfer-encoding"] == "chunked"
    assert not {"etag", "content-length"} & set(headers)
    assert fetch(odd("noranges"), range="bytes=1-2")[0] == b"hello" * 100
    assert status(odd("forbidden")) == 403
    assert status(odd("broken")) == 500
    assert fetch(odd("redirect"))[2] == nginx.href(folder, "a.txt")
    body, _, url = fetch(odd("signed"))
    assert body == b"hello" * 100
    assert "X-Amz-Signature=secret" in url
    assert status(url.partition("?")[0]) == 403
    assert status(odd("loop")) in (301, 302)


def test_faults_break_connections(nginx: Nginx, faults: Callable[..., FaultProxy]) -> None:
    folder = nginx.folder({"big": b"x" * 1_000_000})
    path = f"/{folder.name}/big"
    with pytest.raises((ConnectionError, urllib.error.URLError)):
        fetch(faults(nginx.url, reset=1).url + path)
    for fault in ("cut", "truncate"):
        with pytest.raises(Exception, match=r"IncompleteRead|reset"):
            fetch(faults(nginx.url, **{fault: 1}, after=5000).url + path)
    assert status(faults(nginx.url, slow_down=1).url + path) == 503
    proxy = faults(nginx.url, slow_down=1, first=1, latency=0.01)
    assert [status(proxy.url + path) for _ in range(3)] == [503, 200, 200]
    assert proxy.seen == {"slow_down": 1, "ok": 2}


def test_flaky_proxy_refuses_some_requests(seaweed: S3Server, flaky: Callable[..., str]) -> None:
    url = flaky(seaweed.url, slow_down=0.5, drop=0)
    statuses = {status(url) for _ in range(40)}
    assert statuses == {403, 503}


def test_environment_is_isolated(isolated: os.PathLike[str]) -> None:
    assert os.environ["HOME"] == str(isolated)
    assert not [name for name in os.environ if name.startswith("AWS_") and name != "AWS_EC2_METADATA_DISABLED"]
