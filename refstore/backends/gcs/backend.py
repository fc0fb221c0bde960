"""Google Cloud Storage: `gs://bucket/key`, pinned by generation.

What stands behind the bucket is the key, letter by letter, as Google's own tools have it, with two exceptions. A `#`
with nothing but digits up to the end begins a generation: `gs://b/k#1732345678`. And the few percent-escapes that
`key_escapes` writes are undone: a key that itself ends in `#1` is typed as `gs://b/k%231`.

What the service knows of an object is described at https://cloud.google.com/storage/docs/json_api/v1/objects#resource.
`etag` is not recorded: it changes with an object's metadata, and the generation says all that it could say and more.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from refstore.backends.aio import PIECE, Pieces
from refstore.backends.base import Backend, Check, Diagnosis, Location, Page, Reading
from refstore.backends.endpoints import named, serving
from refstore.backends.gcs.answers import FIELDS, claims, object_of, proofs, refuse_other
from refstore.backends.gcs.client import GCSClient, RefusedError
from refstore.backends.key_escapes import escape, unescape
from refstore.backends.url_secrets import refuse_user_info
from refstore.config import Settings
from refstore.errors import (
    AmbiguousURI,
    InvalidSetting,
    InvalidURI,
    RefstoreError,
    SecretInURI,
    SourceChanged,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
)
from refstore.manifest.entry import Entry, Object, Pin

PAGE = 1000
"""The most that the service lists at once."""

_URI = re.compile(r"(?:gs|gcs)://([^/]*)/?(.*)", re.DOTALL | re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._\-]*", re.IGNORECASE)
_PINNED = re.compile(r"(.+)#([0-9]+)", re.DOTALL)
_SIGNED = re.compile(r"[?&](x-goog-signature|x-goog-credential|googleaccessid|signature)=", re.IGNORECASE)
_PERMISSIONS = ("storage.objects.list", "storage.objects.get", "storage.buckets.get")


if find_spec("gcsfs") is None:
    raise ModuleNotFoundError("gcsfs is not installed", name="gcsfs")  # the registry says what to install


class GCSBackend(Backend):
    """Objects in Google Cloud Storage, or in an emulator of it."""

    schemes = ("gs", "gcs")

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._clients: dict[str, GCSClient] = {}
        self._versioned: dict[tuple[str, str], bool | None] = {}
        self._lock = threading.Lock()

    def parse(self, uri: str) -> Location:
        """Take `gs://bucket/key` or `gs://bucket/key#generation` apart."""
        match = _URI.fullmatch(uri)
        if not match:
            raise InvalidURI(f"{uri!r} is not a Google Cloud Storage URI: write gs://BUCKET/KEY.")
        bucket, text = match[1], match[2]
        user, at, _ = bucket.rpartition("@")
        refuse_user_info(uri, user + at)
        if _SIGNED.search(text):
            clean = f"gs://{bucket}/{text.partition('?')[0]}"
            raise SecretInURI(
                f"The URI {clean} carries a signature, and references must hold none: leave out all from the '?' on."
            )
        if not _BUCKET.fullmatch(bucket):
            raise InvalidURI(f"{uri!r} names no bucket: write gs://BUCKET/KEY.")
        pinned = _PINNED.fullmatch(text)
        key, version = (unescape(pinned[1]), pinned[2]) if pinned else (unescape(text), None)
        endpoint = serving(self.settings, ("gs",), bucket, key)
        directory = version is None and (not key or key.endswith("/"))
        return Location("gs", endpoint.name if endpoint else _emulator(), bucket, key, version, directory)

    def uri(self, at: Location | Object) -> str:
        """`gs://bucket/key`, or `gs://bucket/key#generation`."""
        return f"gs://{at.bucket}/{escape(at.key)}" + (f"#{at.version}" if at.version is not None else "")

    def find(self, location: Location, *, checksum: bool = True) -> Iterator[Page]:
        """One object, or all below a directory. Where listing is not allowed, an object is found all the same."""
        if location.version is not None:
            found = self.stat(location)
            yield Page([Entry(_base_name(location.key), found)])
            return
        prefix = location.key if not location.key or location.key.endswith("/") else f"{location.key}/"
        pages = self._pages(location, prefix)
        try:
            first = next(pages)
        except SourceDenied:
            # Who may read an object need not be allowed to list the bucket.
            alone = None if location.directory else self._object_at(location)
            if alone is None:
                raise
            first = {}
        else:
            alone = None
        if not location.directory:
            if first.get("items"):
                if there := self._object_at(location):
                    raise AmbiguousURI(
                        f"{self.uri(location)} is both an object and a directory: write {self.uri(location)}/ for the "
                        f"directory, or {self.uri(there)} for the object."
                    )
            else:
                alone = alone or self.stat(location)
                yield Page([Entry(_base_name(location.key), alone)], notes=self._notes(location))
                return
        yield self._page(location, prefix, first, self._notes(location) if first.get("items") else ())
        for page in pages:
            yield self._page(location, prefix, page, ())

    def stat(self, location: Location) -> Object:
        """One object by its metadata."""
        params = {"fields": FIELDS, **({"generation": location.version} if location.version else {})}
        try:
            row = self._client(location).get(("b", location.bucket, "o", location.key), params, self.uri(location))
        except RefusedError as refused:
            raise self.failure(refused, location) from refused
        return object_of(location, row)

    def open(self, obj: Object, *, start: int = 0, length: int | None = None) -> Reading:
        """Read the recorded generation, as it is stored: what was uploaded with gzip is not unpacked."""
        location, where = Location.of(obj), self.uri(obj)
        end = obj.size if length is None else start + length if obj.size is None else min(start + length, obj.size)
        if end is not None and end <= start:
            # No range can ask for nothing, and whether the object is still there has to be asked all the same.
            refuse_other(obj, self.stat(location), where)
            return Reading(iter(()), proofs(obj, {}))
        headers = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if start or length is not None else {}
        params = {"alt": "media", **({"generation": obj.version} if obj.version else {})}
        client = self._client(location)
        try:
            response = client.stream(("b", obj.bucket, "o", obj.key), params, headers, where)
        except RefusedError as refused:
            raise self.failure(refused, location, recorded=obj) from refused

        async def release() -> None:
            response.close()

        announced = response.headers.get("Content-Length")
        expected = int(announced) if announced is not None else end - start if end is not None else None
        pieces = Pieces(
            response.content.iter_chunked(PIECE),
            expected=expected,
            where=where,
            release=release,
            translate=lambda error: client.translate(error, where),
        )
        reading = Reading(pieces, proofs(obj, response.headers))
        try:
            refuse_other(obj, claims(response.headers, whole=not headers), where)
            if headers and response.status != 206:
                raise SourceUnavailable(f"{client.url} does not send parts of objects, asked for one of {where}.")
            if end is not None and expected is not None and expected != end - start:
                raise SourceChanged(f"{where} has another size than the {obj.size} bytes recorded.")
        except BaseException:
            pieces.close()
            raise
        return reading

    def diagnose(self, location: Location) -> Diagnosis:
        """Try credentials, the bucket, listing, reading and permissions."""
        from refstore.backends.gcs.diagnosis import checks

        try:
            client = self._client(location)
        except RefstoreError as error:
            return Diagnosis(location, location.endpoint, Pin.VERSION, [Check("endpoint", False, str(error))])
        found = checks(self, client, location)
        return Diagnosis(location, client.url, Pin.VERSION, found)

    def _client(self, location: Location) -> GCSClient:
        with self._lock:
            if location.endpoint not in self._clients:
                self._clients[location.endpoint] = self.client(location)
            return self._clients[location.endpoint]

    def client(self, location: Location, *, writing: bool = False) -> GCSClient:
        """A connection of its own to a place's endpoint; none is made yet.

        Raises:
            InvalidSetting: This machine knows no such endpoint.
        """
        name = location.endpoint
        if name == "":
            return GCSClient("", writing=writing)
        if name == _emulator():
            return GCSClient(name, anonymous=True)
        endpoint = named(self.settings, ("gs",), name)
        if endpoint is None and "://" in name:
            endpoint = next((e for e in self.settings.endpoints if e.scheme == "gs" and e.url == name), None)
        if endpoint:
            return GCSClient(
                endpoint.url or "",
                anonymous=endpoint.anonymous,
                requester_pays=endpoint.requester_pays,
                writing=writing,
            )
        if "://" in name:
            raise InvalidSetting(
                f"{self.uri(location)} was recorded at {name}, which is not set up here: set "
                f"STORAGE_EMULATOR_HOST={name}, or add an [endpoints.NAME] with that url to .refstore.toml."
            )
        raise InvalidSetting(
            f"{self.uri(location)} was recorded at the endpoint {name!r}, which is not set up here: add a table "
            f'[endpoints.{name}] with scheme = "gs" to .refstore.toml.'
        )

    def _pages(self, location: Location, prefix: str) -> Iterator[dict[str, Any]]:
        client, where = self._client(location), self.uri(location)
        params = {"prefix": prefix, "maxResults": str(PAGE), "fields": f"nextPageToken,items({FIELDS})"}
        while True:
            try:
                page = client.get(("b", location.bucket, "o"), params, where)
            except RefusedError as refused:
                raise self.failure(refused, location, listing=True) from refused
            yield page
            token = page.get("nextPageToken")
            if not token:
                return
            if token == params.get("pageToken"):
                raise SourceUnavailable(f"The listing of {where} does not advance: it gave the same page token twice.")
            params["pageToken"] = token

    def _page(self, location: Location, prefix: str, page: Mapping[str, Any], notes: tuple[str, ...]) -> Page:
        entries, markers = [], 0
        for row in page.get("items", ()):
            found = object_of(location, row)
            if found.size == 0 and found.key.endswith(("/", "_$folder$")):
                markers += 1
            else:
                entries.append(Entry(found.key[len(prefix) :] or _base_name(prefix), found))
        return Page(entries, markers, notes)

    def _object_at(self, location: Location) -> Object | None:
        try:
            return self.stat(location)
        except (SourceMissing, SourceDenied):
            return None

    def _notes(self, location: Location) -> tuple[str, ...]:
        if self._keeps_generations(location) is not False:
            return ()
        note = (
            f"The bucket gs://{location.bucket} keeps no old generations (object versioning is off): what is "
            "overwritten or deleted there can't be checked out any more."
        )
        return (note,)

    def _keeps_generations(self, at: Location | Object) -> bool | None:
        """Whether the bucket has object versioning, asked once; None where we may not ask."""
        place = (at.endpoint, at.bucket)
        with self._lock:
            if place in self._versioned:
                return self._versioned[place]
        try:
            bucket = self.bucket(Location("gs", at.endpoint, at.bucket, ""))
            keeps = bool(bucket.get("versioning", {}).get("enabled"))
        except RefstoreError:
            keeps = None
        with self._lock:
            self._versioned[place] = keeps
        return keeps

    def bucket(self, location: Location) -> dict[str, Any]:
        """Whether the bucket has object versioning and soft delete. One request.

        Raises:
            SourceDenied: `storage.buckets.get` is not granted, as is usual for those who may only read objects.
        """
        try:
            return self._client(location).get(
                ("b", location.bucket), {"fields": "versioning,softDeletePolicy"}, f"gs://{location.bucket}"
            )
        except RefusedError as refused:
            raise self.failure(
                refused, Location("gs", location.endpoint, location.bucket, ""), listing=True
            ) from refused

    def failure(
        self, refused: RefusedError, location: Location, *, listing: bool = False, recorded: Object | None = None
    ) -> RefstoreError:
        """What the service's refusal means for a listing, or for one object (`recorded`, where it is read)."""
        where, bucket = self.uri(location), f"gs://{location.bucket}"
        if refused.status == 404:
            # The service says "The specified bucket does not exist." in place of "No such object: bucket/key".
            if listing or "bucket" in refused.message.lower().split(":")[0]:
                return SourceMissing(f"The bucket {bucket} does not exist.")
            if recorded is not None and recorded.version is not None:
                return self._gone(recorded)
            if location.version is not None:
                plain = self.uri(Location("gs", "", location.bucket, f"{location.key}#{location.version}"))
                return SourceMissing(
                    f"{where} does not exist: there is no generation {location.version} of that object (if "
                    f"'#{location.version}' belongs to its name, write {plain})."
                )
            return SourceMissing(f"{where} does not exist: there is neither an object nor anything below that name.")
        if "requester pays" in refused.message.lower() or refused.reason == "required":
            return SourceDenied(
                f"{bucket} lets its readers pay: set `requester_pays = true` in an [endpoints.NAME] of .refstore.toml "
                "that matches it."
            )
        if refused.status == 403:
            needed = "storage.objects.list" if listing else "storage.objects.get"
            return SourceDenied(
                f"Google Cloud Storage refuses access to {where} (it needs {needed}, and says: {refused.message}); "
                "without storage.objects.list it says the same of what does not exist."
            )
        if refused.status == 400 and ("bucket" in refused.message.lower() or listing):
            return InvalidURI(f"{where} can't be asked for ({refused.message}): check the bucket's name.")
        if refused.status == 416:
            return SourceChanged(
                f"{where} is now shorter than the {recorded.size if recorded else '?'} bytes recorded."
            )
        return SourceUnavailable(
            f"Google Cloud Storage answers {refused.status} ({refused.message}) to a request for {where}."
        )

    def _gone(self, obj: Object) -> RefstoreError:
        where = self.uri(obj)
        try:
            now = self.stat(Location.of(obj, pinned=False))
        except RefstoreError:
            return SourceMissing(f"{where} is gone: the service has neither that generation nor a newer one.")
        if now.version == obj.version:
            return SourceUnavailable(f"{where} could not be read although it exists: try again.")
        newer = f"there is generation {now.version} now ({now.size} bytes, {now.mtime})"
        if self._keeps_generations(obj):
            return SourceMissing(f"{where} is gone: that generation was deleted, and {newer}.")
        return SourceChanged(f"{where} was overwritten: {newer}, and the bucket did not keep the recorded one.")


def _emulator() -> str:
    url = os.environ.get("STORAGE_EMULATOR_HOST", "")
    if not url or url == "default":
        return ""
    return (url if "://" in url else f"http://{url}").rstrip("/")


def _base_name(key: str) -> str:
    return key[key.rstrip("/").rfind("/") + 1 :] or key
