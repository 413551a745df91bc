"""The contracts that the rows of the user guide are played by: of two queues, `left` and `right`."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from celery_delivery.contract.typed import TypedTask


class AddTask(TypedTask):
    """Adds up numbers, and lists of them; fails for a negative one."""

    name = "add"
    queue = "left"

    def run(self, *numbers: Any) -> int:
        raise NotImplementedError


class LookTask(TypedTask):
    """Tells what the request has, by the names of its attributes."""

    name = "look"
    queue = "left"

    def run(self, *names: str) -> dict[str, Any]:
        raise NotImplementedError


class TryAgainTask(TypedTask):
    """Fails so many times, and asks for another try; tells how often it has been tried again."""

    name = "try_again"
    queue = "left"

    def run(self, times: int, options: dict[str, Any]) -> int:
        raise NotImplementedError


class EndTask(TypedTask):
    """Ends in one of the ways that are no return and no error."""

    name = "end"
    queue = "left"

    def run(self, how: str) -> str:
        raise NotImplementedError


class StepsTask(TypedTask):
    """Tells how far it is, and waits for a file at each step."""

    name = "steps"
    queue = "left"

    def run(self, folder: str) -> str:
        raise NotImplementedError


class AskTask(TypedTask):
    """Sends a task of the other queue and waits for its result, in one of several ways."""

    name = "ask"
    queue = "left"

    def run(self, how: str) -> Any:
        raise NotImplementedError


class LimitedTask(TypedTask):
    """Tells when it was started; two of them in a worker begin two seconds apart."""

    name = "limited"
    queue = "left"
    rate_limit = "30/m"

    def run(self) -> float:
        raise NotImplementedError


class Size(Enum):
    """How large a thing is."""

    SMALL = "s"
    LARGE = "l"


@dataclass(frozen=True)
class Thing:
    """What is bought."""

    name: str
    price: Decimal
    size: Size = Size.SMALL


class Parcel(BaseModel):
    """What is sent."""

    number: UUID
    things: list[str]


class BuyTask(TypedTask):
    """Buys things; tells of each when it comes."""

    name = "buy"
    queue = "right"

    def run(self, things: list[Thing], when: datetime) -> dict[datetime, set[Thing]]:
        raise NotImplementedError


class PackTask(TypedTask):
    """Puts a thing into a parcel."""

    name = "pack"
    queue = "right"

    def run(self, parcel: Parcel, thing: str) -> Parcel:
        raise NotImplementedError


class UnhostedTask(TypedTask):
    """Nobody hosts it."""

    name = "unhosted"

    def run(self) -> None:
        raise NotImplementedError


class TwiceTask(TypedTask):
    """Doubles a number."""

    name = "twice"
    queue = "right"

    def run(self, number: Any) -> Any:
        raise NotImplementedError


class ReplacedTask(TypedTask):
    """Has others take its place."""

    name = "replaced"
    queue = "right"

    def run(self, by: str) -> Any:
        raise NotImplementedError


class KnownErrorsTask(TypedTask):
    """Raises a kind of error until it has been tried so many times."""

    name = "known_errors"
    queue = "right"

    def run(self, kind: str, times: int) -> int:
        raise NotImplementedError


class HookedTask(TypedTask):
    """Succeeds, fails or tries again, and its hooks write down that they were called."""

    name = "hooked"
    queue = "right"

    def run(self, how: str, notes: str) -> str:
        raise NotImplementedError


class SilentTask(TypedTask):
    """Its result is asked for by nobody."""

    name = "silent"
    queue = "right"
    ignore_result = True

    def run(self, notes: str) -> str:
        raise NotImplementedError


class SlowTask(TypedTask):
    """Sleeps for longer than its soft limit allows; fails at its hard limit at once."""

    name = "slow"
    queue = "right"
    acks_on_timeout = True

    def run(self, seconds: float) -> str:
        raise NotImplementedError


class NoteTask(TypedTask):
    """Writes what it is given into a file."""

    name = "note"
    queue = "right"

    def run(self, value: Any, file: str) -> Any:
        raise NotImplementedError


class WaitsTask(TypedTask):
    """Is a coroutine."""

    name = "waits"
    queue = "right"

    def run(self, seconds: float) -> str:
        raise NotImplementedError


class RoutedTask(TypedTask):
    """Is sent where the setting `task_routes` says."""

    name = "routed.here"
    queue = "right"

    def run(self) -> str:
        raise NotImplementedError


class TickTask(TypedTask):
    """Is sent each second by the schedule."""

    name = "tick"
    queue = "right"

    def run(self, file: str) -> None:
        raise NotImplementedError


class DebuggedTask(TypedTask):
    """Stops in Celery's remote debugger."""

    name = "debugged"
    queue = "right"

    def run(self) -> str:
        raise NotImplementedError
