"""Bodies of messages that whoever sent them has compressed: no more comes out of one than a bounded size."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

LARGEST = 16 * 1_048_576  # bytes; what RabbitMQ 4 takes as a message

# By the names that kombu has for them, and the content types that it writes into the header.
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("zlib", "gzip", "application/x-gzip"), zlib.decompressobj),
    **dict.fromkeys(("bzip", "bzip2", "application/x-bz2"), bz2.BZ2Decompressor),
    **dict.fromkeys(("lzma", "xz", "application/x-lzma"), lambda: lzma.LZMADecompressor(memlimit=4 * LARGEST)),
}


class TooLarge(Exception):
    """A body is larger than what is looked into; the text says so."""


def decompressed(body: bytes | str, compression: Any) -> bytes | str:
    """Return a body without its compression; raises TooLarge, and ValueError for what is not compressed like that."""
    if compression and not isinstance(body, str):
        try:
            body = _DECOMPRESSORS[compression]().decompress(body, LARGEST + 1)
        except (KeyError, TypeError):
            raise ValueError(f"its compression is {compression!r}") from None
        except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
            raise ValueError(f"it is no {compression}: {error}") from None
    if len(body) > LARGEST:
        raise TooLarge(f"its body has more than {LARGEST // 1_048_576} MiB")
    return body
