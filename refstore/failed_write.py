"""The error for a write of the store's own files that the system refused."""

from __future__ import annotations

import errno

from refstore.errors import StorageFull, StoreError


def storage_error(error: OSError, doing: str) -> StoreError:
    """The error to raise for a failed write of the store's own files."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageFull(
            f"There is no space left {doing}; nothing was recorded. Free some space and repeat the command."
        )
    return StoreError(f"Writing failed {doing}: {error.strerror or error}.")
