"""Signature Version 4 for requests that have no body, with the day's key derived once.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import dataclass

_NO_BODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with.

    Attributes:
        key: The access key id.
        secret: The secret access key.
        token: The session token; None for long-term credentials.
    """

    key: str
    secret: str
    token: str | None

    def __repr__(self) -> str:
        return "Credentials(…)"


class Signer:
    """Signs for one region with one set of credentials. Safe to share between threads.

    Args:
        credentials: From the provider's chain.
        region: As the service calls it.
    """

    def __init__(self, credentials: Credentials, region: str) -> None:
        self.credentials = credentials
        self._region = region
        self._key = ("", b"")
        self._moment = (0, "")

    def headers(
        self, host: str, path: str, query: str, more: dict[str, str], now: float | None = None, method: str = "GET"
    ) -> str:
        r"""The header lines that sign a request, and those that are signed, each ended by CRLF; `Host` is among them.

        Args:
            host: As in the URL, with the port if it is not the scheme's.
            path: As it is sent, percent-encoded.
            query: As it is sent: sorted by name, percent-encoded, a name without a value with `=`.
            more: `x-amz-…` headers, their names in lower case.
            now: Seconds since 1970 (UTC); the present by default.
            method: Of the request.
        """
        second, moment = self._moment
        if second != (at := int(time.time() if now is None else now)):
            moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
            self._moment = (at, moment)
        signed = {"host": host, **more, "x-amz-content-sha256": _NO_BODY, "x-amz-date": moment}
        if self.credentials.token is not None:
            signed["x-amz-security-token"] = self.credentials.token
        names = sorted(signed)
        listed = ";".join(names)
        lines = "".join(f"{name}:{signed[name]}\n" for name in names)
        request = f"{method}\n{path}\n{query}\n{lines}\n{listed}\n{_NO_BODY}"
        scope = f"{moment[:8]}/{self._region}/s3/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(self._day_key(moment[:8]), text.encode(), "sha256").hex()
        sent = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return (
            f"{sent}Authorization: AWS4-HMAC-SHA256 Credential={self.credentials.key}/{scope}, "
            f"SignedHeaders={listed}, Signature={signature}\r\n"
        )

    def _day_key(self, day: str) -> bytes:
        known, key = self._key
        if known != day:
            key = f"AWS4{self.credentials.secret}".encode()
            for step in (day, self._region, "s3", "aws4_request"):
                key = hmac.digest(key, step.encode(), "sha256")
            self._key = (day, key)
        return key
