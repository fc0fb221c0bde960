"""Requests over the session of fsspec's HTTP file system, so that its settings for proxies, TLS and headers hold.

Bounded waits, a few retries with growing pauses, no error but refstore's, and no URL that a redirect led to in any of
them: those carry signatures.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from refstore.backends.loading import LOADING
from refstore.backends.times import iso_from_http
from refstore.errors import (
    RefstoreError,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
    UnsupportedScheme,
)

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

CONNECT_SECONDS = 20.0
READ_SECONDS = 60.0
PATIENCE = 30.0
"""No further attempt starts after this many seconds."""

_ATTEMPTS = 7
_CONNECT_ATTEMPTS = 3
_LONGEST_PAUSE = 2.0
_TRANSIENT = frozenset((429, 500, 502, 503, 504))
_LOGIN = "put a login for the host into ~/.netrc, or headers into fsspec's configuration"


class _DowngradeError(Exception):
    """A redirect leads from https to http."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a response's headers say of the file; all of it is about the same bytes.

    Attributes:
        size: Of the whole file as it is sent, in bytes; None where it isn't told.
        etag: Without quotes; a weak one keeps its `W/`.
        mtime: As in `Object`.
        encoding: The content coding that the server applied though none was asked for; "" for none.
        content_type: In lower case, without parameters.
    """

    size: int | None
    etag: str | None
    mtime: str | None
    encoding: str
    content_type: str

    @property
    def strong(self) -> bool:
        """Whether the ETag can pin the bytes."""
        return self.etag is not None and not self.etag.startswith("W/")


def facts(response: ClientResponse) -> Facts:
    """Read the headers of a 200, a 206 or a 416."""
    headers = response.headers
    if response.status in (206, 416):
        total = headers.get("Content-Range", "").rpartition("/")[2]
    else:
        total = headers.get("Content-Length", "")
    etag = headers.get("ETag", "").strip()
    weak = "W/" if etag.startswith("W/") else ""
    etag = etag.removeprefix("W/").removeprefix('"').removesuffix('"')
    encoding = headers.get("Content-Encoding", "").strip().lower()
    return Facts(
        size=int(total) if total.isascii() and total.isdigit() else None,
        etag=weak + etag if etag else None,
        mtime=iso_from_http(headers.get("Last-Modified")),
        encoding="" if encoding == "identity" else encoding,
        content_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
    )


def is_directory(response: ClientResponse) -> bool:
    """Whether the server added a `/` to the path by a redirect, as servers do for directories."""
    hops = [*(earlier.url for earlier in response.history), response.url]
    return any(after.raw_path == before.raw_path + "/" for before, after in pairwise(hops))


class HTTPClient:
    """Makes requests on fsspec's event loop. Nothing is imported and no connection made before the first one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fs: Any = None

    async def send(self, method: str, uri: str, headers: Mapping[str, str] | None = None) -> ClientResponse:
        """The response to a request, its body unread; the caller closes it.

        Redirects are followed, ten at most, and never from https to http. A login goes to no other host. Nothing is
        decoded: the body is what comes over the wire.

        Args:
            method: `GET` or `HEAD`.
            uri: Sent exactly as it is.
            headers: Besides `Accept-Encoding: identity`.

        Raises:
            SourceUnavailable: No answer, or a server error, after all attempts.
            SourceUnreadable: The redirects lead nowhere, or down to http.
        """
        import aiohttp
        from yarl import URL

        session, options = await self._session()
        sent = {**(options.pop("headers", None) or {}), "Accept-Encoding": "identity", **(headers or {})}
        end = time.monotonic() + PATIENCE
        unreached = 0
        for attempt in range(1, _ATTEMPTS + 1):
            failed: RefstoreError | None = None
            pause = random.uniform(0.5, 1) * min(_LONGEST_PAUSE, 0.1 * 2**attempt)
            try:
                response = await session.request(method, URL(uri, encoded=True), headers=sent, **options)
            except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError, _DowngradeError) as error:
                failed = translated(error, uri)
                unreached += isinstance(error, (aiohttp.ClientConnectorError, asyncio.TimeoutError))
                if not isinstance(failed, SourceUnavailable) or _is_lasting(error) or unreached >= _CONNECT_ATTEMPTS:
                    # The client's own errors can hold the URL of a redirect, signature and all.
                    raise failed from None
            else:
                if response.status not in _TRANSIENT:
                    return response
                failed = refused(response.status, uri)
                wanted = response.headers.get("Retry-After", "")
                pause = max(pause, float(wanted) if wanted.isascii() and wanted.isdigit() else 0)
                response.close()
            if attempt == _ATTEMPTS or time.monotonic() + pause > end:
                raise failed from None
            await asyncio.sleep(pause)
        raise AssertionError("unreachable")

    async def _session(self) -> tuple[ClientSession, dict[str, Any]]:
        with self._lock:
            if self._fs is None:
                try:
                    with LOADING:
                        from fsspec.implementations.http import HTTPFileSystem
                except ImportError as error:
                    raise UnsupportedScheme(
                        f"http:// needs a package that is not installed ({error.name}): pip install 'refstore[http]'."
                    ) from error
                self._fs = HTTPFileSystem(get_client=_make_session, use_listings_cache=False, skip_instance_cache=True)
        return await self._fs.set_session(), dict(self._fs.kwargs)


async def _make_session(loop: asyncio.AbstractEventLoop, **options: Any) -> ClientSession:
    import aiohttp

    timeout = options.get("timeout")
    if timeout is None or isinstance(timeout, (int, float)):
        connect, read = (CONNECT_SECONDS, READ_SECONDS) if timeout is None else (timeout, timeout)
        options["timeout"] = aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)
    redirects = aiohttp.TraceConfig()
    redirects.on_request_redirect.append(_refuse_downgrade)
    options["trace_configs"] = [*options.get("trace_configs", ()), redirects]
    options.setdefault("trust_env", True)
    options.setdefault("read_bufsize", 1 << 18)
    # A signature holds for the exact bytes of a URL.
    options.setdefault("requote_redirect_url", False)
    options.update(auto_decompress=False, raise_for_status=False)
    return aiohttp.ClientSession(loop=loop, **options)


async def _refuse_downgrade(session: object, context: object, redirect: Any) -> None:
    target = redirect.response.headers.get("Location") or redirect.response.headers.get("URI") or ""
    if redirect.response.url.scheme == "https" and target.strip().lower().startswith("http:"):
        redirect.response.close()
        raise _DowngradeError


def refused(status: int, uri: str) -> RefstoreError:
    """The error for a status that is no success."""
    if status in (404, 410):
        return SourceMissing(f"{uri} does not exist: the server answers {status}.")
    if status == 401:
        return SourceDenied(f"The server asks for a login before it gives {uri} (401): {_LOGIN}.")
    if status in (403, 451):
        return SourceDenied(f"The server refuses to give {uri} ({status}): if it needs a login, {_LOGIN}.")
    if status == 407:
        return SourceDenied(
            f"The proxy on the way to {uri} asks for a login (407): put one into HTTP_PROXY or HTTPS_PROXY."
        )
    if status in (408, 425, 429) or status >= 500:
        return SourceUnavailable(f"The server fails to give {uri} ({status}), again and again: try later.")
    return SourceUnreadable(f"{uri} can't be read: the server answers {status}.")


def translated(error: BaseException, uri: str) -> RefstoreError:
    """The error of ours for what the client library raised; it repeats none of its text, which may hold a signature."""
    import aiohttp

    if isinstance(error, RefstoreError):
        return error
    if isinstance(error, _DowngradeError):
        return SourceUnreadable(
            f"{uri} redirects from https to http, where anybody could change it: give the http URL if you trust it."
        )
    if isinstance(error, aiohttp.TooManyRedirects):
        return SourceUnreadable(f"{uri} redirects too many times, perhaps in a circle.")
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError)):
        return SourceUnavailable(
            f"No trusted connection to the server of {uri}: its TLS certificate does not hold; for a private authority "
            "set SSL_CERT_FILE."
        )
    if isinstance(error, (aiohttp.InvalidURL, ValueError)):
        return SourceUnreadable(f"{uri} leads to an address that is no HTTP URL.")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return SourceUnavailable(f"The host of {uri} has no address: is its name right, and is there a network?")
    if isinstance(error, aiohttp.ClientConnectorError):
        reason = os.strerror(error.os_error.errno) if error.os_error.errno else "it does not answer"
        return SourceUnavailable(f"No connection to the server of {uri}: {reason}.")
    if isinstance(error, asyncio.TimeoutError):
        return SourceUnavailable(f"The server of {uri} does not answer in time: try later.")
    if isinstance(error, (aiohttp.ClientError, OSError)):
        return SourceUnavailable(f"The connection to the server of {uri} broke ({type(error).__name__}): try again.")
    return SourceUnavailable(f"Reading {uri} failed ({type(error).__name__}).")


def _is_lasting(error: BaseException) -> bool:
    import aiohttp

    return isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError))
