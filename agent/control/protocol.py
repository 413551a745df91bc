"""What `agent …` commands and the daemon say to one another: one line of JSON each way, then the connection is closed.

request   {"request": "status"}      answer  {"status": {…}}                        see agent.decide.status_json
          with "look": false         a status by the last look at the queues: see agent.run.looks
request   {"request": "health"}      a status without what has to be measured
request   {"request": "reload"}      answer  {"reloaded": {"added": […], …}}        see agent.decide.plan.Difference
                                     or      {"error": {"message": "…", "exit_status": 78}}
"""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from typing import Any

from agent.decide.plan import Difference
from agent.decide.status import Status
from agent.decide.status_json import decode_status
from agent.errors import FAILURE, AgentError, ProtocolError
from agent.guest.decoding import parse, read
from agent.guest.values import dataclass

LONGEST_REQUEST = 65_536  # bytes
LONGEST_ANSWER = 16_777_216  # bytes; a status has some 1,000 for each queue, and 100 for each running task


class Request(Enum):
    """What can be asked of a daemon: a word, and whether it is to look. One of a former release always looks."""

    STATUS = ("status", True)
    FIGURES = ("status", False)
    HEALTH = ("health", True)
    RELOAD = ("reload", True)


@dataclass(frozen=True, slots=True)
class Refusal:
    """The daemon could not do what it was asked; in words for people, with the exit status that fits."""

    message: str
    exit_status: int


Answer = Status | Difference | Refusal
Encodable = str | Difference | Refusal  # a status as its text, see agent.decide.status_json


def encode_request(request: Request) -> bytes:
    """Return a request as a line."""
    word, look = request.value
    return _line({"request": word} if look else {"request": word, "look": False})


def decode_request(line: bytes) -> Request:
    """Return the request that a line holds; raises ProtocolError."""
    try:
        value = parse(line)
        return Request((value["request"], value.get("look") is not False))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        known = ", ".join(dict.fromkeys(word for word, _ in (each.value for each in Request)))
        raise ProtocolError(f"unknown request {line[:100]!r}; known: {known}") from error


def encode_answer(answer: Encodable) -> bytes:
    """Return an answer as a line."""
    match answer:
        case str():
            return f'{{"status": {answer}}}\n'.encode()
        case Difference():
            return _line({"reloaded": asdict(answer)})
        case Refusal():
            return _line({"error": asdict(answer)})


def decode_answer(line: bytes) -> Answer:
    """Return the answer that a line holds; raises ProtocolError."""
    try:
        match parse(line):
            case {"status": status}:
                return decode_status(status)
            case {"reloaded": {**change}}:
                return read(Difference, {"outdated": [], **change})  # a daemon of a former release says nothing of it
            case {"error": error}:
                return read(Refusal, error)
    except ValueError as error:
        raise ProtocolError(f"an answer was expected, not {line[:100]!r}") from error
    raise ProtocolError(f"an answer was expected, not {line[:100]!r}")


def refusal(error: AgentError) -> Refusal:
    """Return an error as an answer."""
    return Refusal(str(error), error.exit_status or FAILURE)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode() + b"\n"
