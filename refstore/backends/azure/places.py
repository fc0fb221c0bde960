"""How Azure URIs are read and written.

`az://container/key` (also `abfs://`, `abfss://`) takes what stands behind the container as the key, letter by letter,
but for a `?versionId=` at its end and for the few percent-escapes of `key_escapes`. The account is what the settings
or the environment say, or is named as Hadoop does it: `abfs://container@ACCOUNT.dfs.core.windows.net/key`.
`https://ACCOUNT.blob.core.windows.net/container/key` is a URL like any other: all escapes in it are undone.

What is recorded as the endpoint is the account's name, or the whole host for an account of a cloud of its own
(`ACCOUNT.blob.core.usgovcloudapi.net`), or the name of an `[endpoints.NAME]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from refstore.backends.key_escapes import escape, unescape
from refstore.backends.url_secrets import refuse_user_info
from refstore.errors import InvalidURI, SecretInURI

PUBLIC = "core.windows.net"

_HOST = re.compile(
    r"([a-z0-9]+)\.(?:blob|dfs)\.(core\.(?:windows\.net|usgovcloudapi\.net|chinacloudapi\.cn))", re.IGNORECASE
)
_URI = re.compile(r"(az|abfss?|https)://([^/?#]*)/?(.*)", re.DOTALL | re.IGNORECASE)
_CONTAINER = re.compile(r"\$?[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62})")
_VERSION = re.compile(r"(.*)\?version_?id=(.*)", re.DOTALL | re.IGNORECASE)
_SAS = re.compile(r"[?&](sig|se|sp|sv|skoid|sktid)=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """What a URI names.

    Attributes:
        account: As recorded; None where the URI doesn't say.
        container: Its name.
        key: The blob's name or a prefix; "" for the whole container.
        version: The version id, where one is pinned.
    """

    account: str | None
    container: str
    key: str
    version: str | None


def split(uri: str) -> Place:
    """Take a URI apart.

    Raises:
        InvalidURI: It names no container, or a version of no blob.
        SecretInURI: It carries a shared access signature or user info.
    """
    match = _URI.fullmatch(uri)
    if not match:
        raise InvalidURI(f"{uri!r} is not an Azure Blob URI: write az://CONTAINER/KEY.")
    scheme, authority, text = match[1].lower(), match[2], match[3]
    shown = f"{scheme}://{authority.rpartition('@')[2]}/{text.partition('?')[0]}"
    if _SAS.search(uri):
        raise SecretInURI(
            f"The URI {escape(shown)} carries a shared access signature, and references must hold none: leave out "
            "all from the '?' on, and set AZURE_STORAGE_SAS_TOKEN."
        )
    before, at, host = authority.rpartition("@")
    account = account_of_host(host)
    if at and (account is None or ":" in before or scheme == "https"):
        refuse_user_info(uri, before + at)
    if at:
        container = before
    elif account is None:
        container = host
    else:
        container, _, text = text.partition("/")
        if "?" in container:
            container, mark, rest = container.partition("?")
            text = mark + rest
    key, version = (_split_url if scheme == "https" else _split_text)(uri, text)
    if scheme == "https":
        container = unquote(container)
    if not _CONTAINER.fullmatch(container):
        raise InvalidURI(f"{uri!r} names no valid container: write az://CONTAINER/KEY.")
    if version is not None and not key:
        raise InvalidURI(f"{uri!r} pins a version of a whole container, but a version belongs to one blob.")
    return Place(account, container, key, version)


def render(account: str | None, container: str, key: str, version: str | None) -> str:
    """The URI of a blob or directory; `split` is the reverse. `account` is None where `az://` says enough."""
    if account is None:
        return f"az://{container}/{escape(key)}" + (f"?versionId={escape(version)}" if version is not None else "")
    path = "".join(quote(c, safe="/") if c in " %?#" or not c.isprintable() else c for c in key)
    pinned = f"?versionId={quote(version, safe=':')}" if version is not None else ""
    return f"https://{host_of_account(account)}/{container}/{path}{pinned}"


def account_of_host(host: str) -> str | None:
    """How the account of `ACCOUNT.blob.core.windows.net` (or `.dfs.`, or another cloud's) is recorded; else None."""
    match = _HOST.fullmatch(host)
    if not match:
        return None
    name, suffix = match[1].lower(), match[2].lower()
    return name if suffix == PUBLIC else f"{name}.blob.{suffix}"


def host_of_account(account: str) -> str:
    """Where an account, as it is recorded, answers."""
    return account if "." in account else f"{account}.blob.{PUBLIC}"


def _split_text(uri: str, text: str) -> tuple[str, str | None]:
    match = _VERSION.fullmatch(text)
    if not match:
        return unescape(text), None
    return unescape(match[1]), unescape(_version(uri, match[2]))


def _split_url(uri: str, text: str) -> tuple[str, str | None]:
    path, mark, query = text.partition("?")
    if "#" in text:
        raise InvalidURI(f"{uri!r} has a '#': write %23 where it belongs to the name.")
    version = None
    for pair in query.split("&") if mark else ():
        name, _, value = pair.partition("=")
        if name.lower() == "versionid":
            version = unquote(_version(uri, value))
        elif name.lower() == "snapshot":
            raise InvalidURI(f"{uri!r} names a snapshot, and refstore pins versions: leave out '?snapshot='.")
        elif pair:
            raise InvalidURI(f"{uri!r} has a query that names no version: write %3F where a '?' belongs to the name.")
    return unquote(path), version


def _version(uri: str, text: str) -> str:
    if not text:
        raise InvalidURI(f"{uri!r} ends without a version id: write ?versionId=ID, or leave it away.")
    return text
