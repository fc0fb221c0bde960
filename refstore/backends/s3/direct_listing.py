"""The short way to the pages of a listing, from the first one on, so that a plain `add` needs no client library.

Only a listing is taken from here. For everything else (a redirect, a refusal, a service that is too busy, a broken
connection) `page` returns None, and the caller asks the library, which follows, retries, or says what is wrong.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any
from urllib.parse import quote

from refstore.backends.s3 import loop as s3_loop
from refstore.backends.s3 import pages as s3_pages
from refstore.backends.s3.plain import Route
from refstore.backends.s3.stream import Strange, Streams
from refstore.backends.s3.ways import Ways
from refstore.backends.s3.wire import Broken

_QUERIES = {
    "ContinuationToken": "continuation-token",
    "Delimiter": "delimiter",
    "KeyMarker": "key-marker",
    "MaxKeys": "max-keys",
    "Prefix": "prefix",
    "StartAfter": "start-after",
    "VersionIdMarker": "version-id-marker",
}
_KINDS = {"list_object_versions": ("versions", ""), "list_objects_v2": ("list-type", "2")}
_PASSING = (429, 500, 502, 503, 504)
_PATIENCE = 3
"""After so many passing troubles, one behind another, a bucket is listed by way of the library alone."""


class UnsupportedError(Exception):
    """The service knows no such request."""


class DirectListing:
    """Listings at one endpoint. Its coroutines run on the loop of `refstore.backends.s3.loop`.

    Args:
        ways: To the buckets.
    """

    def __init__(self, ways: Ways) -> None:
        self._ways = ways
        self._streams = Streams(ways.context)
        self._troubles: dict[str, int] = {}
        weakref.finalize(self, s3_loop.soon, self._streams.close)

    async def page(self, operation: str, bucket: str, parameters: dict[str, Any]) -> s3_pages.Answer | None:
        """One page; the arguments are those of `S3Client.list_page`. None where the library has to be asked.

        Raises:
            UnsupportedError: The service lists no versions.
        """
        if self._troubles.get(bucket, 0) >= _PATIENCE:
            return None
        try:
            if self._ways.is_ready(bucket):
                made = self._request(operation, bucket, parameters)
            else:
                made = await asyncio.get_running_loop().run_in_executor(
                    None, self._request, operation, bucket, parameters
                )
            if made is None:
                raise Strange("no short way")
            route, request = made
            head, body = await self._streams.ask(route.origin, request)
        except (Strange, UnicodeError):
            self._troubles[bucket] = _PATIENCE
            return None
        except Broken:
            self._troubles[bucket] = self._troubles.get(bucket, 0) + 1
            return None
        if head.status in (405, 501) and operation == "list_object_versions":
            raise UnsupportedError
        found = s3_pages.answer(body) if head.status == 200 else None
        if found is None:
            passing = head.status == 200 or head.status in _PASSING
            self._troubles[bucket] = self._troubles.get(bucket, 0) + 1 if passing else _PATIENCE
            return None
        self._troubles.pop(bucket, None)
        self._ways.prove(bucket, route)
        return found

    def _request(self, operation: str, bucket: str, parameters: dict[str, Any]) -> tuple[Route, bytes] | None:
        route = self._ways.likely(bucket)
        if route is None:
            return None
        named = {_QUERIES[name]: str(value) for name, value in parameters.items() if value is not None}
        query = sorted([*named.items(), _KINDS[operation], ("encoding-type", "url")])
        pairs = [(name, quote(value, safe="-_.~")) for name, value in query]
        signed = "&".join(f"{name}={value}" for name, value in pairs)
        # as the library sends it: not every service takes `versions=` for the same
        sent = "&".join(f"{name}={value}" if value else name for name, value in pairs)
        request = self._ways.request(route, route.path.rstrip("/") or "/", signed, "", {}, sent=sent)
        return None if request is None else (route, request)
