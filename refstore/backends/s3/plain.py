"""The way to a bucket where it is plain: an address and credentials, found without the client library's S3 client.

To make that client takes a second, for a model of all of AWS and rules for its addresses. Most buckets have an address
that follows from the bucket and the region, and credentials that botocore's chain of providers finds by itself; with
static ones in the environment, and no file of AWS settings, not even that is imported. Whatever is special (access
points, dual-stack and FIPS addresses, other partitions than the commercial one, proxies, roles) is not guessed at:
then there is no route, and the library is asked.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from refstore.backends.loading import LOADING
from refstore.backends.s3.endpoint import address
from refstore.backends.s3.signing import Credentials
from refstore.backends.s3.wire import Origin
from refstore.config import Endpoint

_REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d")
"""Of the partition `aws`: https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html"""

_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_RESERVED = ("xn--", "sthree-"), ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")
"""How names begin and end that are aliases, or other kinds of bucket than the general one.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")
_SPECIAL_VARIABLES = (
    "AWS_AUTH_SCHEME_PREFERENCE",
    "AWS_DATA_PATH",
    "AWS_DEFAULTS_MODE",
    "AWS_ROLE_ARN",
    "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT",
    "AWS_SIGV4A_SIGNING_REGION_SET",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "FSSPEC_CONFIG_DIR",
)
_SPECIAL_OPTIONS = {
    "api_versions",
    "auth_scheme_preference",
    "credential_process",
    "data_path",
    "defaults_mode",
    "role_arn",
    "s3_us_east_1_regional_endpoint",
    "s3_use_arn_region",
    "sigv4a_signing_region_set",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "web_identity_token_file",
}
_TRANSFER_OPTIONS = {
    "max_bandwidth",
    "max_concurrent_requests",
    "max_queue_size",
    "multipart_chunksize",
    "multipart_threshold",
    "preferred_transfer_client",
}


@dataclass(frozen=True, slots=True)
class Route:
    """Where the objects of one bucket are.

    Attributes:
        origin: Who is asked.
        host: As in the URL.
        path: What comes before a key, percent-encoded.
        region: What requests are signed for; None for unsigned ones.
    """

    origin: Origin
    host: str
    path: str
    region: str | None


@dataclass(frozen=True, slots=True)
class _Settled:
    url: str
    in_path: bool
    aws: bool
    region: str | None
    credentials: Callable[[], Credentials | None]
    trusted: str | None


class Plain:
    """What can be told about one endpoint. Safe to share between threads.

    Args:
        endpoint: Where and how.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._tried = False
        self._settled: _Settled | None = None

    def route(self, bucket: str) -> Route | None:
        """The way to a bucket; None where it is not plain. Reads settings, and makes no request."""
        settled = self._get()
        if settled is None:
            return None
        starts, ends = _RESERVED
        common = _LABEL.fullmatch(bucket) and not bucket.startswith(starts) and not bucket.endswith(ends)
        if ":" in bucket or (not common and (settled.aws or not settled.in_path)):
            return None
        url = urlsplit(settled.url)
        assert url.hostname is not None
        tls = url.scheme == "https"
        before = "" if settled.in_path else f"{bucket}."
        host = before + url.netloc.removesuffix(":443" if tls else ":80")
        path = f"{url.path}/{bucket}/" if settled.in_path else f"{url.path}/"
        origin = Origin(tls, before + url.hostname, url.port or (443 if tls else 80))
        return Route(origin, host, path, settled.region)

    @property
    def trusted(self) -> str | None:
        """A file of certificates to trust; None for the usual ones."""
        settled = self._get()
        return settled.trusted if settled else None

    def credentials(self) -> Credentials | None:
        """What to sign with now; None where there is nothing, or it can't be had. May make requests, of AWS's kind."""
        settled = self._get()
        if settled is None:
            return None
        try:
            return settled.credentials()
        except Exception:  # noqa: BLE001 - the library meets the same, and says so
            return None

    def _get(self) -> _Settled | None:
        with self._lock:
            if not self._tried:
                self._tried = True
                try:
                    self._settled = _settle(self._endpoint)
                except Exception:  # noqa: BLE001 - the library meets the same, and says so
                    self._settled = None
            return self._settled


def _settle(endpoint: Endpoint) -> _Settled | None:
    environ = os.environ
    if any(map(environ.get, _SPECIAL_VARIABLES)) or any(name.startswith("FSSPEC_S3") for name in environ):
        return None
    if Path("~/.config/fsspec").expanduser().is_dir():
        return None
    url = address(endpoint)
    region = endpoint.region or environ.get("AWS_REGION")
    files = any(Path(environ.get(name) or usual).expanduser().exists() for name, usual in _FILES.items())
    credentials = None if endpoint.profile or files or any(map(environ.get, _PROFILES)) else _static()
    if endpoint.anonymous and not files:
        credentials = _none
    trusted = environ.get("AWS_CA_BUNDLE")
    if credentials is None:
        session = _session(endpoint.profile)
        if session is None:
            return None
        region = region or session.get_config_variable("region")
        trusted = session.get_config_variable("ca_bundle")

        def credentials() -> Credentials | None:
            found = session.get_credentials()
            frozen = found and found.get_frozen_credentials()
            return Credentials(frozen.access_key, frozen.secret_key, frozen.token) if frozen else None

    else:
        region = region or environ.get("AWS_DEFAULT_REGION")
    region = region or ("us-east-1" if url else None)
    if region is None or not re.fullmatch("[A-Za-z0-9-]+", region) or (not url and not _REGION.fullmatch(region)):
        return None
    path_style = endpoint.path_style if endpoint.path_style is not None else bool(url)
    # the oldest region has the oldest address, for the library too
    whole = url or f"https://s3.{region}.amazonaws.com".replace(".us-east-1", "")
    parts = urlsplit(whole)
    if not parts.hostname or not _PATH.fullmatch(parts.path) or _is_proxied(parts.netloc):
        return None
    if not path_style and _takes_no_names(parts.hostname):
        return None
    signed_for = None if endpoint.anonymous else region
    trusted = trusted or environ.get("REQUESTS_CA_BUNDLE")
    return _Settled(whole, path_style, url is None, signed_for, credentials, trusted)


def _none() -> None:
    return None


def _static() -> Callable[[], Credentials | None] | None:
    """Long-term or session credentials in the environment, as they are.

    https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html
    """
    environ = os.environ
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret or environ.get("AWS_CREDENTIAL_EXPIRATION"):
        return None
    found = Credentials(key, secret, environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN") or None)
    return lambda: found


def _session(profile: str | None) -> Any:
    """The settings and providers of botocore, without a client; None where the profile has anything special."""
    with LOADING:
        from botocore.session import Session

    session = Session(profile=profile)
    options = session.get_scoped_config()
    transfer = options.get("s3", {})
    if _SPECIAL_OPTIONS & options.keys() or not isinstance(transfer, dict) or transfer.keys() - _TRANSFER_OPTIONS:
        return None
    return session


def _takes_no_names(host: str) -> bool:
    """Whether nothing can stand before a host: it is an address, or a name that is only known here."""
    return ":" in host or "." not in host or host.rpartition(".")[2].isdigit()


def _is_proxied(netloc: str) -> bool:
    variables = {name.lower() for name, value in os.environ.items() if value} - {"no_proxy"}
    if not any(name.endswith("_proxy") for name in variables) and sys.platform not in ("darwin", "win32"):
        return False
    from urllib.request import getproxies, proxy_bypass

    return bool(getproxies()) and not proxy_bypass(netloc)
