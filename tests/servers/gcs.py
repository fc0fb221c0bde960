"""fake-gcs-server: Google Cloud Storage's JSON API, with generations. It has no users and ignores ifGenerationMatch."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from . import install
from .nginx import AccessLog, Request, direct, start_logging_proxy
from .running import Run


@dataclass(frozen=True)
class Gcs:
    """`logged_url` is the same server behind an access log."""

    url: str
    logged_url: str
    log_file: str
    project: str = "test-project"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def environment(self, *, logged: bool = False, url: str = "") -> dict[str, str]:
        """The variables that make any client talk to this server."""
        return {
            "STORAGE_EMULATOR_HOST": url or (self.logged_url if logged else self.url),
            "GOOGLE_CLOUD_PROJECT": self.project,
        }

    def make_bucket(self, *, versioned: bool = True) -> str:
        """A new bucket of a unique name."""
        bucket = f"t-{uuid.uuid4().hex[:16]}"
        body = json.dumps({"name": bucket, "versioning": {"enabled": versioned}}).encode()
        self._call("POST", f"/storage/v1/b?project={self.project}", body, "application/json")
        return bucket

    def put(self, bucket: str, key: str, data: bytes = b"", content_type: str = "application/octet-stream") -> str:
        """Store an object; its generation."""
        query = urlencode({"uploadType": "media", "name": key})
        row = self._call("POST", f"/upload/storage/v1/b/{bucket}/o?{query}", data, content_type)
        return str(json.loads(row)["generation"])

    def put_many(self, bucket: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Store many objects; the generation of each."""
        return {key: self.put(bucket, key, data) for key, data in files.items()}

    def get(self, bucket: str, key: str, generation: str | None = None) -> bytes:
        return self._call("GET", self._object(bucket, key, generation, alt="media"))

    def info(self, bucket: str, key: str, generation: str | None = None) -> dict[str, Any]:
        """The object's row, as the service has it: generation, size, md5Hash, crc32c and so on."""
        row: dict[str, Any] = json.loads(self._call("GET", self._object(bucket, key, generation)))
        return row

    def delete(self, bucket: str, key: str, generation: str | None = None) -> None:
        self._call("DELETE", self._object(bucket, key, generation))

    @property
    def log(self) -> AccessLog:
        return AccessLog(self.logged_url, self.log_file)

    def mark(self) -> int:
        """A place in the access log, for `requests_since`."""
        return self.log.mark()

    def requests_since(self, mark: int, bucket: str) -> list[Request]:
        """What was asked of `bucket` at `logged_url` after `mark`, by the JSON API's paths."""
        return [r for r in self.log.since(mark) if f"/b/{bucket}" in r.path]

    def _object(self, bucket: str, key: str, generation: str | None, **query: str) -> str:
        if generation:
            query["generation"] = generation
        return f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}?{urlencode(query)}"

    def _call(self, method: str, path: str, body: bytes | None = None, content_type: str = "") -> bytes:
        headers = {"Content-Type": content_type} if content_type else {}
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with direct.open(request) as answer:
                data: bytes = answer.read()
                return data
        except urllib.error.HTTPError as error:
            with error:
                raise FileNotFoundError(path) if error.code == 404 else OSError(f"{error}: {error.read()!r}") from None


def shared(run: Run) -> Gcs:
    return run.shared("gcs", Gcs, lambda: _start(run))


def _start(run: Run) -> Gcs:
    folder, port = run.server_folder("gcs"), run.port()
    host = f"127.0.0.1:{port}"
    options = ["-backend=memory", "-scheme=http", "-host=127.0.0.1", f"-port={port}", "-log-level=warn"]
    names = [f"-public-host={host}", f"-external-url=http://{host}"]
    run.spawn(folder, [install.fake_gcs_server(), *options, *names], port=port)
    log = start_logging_proxy(run, "gcs", port)
    return Gcs(url=f"http://{host}", logged_url=log.url, log_file=log.file)
