"""Where everything stands: one panel for each broker, and in it a row for each worker, below the headings of the columns.

    producers ──┬──> exchange ──> queue ──> worker ──> pool ──> tasks
                └──> exchange ──> queue ──> worker ──> pool ──> tasks

Lines between columns are level. Only the one beside the producers goes down, so no line ever crosses a box.
"""

from __future__ import annotations

from agent.cli.draw.columns import ARROW, EXCHANGE, MARGIN, POOL, QUEUE, SOURCE, TASKS, WORKER, columns, dead_line
from agent.cli.draw.model import Exchange, Graph, Queue, Stack, Strand
from agent.cli.draw.picture import Picture
from agent.cli.draw.sheet import LINE, Sheet, height_of

GAP = 10  # between two rows
LEAST_WIDTH = 520  # of a panel


def layout(graph: Graph) -> Picture:
    """Return a graph as shapes with their places."""
    found = columns(graph)
    width = max(LEAST_WIDTH, found.right + MARGIN if found.left else 0)
    sheet = Sheet(found, width)
    y = float(MARGIN)
    for stack in graph.stacks:
        y = _stack(sheet, stack, y) + MARGIN
    return sheet.picture(width + MARGIN, y)


def _stack(sheet: Sheet, stack: Stack, top: float) -> float:
    """Put a panel on the sheet; return where it ends."""
    y = sheet.heading(stack.name or "broker not known", stack.notes, top + MARGIN)
    if stack.exchanges:
        has_exchange = any(exchange.box is not None for exchange in stack.exchanges)
        y = sheet.captions(y, {SOURCE} if has_exchange else {SOURCE, EXCHANGE})
        y = _flow(sheet, stack, y) + GAP
    for absent in stack.absent:
        y = sheet.absent(absent, y) + GAP
    bottom = y - GAP + MARGIN
    sheet.panel(top, bottom)
    return bottom


def _flow(sheet: Sheet, stack: Stack, top: float) -> float:
    """Put the way of tasks on the sheet, from what sends them to what runs them; return where it ends."""
    joints, y, bottom = [], top, top
    for exchange in stack.exchanges:
        joint, y = _exchange(sheet, exchange, y)
        joints.append(joint)
    sources: list[float] = []
    for box in stack.sources:
        height = height_of(box)
        source_top = bottom if sources else joints[0][1] - height / 2  # the first one's way goes on straight
        sources.append(source_top + height / 2)
        sheet.box(SOURCE, box, source_top, height, "source")
        bottom = source_top + height + GAP
    trunk = sheet.right(SOURCE) + ARROW
    ends = [*sources, *(y for _, y in joints)]
    if min(ends) < max(ends):
        sheet.way(((trunk, min(ends)), (trunk, max(ends))), has_head=False)
    for level in sources:
        sheet.way(((sheet.right(SOURCE), level), (trunk, level)), has_head=False)
    for x, level in joints:
        sheet.way(((trunk, level), (x, level)))
    return max(y, bottom) - GAP


def _exchange(sheet: Sheet, exchange: Exchange, top: float) -> tuple[tuple[float, float], float]:
    """Put an exchange and its queues on the sheet; return where the way to it ends, and where the next one begins."""
    y, levels = top, []
    for queue in exchange.queues:
        level, y = _queue(sheet, queue, y)
        levels.append(level)
    height = _height(exchange.queues[-1], top, y)
    if exchange.box is None:
        for queue, level in zip(exchange.queues, levels, strict=True):
            sheet.rate(queue.rate_in, sheet.left(QUEUE), level)
        return (sheet.left(QUEUE), levels[0]), y
    sheet.box(EXCHANGE, exchange.box, top, height, "exchange")
    for queue, level in zip(exchange.queues, levels, strict=True):
        sheet.way(((sheet.right(EXCHANGE), level), (sheet.left(QUEUE), level)))
        sheet.rate(queue.rate_in, sheet.left(QUEUE), level)
    return (sheet.left(EXCHANGE), levels[0]), y


def _queue(sheet: Sheet, queue: Queue, top: float) -> tuple[float, float]:
    """Put a queue and its workers on the sheet; return the level of the way to it, and where the next one begins."""
    least = height_of(queue.box, 0 if queue.dead is None else 1)
    y, levels = top, []
    for strand in queue.strands:
        level, y = _strand(sheet, strand, y, least if len(queue.strands) == 1 else 0)
        levels.append(level)
    dead = () if queue.dead is None else (dead_line(queue.dead),)
    sheet.box(QUEUE, queue.box, top, _height(queue, top, y), "queue", dead)
    for strand, level in zip(queue.strands, levels, strict=True):
        sheet.way(((sheet.right(QUEUE), level), (sheet.left(WORKER), level)), is_open=not strand.takes)
    sheet.rate(queue.rate_out, sheet.left(WORKER), levels[0])
    return levels[0], y


def _height(last: Queue, top: float, bottom: float) -> float:
    """Return the height of what stands beside workers down to a queue's last: without what is said below that."""
    return bottom - GAP - top - (LINE if last.strands[-1].cause else 0)


def _strand(sheet: Sheet, strand: Strand, top: float, least: float) -> tuple[float, float]:
    """Put a worker, its pool and its tasks on the sheet; return the level of the way to it, and where the next one begins."""
    height = max(
        least,
        height_of(strand.worker, 1),
        height_of(strand.pool.box, 1),
        0 if strand.tasks is None else height_of(strand.tasks),
    )
    level = top + height / 2
    sheet.worker(strand, top, height)
    sheet.way(((sheet.right(WORKER), level), (sheet.left(POOL), level)), is_open=not strand.pool.is_there)
    sheet.pool(strand.pool, top, height)
    if strand.tasks is not None:
        sheet.way(((sheet.right(POOL), level), (sheet.left(TASKS), level)), is_open=not strand.pool.is_there)
        sheet.box(TASKS, strand.tasks, top, height, "tasks")
    bottom = top + height
    if strand.cause:
        bottom = sheet.remark(strand.cause, strand.mark.tone.value, WORKER, bottom)
    return level, bottom + GAP
