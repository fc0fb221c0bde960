"""Azure Blob Storage: `az://container/key`, pinned by version id where the account keeps versions, else by ETag.

Versioning is set for a whole account and is not to be had with a hierarchical namespace:
https://learn.microsoft.com/azure/storage/blobs/versioning-overview. Every write makes a version then, one of metadata
too. Blobs that were last written before it was turned on have none; each blob is pinned by what it has itself.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

from refstore.backends.aio import Pieces
from refstore.backends.azure.accounts import HELP, account_of, ambient, for_record
from refstore.backends.azure.answers import claims, object_of, proofs, refuse_other
from refstore.backends.azure.client import AzureClient
from refstore.backends.azure.errors import status, translate
from refstore.backends.azure.listing import Listing
from refstore.backends.azure.places import render, split
from refstore.backends.base import Backend, Check, Diagnosis, Location, Page, Reading
from refstore.backends.endpoints import serving
from refstore.config import Settings
from refstore.errors import (
    AmbiguousURI,
    InvalidSetting,
    InvalidURI,
    RefstoreError,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
)
from refstore.manifest.entry import Entry, Object, Pin

for _package in ("azure.storage.blob", "azure.identity", "aiohttp"):
    if find_spec(_package) is None:
        raise ModuleNotFoundError(f"{_package} is not installed", name=_package)  # the registry says what to install


class AzureBackend(Backend):
    """Blobs of Azure storage accounts, or of an emulator."""

    schemes = ("az", "abfs", "abfss")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._clients: dict[str, AzureClient] = {}
        self._lock = threading.Lock()

    def parse(self, uri: str) -> Location:
        """Take an `az://`, `abfs://` or `https://ACCOUNT.blob.core.windows.net/` URI apart."""
        place = split(uri)
        directory = place.version is None and (not place.key or place.key.endswith("/"))
        endpoint = self._endpoint(place.account, place.container, place.key, uri)
        return Location("az", endpoint, place.container, place.key, place.version, directory)

    def uri(self, at: Location | Object) -> str:
        """`az://container/key` where that means the account in question, else the blob's `https://` URL."""
        try:
            short = self._endpoint(None, at.bucket, at.key, "") == at.endpoint
        except (InvalidURI, InvalidSetting):
            short = False
        account = None if short else self._account_shown(at.endpoint)
        return render(account, at.bucket, at.key, at.version)

    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """One blob, or all below a directory. Where listing is not allowed, a blob is found all the same."""
        if location.version is not None:
            found, _ = self._look(location)
            yield Page([Entry(_base_name(location.key), found)])
            return
        prefix = location.key if not location.key or location.key.endswith("/") else f"{location.key}/"
        alone, is_marker, denied = None, False, None
        if not location.directory:
            try:
                alone, is_marker = self._look(location)
            except SourceMissing:
                pass
            except SourceDenied as error:
                denied = error
        listing = Listing(self.client(location), location.bucket, prefix, self.uri(location))
        try:
            rows = listing.next()
        except RefstoreError as error:
            # Who may read a blob need not be allowed to list the container; and with a hierarchical namespace it is an
            # error to ask for what is below a file: https://learn.microsoft.com/rest/api/storageservices/list-blobs
            if alone is None or is_marker or status(error.__cause__) not in (400, 403, 404, 409):
                raise
            rows = []
        if alone is not None and not is_marker:
            if rows:
                where = self.uri(location)
                blob = f"{self.uri(alone)} for the blob" if alone.version else "its parent with --include for the blob"
                raise AmbiguousURI(
                    f"{where} is both a blob and a directory: write {where}/ for the directory, or {blob}."
                )
            yield Page([Entry(_base_name(location.key), alone)], notes=_unversioned(location, [alone]))
            return
        if not rows and not location.directory and not is_marker:
            where = self.uri(location)
            raise denied or SourceMissing(
                f"{where} does not exist: there is neither a blob nor anything below that name."
            )
        markers = 0 if rows else int(is_marker)
        noted = False
        while rows or markers:
            entries = []
            for found, is_marker in (object_of(location, row) for row in rows):
                markers += is_marker
                if not is_marker:
                    entries.append(Entry(found.key[len(prefix) :] or _base_name(prefix), found))
            notes = listing.notes or _unversioned(location, [entry.object for entry in entries])
            yield Page(entries, markers, () if noted else notes)
            noted, markers = noted or bool(notes), 0
            rows = listing.next() if rows else []

    def stat(self, location: Location) -> Object:
        """One blob by its properties."""
        return self._look(location)[0]

    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """Read the recorded version, or the blob if it has the recorded ETag; as it is stored, without unpacking."""
        location, where = Location.of(obj), self.uri(obj)
        client = self.client(location)
        end = obj.size if length is None else start + length if obj.size is None else min(start + length, obj.size)
        if end is not None and end <= start:
            # No range can ask for nothing, and whether the blob is still there has to be asked all the same.
            refuse_other(obj, self._current(obj, location), where)
            return Reading(iter(()), proofs(obj))
        span = f"bytes={start}-{'' if end is None else end - 1}" if start or length is not None else None
        etag = obj.etag if obj.version is None else None
        try:
            answer, body = client.download(obj.bucket, obj.key, span=span, version=obj.version, etag=etag)
        except Exception as error:
            raise self._failure(error, client, location, recorded=obj) from error

        async def release() -> None:
            answer.internal_response.close()

        headers = answer.headers
        announced = headers.get("Content-Length")
        expected = int(announced) if announced is not None else end - start if end is not None else None
        pieces = Pieces(
            body,
            expected=expected,
            where=where,
            release=release,
            translate=lambda error: translate(error, client, obj.bucket, where, version=obj.version),
        )
        try:
            refuse_other(obj, claims(headers), where)
            if span is not None and answer.status_code != 206:
                raise SourceUnavailable(f"{client.account.url} does not send parts of blobs, asked for one of {where}.")
            if end is not None and expected is not None and expected != end - start:
                raise SourceChanged(f"{where} has another size than the {obj.size} bytes recorded.")
        except BaseException:
            pieces.close()
            raise
        return Reading(pieces, proofs(obj))

    def diagnose(self, location: Location) -> Diagnosis:
        """Try credentials, listing, versions and reading."""
        from refstore.backends.azure.diagnosis import examine

        try:
            client = self.client(location)
        except RefstoreError as error:
            return Diagnosis(location, "", Pin.NONE, [Check("endpoint", False, str(error))])
        return examine(self, client, location)

    def _endpoint(self, account: str | None, container: str, key: str, uri: str) -> str:
        """What is recorded as the endpoint of a place: a configured endpoint that matches, else the account."""
        endpoint = serving(self.settings, ("az", "abfs", "abfss"), container, key)
        if endpoint is not None and account in (None, account_of(endpoint)):
            return endpoint.name
        if account is not None:
            return account
        around = ambient()
        if around is None:
            raise InvalidURI(
                f"{uri!r} does not say which storage account it is in: {HELP} and set AZURE_STORAGE_ACCOUNT_NAME, or "
                "write https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY."
            )
        return around.name

    def _account_shown(self, endpoint: str) -> str | None:
        configured = next((e for e in self.settings.endpoints if e.scheme == "az" and e.name == endpoint), None)
        return (account_of(configured) if not configured.url else None) if configured else endpoint

    def client(self, location: Location) -> AzureClient:
        """The connection to a place's account; none is made yet. Raises as `accounts.for_record` does."""
        with self._lock:
            if location.endpoint not in self._clients:
                account = for_record(self.settings, location.endpoint, self.uri(location))
                self._clients[location.endpoint] = AzureClient(account)
            return self._clients[location.endpoint]

    def _look(self, location: Location) -> tuple[Object, bool]:
        """One blob, and whether it only marks a directory."""
        client, where = self.client(location), self.uri(location)
        try:
            row = client.properties(location.bucket, location.key, location.version)
        except Exception as error:
            raise self._failure(error, client, location) from error
        found, is_marker = object_of(location, row, key=location.key)
        if location.version is not None and found.version != location.version:
            # Who keeps no versions may leave the parameter unread and answer with what is there now.
            raise SourceMissing(f"{where} does not exist: the storage account keeps no such version.")
        return found, is_marker

    def _current(self, obj: Object, location: Location) -> Object:
        return self._look(location)[0] if obj.version is None else self._version_or_same(obj, location)

    def _version_or_same(self, obj: Object, location: Location) -> Object:
        try:
            return self._look(location)[0]
        except SourceMissing:
            now = self._look(replace(location, version=None))[0]
            if obj.etag is None or now.etag != obj.etag:
                raise
            return now

    def _failure(
        self, error: Exception, client: AzureClient, location: Location, *, recorded: Object | None = None
    ) -> RefstoreError:
        where = self.uri(location)
        failure = translate(error, client, location.bucket, where, version=location.version)
        if recorded is None or status(error) not in (404, 412):
            return failure
        try:
            now = self._look(replace(location, version=None))[0]
        except SourceMissing:
            # A precondition fails for what is not there, too.
            return SourceMissing(f"{where} is gone: there is no blob of that name any more.")
        except RefstoreError:
            return failure
        what = f"the blob there now has {now.size} bytes, the ETag {now.etag} and was written {now.mtime}"
        if recorded.version is not None:
            return SourceMissing(f"{where} is gone: that version was deleted, and {what}.")
        before = f"{recorded.size} bytes with the ETag {recorded.etag} were recorded"
        return SourceChanged(f"{where} was overwritten: {what}; {before}.")


def _unversioned(location: Location, objects: list[Object]) -> tuple[str, ...]:
    if all(obj.version is not None for obj in objects):
        return ()
    note = (
        f"The container {location.bucket!r} has blobs without a version id (versioning is off, or was when they were "
        "written): once one is overwritten or deleted, what was recorded of it can't be checked out any more."
    )
    return (note,)


def _base_name(key: str) -> str:
    return key[key.rstrip("/").rfind("/") + 1 :] or key
