"""The file systems of fsspec behind one protocol: which there are, how they are set up, and what their errors mean."""

from __future__ import annotations

import difflib
import errno
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from refstore.errors import (
    CredentialsMissing,
    InvalidSetting,
    InvalidURI,
    RefstoreError,
    SourceDenied,
    SourceMissing,
    SourceUnavailable,
    SourceUnreadable,
    UnsupportedScheme,
)

T = TypeVar("T")

_OWN = ("az", "file", "gs", "http", "https", "s3")
# These read through other file systems, or have no place that a reference could name.
_WRAPPERS = frozenset(
    """
    async_wrapper asynclocal asyncwrapper blockcache cached data dir filecache generic libarchive local pyscript
    reference simplecache tar zip
    """.split()  # noqa: SIM905
)
_ATTEMPTS = 2
_LOGIN_REFUSED = ("AuthenticationException", "BadAuthenticationType", "PasswordRequiredException")


def implementation(protocol: str) -> Any:
    """The class of fsspec for a protocol.

    Raises:
        UnsupportedScheme: fsspec knows no such protocol, its package is not installed, or it only wraps others.
    """
    from fsspec.registry import get_filesystem_class, known_implementations, registry

    if protocol in _WRAPPERS:
        raise UnsupportedScheme(
            f"{protocol}:// reads through another file system, and a reference can hold only one: give the URI or the "
            "path of the file itself."
        )
    known = sorted({*known_implementations, *registry, *_OWN} - _WRAPPERS)
    if protocol not in known:
        nearest = difflib.get_close_matches(protocol, known, n=1)
        hint = f"did you mean {nearest[0]}://?" if nearest else "a local file needs no scheme, only its path."
        raise UnsupportedScheme(f"Nothing is known of the scheme {protocol}:// here: {hint}")
    try:
        return get_filesystem_class(protocol)
    except ImportError as error:
        needed = known_implementations.get(protocol, {}).get("err") or f"its package is not installed ({error})"
        raise UnsupportedScheme(f"{protocol}:// can't be used yet: {needed.rstrip('.')}.") from error


class FileSystems:
    """One protocol's file systems: one for each host and thread, because few of them may be shared between threads.

    Options come from fsspec's own configuration; of a URI only host, port and user name count:
    https://filesystem-spec.readthedocs.io/en/latest/features.html#configuration
    """

    def __init__(self, protocol: str) -> None:
        self.protocol = protocol
        self.cls = implementation(protocol)
        # Asked with a made-up host, a class says whether its URLs have one.
        self.has_host = bool(self._options("host.invalid").get("host"))
        self._local = threading.local()

    def call(self, host: str, uri: str, action: Callable[[Any], T]) -> T:
        """Do something with the file system of a host, once more over a new connection if the first one broke.

        Args:
            host: The `bucket` of locations; "" where the protocol has none.
            uri: For messages.
            action: Gets the file system. It must not write.

        Raises:
            RefstoreError: Whatever went wrong, in the words of `translated`.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return action(self._connected(host))
            except Exception as error:  # noqa: BLE001 - every implementation has errors of its own
                failed = translated(error, uri)
                if not isinstance(failed, SourceUnavailable) or attempt == _ATTEMPTS:
                    # Their texts may repeat what they were configured with.
                    raise failed from (error if isinstance(error, OSError) else None)
                self._of_thread().pop(host, None)
        raise AssertionError("unreachable")

    def _of_thread(self) -> dict[str, Any]:
        made: dict[str, Any] | None = getattr(self._local, "made", None)
        if made is None:
            made = self._local.made = {}
        return made

    def _connected(self, host: str) -> Any:
        made = self._of_thread()
        if host not in made:
            made[host] = self._connect(host)
        made[host].invalidate_cache()
        return made[host]

    def _connect(self, host: str) -> Any:
        options = self._options(host) if host else {}
        try:
            try:
                return self.cls(**options, use_listings_cache=False, skip_instance_cache=True)
            except TypeError:
                # Some hand all options on to a client that knows nothing of listings.
                return self.cls(**options, skip_instance_cache=True)
        except (TypeError, ValueError) as error:
            raise InvalidSetting(
                f"{self.protocol}:// needs other options than it has: set them in fsspec's configuration, as "
                f"FSSPEC_{self.protocol.upper()}_<OPTION> or in ~/.config/fsspec/ ({_first_line(error)})."
            ) from None

    def _options(self, host: str) -> dict[str, Any]:
        options = dict(self.cls._get_kwargs_from_urls(f"{self.protocol}://{host}/x"))
        return {name: value for name, value in options.items() if name in ("host", "port", "username", "user")}


def translated(error: BaseException, uri: str) -> RefstoreError:
    """The error of ours for what an implementation raised; of foreign texts none is repeated."""
    kind, text = type(error).__name__, str(error).lower()
    if isinstance(error, RefstoreError):
        return error
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return SourceMissing(f"{uri} does not exist.")
    if isinstance(error, IsADirectoryError):
        return SourceUnreadable(f"{uri} is a directory, not a file.")
    if kind in ("AuthenticationException", "BadAuthenticationType", "PasswordRequiredException") or text.startswith(
        "530"
    ):
        return CredentialsMissing(
            f"The server of {uri} does not accept the login: set user name and password in fsspec's configuration."
        )
    denied = "denied" in text or "privilege" in text
    if isinstance(error, PermissionError) or (text.startswith("550") and denied):
        return SourceDenied(f"No permission to read {uri}: ask for it, or set another login in fsspec's configuration.")
    if text.startswith("550"):
        return SourceMissing(f"{uri} does not exist.")
    if isinstance(error, NotImplementedError):
        return SourceUnreadable(f"fsspec's file system for {uri} can't do this.")
    if isinstance(error, ImportError):
        return UnsupportedScheme(f"{uri} needs a package that is not installed ({error.name}).")
    if isinstance(error, OSError) and error.errno in (errno.EINVAL, errno.ENAMETOOLONG):
        return InvalidURI(f"{uri} is no valid name there.")
    reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno and error.errno > 0 else kind
    return SourceUnavailable(f"Reading {uri} failed ({reason}): is the server there?")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
