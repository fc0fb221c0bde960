"""What all requests by the short way share: where each bucket is, what signs for it, and what proves the server."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from refstore.backends.s3.plain import Plain, Route
from refstore.backends.s3.signing import Credentials, Signer

if TYPE_CHECKING:
    import ssl

RENEWED = 60.0
"""Seconds after which the provider's chain is asked again; it renews what expires a quarter of an hour before."""


class Ways:
    """The buckets of one endpoint. Safe to share between threads.

    Args:
        plain: Tells the way to buckets that nobody has asked for yet.
        credentials: Asks the provider's chain; None where there are none.
        payer: Whether who asks pays.
    """

    def __init__(self, plain: Plain, credentials: Callable[[], Credentials | None], payer: bool) -> None:
        self._plain, self._credentials, self._payer = plain, credentials, payer
        self._proven: dict[str, Route | None] = {}
        self._signers: dict[str, tuple[float, Signer]] = {}
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self.trusted: str | None = None
        """A file of certificates to trust; None for the usual ones."""

    def is_proven(self, bucket: str) -> bool:
        """Whether the way to a bucket has led there, or was found to be none of ours."""
        return bucket in self._proven

    def prove(self, bucket: str, route: Route | None) -> None:
        """A request by this way was answered well; None: there is no short way to this bucket."""
        self._proven.setdefault(bucket, route)

    def likely(self, bucket: str) -> Route | None:
        """The way that has led to a bucket, or else should; None where the library has to be asked."""
        return self._proven[bucket] if bucket in self._proven else self._plain.route(bucket)

    def is_ready(self, bucket: str) -> bool:
        """Whether `likely` and `request` answer at once, and ask neither files nor services for settings."""
        route = self._proven.get(bucket)
        return route is not None and (route.region is None or self._known(route.region) is not None)

    def request(
        self,
        route: Route,
        path: str,
        query: str,
        lines: str,
        more: dict[str, str],
        *,
        sent: str = "",
        method: str = "GET",
    ) -> bytes | None:
        """A request, signed; None where there is nothing to sign with.

        Args:
            route: Where it goes.
            path: Percent-encoded.
            query: Sorted and percent-encoded, as it is signed; "" for none.
            lines: Headers that are not signed, each ended by CRLF.
            more: Those that are, their names in lower case.
            sent: The query as it is sent, where that differs.
            method: GET or HEAD.
        """
        more = {**more, "x-amz-request-payer": "requester"} if self._payer else more
        lines += "Accept-Encoding: identity\r\nUser-Agent: refstore\r\n"
        if route.region is None:
            lines += f"Host: {route.host}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in more.items())
        else:
            signer = self._signer(route.region)
            if signer is None:
                return None
            lines += signer.headers(route.host, path, query, more, method=method)
        target = f"{path}{'?' * bool(query)}{sent or query}"
        return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1", "replace")

    def context(self) -> ssl.SSLContext:
        """What https connections are proved by: one for all, as it takes a while to make."""
        import ssl

        with self._lock:
            if self._context is None:
                trusted = self.trusted or self._plain.trusted or _certificates()
                self._context = ssl.create_default_context(cafile=trusted)
            return self._context

    def _known(self, region: str) -> Signer | None:
        known = self._signers.get(region)
        return known[1] if known is not None and time.monotonic() - known[0] < RENEWED else None

    def _signer(self, region: str) -> Signer | None:
        signer = self._known(region)
        if signer is not None:
            return signer
        with self._lock:
            signer = self._known(region)
            if signer is not None:
                return signer
            credentials = self._credentials()
            if credentials is None:
                return None
            known = self._signers.get(region)
            signer = known[1] if known and known[1].credentials == credentials else Signer(credentials, region)
            self._signers[region] = (time.monotonic(), signer)
            return signer


def _certificates() -> str:
    """The authorities that botocore trusts."""
    try:
        import certifi
    except ImportError:
        import botocore

        return str(Path(botocore.__file__).with_name("cacert.pem"))
    return certifi.where()
