"""Shapes with their places, in pixels from the upper left corner: what any format that has places can be written from."""

from __future__ import annotations

from agent.cli.draw.measure import Font
from agent.cli.draw.model import Tone
from agent.guest.values import dataclass


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Likewise."""
        return self.y + self.height

    def meets(self, other: Area) -> bool:
        """Say whether two have a point in common that is on no edge."""
        return self.x < other.right and other.x < self.right and self.y < other.bottom and other.y < self.bottom

    def holds(self, other: Area) -> bool:
        """Say whether another one is nowhere outside."""
        return self.x <= other.x and self.y <= other.y and other.right <= self.right and other.bottom <= self.bottom


@dataclass(frozen=True, slots=True)
class Frame:
    """A box; `more` is what it tells who points at it."""

    area: Area
    role: str
    more: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A text: `x` is where it begins, or its middle, `y` its base line; `width` is the most that it takes.

    tone: the role that gives it its colour; empty for that of its font.
    """

    x: float
    y: float
    text: str
    font: Font
    width: float
    is_centred: bool = False
    tone: str = ""

    @property
    def area(self) -> Area:
        """The place that it takes at most."""
        left = self.x - self.width / 2 if self.is_centred else self.x
        return Area(left, self.y - 0.95 * self.font.size, self.width, 1.2 * self.font.size)


@dataclass(frozen=True, slots=True)
class Sign:
    """The shape of a state, around a point."""

    x: float
    y: float
    tone: Tone


@dataclass(frozen=True, slots=True)
class Way:
    """A line from point to point; `is_open` where nothing goes along it, `has_head` where it ends in an arrow."""

    points: tuple[tuple[float, float], ...]
    is_open: bool = False
    has_head: bool = True


@dataclass(frozen=True, slots=True)
class Picture:
    """All shapes, those below first."""

    width: float
    height: float
    frames: tuple[Frame, ...]
    ways: tuple[Way, ...]
    labels: tuple[Label, ...]
    signs: tuple[Sign, ...]
