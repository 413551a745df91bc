"""Where the columns of a picture stand, and how wide each is: as its widest text needs, within bounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil

from agent.cli.draw.measure import DETAIL, NAME
from agent.cli.draw.model import Box, Graph, Pool
from agent.guest.values import dataclass

MARGIN = 16  # between the picture's edge and a panel, and within this
PADDING = 9  # within a box
MARKED = 14  # pixels that a sign takes in front of its word
ARROW = 26  # between two columns that an arrow alone joins
RATED = 62  # the same, where a rate stands above it
CELL_STEP, CELLS = 10, 10  # from one square to the next, and how many are drawn at most
LEAST, MOST = 84, 236  # pixels of a box

SOURCE, EXCHANGE, QUEUE, WORKER, POOL, TASKS = "producers", "exchange", "queue", "worker", "pool", "tasks"


@dataclass(frozen=True, slots=True)
class Columns:
    """The left edge and the width of each column, by its heading; one that nothing is in has none."""

    left: dict[str, float]
    width: dict[str, float]

    @property
    def right(self) -> float:
        """Where the last one ends."""
        return max(self.left[name] + self.width[name] for name in self.left)


def columns(graph: Graph) -> Columns:
    """Return the columns that all stacks of a graph share."""
    needed: dict[str, float] = {}
    for name, box, sign in _boxes(graph):
        most = max([NAME.width(box.name), *(DETAIL.width(line) for line in box.lines), sign])
        needed[name] = max(needed.get(name, LEAST), most + 2 * PADDING)
    left, width, x = {}, {}, float(2 * MARGIN)
    for name in (SOURCE, EXCHANGE, QUEUE, WORKER, POOL, TASKS):
        if name in needed:
            left[name], width[name] = x, float(min(MOST, ceil(needed[name])))
            x += width[name] + (RATED if name in (EXCHANGE, QUEUE) else _after(name, needed))
    return Columns(left, width)


def _after(name: str, needed: Iterable[str]) -> float:
    return 2 * ARROW if name == SOURCE and EXCHANGE in needed else RATED + ARROW if name == SOURCE else ARROW


def _boxes(graph: Graph) -> Iterator[tuple[str, Box, float]]:
    """Yield each box with its column, and the pixels that a line of it takes that is no text of its own."""
    for stack in graph.stacks:
        yield from ((SOURCE, box, 0.0) for box in stack.sources)
        for exchange in stack.exchanges:
            if exchange.box is not None:
                yield EXCHANGE, exchange.box, 0.0
            for queue in exchange.queues:
                yield QUEUE, queue.box, 0.0 if queue.dead is None else DETAIL.width(dead_line(queue.dead))
                for strand in queue.strands:
                    yield WORKER, strand.worker, MARKED + DETAIL.width(strand.mark.word)
                    yield POOL, strand.pool.box, cells_width(strand.pool)
                    if strand.tasks is not None:
                        yield TASKS, strand.tasks, 0.0


def cells_width(pool: Pool) -> float:
    """Return the pixels that the squares of a pool's processes take; none are drawn where they are many, or one."""
    return float(pool.places * CELL_STEP) if pool.is_there and 1 < pool.places <= CELLS else 0.0


def dead_line(dead: Box) -> str:
    """Return how a queue's box names where its dead letters go."""
    return f"dead → {dead.name}"
