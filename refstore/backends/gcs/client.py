"""Requests to Google Cloud Storage's JSON API: credentials, retries, bounded waits, and answers just as they were sent.

gcsfs brings the session (with its client certificates) and the address; the requests are made here, because gcsfs
loads a whole listing, hides the service's reasons and retries for minutes.
"""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
import os
import random
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from refstore.backends.aio import PIECE, close_with, run
from refstore.backends.loading import LOADING
from refstore.errors import CredentialsMissing, InvalidSetting, RefstoreError, SourceDenied, SourceUnavailable

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
PATIENCE = 30.0
"""No further attempt starts after this many seconds."""

_ATTEMPTS = 6
_CONNECT_ATTEMPTS = 3
_TRANSIENT = {408, 429, 500, 502, 503, 504}
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
_WRITING_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_MORE = 308  # to a part of an upload: send the next one
_LOGIN = (
    "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS to the file of a service "
    "account (for a public bucket set `anonymous = true` in an [endpoints.NAME] of .refstore.toml)"
)


class RefusedError(Exception):
    """An answer of 300 or more: its status, and the service's own `reason` and `message`. Never leaves the backend."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(status, reason, message)
        self.status = status
        self.reason = reason
        self.message = message


class GCSClient:
    """One endpoint, asked with one set of credentials. Safe to use from several threads.

    Nothing is imported, no credentials are looked up and no connection is made before the first request. An endpoint
    without TLS never gets to see a token.

    Args:
        url: `https://host`; "" for Google's own.
        anonymous: Send unsigned requests.
        requester_pays: Have requests billed to the caller's project.
        writing: Ask for a token that may also write; only a remote does.
    """

    def __init__(
        self, url: str, *, anonymous: bool = False, requester_pays: bool = False, writing: bool = False
    ) -> None:
        self._scope = _WRITING_SCOPE if writing else _SCOPE
        self._given_url = url.rstrip("/")
        self._anonymous = anonymous or url.startswith("http://")
        self._requester_pays = requester_pays
        self._lock = threading.Lock()
        self._fs: Any = None
        self._session: Any = None
        self._google: Any = None
        self._project: str | None = None
        self._base = ""
        self._reason = ""

    @property
    def url(self) -> str:
        """Where requests are sent, as far as it is known before the first one."""
        universe = os.environ.get("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "googleapis.com")
        return self._base or self._given_url or f"https://storage.{universe}"

    @property
    def credentials(self) -> str:
        """Which kind of credentials requests carry, in words without a secret. Looks them up if that has not been done.

        Raises:
            CredentialsMissing, SourceUnavailable: They can't be had.
        """
        self._connect()
        if self._google is None:
            return f"anonymous ({self._reason})" if self._reason else "anonymous"
        email = getattr(self._google, "service_account_email", None)
        kind = type(self._google).__module__.rpartition(".")[2].replace("_", " ")
        name = {"credentials": "a user's login (gcloud)", "service account": "service account"}.get(kind, kind)
        return f"{name} {email}" if email and email != "default" else name

    def get(self, path: tuple[str, ...], params: Mapping[str, str | list[str]], where: str) -> dict[str, Any]:
        """One JSON resource.

        Args:
            path: Its parts below `/storage/v1/`, as they are; each is escaped here.
            params: The query.
            where: The URI, for messages.

        Raises:
            RefusedError: The service answered with an error.
            SourceUnavailable, SourceDenied, CredentialsMissing: It could not be asked.
        """
        _, body = self._request(path, params, {"Accept-Encoding": "gzip"}, where, stream=False)
        try:
            answer = json.loads(body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise SourceUnavailable(f"{self.url} does not answer as Google Cloud Storage does, asked for {where}.")
        return answer

    def stream(
        self, path: tuple[str, ...], params: Mapping[str, str | list[str]], headers: Mapping[str, str], where: str
    ) -> Any:
        """The response to a request for content, its body unread and never decoded. Raises as `get` does."""
        # Without this header the service would unpack what is stored with gzip: no size or checksum would hold.
        response, _ = self._request(path, params, {"Accept-Encoding": "gzip", **headers}, where, stream=True)
        return response

    def upload(self, bucket: str, params: Mapping[str, str], data: bytes, where: str) -> str:
        """Begin an upload, or do all of it in this one request: https://cloud.google.com/storage/docs/uploading-objects.

        Args:
            bucket: The bucket.
            params: `uploadType`, `name` and conditions.
            data: All bytes, for `uploadType=media`.
            where: The URI, for messages.

        Returns:
            Where the parts of a resumable upload go; "" for others.
        """
        path = ("b", bucket, "o")
        response, _ = self._request(path, params, {}, where, stream=False, data=data, below="upload/storage/v1")
        return str(response.headers.get("Location", ""))

    def upload_part(self, session: str, start: int, total: int, data: bytes, where: str) -> None:
        """Send one part to the address that `upload` gave; the object appears with the last one."""
        if urlsplit(session).netloc != urlsplit(self._base).netloc:
            raise SourceUnavailable(f"{self.url} answers an upload to {where} with another server's address.")
        span = {"Content-Range": f"bytes {start}-{start + len(data) - 1}/{total}"}
        self._request((), {}, span, where, stream=False, data=data, address=session)

    def translate(self, error: Exception, where: str) -> RefstoreError:
        """What a failure of the connection comes to."""
        if isinstance(error, RefstoreError):
            return error
        return SourceUnavailable(f"{urlsplit(self.url).netloc} can't be reached for {where}: {_plainly(error)}.")

    def _request(
        self,
        path: tuple[str, ...],
        params: Mapping[str, str | list[str]],
        headers: Mapping[str, str],
        where: str,
        *,
        stream: bool,
        data: bytes | None = None,
        below: str = "storage/v1",
        address: str = "",
    ) -> tuple[Any, bytes]:
        """One request: a GET, or with `data` a POST, or with `address` (in place of `path`) a PUT."""
        import aiohttp
        import yarl

        self._connect()
        method = "GET" if data is None else "PUT" if address else "POST"
        query = {**params, **({"userProject": self._payer(where)} if self._requester_pays else {})}
        parts = "/".join(quote(part, safe="") for part in path)
        text = address or f"{self._base}/{below}/{parts}?{urlencode(query, doseq=True, quote_via=quote)}"
        url = yarl.URL(text, encoded=True)
        began, refreshed, attempt = time.monotonic(), False, 0
        while True:
            attempt += 1
            signed = {"User-Agent": "refstore (gzip)", **headers, **self._authorization(where)}
            again: float | None = None
            try:
                response, body = run(self._send(method, url, signed, data, stream))
            except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
                failure: Exception = self.translate(error, where)
                tries = _CONNECT_ATTEMPTS if isinstance(error, aiohttp.ClientConnectorError) else _ATTEMPTS
                if attempt < tries and not isinstance(error, aiohttp.ClientSSLError):
                    again = 0.0
            else:
                if response.status < 300 or (address and response.status == _MORE):
                    return response, body
                refused = _refused(response.status, body)
                failure = refused
                if response.status in _TRANSIENT:
                    failure = SourceUnavailable(
                        f"{urlsplit(self.url).netloc} answers {refused.status} ({refused.message}) to a request "
                        f"for {where}."
                    )
                    again = _seconds(response.headers.get("Retry-After")) if attempt < _ATTEMPTS else None
                elif response.status == 401:
                    if self._google is not None and not refreshed:
                        refreshed, again = True, 0.0
                        self._refresh(where, force=True)
                    else:
                        failure = self._unauthorized(where)
            if again is None or time.monotonic() - began > PATIENCE:
                raise failure
            time.sleep(max(again, min(0.25 * 2**attempt, 8) * (0.5 + random.random() / 2)))

    async def _send(
        self, method: str, url: Any, headers: dict[str, str], data: bytes | None, stream: bool
    ) -> tuple[Any, bytes]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(
            total=None, connect=2 * CONNECT_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS
        )
        response = await self._session.request(
            method,
            url,
            headers=headers,
            data=None if data is None else io.BytesIO(data),  # which aiohttp sends piece by piece
            timeout=timeout,
            allow_redirects=False,
            read_bufsize=PIECE,
            proxy=_proxy(url),
        )
        if stream and response.status < 300:
            return response, b""
        async with response:
            body = await response.read()
            if response.headers.get("Content-Encoding", "").lower() == "gzip":
                body = gzip.decompress(body)
            return response, body

    def _connect(self) -> None:
        with self._lock:
            if self._session is not None:
                return
            os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
            with LOADING:
                from gcsfs.core import GCSFileSystem

            if not self._anonymous:
                self._log_in()
            url = self._given_url or None
            if url is None and os.environ.get("STORAGE_EMULATOR_HOST"):
                url = self.url  # gcsfs would send what was recorded at Google's own service to the emulator
            fs = GCSFileSystem(
                project=self._project or "",
                access="read_only",  # of tokens that gcsfs would make; here it is given one
                token=self._google if self._google is not None else "anon",
                endpoint_url=url,
                use_listings_cache=False,
                skip_instance_cache=True,
                session_kwargs={"auto_decompress": False},
            )
            self._base = fs.base.removesuffix("/storage/v1/")
            session = run(_session(fs))
            close_with(self, session.close)
            self._fs, self._session = fs, session  # gcsfs closes the session when it goes itself

    def _log_in(self) -> None:
        import google.auth
        from google.auth import exceptions

        # Else every look for a metadata server that isn't there is printed.
        logging.getLogger("google.auth").addHandler(logging.NullHandler())
        try:
            self._google, self._project = google.auth.default(scopes=[self._scope], request=_token_request())
        except exceptions.DefaultCredentialsError as error:
            named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
            if named:
                raise CredentialsMissing(
                    f"GOOGLE_APPLICATION_CREDENTIALS names {named}, which holds no credentials that can be "
                    f"used: {_LOGIN}."
                ) from error
            self._reason = "no credentials were found"

    def _payer(self, where: str) -> str:
        project = self._project or getattr(self._google, "quota_project_id", None)
        project = project or os.environ.get("GOOGLE_CLOUD_PROJECT") or os.environ.get("GCLOUD_PROJECT")
        if not project:
            raise InvalidSetting(
                f"Requests for {where} are to be paid by the caller (requester_pays), but no project is known: set "
                "GOOGLE_CLOUD_PROJECT."
            )
        return str(project)

    def _authorization(self, where: str) -> dict[str, str]:
        if self._google is None:
            return {}
        if not self._google.valid:
            self._refresh(where)
        headers: dict[str, str] = {}
        self._google.apply(headers)
        return headers

    def _refresh(self, where: str, *, force: bool = False) -> None:
        from google.auth import exceptions

        with self._lock:
            if self._google.valid and not force:
                return
            try:
                self._google.refresh(_token_request())
            except exceptions.TransportError as error:
                raise SourceUnavailable(f"Google's login service can't be reached to read {where}.") from error
            except exceptions.GoogleAuthError as error:
                raise CredentialsMissing(
                    f"The Google credentials found for {where} are expired or were revoked: {_LOGIN}."
                ) from error

    def _unauthorized(self, where: str) -> RefstoreError:
        if self._google is not None:
            return SourceDenied(
                f"Google Cloud Storage does not accept the credentials ({self.credentials}) sent for {where}."
            )
        if self._reason:
            return CredentialsMissing(f"No Google credentials were found, and {where} is not public: {_LOGIN}.")
        return SourceDenied(f"{where} is not public, and its endpoint is set to be asked anonymously.")


async def _session(fs: Any) -> Any:
    import aiohttp

    if not getattr(fs, "_use_client_cert", False):
        # A connection to read from is held for as long as its reader likes, and must not keep others waiting.
        fs.session_kwargs["connector"] = aiohttp.TCPConnector(limit=0)
    return await fs._set_session()


def _token_request() -> Any:
    """google-auth's way to send requests, which never waits longer than a connection may take."""
    from google.auth.transport import requests

    request: Any = requests.Request

    class Bounded(request):  # type: ignore[misc]
        def __call__(self, *args: Any, timeout: float = CONNECT_SECONDS, **kwargs: Any) -> Any:
            return super().__call__(*args, timeout=min(timeout or CONNECT_SECONDS, CONNECT_SECONDS), **kwargs)

    return Bounded()


def _proxy(url: Any) -> str | None:
    # aiohttp's own way to find it (trust_env) also sends what ~/.netrc has for the host.
    from urllib.request import getproxies, proxy_bypass

    proxy = getproxies().get(url.scheme)
    return proxy if proxy and not proxy_bypass(url.authority) else None


def _refused(status: int, body: bytes) -> RefusedError:
    reason, message = "", ""
    try:
        error = json.loads(body)["error"]
        message = error["message"]
        reason = error["errors"][0]["reason"]
    except (ValueError, LookupError, TypeError):
        pass
    message = str(message).strip().splitlines()[0][:200].rstrip(".") if str(message).strip() else "no reason given"
    return RefusedError(status, str(reason), message)


def _seconds(retry_after: str | None) -> float:
    return min(float(retry_after), 10.0) if retry_after and retry_after.isdigit() else 0.0


def _plainly(error: Exception) -> str:
    import aiohttp

    if isinstance(error, aiohttp.ClientSSLError):
        return "its TLS certificate is not accepted"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, socket.gaierror):
        return "there is no such host, or the name service does not answer"
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return "it does not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return os.strerror(error.os_error.errno).lower() if error.os_error.errno else "the connection is refused"
    return f"the connection broke ({type(error).__name__})"
