"""Credentials that people leave in URLs. None may enter the catalog, a message or a name."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from refstore.errors import SecretInURI

_SECRET = re.compile(
    r"""(?ix)
    x-amz-(signature|credential|security-token) | x-goog-(signature|credential) | awsaccesskeyid | googleaccessid
    | sig | signature | key-pair-id | policy
    | (access|auth|refresh|id|bearer|private|oauth|session|api|security|download|sas)?[-_.]?token
    | __token__ | hdnts | hdnea | jwt | (j?session|ph?p?sess)id
    | (x-?)?(api|access|auth|secret|subscription|client|private|account)?[-_.]?key | (access|secret)[-_.]?key[-_.]?id
    | (client|app|consumer|api)?[-_.]?secret | pass | passwd | password | pwd | authorization | auth | credentials?
    """
)
_USER_INFO = re.compile(r"^([A-Za-z][A-Za-z0-9+.\-]*://)[^/?#]*@")


def shown(uri: str) -> str:
    """The URI without user info and query: what a message may hold before the URI is known to be clean."""
    return _USER_INFO.sub(r"\1", uri).partition("?")[0].partition("#")[0]


def refuse_secret_query(uri: str, query: str) -> None:
    """Let only a query pass that has no credential in it.

    Args:
        uri: As the person gave it; it is shown without its query.
        query: What stands after the `?`.

    Raises:
        SecretInURI: A parameter's name is one that services give to signatures, tokens, keys or passwords.
    """
    for pair in re.split("[&;]", query):
        name, equals, _ = pair.partition("=")
        if equals and _SECRET.fullmatch(unquote_plus(name).strip()):
            raise SecretInURI(
                f"The URI {shown(uri)} carries a credential ({unquote_plus(name).strip()}=…), and references must hold "
                "none: leave it out, and give credentials through ~/.netrc or fsspec's configuration."
            )


def refuse_user_info(uri: str, user_info: str) -> None:
    """Let only a URI pass that has no user name or password before its host.

    Raises:
        SecretInURI: It has.
    """
    if user_info:
        raise SecretInURI(
            f"The URI {shown(uri)} carries a user name or password before its host, and references must hold none: "
            "leave it out, and give credentials through ~/.netrc or fsspec's configuration."
        )
