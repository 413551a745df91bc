"""Holes in the memory of the template: what its imports freed between what stays, all over the pages that workers share.

A worker that fills a hole makes a page its own. The template fills them, so that what a worker makes lies close together.
"""

from __future__ import annotations

STEP, LARGEST = 16, 512  # bytes of blocks that CPython's allocator has, each size in pools of its own
POOL = 16_384  # bytes; what is free of one size is one to two pools, of most
HEADER = 33  # bytes of an object of type `bytes` besides what it holds

_kept: list[bytes] = []


def fill() -> None:
    """Fill them, for as long as the process lives; measured: 0.3 MB of 11.7 less for each of 20 workers, in 1 ms."""
    for size in range(3 * STEP, LARGEST + 1, STEP):
        _kept.extend(bytes(size - HEADER) for _ in range(POOL // size))
