"""What every file that is read in place has in common: a size, and a position in it."""

from __future__ import annotations

import io
import os


class SeekableFile(io.RawIOBase):
    """A position in a file that is only read. Who inherits has `readinto`, and sets `_position` and `_size` (bytes)."""

    _position: int
    _size: int

    def readable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def seekable(self) -> bool:
        """See `io.IOBase`."""
        return True

    def tell(self) -> int:
        """The position in the file, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to an offset in bytes; the new position.

        Raises:
            ValueError: It is before the beginning.
        """
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"There is no offset {base + offset} in a file.")
        self._position = base + offset
        return self._position
