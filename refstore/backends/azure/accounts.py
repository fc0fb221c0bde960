"""Which storage account is meant, and what there is to log in to it with: the settings and the AZURE_* variables.

The variables are those of adlfs and of the `az` command line: AZURE_STORAGE_CONNECTION_STRING, or
AZURE_STORAGE_ACCOUNT_NAME (AZURE_STORAGE_ACCOUNT) with AZURE_STORAGE_ACCOUNT_KEY (AZURE_STORAGE_KEY) or
AZURE_STORAGE_SAS_TOKEN, or with neither, for Azure's default chain (variables of a service principal, workload
identity, managed identity, `az login`). AZURE_STORAGE_ANON=true sends unsigned requests.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from refstore.backends.azure.places import PUBLIC, account_of_host, host_of_account
from refstore.backends.endpoints import named
from refstore.config import Endpoint, Settings
from refstore.errors import CredentialsMissing, InvalidSetting

HELP = (
    "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or "
    "AZURE_STORAGE_SAS_TOKEN, or log in with `az login`"
)

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}(?:\.blob\.core\.(?:usgovcloudapi\.net|chinacloudapi\.cn))?")
# The account and key that every emulator has: https://learn.microsoft.com/azure/storage/common/storage-use-emulator
_EMULATOR = "devstoreaccount1"
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True, slots=True)
class Account:
    """A storage account and how to log in to it.

    Attributes:
        name: The account, as it is recorded.
        url: Where it answers.
        key: Its key; signs requests and is not sent.
        sas: A shared access signature.
        anonymous: Send unsigned requests.
        origin: The variable that named it, "" for none.
    """

    name: str
    url: str
    key: str | None = field(default=None, repr=False)
    sas: str | None = field(default=None, repr=False)
    anonymous: bool = False
    origin: str = ""

    @property
    def has_secret(self) -> bool:
        """Whether the variables hold a key or signature, which are good for this account and no other."""
        return bool(self.key or self.sas)


def ambient() -> Account | None:
    """The account that the environment names; None where it names none.

    Raises:
        InvalidSetting: A variable can't be read. What it holds is not repeated.
    """
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if text:
        return _from_connection_string(text)
    for variable in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT"):
        name = os.environ.get(variable)
        if name:
            if not _ACCOUNT.fullmatch(name):
                raise InvalidSetting(f"{variable} holds no account's name: 3 to 24 lower-case letters and digits.")
            key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY") or os.environ.get("AZURE_STORAGE_KEY")
            sas = os.environ.get("AZURE_STORAGE_SAS_TOKEN")
            return Account(
                name,
                f"https://{host_of_account(name)}",
                _checked_key(key, "AZURE_STORAGE_ACCOUNT_KEY"),
                None if key else _plain_sas(sas),
                _anonymous(),
                variable,
            )
    return None


def for_record(settings: Settings, name: str, uri: str) -> Account:
    """The account of a recorded endpoint.

    A catalog may come from anybody: keys and signatures only go to the account that they were set for, and tokens
    only to Azure's own hosts or to a URL that the settings name.

    Raises:
        CredentialsMissing: The environment's key or signature belongs to another account.
        InvalidSetting: This machine knows no such endpoint.
    """
    around = ambient()
    endpoint = named(settings, ("az",), name)
    if endpoint is None and not (around and around.name == name):
        endpoint = next((e for e in settings.endpoints if e.scheme == "az" and account_of(e) == name), None)
    if endpoint is not None:
        return _configured(endpoint, around, uri)
    if around is not None and around.name == name:
        return around
    if not _ACCOUNT.fullmatch(name):
        raise InvalidSetting(
            f"{uri} was recorded at the endpoint {name!r}, which is not set up here: add a table "
            f'[endpoints.{name}] with scheme = "az" and its account to .refstore.toml.'
        )
    if around is not None and around.has_secret:
        raise CredentialsMissing(
            f"{uri} is in the storage account {name!r}, and {around.origin} is for {around.name!r}: set it for "
            f"{name!r}, "
            f'or add a table [endpoints.NAME] with scheme = "az" and account = "{name}" to .refstore.toml to log in '
            "with Azure's default chain."
        )
    return Account(name, f"https://{host_of_account(name)}", anonymous=_anonymous())


def account_of(endpoint: Endpoint) -> str | None:
    """The account of a configured endpoint: as set, or as its URL says."""
    if endpoint.account:
        return endpoint.account
    return _account_of_url(endpoint.url) if endpoint.url else None


def _configured(endpoint: Endpoint, around: Account | None, uri: str) -> Account:
    name = account_of(endpoint) or (around.name if around else None)
    if name is None:
        raise InvalidSetting(
            f"The endpoint {endpoint.name!r}, which serves {uri}, names no storage account: set its `account` in "
            ".refstore.toml."
        )
    mine = around if around is not None and around.name == name else None
    url = endpoint.url or (mine.url if mine else f"https://{host_of_account(name)}")
    return Account(
        name,
        url,
        mine.key if mine else None,
        mine.sas if mine else None,
        endpoint.anonymous or _anonymous(),
        mine.origin if mine else "",
    )


def _from_connection_string(text: str) -> Account:
    origin = "AZURE_STORAGE_CONNECTION_STRING"
    pairs = [part.partition("=") for part in text.strip().strip(";").split(";") if part.strip()]
    parts = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if parts.get("usedevelopmentstorage", "").lower() == "true":
        return Account(_EMULATOR, f"http://127.0.0.1:10000/{_EMULATOR}", _EMULATOR_KEY, origin=origin)
    name, url = parts.get("accountname"), parts.get("blobendpoint")
    suffix = parts.get("endpointsuffix", PUBLIC)
    if name and not url:
        url = f"{parts.get('defaultendpointsprotocol', 'https')}://{name}.blob.{suffix}"
        name = account_of_host(f"{name}.blob.{suffix}") or name
    elif url and not name:
        name = _account_of_url(url)
    if not url or not name or "=" not in text or urlsplit(url).scheme not in ("http", "https"):
        raise InvalidSetting(
            f"{origin} can't be read: copy the connection string from the storage account's access keys, beginning "
            "with DefaultEndpointsProtocol=."
        )
    key = _checked_key(parts.get("accountkey"), origin)
    sas = None if key else _plain_sas(parts.get("sharedaccesssignature"))
    return Account(name, url.rstrip("/"), key, sas, _anonymous(), origin)


def _account_of_url(url: str) -> str | None:
    """The account behind a URL: in one of Azure's hosts, else the path's first part (emulators), else the host's."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    known = account_of_host(host)
    if known:
        return known
    in_path = parts.path.strip("/").partition("/")[0]
    return in_path or host.partition(".")[0] or None


def _checked_key(key: str | None, origin: str) -> str | None:
    if not key:
        return None
    try:
        b64decode(key, validate=True)
    except Base64Error as error:
        raise InvalidSetting(f"The account key in {origin} is damaged: it is no Base64.") from error
    return key


def _plain_sas(sas: str | None) -> str | None:
    return sas.lstrip("?") if sas else None


def _anonymous() -> bool:
    return os.environ.get("AZURE_STORAGE_ANON", "").lower() not in ("", "0", "f", "false", "no")
