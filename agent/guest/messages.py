"""What the daemon, its template and its workers tell one another: JSON datagrams on socket pairs (SOCK_SEQPACKET).

daemon -> template   Prepare once, then Fork for each process, with descriptors
template -> daemon   Prepared once, then an Answer to each Fork
worker -> daemon     Connecting and Consuming, whenever one of them has become true
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .spec import TemplateSpec, WorkerSpec, decode_template, decode_worker, encode_spec

LARGEST = 262_144  # bytes; a spec with its environment is far below


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
class Fork:
    """Start a process for this worker; the answer names the same queue and generation.

    Descriptors come with it: the report socket, the scoreboard and, where it has one, the way into its cgroup.
    """

    spec: WorkerSpec
    generation: int


@dataclass(frozen=True, slots=True)
class Forked:
    """The worker's process exists, as a child of the daemon; it runs on once this has been told."""

    pid: int


@dataclass(frozen=True, slots=True)
class ForkFailed:
    """There is no process: the template could not fork, did not answer, or is gone."""

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


Message = Prepare | Prepared | Fork | Answer | Connecting | Consuming


def encode(message: Message) -> bytes:
    """Return a message as a datagram."""
    match message:
        case Prepare(template, instance):
            body: dict[str, Any] = {"template": encode_spec(template), "instance": instance}
        case Prepared(seconds):
            body = {"seconds": seconds}
        case Fork(spec, generation):
            body = {"spec": encode_spec(spec), "generation": generation}
        case Answer(queue, generation, Forked(pid)):
            body = {"queue": queue, "generation": generation, "pid": pid}
        case Answer(queue, generation, ForkFailed(reason)):
            body = {"queue": queue, "generation": generation, "reason": reason}
        case Connecting() | Consuming():
            body = {}
    return json.dumps({"message": type(message).__name__, **body}).encode()


def decode(datagram: bytes) -> Message:
    """Return the message that `encode` made a datagram of; raises ValueError for anything else."""
    try:
        match json.loads(datagram):
            case {"message": "Prepare", "template": template, "instance": instance}:
                return Prepare(decode_template(template), instance)
            case {"message": "Prepared", "seconds": seconds}:
                return Prepared(seconds)
            case {"message": "Fork", "spec": spec, "generation": generation}:
                return Fork(decode_worker(spec), generation)
            case {"message": "Answer", "queue": str(queue), "generation": int(generation), "pid": int(pid)}:
                return Answer(queue, generation, Forked(pid))
            case {"message": "Answer", "queue": str(queue), "generation": int(generation), "reason": str(reason)}:
                return Answer(queue, generation, ForkFailed(reason))
            case {"message": "Connecting"}:
                return Connecting()
            case {"message": "Consuming"}:
                return Consuming()
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a message: {error!r} in {datagram[:200]!r}") from error
    raise ValueError(f"not a message: {datagram[:200]!r}")
