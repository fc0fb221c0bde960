"""Every error that refstore raises, and the exit code that the command line ends with for each.

::

    RefstoreError                      1
    ├── UsageError (ValueError)        2   the request itself is wrong
    │   ├── InvalidName                    a project, artifact, alias or tag name
    │   ├── InvalidURI                     a URI or path that can't mean anything
    │   │   ├── UnsupportedScheme          no backend for this scheme, or its package is not installed
    │   │   ├── SecretInURI                a credential stands in the URI itself
    │   │   └── AmbiguousURI               both an object and a directory have this name
    │   ├── InvalidSetting                 .refstore.toml or a REFSTORE_ variable
    │   ├── TooManyObjects                 more objects than --max-objects
    │   ├── DuplicatePath                  two objects would have one path in the artifact
    │   ├── TypeConflict                   an artifact has one type for good
    │   ├── ArtifactNotLoggedError         a draft was asked for what only a version has
    │   ├── ArtifactFinalizedError         a version was asked to change
    │   └── ReadOnly (OSError)             something was to be written to refstore://
    ├── NotFound (LookupError)         3   a name that the catalog does not have
    │   ├── StoreNotFound                  no .refstore/ here or above
    │   ├── ArtifactNotFound               no such project, artifact, version, alias or file
    │   │   └── EntryNotFound (KeyError, FileNotFoundError)   no such file in this version or draft
    │   └── RunNotFound                    no such run
    ├── SourceError                    4   the outside does not hold what was asked for
    │   ├── SourceMissing (FileNotFoundError)   gone, or never there
    │   │   └── NothingToAdd (ValueError)           what a draft was to take in is not there
    │   ├── SourceGone (OSError)           what refstore:// lists is gone from its source
    │   ├── SourceChanged                  overwritten: other bytes than those recorded
    │   ├── SourceUnreadable               there, but not as a readable file (special file, archived object)
    │   └── ChecksumMismatch               the bytes that arrived are not those recorded
    ├── AccessError                    5
    │   ├── SourceDenied (PermissionError) the service says no
    │   └── CredentialsMissing             no credentials were found to ask with
    ├── SourceUnavailable              6   network, DNS, time-out, or a server error after all retries
    ├── CheckoutError                  7   files at the destination stand in the way, or some could not be had
    │   ├── DestinationConflict            a file there is not ours to replace
    │   ├── UnsafePath                     a path that would leave the destination or can't exist there
    │   ├── LinkError                      the kind of link asked for is not possible there
    │   ├── NotAsRecorded (ValueError)     files of an earlier checkout are not what the version has
    │   └── CheckoutIncomplete             some files failed; each is listed
    └── StoreError                     8   the store itself
        ├── CatalogCorrupt                 a record or the index is damaged
        ├── RemoteCorrupt                  a remote holds what can't be believed; nothing of it was taken in
        ├── CatalogTooNew                  written by a newer refstore
        ├── StoreLocked                    another process holds the store for too long
        └── StorageFull                    no space left, or the disk refuses to write

An interrupt (Ctrl-C) ends with 130, and a failed `verify` or a drifted `status` with 4.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from refstore.checkout.result import Failure


class RefstoreError(Exception):
    """The base of all errors of refstore. ``str(error)`` is one sentence for the person who made the call.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code: ClassVar[int] = 1


class UsageError(RefstoreError, ValueError):
    """The request itself is wrong; nothing was done."""

    exit_code = 2


class InvalidName(UsageError):
    """A project, artifact, alias or tag name that breaks the rules of names."""


class InvalidURI(UsageError):
    """A URI or path that can't mean anything."""


class UnsupportedScheme(InvalidURI):
    """No backend serves the URI's scheme, or the package that does is not installed."""


class SecretInURI(InvalidURI):
    """A credential stands in the URI itself, where it would enter the catalog."""


class AmbiguousURI(InvalidURI):
    """The URI names both an object and a directory."""


class InvalidSetting(UsageError):
    """A setting in ``.refstore.toml`` or a ``REFSTORE_`` variable that has no meaning."""


class TooManyObjects(UsageError):
    """There are more objects than the limit that the caller set."""


class DuplicatePath(UsageError):
    """Two different objects would have the same path in one artifact."""


class TypeConflict(UsageError):
    """The artifact exists with another type."""


class ArtifactNotLoggedError(UsageError):
    """A draft was asked for something that only a version has: log it first."""


class ArtifactFinalizedError(UsageError):
    """Something was to be added to a version, or removed from it: make a draft of it with `new_draft`."""


class ReadOnly(UsageError, OSError):
    """Something was to be written to ``refstore://``; its ``errno`` is ``EROFS``."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.errno = errno.EROFS


class NotFound(RefstoreError, LookupError):
    """The catalog has nothing of that name."""

    exit_code = 3


class StoreNotFound(NotFound):
    """There is no store in this folder or in any above it."""


class ArtifactNotFound(NotFound):
    """No such project, artifact, version, alias or file in the catalog."""


class EntryNotFound(ArtifactNotFound, KeyError, FileNotFoundError):
    """No such file in this version or draft."""

    def __str__(self) -> str:
        return Exception.__str__(self)


class RunNotFound(NotFound):
    """No such run in the catalog."""


class SourceError(RefstoreError):
    """The outside does not hold what was asked for."""

    exit_code = 4


class SourceMissing(SourceError, FileNotFoundError):
    """The object, the version or the prefix does not exist (any more)."""


class NothingToAdd(SourceMissing, ValueError):
    """What a draft was to take in is not there."""


class SourceGone(SourceError, OSError):
    """What ``refstore://`` lists is gone from its source.

    No FileNotFoundError: who reads arrays chunk by chunk (zarr) takes that for a chunk that was never written, and
    fills it with zeros.
    """


class SourceChanged(SourceError):
    """The object was overwritten: its bytes are not those that were recorded."""


class SourceUnreadable(SourceError):
    """The object is there but can't be read as a file: a special file, or archived storage."""


class ChecksumMismatch(SourceError):
    """The bytes that arrived are not those that were recorded."""


class AccessError(RefstoreError):
    """The service did not let us in."""

    exit_code = 5


class SourceDenied(AccessError, PermissionError):
    """The service knows who asks, and says no."""


class CredentialsMissing(AccessError):
    """No credentials were found to ask with."""


class SourceUnavailable(RefstoreError):
    """The network, the name service or the server failed, after all retries."""

    exit_code = 6


class CheckoutError(RefstoreError):
    """The destination of a checkout can't be made as asked."""

    exit_code = 7


class DestinationConflict(CheckoutError):
    """A file at the destination was not written by refstore, or was changed since."""


class UnsafePath(CheckoutError):
    """A path of the artifact that would leave the destination, or can't exist there."""


class LinkError(CheckoutError):
    """The kind of link that was asked for is not possible between the cache and the destination."""


class NotAsRecorded(CheckoutError, ValueError):
    """Files of an earlier checkout or download are not what the version has."""


class CheckoutIncomplete(CheckoutError):
    """Some files could not be checked out; all others were.

    Attributes:
        failures: One for each file, in the order of their paths.
        summary: The message without the first failure, to stand above a list of them all.
    """

    def __init__(self, message: str, failures: Sequence[Failure] = (), summary: str = "") -> None:
        super().__init__(message)
        self.failures = tuple(failures)
        self.summary = summary or message


class StoreError(RefstoreError):
    """The store's own files are the trouble."""

    exit_code = 8


class CatalogCorrupt(StoreError):
    """A record or the index is damaged."""


class RemoteCorrupt(StoreError):
    """A remote holds something that is damaged or can't be believed. Nothing of that was taken in."""


class CatalogTooNew(StoreError):
    """The catalog was written by a newer refstore than this one."""


class StoreLocked(StoreError):
    """Another process holds the store's write lock for too long."""


class StorageFull(StoreError):
    """There is no space left for the store or for a checkout."""


def __getattr__(name: str) -> type[RefstoreError]:
    # W&B's names, for `except wandb.errors.CommError`: what it raises where a name means nothing, and its base.
    found = {"CommError": NotFound, "Error": RefstoreError, "WaitTimeoutError": StoreLocked}.get(name)
    if found is None:
        raise AttributeError(f"module 'refstore.errors' has no attribute {name!r}")
    return found
