"""A bucket of Google Cloud Storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from refstore.backends import Backend, Location
from refstore.backends.aio import PIECE, Pieces
from refstore.backends.gcs.backend import PAGE, GCSBackend
from refstore.backends.gcs.client import RefusedError
from refstore.errors import RefstoreError, SourceDenied, SourceMissing
from refstore.sync.places.place import Place


class GCSPlace(Place):
    """A prefix in a bucket. An object is one POST; a long one a resumable upload, which appears with its last part."""

    def __init__(self, location: Location, backend: Backend) -> None:
        assert isinstance(backend, GCSBackend)
        self.url = backend.uri(location)
        self._location = location
        self._backend = backend
        self._bucket = location.bucket
        self._prefix = location.key.rstrip("/") + "/" if location.key.strip("/") else ""
        self._client = backend.client(location, writing=True)

    def get(self, key: str, start: int = 0) -> Iterator[bytes] | None:
        """See `Place.get`."""
        headers = {"Range": f"bytes={start}-"} if start else {}
        where = f"{self.url}/{key}"
        try:
            response = self._client.stream(
                ("b", self._bucket, "o", self._prefix + key), {"alt": "media"}, headers, where
            )
        except RefusedError as refused:
            if refused.status == 404 and "bucket" not in refused.message.lower().split(":")[0]:
                return None
            if start and refused.status == 416:
                return iter(())
            raise self._failure(refused) from refused

        async def release() -> None:
            response.close()

        announced = response.headers.get("Content-Length")
        return Pieces(
            response.content.iter_chunked(PIECE),
            expected=int(announced) if announced is not None else None,
            where=where,
            release=release,
            translate=lambda error: self._client.translate(error, where),
        )

    def put(self, key: str, data: bytes, *, only_new: bool = False) -> bool:
        """See `Place.put`."""
        params = {"uploadType": "media", "name": self._prefix + key}
        if only_new:
            params["ifGenerationMatch"] = "0"
        try:
            self._client.upload(self._bucket, params, data, self.url)
        except RefusedError as refused:
            if only_new and refused.status == 412:
                return False
            raise self._failure(refused, writing=True) from refused
        return True

    def put_parts(self, key: str, size: int, parts: Callable[[], Iterator[bytes]]) -> None:
        """See `Place.put_parts`."""
        params = {"uploadType": "resumable", "name": self._prefix + key}
        try:
            session = self._client.upload(self._bucket, params, b"", self.url)
            at = 0
            for part in parts():
                self._client.upload_part(session, at, size, part, self.url)
                at += len(part)
        except RefusedError as refused:
            raise self._failure(refused, writing=True) from refused

    def has(self, key: str) -> bool:
        """See `Place.has`."""
        try:
            self._client.get(("b", self._bucket, "o", self._prefix + key), {"fields": "name"}, self.url)
        except RefusedError as refused:
            if refused.status == 404:
                return False
            raise self._failure(refused) from refused
        return True

    def names(self, folder: str) -> Iterator[str]:
        """See `Place.names`."""
        prefix = f"{self._prefix}{folder}/"
        params = {
            "prefix": prefix,
            "delimiter": "/",
            "maxResults": str(PAGE),
            "fields": "nextPageToken,items(name)",
        }
        while True:
            try:
                page = self._client.get(("b", self._bucket, "o"), params, self.url)
            except RefusedError as refused:
                raise self._failure(refused, listing=True) from refused
            for row in page.get("items", ()):
                if name := str(row["name"])[len(prefix) :]:
                    yield name
            token = page.get("nextPageToken")
            if not token or token == params.get("pageToken"):
                return
            params["pageToken"] = token

    def _failure(self, refused: RefusedError, *, writing: bool = False, listing: bool = False) -> RefstoreError:
        if writing and refused.status == 403:
            return SourceDenied(
                f"Google Cloud Storage lets nothing be written to {self.url} (it needs storage.objects.create, and "
                f"says: {refused.message})."
            )
        if writing and refused.status == 404:
            return SourceMissing(f"The bucket gs://{self._bucket} does not exist: make it, or check {self.url}.")
        return self._backend.failure(refused, self._location, listing=listing)
