r"""Records as lines for who develops: what a queue says in one colour, what a task says with its name and id.

    10:31:07 agent  words.py changed
    10:31:07 words  count_words[6e1c…] here I am
    10:31:08 words  INFO connected to …

A fault is shown with its traceback once, however many workers meet it; the others are told of in a line. What would act upon
a terminal is shown as an escape.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from agent.cli.develop.records import Record
from agent.cli.plain import plain

AGENT = "agent"
WARNING = 4  # priorities up to this are shown of the agent too
REFUSED = "reload-refused"
SHOWN = {"ready", "stop"}  # of the agent's facts; what happens to each worker is for who operates
TRACEBACK = "Traceback (most recent call last):"
COLOURS = (36, 35, 34, 33, 32, 96, 95, 94, 93, 92)  # of the text; red is for faults
RED, DIM = 31, 2


class View:
    """Makes lines of records."""

    def __init__(self, *, colours: bool) -> None:
        """Write with colours, or without."""
        self._colours = colours
        self._faults: dict[str, str] = {}  # the queue that met each first
        self._queues: dict[str, int] = {}

    def forget_faults(self) -> None:
        """Show each fault anew: other code runs."""
        self._faults.clear()

    def lines(self, record: Record, time: str) -> Iterator[str]:
        """Yield the lines of a record, none where nobody wants to know of it."""
        queue, message = record.get("CELERY_QUEUE", ""), record.get("MESSAGE", "")
        event, priority = record.get("CELERY_EVENT"), _priority(record)
        if event is not None:
            if event not in SHOWN and priority > WARNING:
                return
            queue = ""
        task, name = record.get("CELERY_TASK_ID", ""), record.get("CELERY_TASK_NAME", "")
        if event == REFUSED:
            message = f"not taken up, what ran before goes on: {record.get('CELERY_REASON', '')}"
        if event == REFUSED or (TRACEBACK in message and not task):
            if message in self._faults and event == REFUSED:  # it was read twice
                return
            if message in self._faults:
                message = (
                    f"{message.strip().splitlines()[-1]} (the fault that is shown above, of {self._faults[message]})"
                )
            else:
                self._faults[message] = queue or AGENT
        who = f"{name}[{task}] " if task and task not in message else ""
        if "LOGGER" in record and priority <= WARNING:
            message = f"{'warning' if priority == WARNING else 'error'}: {message}"
        is_fault = priority < WARNING or TRACEBACK in message or event == REFUSED
        yield from self.said(queue or AGENT, message, time, who, is_fault=is_fault)

    def printed(self, text: str, time: str) -> Iterator[str]:
        """Yield the lines of what came otherwise than as a record; a traceback is shown once."""
        if TRACEBACK in text:
            if text in self._faults:
                return
            self._faults[text] = AGENT
        yield from self.said(AGENT, text.removesuffix("\n"), time, is_fault=TRACEBACK in text)

    def said(self, queue: str, message: str, time: str, who: str = "", *, is_fault: bool = False) -> Iterator[str]:
        """Yield the lines of a message of a queue, or of the agent."""
        colour = self._colour(queue)
        for line in message.split("\n"):
            text = self._painted(plain(line), RED if is_fault else 0)
            yield f"{self._painted(time, DIM)} {self._painted(plain(queue), colour)}  {self._painted(plain(who), colour)}{text}"

    def _colour(self, queue: str) -> int:
        if queue == AGENT:
            return DIM
        if queue not in self._queues:  # its own where there are enough, and the same one each time where it can be
            first = zlib.crc32(queue.encode(errors="replace"))
            wanted = [COLOURS[(first + step) % len(COLOURS)] for step in range(len(COLOURS))]
            taken = set(self._queues.values())
            self._queues[queue] = next((each for each in wanted if each not in taken), wanted[0])
        return self._queues[queue]

    def _painted(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colours and colour and text else text


def _priority(record: Record) -> int:
    text = record.get("PRIORITY", "6")
    return int(text) if text.isdecimal() and text.isascii() else 6
