"""What the daemon, its template and its workers tell one another: JSON datagrams on socket pairs (SOCK_SEQPACKET).

daemon -> template   Prepare once, then Fork for each process, with descriptors
template -> daemon   Prepared once, then an Answer to each Fork
worker -> daemon     Connecting and Consuming, whenever one of them has become true; Grown once; Died at each death in its pool
watcher -> daemon    Connecting once, then Seen, whenever something has changed or waits; b"?" the other way: look soon
"""

from __future__ import annotations

import json
from dataclasses import asdict

from .decoding import parse, read
from .sight import News, Sight
from .spec import TemplateSpec, WorkerSpec
from .values import dataclass

LARGEST = 262_144  # bytes; a spec with its environment is far below
LARGEST_PID = 4_194_304  # PID_MAX_LIMIT of the kernel


@dataclass(frozen=True, slots=True)
class Prepare:
    """Import what the spec says, then say Prepared; `instance` is what log records are known by."""

    template: TemplateSpec
    instance: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """The template can fork; `seconds` is what the imports took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Suspect:
    """A task that ran when its process ended: how many ended so, and how they did, for people.

    was_alone: whether nothing else ran in one of them, so that this death is the task's own.
    """

    id: str
    deaths: int
    cause: str
    was_alone: bool


@dataclass(frozen=True, slots=True)
class Fork:
    """Start a process for this worker; the answer names the same queue and generation.

    suspects: of the queue, the least recent first. is_careful: whether a worker of it has ended before that nobody had told to.

    Descriptors come with it: the report socket, the scoreboard and, where it has one, the way into its cgroup.
    """

    spec: WorkerSpec
    generation: int
    suspects: tuple[Suspect, ...] = ()
    is_careful: bool = False


@dataclass(frozen=True, slots=True)
class Forked:
    """The worker's process exists, as a child of the daemon; it runs on once this has been told."""

    pid: int


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """There is no process: the template could not fork, did not answer, or is gone; `reason` is for people."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the Fork for this queue and generation."""

    queue: str
    generation: int
    outcome: Forked | ForkFailed


@dataclass(frozen=True, slots=True)
class Connecting:
    """The worker has loaded its tasks and is on its way to the broker, for the first time or again."""


@dataclass(frozen=True, slots=True)
class Consuming:
    """The broker has accepted the worker's consumer."""


@dataclass(frozen=True, slots=True)
class Grown:
    """The worker's processes hold more memory than they are to; so many bytes."""

    memory: int


@dataclass(frozen=True, slots=True)
class Died:
    """A process of the worker's pool has ended while it ran a task; the task's id, and how it ended, for people."""

    task: str
    cause: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the watcher has seen, of each app that it watches for; `news` is for the log."""

    sights: tuple[Sight, ...]
    news: tuple[News, ...] = ()


Message = Prepare | Prepared | Fork | Answer | Connecting | Consuming | Grown | Died | Seen
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Prepare, Prepared, Fork, Answer, Connecting, Consuming, Grown, Died, Seen)
}


def encode(message: Message) -> bytes:
    """Return a message as a datagram."""
    return json.dumps({"message": type(message).__name__, **asdict(message)}).encode()


def decode(datagram: bytes) -> Message:
    """Return the message that `encode` made a datagram of; raises ValueError for anything else."""
    try:
        return _message(parse(datagram))
    except ValueError as error:
        raise ValueError(f"not a message: {error}, in {datagram[:200]!r}") from error


def _message(value: object) -> Message:
    match value:
        case {"message": str(name)} if name in _KINDS:
            message = read(_KINDS[name], value)
        case _:
            raise ValueError("it has no name that is known")
    match message:
        case Answer(outcome=Forked(pid)) if not 0 < pid <= LARGEST_PID:
            raise ValueError(f"no process has the pid {pid}")
        case Answer(outcome=ForkFailed(reason)):
            reason.encode()  # it is shown to people, and half of a surrogate pair can't be
    return message
