"""Compressed bodies of messages and results: no more comes out of one than a bounded size.

Whoever may publish may write `compression: bzip2` above 1,190 bytes that become 12 GiB. kombu decompresses wherever it makes a
message, and Celery wherever it reads a stored result. `bound` has both do it with a limit.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu import compression as registry

from celery_delivery.errors import TooLarge

MIB = 1_048_576
# A content type that kombu accepts everywhere, and decodes as `content_encoding` says: as bz2, for one, without a limit.
TEXT = "application/text"
LARGEST = 64 * MIB  # bytes; RabbitMQ's own limit for a message is 16 MiB since 4.0, and 128 MiB before
MOST_MEMORY = 512 * MIB  # bytes that what is in a body may take, once it is decoded
# Bytes of memory for a sign of JSON, as CPython 3.11 takes: a list; a mapping; a number, or the place of a value; half a text.
# 63 MiB of `{"a":0},` come out of 90 kB, and would take 1.5 GiB.
_WEIGHTS = {b"[": 72, b"{": 96, b",": 32, b'"': 32}
_WINDOW = 128 * MIB  # bytes of its own that a decompressor may take; `xz -9` asks for 65 MiB

# By kombu's content types. Each takes a body and a size, and returns what comes out until then, and whether that is all.
_Decompressor = Callable[[bytes, int], tuple[bytes, bool]]
_OF_TYPE: dict[str, _Decompressor] = {}
_ALIASES = {
    **dict.fromkeys(("gzip", "zlib"), "application/x-gzip"),
    **dict.fromkeys(("bzip2", "bzip"), "application/x-bz2"),
    **dict.fromkeys(("lzma", "xz"), "application/x-lzma"),
    "brotli": "application/x-brotli",
    **dict.fromkeys(("zstd", "zstandard"), "application/zstd"),
}


def decompressed(body: bytes, compression: Any, most: int = LARGEST) -> bytes:
    """Return a body of at most `most` bytes without its compression, which is named as kombu or its content type does.

    Its values, as JSON, take MOST_MEMORY at most.

    Raises TooLarge, and ValueError for what is not compressed like that.
    """
    if len(body) > most:
        raise TooLarge(_above(most))
    try:
        read = _OF_TYPE[_ALIASES.get(compression, compression)]
    except (KeyError, TypeError):
        raise ValueError(f"its compression is {compression!r}") from None
    try:
        found, is_whole = read(body, most + 1)
    except Exception as error:  # each library has errors of its own
        raise ValueError(f"it is no {compression}: {error}") from error
    if len(found) > most:
        raise TooLarge(_above(most))
    if not is_whole:
        raise ValueError(f"it is no {compression}: it ends too early")
    if len(found) > MIB and _memory(found) > MOST_MEMORY:
        raise TooLarge(f"its values would take more than {MOST_MEMORY // MIB} MiB")
    return found


def bound() -> None:
    """Have kombu decompress no more than LARGEST in this process, in each way that is bounded here.

    A compression that somebody else has registered with kombu is theirs.
    """
    for kind in set(registry.encoders()) & set(_OF_TYPE):
        encode, _ = registry.get_encoder(kind)
        registry.register(encode, partial(decompressed, compression=kind), kind)


def _memory(body: bytes) -> int:
    """Return about how many bytes the values of a JSON body take, as it is decoded; a text with its signs counts more."""
    return sum(body.count(sign) * weight for sign, weight in _WEIGHTS.items())


def _above(most: int) -> str:
    return f"its body has more than {most // MIB} MiB"


def _with(make: Callable[[], Any]) -> _Decompressor:
    """Return what reads a single stream: what comes behind it is left out, else many empty ones would take for ever."""

    def read(body: bytes, most: int) -> tuple[bytes, bool]:
        stream = make()
        return stream.decompress(body, most), stream.eof

    return read


def _brotli(body: bytes, most: int) -> tuple[bytes, bool]:
    stream = registry.brotli.Decompressor()
    return stream.process(body, output_buffer_limit=most), stream.is_finished()


_OF_TYPE["application/x-gzip"] = _with(zlib.decompressobj)
_OF_TYPE["application/x-bz2"] = _with(bz2.BZ2Decompressor)
_OF_TYPE["application/x-lzma"] = _with(partial(lzma.LZMADecompressor, memlimit=_WINDOW))
if getattr(registry, "brotli", None):  # kombu has these two where their libraries are installed
    _OF_TYPE["application/x-brotli"] = _brotli
if getattr(registry, "zstd", None):
    _OF_TYPE["application/zstd"] = _with(registry.zstd.ZstdDecompressor)
