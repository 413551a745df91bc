"""What the journal has of one task, read by `journalctl`: the task's own records, and those of workers that ended beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping

from agent.errors import AgentError
from agent.guest.lines import STDERR
from agent.guest.values import dataclass

TIMEOUT = 60.0  # seconds; a journal of many gigabytes on a slow disk
ENDINGS = ("worker-exited",)  # events of the agent that name the tasks that a worker was running
_RECEIVED = ("celery.worker.strategy", " received")  # the logger and the end of what Celery says of each delivery
_PARTLY = "not seeing messages"  # of journalctl's hint to who may read some of the journal only


@dataclass(frozen=True, slots=True)
class Record:
    """One message.

    at: seconds since 1970. instance, queue, generation: whose it is; empty where the record does not say.
    pid: of the process that wrote it; 0 where that is not known. task: the task's name, or empty.
    is_delivery: whether it says that a worker has received the task.
    """

    at: float
    instance: str
    queue: str
    generation: str
    pid: int
    task: str
    text: str
    is_delivery: bool


@dataclass(frozen=True, slots=True)
class Told:
    """Records in their order; `gap` says why there may be more, for people, and is empty where these are all."""

    records: tuple[Record, ...]
    gap: str = ""


def told_of(task_id: str) -> Told:
    """Return what the journal of this host has of a task; raises AgentError where it can't be read."""
    own, gap = _read(f"CELERY_TASK_ID={task_id}")
    # `--grep` looks at the few records alone that the fields before it have found by the journal's index.
    events = [f"CELERY_EVENT={event}" for event in ENDINGS]
    ended, _ = _read(f"--grep={re.escape(task_id)}", "--case-sensitive=true", *events)
    return Told(tuple(sorted((*own, *ended), key=lambda each: each.at)), gap)


def place_beside(pid: int) -> str:
    """Return what a process writes its log to where that is not the journal, such as a terminal or a file, as /proc names it.

    Empty where it is a socket, as the journal's is (systemd.exec(5), $JOURNAL_STREAM), and where this user may not know.
    """
    try:
        place = os.readlink(f"/proc/{pid}/fd/{STDERR}")
    except OSError:
        return ""
    return "" if place.startswith("socket:") else place


def parsed(lines: str) -> Iterator[Record]:
    """Yield the records that `journalctl --output=json` has printed; what is none is left out."""
    for line in lines.splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, Mapping):
            yield _record(fields)


def _read(*words: str) -> tuple[list[Record], str]:
    command = ["journalctl", "--no-pager", "--output=json", "--all", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=TIMEOUT, check=False, env={**os.environ, "LC_ALL": "C"}
        )
    except FileNotFoundError:
        raise AgentError("there is no journalctl on this host, and what the agent says goes elsewhere") from None
    except subprocess.TimeoutExpired:
        raise AgentError(f"the journal gave no answer in {TIMEOUT:g} s") from None
    except (OSError, ValueError) as error:
        raise AgentError(f"the journal can't be read: {error}") from error
    said = " ".join(done.stderr.decode(errors="replace").split())
    if done.returncode and said:  # status 1 without a word: nothing matches
        raise AgentError(f"the journal can't be read: {said}")
    gap = "this user may not read all of the journal: ask as root, or as a member of systemd-journal"
    return list(parsed(done.stdout.decode(errors="replace"))), gap if _PARTLY in said else ""


def _record(fields: Mapping[str, object]) -> Record:
    def text(name: str) -> str:
        value = fields.get(name)
        if isinstance(value, list):  # bytes that are no text, or a field that came more than once
            is_bytes = all(isinstance(each, int) and 0 <= each < 256 for each in value)
            return bytes(value).decode(errors="backslashreplace") if is_bytes else " ".join(map(str, value))
        return "" if value is None else str(value)

    def number(name: str) -> int:
        return int(text(name)) if text(name).isdecimal() else 0

    logger, end = _RECEIVED
    message = text("MESSAGE")
    return Record(
        number("__REALTIME_TIMESTAMP") / 1e6,
        text("CELERY_INSTANCE"),
        text("CELERY_QUEUE"),
        text("CELERY_GENERATION"),
        number("_PID"),
        text("CELERY_TASK_NAME"),
        message,
        text("LOGGER") == logger and message.endswith(end),
    )
