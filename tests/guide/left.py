"""This is what implements the contracts of the queue `left`; the instance `first` hosts it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from celery.exceptions import Ignore, Reject
from celery.result import allow_join_result
from celery.utils.log import get_task_logger

from celery_delivery.contract.typed import TypedTask
from tests.guide import hearing
from tests.guide.shared import tasks as contracts
from tests.waiting import wait_until

log = get_task_logger(__name__)
hearing.listen()


class Quarrel(Exception):
    """An error with a constructor of its own."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code


class Counting(TypedTask):
    """An abstract base: what it keeps on itself, the next run in the process finds."""

    runs = 0

    def counted(self) -> int:
        self.runs += 1
        return self.runs


class Add(contracts.AddTask):
    def run(self, *numbers: Any) -> int:
        flat = [each for given in numbers for each in (given if isinstance(given, list) else [given])]
        if min(flat) < 0:
            raise ValueError("negative")
        return sum(flat)


class Look(contracts.LookTask, Counting):
    def run(self, *names: str) -> dict[str, Any]:
        log.info("looked at by %s", get_task_logger(__name__).name)
        print(f"printed by {self.request.id}")
        asked = {"pid": os.getpid(), "runs": self.counted()}
        return {name: asked.get(name, getattr(self.request, name, "nothing")) for name in names}


class TryAgain(contracts.TryAgainTask):
    default_retry_delay = 1

    def run(self, times: int, options: dict[str, Any]) -> int:
        if self.request.retries < times:
            error = {"exc": Quarrel(7, "again")} if options.pop("with error", False) else {}
            raise self.retry(**error, **options)
        return int(self.request.retries)


class End(contracts.EndTask):
    throws = (KeyError,)

    def run(self, how: str) -> str:
        match how:
            case "ignore":
                raise Ignore
            case "ignore with a state":
                self.update_state(state="MINE", meta={"so": "it is"})
                raise Ignore
            case "reject":
                raise Reject("never", requeue=False)
            case "requeue":
                raise Reject("not now", requeue=True)
            case "expected":
                raise KeyError("as expected")
            case "own constructor":
                raise Quarrel(42, "never")
            case "exit":
                raise SystemExit(3)
        return how


class Steps(contracts.StepsTask):
    track_started = True

    def run(self, folder: str) -> str:
        wait_until((Path(folder) / "begin").exists, 60)
        for percent in (50, 90):
            self.update_state(state="PROGRESS", meta={"percent": percent})
            wait_until((Path(folder) / str(percent)).exists, 60)
        return "done"


class Ask(contracts.AskTask):
    def run(self, how: str) -> Any:
        sent = self.app.signature("twice", (4,)).delay()
        match how:
            case "plainly":
                return sent.get(timeout=30)
            case "allowed":
                with allow_join_result():
                    return sent.get(timeout=30)
            case "by option":
                return sent.get(timeout=30, disable_sync_subtasks=False)
        return sent.id


class Limited(contracts.LimitedTask):
    def run(self) -> float:
        return time.time()


TASKS = (Add, Look, TryAgain, End, Steps, Ask, Limited)
