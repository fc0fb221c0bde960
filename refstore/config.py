"""Settings: `.refstore.toml` beside the store, `REFSTORE_*` variables over it.

`.refstore.example.toml` documents every one; a test holds the two and the variables together.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from refstore.errors import InvalidName, InvalidSetting
from refstore.names import DEFAULT_PROJECT, parse_artifact

SETTINGS_FILE = ".refstore.toml"
PREFIX = "REFSTORE_"

SCALARS: dict[str, type] = {
    "project": str,
    "entity": str,
    "hash": str,
    "max_objects": int,
    "jobs": int,
    "link": str,
    "symlinks": str,
    "stat_cache": str,
    "cache_dir": str,
    "index_dir": str,
}
"""The settings that are one value each, and so have a variable: `jobs` is `REFSTORE_JOBS`."""

CHOICES: dict[str, tuple[str, ...]] = {
    "hash": ("md5", "sha256"),
    "link": ("auto", "reflink", "hardlink", "symlink", "copy"),
    "symlinks": ("follow", "skip", "error"),
    "stat_cache": ("auto", "always", "never"),
}
FOLDERS = ("cache_dir", "index_dir")
SCHEMES = ("s3", "gs", "az")

OPTIONS: dict[str, tuple[type, tuple[str, ...]]] = {
    "scheme": (str, SCHEMES),
    "url": (str, SCHEMES),
    "match": (list, SCHEMES),
    "region": (str, ("s3",)),
    "profile": (str, ("s3",)),
    "account": (str, ("az",)),
    "anonymous": (bool, SCHEMES),
    "requester_pays": (bool, ("s3", "gs")),
    "path_style": (bool, ("s3",)),
}
"""The options of `[endpoints.NAME]`: what they hold, and the schemes that they mean something for."""

_VARIABLES = [PREFIX + name.upper() for name in SCALARS] + ["REFSTORE_DEBUG", "REFSTORE_STORE"]
_CREDENTIALS = {
    *("key", "secret", "token", "password", "user", "access_key", "access_key_id", "secret_key", "secret_access_key"),
    *("aws_access_key_id", "aws_secret_access_key", "aws_session_token", "session_token", "account_key"),
    *("connection_string", "sas_token", "sas", "credential", "credentials", "client_secret"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A named place that serves a scheme: `[endpoints.NAME]`. Its name is part of the identity of what is found there.

    Attributes:
        name: As recorded in entries.
        scheme: `s3`, `gs` or `az`.
        url: Where it listens; None for the provider's own (then the other options still hold, an anonymous bucket say).
        match: The buckets or prefixes that it serves, as URIs: `s3://ml-data`, `s3://shared/team-a`. The
            longest match wins.
        region: The region to sign for.
        profile: The profile in the provider's own files that has the credentials.
        account: The storage account (Azure).
        anonymous: Send unsigned requests.
        requester_pays: Accept to pay for requests.
        path_style: The bucket in the path and not in the host; None means: where `url` is set.
    """

    name: str
    scheme: str
    url: str | None = None
    match: tuple[str, ...] = ()
    region: str | None = None
    profile: str | None = None
    account: str | None = None
    anonymous: bool = False
    requester_pays: bool = False
    path_style: bool | None = None


@dataclass(frozen=True, slots=True)
class RemoteURL:
    """A place to push to and pull from: `[remotes.NAME]`.

    Attributes:
        name: What people call it; `origin` is the one that commands mean by themselves.
        url: Where it is, without credentials. A relative path starts at the folder of the settings file.
    """

    name: str
    url: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its default.

    Attributes:
        project: Where names without a project live.
        entity: What stands before the project, "" for nothing.
        hash: Of local files and stored content: `md5` or `sha256`.
        max_objects: The most objects that one `add` takes.
        jobs: Transfers at once.
        link: How checkout makes files from the cache: `auto`, `reflink`, `hardlink`, `symlink` or `copy`.
        symlinks: What `add` does with symbolic links to files: `follow`, `skip` or `error`. Links to folders are never
            walked into, and a broken link is an error unless `skip`.
        stat_cache: Whether `add` takes a local file that looks as it did when it was last read as unchanged: `auto`
            (but on network file systems), `always` or `never`.
        cache_dir: Where content is kept; "" for `.refstore/cache`.
        index_dir: Where `catalog.db` is kept; "" for beside the records, or the user's cache folder where those are on
            a network disk or read-only.
        endpoints: All `[endpoints.NAME]` tables.
        remotes: All `[remotes.NAME]` tables.
    """

    project: str = DEFAULT_PROJECT
    entity: str = ""
    hash: str = "md5"
    max_objects: int = 10_000
    jobs: int = 16
    link: str = "auto"
    symlinks: str = "follow"
    stat_cache: str = "auto"
    cache_dir: str = ""
    index_dir: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    remotes: tuple[RemoteURL, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingValue:
    """One setting as it holds, for `refstore config`.

    Attributes:
        name: As in `.refstore.toml`: `jobs`, `endpoints.lab.url`.
        value: A string, an integer, a boolean or a list of strings.
        origin: `default`, the path of the settings file, or the name of the variable that set it.
    """

    name: str
    value: str | int | bool | list[str]
    origin: str


def load(store_root: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Every setting: the defaults, under `.refstore.toml` beside the store, under the `REFSTORE_*` variables.

    `~` in `cache_dir` and `index_dir` is the home folder, and a relative folder starts at `store_root`.

    Args:
        store_root: The folder that holds `.refstore/`; None where there is no store (then no file is read).
        environ: The environment.

    Raises:
        InvalidSetting: The file can't be read, or it or a variable holds an unknown key or a value that has no meaning.
    """
    values = {name: value for name, (value, _) in _collect(store_root, environ).items()}
    for name in FOLDERS:
        if values[name]:
            values[name] = str(Path(store_root or Path.cwd(), Path(str(values[name])).expanduser()))
    return Settings(**values)


def settings_with_origin(store_root: Path | None, environ: Mapping[str, str] = os.environ) -> list[SettingValue]:
    """Every setting with where its value comes from, as `Settings` has them, tables last; raises as `load` does."""
    out = []
    for name, (value, origin) in _collect(store_root, environ).items():
        if name == "remotes":
            out += [SettingValue(f"remotes.{remote.name}.url", remote.url, origin) for remote in value]
            continue
        if name != "endpoints":
            out.append(SettingValue(name, value, origin))
            continue
        for endpoint in value:
            for key in OPTIONS:
                option = getattr(endpoint, key)
                if option not in (None, (), False):
                    shown = list(option) if isinstance(option, tuple) else option
                    out.append(SettingValue(f"endpoints.{endpoint.name}.{key}", shown, origin))
    return out


def _collect(store_root: Path | None, environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """Each field of `Settings` with its value, as written, and where that comes from."""
    found: dict[str, tuple[Any, str]] = {f.name: (f.default, "default") for f in fields(Settings)}
    if store_root is not None:
        path = store_root / SETTINGS_FILE
        for name, value in check_file(read_file(path), str(path)).items():
            found[name] = (value, str(path))
    for name in SCALARS:
        variable = PREFIX + name.upper()
        if variable in environ:
            found[name] = (check_value(name, from_text(name, environ[variable], variable), variable), variable)
    for variable in environ:
        if variable.startswith(PREFIX) and variable not in _VARIABLES:
            near = difflib.get_close_matches(variable, _VARIABLES, 1, cutoff=0.85)
            if near:
                raise InvalidSetting(f"The variable {variable} is no setting of refstore; did you mean {near[0]}?")
    return found


def read_file(path: Path) -> dict[str, Any]:
    """The settings file as TOML; empty where there is none.

    Raises:
        InvalidSetting: It can't be read, or is not TOML.
    """
    try:
        return _loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSetting(f"The settings file {path} can't be read: {error}.") from error
    except ValueError as error:
        raise InvalidSetting(f"{path} is not valid TOML: {str(error).rstrip('.')}.") from error


def parse(text: str) -> dict[str, Any] | None:
    """A text as TOML; None if it is none."""
    try:
        return _loads(text)
    except ValueError:
        return None


def _loads(text: str) -> dict[str, Any]:
    # Most stores have no settings file, and a tenth of a short command went into importing this.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def check_file(data: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What a settings file holds, each value proved to have a meaning.

    Raises:
        InvalidSetting: A key is unknown or a value is not allowed; the message has the file, the key and
            what is allowed.
        SecretInURI: The URL of a remote holds a credential.
    """
    known = {f.name for f in fields(Settings)}
    out: dict[str, Any] = {}
    for name, value in data.items():
        if name not in known:
            raise InvalidSetting(f"{where}: {name!r} is no setting{_instead(name, known)}")
        check = TABLES.get(name)
        out[name] = check(value, where) if check else check_value(name, value, where)
    return out


def check_value(name: str, value: Any, where: str) -> Any:
    """A scalar setting's value, if it may have it.

    Raises:
        InvalidSetting: It may not.
    """
    wrong = f"{where}: {name} = {_shown(value)} is not allowed: "
    kind = SCALARS[name]
    if kind is int and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InvalidSetting(wrong + "give a whole number, at least 1.")
    if kind is str and not isinstance(value, str):
        raise InvalidSetting(wrong + 'give text in quotation marks, as in "…".')
    if name in CHOICES and value not in CHOICES[name]:
        raise InvalidSetting(wrong + f"it is one of {', '.join(CHOICES[name])}.")
    if name in ("project", "entity") and not (name == "entity" and value == ""):
        try:
            if "/" in value:
                raise InvalidName(value)
            parse_artifact(value)
        except InvalidName:
            raise InvalidSetting(wrong + "use 1 to 128 letters, digits, '_', '-' and '.'.") from None
    if name in FOLDERS and any(not character.isprintable() for character in value):
        raise InvalidSetting(wrong + "it is no path.")
    return value


def from_text(name: str, text: str, where: str) -> str | int:
    """A scalar setting from a variable or the command line, where everything is text.

    Raises:
        InvalidSetting: It has to be a number and is none.
    """
    if SCALARS[name] is str:
        return text
    try:
        return int(text.replace("_", ""))
    except ValueError:
        raise InvalidSetting(
            f"{where}: {name} = {_shown(text)} is not allowed: give a whole number, at least 1."
        ) from None


def check_endpoints(tables: Any, where: str) -> tuple[Endpoint, ...]:
    """The `[endpoints.NAME]` tables.

    Raises:
        InvalidSetting: A table has an unknown or meaningless option, or two of them claim the same bucket or prefix.
    """
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InvalidSetting(f"{where}: endpoints are written as tables: [endpoints.NAME].")
    found = tuple(_endpoint(name, table, f"{where}: [endpoints.{name}]") for name, table in tables.items())
    claimed: dict[str, str] = {}
    for endpoint in found:
        for uri in endpoint.match:
            other = claimed.setdefault(uri.rstrip("/"), endpoint.name)
            if other != endpoint.name:
                raise InvalidSetting(f"{where}: the endpoints {other!r} and {endpoint.name!r} both match {uri}.")
    return found


def check_remotes(tables: Any, where: str) -> tuple[RemoteURL, ...]:
    """The `[remotes.NAME]` tables.

    Raises:
        InvalidSetting: A table has something else than a URL.
        SecretInURI: The URL holds a credential.
    """
    if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
        raise InvalidSetting(f"{where}: remotes are written as tables: [remotes.NAME].")
    found = []
    for name, table in tables.items():
        here = f"{where}: [remotes.{name}]"
        check_remote_name(name, here)
        for option in table:
            if option != "url":
                raise InvalidSetting(f"{here}: {option!r} is no option of a remote{_instead(option, ['url'])}")
        url = table.get("url")
        if not isinstance(url, str) or not url.strip() or not url.isprintable():
            raise InvalidSetting(f'{here}: url is needed, as in url = "s3://my-bucket/team".')
        _refuse_credentials(url)
        found.append(RemoteURL(name, url))
    return tuple(found)


def check_remote_name(name: str, where: str) -> str:
    """The name itself, if a remote may have it.

    Raises:
        InvalidSetting: It may not.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}", name):
        raise InvalidSetting(f"{where}: a remote's name is made of letters, digits, '_' and '-', not {name!r}.")
    return name


def _refuse_credentials(url: str) -> None:
    from refstore.backends.url_secrets import refuse_secret_query, refuse_user_info

    rest = url.partition("://")[2]
    refuse_secret_query(url, rest.partition("?")[2])
    user, at, _ = re.split("[/?#]", rest, maxsplit=1)[0].rpartition("@")
    if at and ":" in user:
        refuse_user_info(url, user)


TABLES: dict[str, Callable[[Any, str], tuple[Any, ...]]] = {"endpoints": check_endpoints, "remotes": check_remotes}
"""The settings that are tables, and what proves them."""


def _endpoint(name: str, table: Mapping[str, Any], where: str) -> Endpoint:
    try:
        if "/" in name:
            raise InvalidName(name)
        parse_artifact(name)
    except InvalidName:
        raise InvalidSetting(f"{where}: an endpoint's name is made of letters, digits, '_', '-' and '.'.") from None
    scheme = table.get("scheme")
    if scheme not in SCHEMES:
        raise InvalidSetting(f'{where}: scheme is needed, one of {", ".join(SCHEMES)}, as in scheme = "s3".')
    for option, value in table.items():
        if option.lower().replace("-", "_") in _CREDENTIALS:
            raise InvalidSetting(
                f"{where}: {option} is a credential and never stands in this file; use the provider's own "
                "configuration (a profile, variables, a login)."
            )
        if option not in OPTIONS:
            raise InvalidSetting(f"{where}: {option!r} is no option of an endpoint{_instead(option, OPTIONS)}")
        kind, schemes = OPTIONS[option]
        if scheme not in schemes:
            raise InvalidSetting(f"{where}: {option} has no meaning for {scheme}://, only for {', '.join(schemes)}.")
        if kind is list:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise InvalidSetting(f'{where}: {option} is a list of URIs, as in {option} = ["{scheme}://my-bucket"].')
            for uri in value:
                if not uri.startswith(f"{scheme}://") or not uri.removeprefix(f"{scheme}://").strip("/"):
                    raise InvalidSetting(
                        f"{where}: {uri!r} in {option} is not {scheme}://BUCKET or {scheme}://BUCKET/PREFIX."
                    )
        elif not isinstance(value, kind):
            said = "true or false" if kind is bool else "text in quotation marks"
            raise InvalidSetting(f"{where}: {option} = {_shown(value)} is not allowed: give {said}.")
    _check_url(table.get("url"), where)
    values: dict[str, Any] = {
        option: tuple(value) if isinstance(value, list) else value for option, value in table.items()
    }
    return Endpoint(name=name, **values)


def _check_url(url: str | None, where: str) -> None:
    if url is None:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
        parts = urlsplit("")
    if not good:
        raise InvalidSetting(
            f"{where}: url = {_shown(url)} is not allowed: give http://HOST[:PORT] or https://HOST[:PORT]."
        )
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise InvalidSetting(
            f"{where}: url holds a user name, a password or a query, and credentials never stand in this file."
        )


def _instead(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(names)}."


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "…"
