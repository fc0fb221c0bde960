"""`s3://`: Amazon S3 and whatever speaks its language (MinIO, Ceph, SeaweedFS, R2 …), through s3fs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, ClassVar

from refstore.backends.base import Backend, Diagnosis, Location, Page, Reading
from refstore.backends.s3 import answers as s3_answers
from refstore.backends.s3 import endpoint as s3_endpoint
from refstore.backends.s3 import errors as s3_errors
from refstore.backends.s3 import listing as s3_listing
from refstore.backends.s3 import reading as s3_reading
from refstore.backends.s3 import uri as s3_uri
from refstore.backends.s3.client import S3Client
from refstore.config import Endpoint, Settings
from refstore.errors import AmbiguousURI, InvalidURI, SourceDenied, SourceMissing
from refstore.manifest.entry import Entry, Object


class S3Backend(Backend):
    """Objects are pinned by version id where the bucket keeps versions, and by ETag elsewhere.

    How URIs are read is told in `uri`, which endpoint serves a bucket in `endpoint`. Requests are only of these
    kinds: list, head and get an object, and, for `diagnose`, get a bucket's versioning and lifecycle settings.
    """

    schemes: ClassVar[tuple[str, ...]] = s3_endpoint.SCHEMES
    in_parts: ClassVar[bool] = True

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._clients: dict[Endpoint, S3Client] = {}
        self._lock = threading.Lock()

    def parse(self, uri: str) -> Location:
        """Take an `s3://` URI apart.

        Raises:
            InvalidURI: It names no bucket, or a version of no object.
            SecretInURI: It carries a user name or a signature.
            InvalidSetting: The endpoint for it is set to what is no URL.
        """
        bucket, key, version = s3_uri.split(uri)
        endpoint = s3_endpoint.for_place(self.settings, bucket, key)
        return Location("s3", endpoint.name, bucket, key, version, version is None and (not key or key.endswith("/")))

    def uri(self, at: Location | Object) -> str:
        """The URI for a person; see `uri.render`."""
        slash = isinstance(at, Location) and at.directory and bool(at.key) and not at.key.endswith("/")
        return s3_uri.render(at.bucket, at.key + "/" * slash, at.version)

    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """One LIST request a page; for a name without its last `/` one more LIST or HEAD. See `Backend.find`."""
        uri = self.uri(location)
        if location.version is not None or (not location.key and not location.directory):
            yield self._single(self.stat(location))
            return
        client = self._client(location, uri)
        prefix = location.key if not location.key or location.key.endswith("/") else location.key + "/"
        found = False
        listing = s3_listing.Listing(client, location.bucket, prefix, uri)
        pages = listing.pages()
        try:
            while True:
                try:
                    page = next(pages)
                except StopIteration:
                    break
                except SourceDenied:
                    if location.directory or found:
                        raise
                    # Who may not list may still read one object.
                    readable = self._readable(location)
                    if readable is None:
                        raise
                    yield readable
                    return
                if not found and not location.directory and (page.entries or page.markers):
                    self._refuse_ambiguous(client, location, uri)
                found = found or bool(page.entries or page.markers)
                yield page
        finally:
            pages.close()
        if not found and not location.directory:
            yield self._single(self.stat(location))

    def stat(self, location: Location) -> Object:
        """One HEAD. See `Backend.stat`."""
        uri = self.uri(location)
        if not location.key:
            raise InvalidURI(f"{uri} is a whole bucket, not an object.")
        client = self._client(location, uri)
        permission = "s3:GetObjectVersion" if location.version else "s3:GetObject"
        parameters = {"Bucket": location.bucket, "Key": location.key, "VersionId": location.version}
        try:
            answer = client.run("head_object", **parameters, ChecksumMode="ENABLED")
        except Exception as error:
            raise self._explained(error, client, location, uri, parameters, permission) from error
        found = s3_answers.headed(location.endpoint, location.bucket, location.key, answer)
        if location.version not in (None, "null", found.version):
            raise SourceMissing(f"{client.label} takes no notice of version ids, so {uri} can't be had from it.")
        return found

    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """One GET, of the recorded version or with If-Match; one HEAD more for the part size of a multipart object.

        See `Backend.open`.
        """
        uri = self.uri(obj)
        return s3_reading.read(self._client(obj, uri), obj, uri, start, length)

    def diagnose(self, location: Location) -> Diagnosis:
        """See `Backend.diagnose`."""
        from refstore.backends.s3 import diagnosis as s3_diagnosis

        uri = self.uri(location)
        return s3_diagnosis.diagnose(lambda: self._client(location, uri), location, uri)

    def _client(self, at: Location | Object, uri: str) -> S3Client:
        endpoint = s3_endpoint.for_record(self.settings, at.endpoint, uri)
        with self._lock:
            if endpoint not in self._clients:
                self._clients[endpoint] = S3Client(endpoint)
            return self._clients[endpoint]

    def _single(self, obj: Object) -> Page:
        name = obj.key.rstrip("/").rpartition("/")[2] + "/" * obj.key.endswith("/")
        return Page([Entry(name, obj)], notes=(s3_listing.unversioned(obj.bucket),) if obj.version is None else ())

    def _readable(self, location: Location) -> Page | None:
        try:
            return self._single(self.stat(location))
        except (SourceMissing, SourceDenied):
            return None

    def _refuse_ambiguous(self, client: S3Client, location: Location, uri: str) -> None:
        with s3_errors.translating(uri, location.bucket, client.label, "s3:ListBucket"):
            both = s3_listing.exists(client, location.bucket, location.key)
        if both:
            raise AmbiguousURI(
                f"{uri} is both an object and a directory: write {uri}/ for the directory, or pin the object's version "
                "with ?versionId=… to mean the object."
            )

    def _explained(
        self,
        error: Exception,
        client: S3Client,
        location: Location,
        uri: str,
        parameters: dict[str, Any],
        permission: str,
    ) -> Exception:
        """The answer to a HEAD has no words in it; a GET of one byte is refused for the same reason, and says which."""
        if s3_errors.status(error) in (400, 403) and s3_errors.code(error).isdigit():
            try:
                client.discard(client.run("get_object", **parameters, Range="bytes=0-0"))
            except Exception as spoken:  # noqa: BLE001 - all of it is translated
                error = spoken if s3_errors.code(spoken) else error
        if location.version and s3_errors.status(error) == 400 and s3_errors.code(error) in ("InvalidArgument", "400"):
            return SourceMissing(f"{uri} does not exist: {location.version!r} is no version id of {client.label}.")
        unsaid = s3_errors.status(error) == 404 and not location.version and not s3_errors.hidden_by_marker(error)
        if unsaid and s3_listing.is_deleted(client, location.bucket, location.key):
            return s3_errors.deleted(uri)
        return s3_errors.translate(error, uri, location.bucket, client.label, permission)
