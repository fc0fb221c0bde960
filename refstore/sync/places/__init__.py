"""Where a stored remote keeps its files: one small interface (`place`), and a file for each kind of storage.

The clients are those that the backends read with, so endpoints, credentials, retries and time-outs are the same.
"""

from __future__ import annotations

from refstore.backends import Backends
from refstore.errors import InvalidURI
from refstore.sync.places.place import Place


def place_at(url: str, backends: Backends) -> Place:
    """The place that a URL or a plain path names. No request is made.

    Raises:
        InvalidURI: It names no place that can be written to.
        SecretInURI: It carries a credential.
        UnsupportedScheme: The package for its scheme is not installed.
        CredentialsMissing, InvalidSetting: Its endpoint or account is not set up here.
    """
    backend = backends.for_uri(url)
    location = backend.parse(url)
    if location.version is not None:
        raise InvalidURI(f"{url} names a version of an object: a remote is a bucket, a prefix or a folder.")
    if location.scheme in ("http", "https"):
        raise InvalidURI(
            f"{url} can't be a remote: a web server takes no packs. Use s3://, gs://, az://, sftp:// or a folder."
        )
    if location.scheme == "file":
        from refstore.sync.places.folder import Folder

        return Folder(location, backend)
    if location.scheme == "s3":
        from refstore.sync.places.s3 import S3Place

        return S3Place(location, backend)
    if location.scheme == "gs":
        from refstore.sync.places.gcs import GCSPlace

        return GCSPlace(location, backend)
    if location.scheme == "az":
        from refstore.sync.places.azure import AzurePlace

        return AzurePlace(location, backend)
    from refstore.sync.places.other import OtherPlace

    return OtherPlace(location, backend)


__all__ = ["Place", "place_at"]
