"""Azurite: Azure Blob Storage with shared-key accounts, ETags, content MD5 and snapshots. It keeps no versions."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azure.storage.blob import BlobBlock, BlobServiceClient

from . import install
from .nginx import AccessLog, Request, start_logging_proxy
from .running import Run

# The account and key that every Azurite has, published in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Azurite:
    """`url` ends with the account's name, as an emulator's does; `logged_url` is the same behind an access log."""

    url: str
    logged_url: str
    log_file: str
    account: str = ACCOUNT
    key: str = KEY

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].partition("/")[0])

    @property
    def connection_string(self) -> str:
        return self.connection_string_for(self.url)

    @property
    def logged_connection_string(self) -> str:
        return self.connection_string_for(self.logged_url)

    def connection_string_for(self, url: str) -> str:
        parts = ("http", self.account, self.key, url)
        return "DefaultEndpointsProtocol={};AccountName={};AccountKey={};BlobEndpoint={};".format(*parts)

    def environment(self, *, logged: bool = False) -> dict[str, str]:
        """The variable that makes a client talk to this server."""
        return {"AZURE_STORAGE_CONNECTION_STRING": self.logged_connection_string if logged else self.connection_string}

    def make_container(self) -> str:
        """A new container of a unique name."""
        container = f"t-{uuid.uuid4().hex[:16]}"
        self.service().create_container(container).close()
        return container

    def put(self, container: str, key: str, data: bytes = b"", **options: Any) -> str:
        """Store a blob with its MD5; its ETag, in quotes. `options` go to upload_blob as they are."""
        with self.service().get_blob_client(container, key) as blob:
            return str(blob.upload_blob(data, overwrite=True, **options)["etag"])

    def put_blocks(self, container: str, key: str, blocks: list[bytes]) -> str:
        """Store a blob block by block, which leaves it without an MD5; its ETag."""
        with self.service().get_blob_client(container, key) as blob:
            ids = [f"{n:06}" for n in range(len(blocks))]
            for block_id, block in zip(ids, blocks, strict=True):
                blob.stage_block(block_id, block)
            return str(blob.commit_block_list([BlobBlock(block_id) for block_id in ids])["etag"])

    def put_many(self, container: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Store many blobs; the ETag of each."""
        return {key: self.put(container, key, data) for key, data in files.items()}

    def get(self, container: str, key: str) -> bytes:
        with self.service().get_blob_client(container, key) as blob:
            return bytes(blob.download_blob().readall())

    def delete(self, container: str, key: str) -> None:
        with self.service().get_blob_client(container, key) as blob:
            blob.delete_blob()

    def service(self) -> BlobServiceClient:
        return _service(self.connection_string)

    @property
    def log(self) -> AccessLog:
        return AccessLog(self.logged_url.removesuffix(f"/{self.account}"), self.log_file)

    def mark(self) -> int:
        """A place in the access log, for `requests_since`."""
        return self.log.mark()

    def requests_since(self, mark: int, container: str) -> list[Request]:
        """What was asked of `container` at `logged_url` after `mark`."""
        return self.log.since(mark, f"/{self.account}/{container}")


@functools.cache
def _service(connection_string: str) -> BlobServiceClient:
    return BlobServiceClient.from_connection_string(connection_string)


def shared(run: Run) -> Azurite:
    return run.shared("azurite", Azurite, lambda: _start(run))


def _start(run: Run) -> Azurite:
    folder, port = run.server_folder("azurite"), run.port()
    where = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--extentMemoryLimit", "1024"]
    # the SDK is newer than the last API version that this Azurite knows by name
    options = [*where, "--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    run.spawn(folder, [install.node(), install.azurite_blob(), *options], port=port)
    log = start_logging_proxy(run, "azurite", port)
    return Azurite(url=f"http://127.0.0.1:{port}/{ACCOUNT}", logged_url=f"{log.url}/{ACCOUNT}", log_file=log.file)
