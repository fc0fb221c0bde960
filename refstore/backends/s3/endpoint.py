"""Where requests for a bucket go, and with which options: `[endpoints.NAME]`, the AWS_* variables, or AWS itself."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from refstore.backends.endpoints import named, serving
from refstore.config import Endpoint, Settings
from refstore.errors import InvalidSetting

SCHEMES = ("s3", "s3a", "s3n")
VARIABLES = ("AWS_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""First found wins. The last two are AWS's own: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html"""

AWS = Endpoint("", "s3")


def for_place(settings: Settings, bucket: str, key: str) -> Endpoint:
    """The endpoint for what a person typed: the longest `match`, else the environment's, else AWS.

    Raises:
        InvalidSetting: A variable or profile holds no http(s) URL.
    """
    return serving(settings, SCHEMES, bucket, key) or _ambient()


def for_record(settings: Settings, name: str, uri: str) -> Endpoint:
    """The endpoint of a recorded object.

    A catalog may come from anybody, so credentials only go to addresses that this machine's settings or environment
    name.

    Args:
        settings: With the endpoints.
        name: As recorded: "" for AWS, the name of an `[endpoints.NAME]`, or a URL that a variable gave.
        uri: For the message.

    Raises:
        InvalidSetting: This machine knows no such endpoint.
    """
    if not name:
        return AWS
    found = named(settings, SCHEMES, name)
    if found:
        return found
    if "://" not in name:
        raise InvalidSetting(
            f"{uri} was recorded at the endpoint {name!r}, which is not set up here: add a table [endpoints.{name}] "
            "with scheme = "
            '"s3" and its url to .refstore.toml.'
        )
    ambient = _ambient()
    if ambient.name == name:
        return ambient
    for endpoint in settings.endpoints:
        if endpoint.scheme in SCHEMES and endpoint.url and normalized(endpoint.url) == name:
            return endpoint
    raise InvalidSetting(
        f"{uri} was recorded at {name}, which is not set up here: set {VARIABLES[1]}={name}, or add an "
        "[endpoints.NAME] with that url to .refstore.toml, if you trust it with your credentials."
    )


def address(endpoint: Endpoint) -> str | None:
    """The URL that requests go to; None for AWS. One without a URL but with a profile takes the profile's."""
    if endpoint.url:
        return normalized(endpoint.url)
    return _from_profile(endpoint.profile) if endpoint.profile else None


def label(endpoint: Endpoint) -> str:
    """How messages call it."""
    where = address(endpoint) or "AWS S3"
    return f"{where} (endpoint {endpoint.name!r})" if endpoint.name and "://" not in endpoint.name else where


@lru_cache(64)
def normalized(url: str) -> str:
    """The URL as endpoints are recorded: lower-case scheme and host, no user info, no trailing slash.

    Raises:
        ValueError: It is no http or https URL.
    """
    parts = urlsplit(url.strip())
    host = parts.netloc.rpartition("@")[2].lower()
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("not an http:// or https:// URL")
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _ambient() -> Endpoint:
    ignored = os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true"
    for variable in VARIABLES[:1] if ignored else VARIABLES:
        url = os.environ.get(variable)
        if url:
            try:
                return Endpoint(normalized(url), "s3", normalized(url))
            except ValueError as error:
                raise InvalidSetting(f"{variable} holds no http:// or https:// URL: correct it or unset it.") from error
    url = None if ignored else _from_profile(None)
    return Endpoint(url, "s3", url) if url else AWS


def _from_profile(profile: str | None) -> str | None:
    """The `endpoint_url` of a profile (None: the current one), its `services` section first."""
    file = Path(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config")).expanduser()
    if not file.is_file():
        return None
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session(profile=profile)
        config = session.get_scoped_config()
        services = session.full_config.get("services", {}).get(config.get("services"), {})
    except BotoCoreError:
        return None  # the client says so, when there is one
    service = services.get("s3", {})
    url = (service.get("endpoint_url") if isinstance(service, dict) else None) or config.get("endpoint_url")
    try:
        return normalized(url) if url else None
    except ValueError as error:
        raise InvalidSetting(f"The endpoint_url of an AWS profile in {file} is no http:// or https:// URL.") from error
