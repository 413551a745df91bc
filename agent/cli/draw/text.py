"""A graph as text for a terminal: a tree for each broker, in lines of a width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agent.cli.draw.measure import cells, shortened
from agent.cli.draw.model import Absent, Box, Exchange, Graph, Mark, Queue, Stack, Strand, Tone
from agent.cli.draw.words import SEPARATOR
from agent.guest.values import dataclass

LEAST = 40  # signs of a line that are taken, however narrow a terminal is
ARROW = " ─▶ "
GROWTH = 2  # signs that the first line of a branch begins later than what is below its parent
_SIGNS = {Tone.GOOD: "●", Tone.BUSY: "◆", Tone.PASSING: "○", Tone.BAD: "▲", Tone.OFF: "□"}


@dataclass(frozen=True, slots=True)
class _Branch:
    """What stands in a line of a tree, with arrows between it; the lines below that say more; what grows from it."""

    way: tuple[str, ...]
    more: tuple[str, ...] = ()
    branches: tuple[_Branch, ...] = ()


def text(graph: Graph, width: int) -> str:
    """Return a graph as lines of so many signs at most."""
    room = max(LEAST, width)
    stacks = ("\n".join(_lines(_stack(stack), "", "", room)) for stack in graph.stacks)
    return "\n\n".join(stacks)


def _lines(branch: _Branch, first: str, further: str, width: int) -> Iterator[str]:
    """Yield the lines of a tree; `first` is what its first one begins with, `further` all others."""
    below = further + ("│ " if branch.branches else "  ")
    head, *rest = _wrapped(branch.way, width - len(below))
    yield first + head
    yield from (below + line for line in (*rest, *(_fit(each, width - len(below)) for each in branch.more)))
    for number, each in enumerate(branch.branches):
        is_last = number == len(branch.branches) - 1
        yield from _lines(
            each, further + ("└─▶ " if is_last else "├─▶ "), further + ("    " if is_last else "│   "), width
        )


def _wrapped(way: Sequence[str], width: int) -> list[str]:
    """Return parts with arrows between them, in as many lines as they need."""
    lines = [_fit(way[0], width - GROWTH)]
    for part in way[1:]:
        longer = lines[-1] + ARROW + part
        if cells(longer) <= width - GROWTH:
            lines[-1] = longer
        else:
            lines.append(_fit(ARROW.lstrip() + part, width - GROWTH))
    return lines


def _fit(line: str, width: int) -> str:
    return shortened(line, width, cells)


def _stack(stack: Stack) -> _Branch:
    sources = " + ".join(_source(box) for box in stack.sources)
    flow = tuple(_exchange(exchange) for exchange in stack.exchanges)
    absent = tuple(_absent(each) for each in stack.absent)
    head = f"broker {stack.name}" if stack.name else "broker not known"
    return _Branch((head,), stack.notes, (*((_Branch((sources,), (), flow),) if flow else ()), *absent))


def _source(box: Box) -> str:
    return f"{box.name} ({', '.join(box.lines)})" if box.lines else box.name


def _exchange(exchange: Exchange) -> _Branch:
    if exchange.box is None:
        return _queue(exchange.queues[0])
    head = f"exchange {exchange.box.name}"
    if len(exchange.queues) == 1:
        return _queue(exchange.queues[0], head)
    return _Branch((head,), (), tuple(map(_queue, exchange.queues)))


def _queue(queue: Queue, *before: str) -> _Branch:
    rates = [f"{rate} {way}" for rate, way in ((queue.rate_in, "in"), (queue.rate_out, "out")) if rate]
    facts = SEPARATOR.join([*queue.box.lines, *rates])
    dead = () if queue.dead is None else (_Branch((f"dead letters {queue.dead.name}",)),)
    workers = tuple(_strand(strand) for strand in queue.strands)
    return _Branch((*before, f"queue {queue.box.name}"), (facts,) if facts else (), (*workers, *dead))


def _strand(strand: Strand) -> _Branch:
    worker = f"{_marked(strand.mark)}  {strand.worker.name}, {SEPARATOR.join(strand.worker.lines)}"
    tasks = () if strand.tasks is None else (_words(strand.tasks),)
    return _Branch((worker, _words(strand.pool.box), *tasks), (strand.cause,) if strand.cause else ())


def _absent(absent: Absent) -> _Branch:
    return _Branch((f"{_marked(absent.mark)}  {_words(absent.box)}",))


def _marked(mark: Mark) -> str:
    return f"{_SIGNS[mark.tone]} {mark.word}"


def _words(box: Box) -> str:
    return ", ".join([box.name, *box.lines])
