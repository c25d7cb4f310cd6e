"""Bodies that were compressed on their way, as far as the standard library reads them."""

from __future__ import annotations

import zlib
from typing import Final

#: More than any provider takes in one request.
SIZE_MAX: Final = 128 * 1024 * 1024

#: What tells zlib to read either header, gzip's or its own.
_ANY_HEADER: Final = 32 + zlib.MAX_WBITS
_READABLE: Final = {"gzip", "x-gzip", "deflate"}
_PLAIN: Final = {"", "identity"}


class Decompressor:
    """Takes a body piece by piece. Raises ValueError for an encoding that the standard library does not read.

    `is_plain` says that the body is not encoded at all.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in _READABLE | _PLAIN:
            raise ValueError(f"its content-encoding is {name!r:.40}, which the standard library does not read")
        self.is_plain = name in _PLAIN
        self._is_deflate = name == "deflate"
        self._stream = zlib.decompressobj(_ANY_HEADER)
        self._begun = False

    def feed(self, data: bytes, size_max: int = SIZE_MAX) -> bytes:
        """Return the decoded bytes. Raise ValueError for what is not encoded so, and for more than `size_max` bytes."""
        if self.is_plain:
            return data
        if self._is_deflate and not self._begun and data:
            # Some servers send it bare, without the header that the standard asks for.
            self._stream = zlib.decompressobj(zlib.MAX_WBITS if data[0] & 0x0F == 8 else -zlib.MAX_WBITS)
        self._begun = self._begun or bool(data)
        try:
            return self._decompressed(data, size_max)
        except zlib.error as error:
            raise ValueError(f"it is not compressed as it says: {error}") from None

    def _decompressed(self, data: bytes, size_max: int) -> bytes:
        pieces, left = [], size_max
        while data:
            if self._stream.eof:  # gzip may be several, one after the other
                self._stream = zlib.decompressobj(_ANY_HEADER)
            piece = self._stream.decompress(data, left + 1)
            left -= len(piece)
            if left < 0:
                raise ValueError(f"it has more than {size_max:,} bytes")
            pieces.append(piece)
            data = self._stream.unused_data
        return b"".join(pieces)


def decompress(data: bytes, encoding: str, size_max: int = SIZE_MAX) -> bytes:
    """Return the whole body, decoded. Raise ValueError as `Decompressor` does."""
    if len(data) > size_max:
        raise ValueError(f"it has more than {size_max:,} bytes")
    return Decompressor(encoding).feed(data, size_max)
