"""`agent task ID [INSTANCE]`: the story of one task on this node, from the journal, the status and the dead letters."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from agent.cli.operating import configuration_of
from agent.cli.options import add_instance, json_text
from agent.cli.plain import plain, plain_lines
from agent.cli.table import table
from agent.config.credentials import with_credentials
from agent.config.instances import Folders, folders
from agent.control import client
from agent.errors import FAILURE, OK, AgentError, NotRunning
from agent.guest.dead_letter import DeadLetter
from agent.guest.values import dataclass
from agent.operate.desk import Action, visit
from agent.operate.journal import Record, Told, place_beside, told_of

INDENT = "  "


@dataclass(frozen=True, slots=True)
class Running:
    """A worker that runs the task now: its queue and process, for how many seconds, and whether it was delivered before."""

    instance: str
    queue: str
    pid: int | None
    age: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """The task as a dead letter of an instance."""

    instance: str
    queue: str
    task: str
    reason: str
    text: str
    deaths: int
    last: float | None


@dataclass(frozen=True, slots=True)
class Story:
    """What this node knows of a task; `unknown` says what could not be asked, a line each."""

    id: str
    records: tuple[Record, ...]
    running: tuple[Running, ...]
    letters: tuple[Letter, ...]
    unknown: tuple[str, ...]

    def is_empty(self) -> bool:
        """Say whether nothing is known of the task."""
        return not (self.records or self.running or self.letters)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Tells what this node knows of one task: what the journal has of it, who runs it now, and its dead letter. "
        "Exit status: 0 where something is known; 1 where nothing is; 4 no such instance. See docs/logs.md."
    )
    parser.add_argument("id", metavar="ID", help="of the task, in full")
    add_instance(parser, "those that the journal names, else all of this node")
    parser.add_argument("--json", action="store_true", help="one JSON value: docs/logs.md")
    parser.set_defaults(run=_task)


def _task(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    if options.instance is not None and not places.is_configured(options.instance):
        raise places.unknown(options.instance)
    story = _story(places, options.id, options.instance)
    if options.json:
        print(json_text(**asdict(story)))
    else:
        print("\n".join(lines(story)))
    return FAILURE if story.is_empty() else OK


def _story(places: Folders, task_id: str, instance: str | None) -> Story:
    unknown = []
    try:
        told = told_of(task_id)
    except AgentError as error:
        told = Told((), str(error))
    if told.gap:
        unknown.append(told.gap)
    records = tuple(each for each in told.records if instance in (None, each.instance))
    running = []
    for each in [instance] if instance else places.known():
        found, problem = _running(places, each, task_id)
        running += found
        unknown += problem
    configured = places.configured()
    named = ({each.instance for each in records} | {each.instance for each in running}).intersection(configured)
    letters = []
    for each in [instance] if instance else sorted(named) or configured:
        try:
            letters += [_letter(each, letter) for letter in _letters(places, each) if letter.id == task_id]
        except AgentError as error:
            unknown.append(f"the dead letters of {each} could not be looked at: {error}")
    return Story(task_id, records, tuple(running), tuple(letters), tuple(unknown))


def _running(places: Folders, instance: str, task_id: str) -> tuple[list[Running], list[str]]:
    try:
        status = client.status(places.runtime_folder(instance))
    except NotRunning:
        return [], []
    except AgentError as error:
        return [], [f"{instance} gives no answer about what it runs: {error}"]
    place = place_beside(status.pid)
    found = [
        Running(instance, queue.queue, queue.pid, task.age, task.again)
        for queue in status.queues
        for task in queue.active
        if task.id == task_id
    ]
    elsewhere = [f"what {instance} has said goes to {place}, and not to the journal"] if place else []
    unlisted = sum(queue.active_count - len(queue.active) for queue in status.queues)
    more = f"{instance} runs {unlisted} tasks more than it names: this one may be among them"
    return found, elsewhere + ([more] if unlisted and not found else [])


def _letters(places: Folders, instance: str) -> tuple[DeadLetter, ...]:
    environment = with_credentials(os.environ, instance)
    return visit(configuration_of(places, instance), environment, None, Action.LIST, None, None).letters


def _letter(instance: str, found: DeadLetter) -> Letter:
    return Letter(instance, found.queue, found.task, found.reason, found.text, found.deaths, found.last)


def lines(story: Story) -> list[str]:
    """Return the story for people."""
    name = next(filter(None, [*(each.task for each in story.records), *(each.task for each in story.letters)]), "")
    head = plain(f"{name}[{story.id}]" if name else story.id)
    deliveries = sum(each.is_delivery for each in story.records)
    times = "once" if deliveries == 1 else f"{deliveries} times"
    parts = [
        *([f"received {times}"] if deliveries else []),
        *(
            f"{plain(each.queue)} of {each.instance} runs it, for {each.age:.1f} s (pid {each.pid})"
            f"{', and it was delivered before' if each.again else ''}"
            for each in story.running
        ),
        *(f"a dead letter of {plain(each.queue)}" for each in story.letters),
    ]
    if not parts:
        parts = ["nothing is known of it here" if story.is_empty() else "the journal notes no delivery"]
    found = [f"{head}: {', '.join(parts)}"]
    found += ["", *_table(story.records)] if story.records else []
    for letter in story.letters:
        found += ["", plain(f"dead letter: {letter.reason}: {letter.text}")]
        found += [plain(f"{INDENT}agent dead-letters {letter.instance} show {story.id}")]
    found += ["", *(f"not known: {plain(each)}" for each in story.unknown)] if story.unknown else []
    return found


def _table(records: Sequence[Record]) -> list[str]:
    rows = [("TIME", "QUEUE", "PID")]
    rows += [
        (_moment(each.at), plain(f"{each.queue}.{each.generation}".strip(".")) or "-", str(each.pid))
        for each in records
    ]
    heads = table(rows, {"PID"})
    margin = " " * (len(heads[0]) + 2)
    texts = ["SAYS", *(f"\n{INDENT}{margin}".join(plain_lines(each.text).splitlines()) for each in records)]
    return [f"{INDENT}{head}  {text}" for head, text in zip(heads, texts, strict=True)]


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().isoformat(" ", "milliseconds")
