"""A container of Azure Blob Storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from refstore.backends import Backend, Location
from refstore.backends.aio import Pieces, run
from refstore.backends.azure import errors as azure_errors
from refstore.backends.azure.backend import AzureBackend
from refstore.errors import SourceDenied, SourceMissing
from refstore.sync.places.place import Place


class AzurePlace(Place):
    """A prefix in a container. A blob is one PUT; a long one is blocks, which become it when their list is written."""

    def __init__(self, location: Location, backend: Backend) -> None:
        assert isinstance(backend, AzureBackend)
        self.url = backend.uri(location)
        self._container = location.bucket
        self._prefix = location.key.rstrip("/") + "/" if location.key.strip("/") else ""
        self._client = backend.client(location)

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """See `Place.get`."""
        span = f"bytes={start}-" if start else None
        try:
            answer, body = self._client.download(
                self._container, self._prefix + key, span=span, version=None, etag=None
            )
        except Exception as error:
            if self._is_missing(error):
                return None
            if start and azure_errors.status(error) == 416:
                return iter(())
            raise self._failure(error) from error

        async def release() -> None:
            answer.internal_response.close()

        announced = answer.headers.get("Content-Length")
        return Pieces(
            body,
            expected=int(announced) if announced is not None else None,
            where=f"{self.url}/{key}",
            release=release,
            translate=self._failure,
        )

    def put(self, key: str, data: bytes, *, only_new: bool = False) -> bool:
        """See `Place.put`."""
        try:
            run(self._blob(key).upload_blob(data, overwrite=not only_new))
        except Exception as error:
            if only_new and azure_errors.status(error) in (409, 412) and azure_errors.code(error) in _THERE:
                return False
            raise self._failure(error, writing=True) from error
        return True

    def put_parts(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """See `Place.put_parts`."""
        from azure.storage.blob import BlobBlock

        blob, blocks = self._blob(key), []
        try:
            for number, part in enumerate(parts()):
                blocks.append(BlobBlock(f"{number:08}"))
                run(blob.stage_block(blocks[-1].id, part, length=len(part)))
            run(blob.commit_block_list(blocks))
        except Exception as error:
            # Two who write the same blob use the same blocks, and the first one's list takes them all.
            if azure_errors.code(error) == "InvalidBlockList" and self.has(key):
                return
            raise self._failure(error, writing=True) from error

    def has(self, key: str) -> bool:
        """See `Place.has`."""
        try:
            self._client.properties(self._container, self._prefix + key, None)
        except Exception as error:
            if self._is_missing(error):
                return False
            raise self._failure(error) from error
        return True

    def names(self, folder: str) -> Iterator[str]:
        """See `Place.names`."""
        prefix = f"{self._prefix}{folder}/"
        pages = self._client.container(self._container).list_blob_names(name_starts_with=prefix).by_page()
        while True:
            try:
                page = run(_page(pages))
            except Exception as error:
                raise self._failure(error) from error
            if page is None:
                return
            for name in page:
                rest = name[len(prefix) :]
                if rest and "/" not in rest:
                    yield rest

    def _blob(self, key: str) -> Any:
        return self._client.container(self._container).get_blob_client(self._prefix + key)

    def _is_missing(self, error: Exception) -> bool:
        # A HEAD has no body, and Azurite no header either: then only the status is there.
        return azure_errors.status(error) == 404 and azure_errors.code(error) != "ContainerNotFound"

    def _failure(self, error: Exception, *, writing: bool = False) -> Exception:
        status, code = azure_errors.status(error), azure_errors.code(error)
        if writing and status == 404:
            return SourceMissing(f"There is no container {self._container!r}: make it, or check {self.url}.")
        if writing and status == 403 and code != "AuthenticationFailed":
            return SourceDenied(
                f"Azure lets nothing be written to {self.url} ({code or status}) with {self._client.credentials}: it "
                "needs the role Storage Blob Data Contributor, or write and create permission."
            )
        return azure_errors.translate(error, self._client, self._container, self.url, version=None)


_THERE = {"BlobAlreadyExists", "ConditionNotMet", "UnauthorizedBlobOverwrite", ""}


async def _page(pages: Any) -> list[str] | None:
    try:
        page = await pages.__anext__()
    except StopAsyncIteration:
        return None
    return [name async for name in page]
