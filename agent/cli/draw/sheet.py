"""What shapes are put on, one part of the stack at a time; what is written in a box is shortened to its width."""

from __future__ import annotations

from collections.abc import Collection

from agent.cli.draw.columns import CELL_STEP, MARGIN, MARKED, PADDING, POOL, WORKER, Columns, cells_width
from agent.cli.draw.measure import DETAIL, HEADING, NAME, SMALL, Font, shortened
from agent.cli.draw.model import Absent, Box, Mark, Pool, Strand
from agent.cli.draw.picture import Area, Frame, Label, Picture, Sign, Way

LINE = 15  # pixels from one base line to the next
FIRST = 19  # to the first one of a box
MOST_ABSENT = 460  # pixels of a box that stands in no column
CELL = 7  # the side of the square of one process of a pool
TITLE = 20


def height_of(box: Box, more: int = 0) -> float:
    """Return the pixels that a box needs, with so many more lines than its own."""
    return FIRST + LINE * (len(box.lines) + more) + 8


class Sheet:
    """A picture that is being made: panels of one width, and columns that all of them share."""

    def __init__(self, columns: Columns, width: float) -> None:
        self._columns = columns
        self._width = width
        self._panels: list[Frame] = []
        self._frames: list[Frame] = []
        self._ways: list[Way] = []
        self._labels: list[Label] = []
        self._signs: list[Sign] = []

    def picture(self, width: float, height: float) -> Picture:
        """Return all that was put on it."""
        frames = (Frame(Area(0, 0, width, height), "ground"), *self._panels, *self._frames)
        return Picture(width, height, frames, tuple(self._ways), tuple(self._labels), tuple(self._signs))

    def left(self, column: str) -> float:
        """Return where a column begins."""
        return self._columns.left[column]

    def right(self, column: str) -> float:
        """Return where a column ends."""
        return self._columns.left[column] + self._columns.width[column]

    def panel(self, top: float, bottom: float) -> None:
        """Put what is between two levels onto a panel of its own."""
        self._panels.append(Frame(Area(MARGIN, top, self._width - MARGIN, bottom - top), "panel"))

    def heading(self, name: str, notes: tuple[str, ...], top: float) -> float:
        """Write what a panel is about; return where it ends."""
        y = top + HEADING.size
        self._frames.append(Frame(Area(2 * MARGIN, top - 4, self._inner, TITLE), "bare", name))
        self._write(name, 2 * MARGIN, y, HEADING, self._inner)
        for note in notes:
            y += LINE
            self._write(note, 2 * MARGIN, y, DETAIL, self._inner)
        return y + LINE

    def captions(self, top: float, left_out: Collection[str]) -> float:
        """Write the headings of the columns but for some; return where they end."""
        for name, left in self._columns.left.items():
            if name not in left_out:
                self._write(name.upper(), left, top + SMALL.size, SMALL, self._columns.width[name])
        return top + SMALL.size + 8

    def box(
        self, column: str, box: Box, top: float, height: float, role: str, more_lines: tuple[str, ...] = ()
    ) -> float:
        """Put a box into a column, and write into it; return the base line that comes next."""
        left, width = self.left(column), self._columns.width[column]
        self._frames.append(Frame(Area(left, top, width, height), role, box.more or box.name))
        y = top + FIRST
        self._write(box.name, left + PADDING, y, NAME, width - 2 * PADDING)
        for line in (*box.lines, *more_lines):
            y += LINE
            self._write(line, left + PADDING, y, DETAIL, width - 2 * PADDING)
        return y + LINE

    def worker(self, strand: Strand, top: float, height: float) -> None:
        """Put a worker into its column, with the sign and the word of its state."""
        self._marked(strand.worker, strand.mark, Area(self.left(WORKER), top, self._columns.width[WORKER], height))

    def absent(self, absent: Absent, top: float) -> float:
        """Put a box as wide as the panel; return where it ends."""
        height = height_of(absent.box, 1)
        self._marked(absent.box, absent.mark, Area(2 * MARGIN, top, min(MOST_ABSENT, self._inner), height))
        return top + height

    def pool(self, pool: Pool, top: float, height: float) -> None:
        """Put a pool into its column, with a square for each process where these are few."""
        y = self.box(POOL, pool.box, top, height, "pool" if pool.is_there else "pool open")
        if not cells_width(pool):
            return
        for number in range(pool.places):
            area = Area(self.left(POOL) + PADDING + number * CELL_STEP, y - CELL - 1, CELL, CELL)
            self._frames.append(Frame(area, "cell busy" if number < pool.busy else "cell"))

    def remark(self, text: str, tone: str, column: str, top: float) -> float:
        """Write a sentence below the boxes from a column on; return where it ends."""
        left = self.left(column)
        width = self._columns.right - left
        self._frames.append(Frame(Area(left, top + 2, width, LINE - 2), "bare", text))
        self._write(text, left, top + LINE - 3, SMALL, width, tone)
        return top + LINE

    def rate(self, text: str, end: float, level: float) -> None:
        """Write a rate above the arrow that ends there."""
        if text:
            middle = end - 31
            width = SMALL.width(text)
            self._labels.append(Label(middle, level - 5, text, SMALL, width, is_centred=True))

    def way(self, points: tuple[tuple[float, float], ...], *, is_open: bool = False, has_head: bool = True) -> None:
        """Draw a line."""
        self._ways.append(Way(points, is_open, has_head))

    @property
    def _inner(self) -> float:
        return self._width - 3 * MARGIN

    def _marked(self, box: Box, mark: Mark, area: Area) -> None:
        self._frames.append(Frame(area, f"worker {mark.tone.value}", box.more or box.name))
        left, width, y = area.x + PADDING, area.width - 2 * PADDING, area.y + FIRST
        self._write(box.name, left, y, NAME, width)
        y += LINE
        self._signs.append(Sign(left + 5, y - 4, mark.tone))
        self._write(mark.word, left + MARKED, y, DETAIL, width - MARKED, mark.tone.value)
        for line in box.lines:
            y += LINE
            self._write(line, left, y, DETAIL, width)

    def _write(self, text: str, x: float, y: float, font: Font, most: float, tone: str = "") -> None:
        shown = shortened(text, most, font.width)
        self._labels.append(Label(x, y, shown, font, font.width(shown), tone=tone))
