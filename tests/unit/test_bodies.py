"""No more comes out of a compressed body than what is asked for."""

import bz2
import lzma
import zlib
from collections.abc import Callable

import pytest
from celery.backends import base
from kombu.compression import decompress
from kombu.message import Message

from celery_delivery.broker import bodies
from celery_delivery.errors import TooLarge

LIMIT = 10_000
WAYS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": zlib.compress,
    "zlib": zlib.compress,
    "application/x-gzip": zlib.compress,
    "bzip2": bz2.compress,
    "bzip": bz2.compress,
    "application/x-bz2": bz2.compress,
    "lzma": lzma.compress,
    "xz": lzma.compress,
    "application/x-lzma": lzma.compress,
}
ways = pytest.mark.parametrize(("name", "compress"), WAYS.items())


@ways
@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_what_is_within_the_limit_comes_out_whole(name: str, compress: Callable[[bytes], bytes], size: int) -> None:
    body = bytes(range(250)) * 40
    assert bodies.decompressed(compress(body[:size]), name, LIMIT) == body[:size]


@ways
def test_what_is_above_it_is_too_large(name: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(TooLarge):
        bodies.decompressed(compress(bytes(LIMIT + 1)), name, LIMIT)


@ways
def test_what_is_cut_off_is_not_taken_for_the_whole(name: str, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(ValueError, match="ends too early"):
        bodies.decompressed(compress(b"hello")[:-3], name, LIMIT)


@pytest.mark.parametrize("name", ["bzip2", "none-such", ["bzip2"], {"a": 1}, 5])
def test_what_is_not_compressed_like_that_is_said(name: object) -> None:
    with pytest.raises(ValueError, match=r"it is no bzip2|its compression is"):
        bodies.decompressed(b"hello", name, LIMIT)


def test_what_is_too_large_before_is_not_looked_into() -> None:
    with pytest.raises(TooLarge):
        bodies.decompressed(bytes(LIMIT + 1), "bzip2", LIMIT)


def test_what_asks_for_the_most_memory_that_people_use_is_read() -> None:
    assert bodies.decompressed(lzma.compress(b"hello", preset=9 | lzma.PRESET_EXTREME), "xz") == b"hello"


@pytest.mark.parametrize("name", ["gzip", "bzip2", "xz"])
def test_messages_and_results_of_this_process_are_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies.bound()
    large = WAYS[name](bytes(bodies.LARGEST + 1))
    with pytest.raises(TooLarge):
        decompress(large, name)
    (_, error, _) = Message(large, headers={"compression": name}).errors[0]
    assert isinstance(error, TooLarge)
    if not hasattr(base, "compress_payload"):  # Celery before 5.7 compresses no results
        return
    kept = base.compress_payload(b"hello", name)
    assert base.decompress_payload(kept) == b"hello"
    with pytest.raises(TooLarge):
        base.decompress_payload(kept.replace(WAYS[name](b"hello"), large))
