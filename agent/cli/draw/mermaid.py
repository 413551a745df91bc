"""A graph as a flowchart of Mermaid, which GitHub, GitLab and many wikis draw.

Names of nodes are numbers of the graph's own. Texts stand in quotes, where Mermaid takes whatever sign is written as its code.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from agent.cli.draw.measure import shortened
from agent.cli.draw.model import Absent, Box, Exchange, Graph, Mark, Queue, Stack, Strand, Tone

MOST = 48  # signs of one line in a box
_PLAIN = set(" .,:/_-+→×·…")
_SIGNS = {Tone.GOOD: "●", Tone.BUSY: "◆", Tone.PASSING: "○", Tone.BAD: "▲", Tone.OFF: "□"}
# The colours are of frames alone: Mermaid itself colours the rest, light or dark.
_CLASSES = {
    Tone.GOOD: "stroke:#2da44e",
    Tone.BUSY: "stroke:#0969da",
    Tone.PASSING: "stroke:#bf8700",
    Tone.BAD: "stroke:#cf222e,stroke-width:3px",
    Tone.OFF: "stroke:#8c959f,stroke-dasharray:4 3",
}


def mermaid(graph: Graph) -> str:
    """Return a graph as the text of a Mermaid diagram."""
    return "\n".join(["flowchart LR", *(f"  {line}" for line in _Chart().lines(graph))]) + "\n"


class _Chart:
    """The numbering of a chart's nodes."""

    def __init__(self) -> None:
        self._numbers = count()

    def lines(self, graph: Graph) -> Iterator[str]:
        """Yield the lines of a whole graph."""
        for stack in graph.stacks:
            yield f"subgraph {self._name()}[{_text(' · '.join([stack.name or 'broker not known', *stack.notes]))}]"
            yield "  direction LR"
            yield from (f"  {line}" for line in self._stack(stack))
            yield "end"
        for tone, style in _CLASSES.items():
            yield f"classDef {tone.value} {style}"

    def _stack(self, stack: Stack) -> Iterator[str]:
        sources = [self._name() for _ in stack.sources]
        for name, box in zip(sources, stack.sources, strict=True):
            yield f"{name}([{_of(box)}])"
        for exchange in stack.exchanges:
            yield from self._exchange(exchange, sources)
        for absent in stack.absent:
            yield self._absent(absent)

    def _exchange(self, exchange: Exchange, sources: list[str]) -> Iterator[str]:
        before, box = sources, exchange.box
        if box is not None:
            name = self._name()
            yield f"{name}{{{{{_of(box)}}}}}"
            yield from (f"{source} --> {name}" for source in sources)
            before = [name]
        for queue in exchange.queues:
            yield from self._queue(queue, before)

    def _queue(self, queue: Queue, before: list[str]) -> Iterator[str]:
        name = self._name()
        # a rate is that of all that sends: of several arrows it belongs to none
        rates = (f"{queue.rate_in} in",) if queue.rate_in and len(before) > 1 else ()
        yield f"{name}[({_text(queue.box.name, *queue.box.lines, *rates)})]"
        yield from (f"{each} -->{'' if rates else _rate(queue.rate_in)} {name}" for each in before)
        if queue.dead is not None:
            dead = self._name()
            yield f"{dead}[({_text(queue.dead.name, 'dead letters')})]"
            yield f"{name} -.-> {dead}"
        for number, strand in enumerate(queue.strands):
            yield from self._strand(strand, name, queue.rate_out if number == 0 else "")

    def _strand(self, strand: Strand, queue: str, rate: str) -> Iterator[str]:
        worker, pool = self._name(), self._name()
        arrow = "-->" if strand.takes else "-.->"
        cause = (strand.cause,) if strand.cause else ()
        yield f"{worker}[{_text(strand.worker.name, _marked(strand.mark), *strand.worker.lines, *cause)}]"
        yield f"class {worker} {strand.mark.tone.value}"
        yield f"{queue} {arrow}{_rate(rate)} {worker}"
        way = "-->" if strand.pool.is_there else "-.->"
        yield f"{pool}[{_of(strand.pool.box)}]"
        yield f"{worker} {way} {pool}"
        if strand.tasks is not None:
            tasks = self._name()
            yield f"{tasks}[{_of(strand.tasks)}]"
            yield f"{pool} {way} {tasks}"

    def _absent(self, absent: Absent) -> str:
        text = _text(absent.box.name, _marked(absent.mark), *absent.box.lines)
        return f"{self._name()}[{text}]:::{absent.mark.tone.value}"

    def _name(self) -> str:
        return f"n{next(self._numbers)}"


def _of(box: Box) -> str:
    return _text(box.name, *box.lines)


def _marked(mark: Mark) -> str:
    return f"{_SIGNS[mark.tone]} {mark.word}"


def _rate(rate: str) -> str:
    return f"|{_text(rate)}|" if rate else ""


def _text(*lines: str) -> str:
    shown = (shortened(line, MOST, len) for line in lines)
    return '"' + "<br>".join("".join(map(_escaped, line)) for line in shown) + '"'


def _escaped(sign: str) -> str:
    return sign if sign.isalnum() or sign in _PLAIN else f"#{ord(sign)};"
