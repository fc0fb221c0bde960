"""How `s3://` URIs are read and written.

S3 URIs are not percent-encoded by convention: the AWS command line takes what stands after the bucket as the key,
letter by letter, and so does refstore. Two things are read otherwise, and both are what `render` writes, so that every
key goes there and back:

- the last `?versionId=` begins a version id;
- `%25`, `%3F` and `%23` mean `%`, `?` and `#`, and an escape of a character that can't be printed (`%0A`, `%E2%80%8B`)
  means that character. No other escape is undone: `s3://b/a%20b` names the key `a%20b`, as typed.

So a key needs care by hand only if it holds `?versionId=` or one of those few escapes itself: then its `?` or `%` is
typed as `%3F` or `%25`.
"""

from __future__ import annotations

import re

from refstore.errors import InvalidURI, SecretInURI

_SCHEME = re.compile(r"^s3[an]?://", re.I)
_BUCKET = re.compile(r"[A-Za-z0-9._\-]{1,255}")
_ACCESS_POINT = re.compile(
    r"arn:aws[a-z\-]*:s3[a-z\-]*:[a-z0-9\-]*:[0-9]{12}:(?:outpost[:/][^/]+[:/])?accesspoint[:/][^/?]+"
)
_SIGNATURE = re.compile(r"[?&](X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|Signature|AWSAccessKeyId)=", re.I)
_VERSION = "?versionId="
_ENCODED = re.compile(
    "%[0-7][0-9A-F]|%[CD][0-9A-F]%[89AB][0-9A-F]|%E[0-9A-F](?:%[89AB][0-9A-F]){2}|%F[0-7](?:%[89AB][0-9A-F]){3}", re.I
)


def split(uri: str) -> tuple[str, str, str | None]:
    """Bucket, key and version id (None without one) of a URI; the key of a whole bucket is "".

    Buckets may also be the ARN of an access point: `s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/name/key`.

    Raises:
        InvalidURI: No bucket, a bucket that can't exist, or a version without an object.
        SecretInURI: It carries a user name or a signature.
    """
    rest = _SCHEME.sub("", uri, count=1)
    arn = _ACCESS_POINT.match(rest)
    bucket = arn[0] if arn else rest.partition("/")[0]
    raw = rest[len(bucket) :].removeprefix("/")
    if "@" in bucket:
        raise SecretInURI(
            f"The URI s3://…@{_escape(bucket.rpartition('@')[2])} carries a user name or password, and references must "
            "hold none: leave it out, and keep credentials in AWS_* variables or ~/.aws/credentials."
        )
    if _SIGNATURE.search(uri):
        raise SecretInURI(
            f"The URI s3://{_escape(rest.partition('?')[0])} carries a signature, and references must hold none: leave "
            "away what follows the '?'."
        )
    if not arn and not _BUCKET.fullmatch(bucket):
        raise InvalidURI(f"{uri!r} names no valid bucket: write s3://bucket, s3://bucket/prefix/ or s3://bucket/key.")
    key, mark, version = raw.rpartition(_VERSION)
    if not mark:
        return bucket, _unescape(raw), None
    if not version:
        raise InvalidURI(
            f"{uri!r} ends without a version id: write s3://bucket/key?versionId=ID, or leave away '?versionId='."
        )
    if not key:
        raise InvalidURI(f"{uri!r} pins a version of a whole bucket, but a version id belongs to one object.")
    return bucket, _unescape(key), _unescape(version)


def render(bucket: str, key: str, version: str | None = None) -> str:
    """The URI of an object or a directory; `split` is the reverse."""
    return f"s3://{bucket}/{_escape(key)}" + (f"{_VERSION}{_escape(version)}" if version is not None else "")


def _has_meaning(character: str) -> bool:
    return character in "%?#" or not character.isprintable()


def _escape(text: str) -> str:
    if text.isprintable() and not any(character in text for character in "%?#"):
        return text
    return "".join(
        "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
        if _has_meaning(character)
        else character
        for character in text
    )


def _unescape(text: str) -> str:
    return _ENCODED.sub(_decoded, text) if "%" in text else text


def _decoded(escape: re.Match[str]) -> str:
    try:
        character = bytes.fromhex(escape[0].replace("%", "")).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return escape[0]
    return character if len(character) == 1 and _has_meaning(character) else escape[0]
