"""How wide a text is at most, without its font at hand: of the fonts that a browser takes, the widest common ones count.

Names stand in a monospace font, of which DejaVu Sans Mono is a wide one (0.602 of the size); all else in a sans serif, where
DejaVu Sans and Verdana are.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from agent.guest.values import dataclass

_NARROW = set("ijlI.,:;'|!()[] ·frt/-")
_WIDE = set("mwMW@%—→…+=<>")
_LAST_OF_FONTS = "\u04ff"  # Latin, Greek and Cyrillic: what the same font has; what comes after is another font's


@dataclass(frozen=True, slots=True)
class Font:
    """A font by its role: `size` in pixels, `is_mono` where all of its signs are of one width."""

    role: str
    size: float
    is_mono: bool

    def width(self, text: str) -> float:
        """Return the most pixels that a text takes."""
        return self.size * sum(self._of(sign) for sign in text)

    def _of(self, sign: str) -> float:
        if sign > _LAST_OF_FONTS and sign not in _WIDE:
            return 1.1
        if self.is_mono:
            return 0.61
        if sign in _WIDE:
            return 1.0
        if sign in _NARROW:
            return 0.43
        return 0.78 if sign.isupper() or unicodedata.category(sign) == "Sm" else 0.65


HEADING = Font("heading", 13, is_mono=True)
NAME = Font("name", 12, is_mono=True)
DETAIL = Font("detail", 11, is_mono=False)
SMALL = Font("small", 10, is_mono=False)


def is_certain(text: str) -> bool:
    """Say whether a text's width can't be more than is reckoned: it is left to the font alone."""
    return all(sign <= _LAST_OF_FONTS or sign in _WIDE for sign in text)


def cells(text: str) -> int:
    """Return the places that a text takes in a terminal, where some signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def shortened(text: str, most: float, measure: Callable[[str], float]) -> str:
    """Return a text without its middle, where it is wider than `most`: names differ at their beginning and their end."""
    if measure(text) <= most:
        return text
    left, right = 0, len(text)  # of the signs that are kept, of which the first does fit
    while left + 1 < right:
        kept = (left + right) // 2
        if measure(_without_middle(text, kept)) <= most:
            left = kept
        else:
            right = kept
    return _without_middle(text, left)


def _without_middle(text: str, kept: int) -> str:
    end = kept // 2
    return f"{text[: kept - end]}…{text[len(text) - end :]}"
