"""This is what implements the contracts of the queue `right`; the instance `second` hosts it."""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import chain, group
from celery.contrib import rdb
from celery.exceptions import SoftTimeLimitExceeded
from celery.worker.request import Request

from tests.guide import hearing
from tests.guide.shared import tasks as contracts

hearing.listen()


def loud(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a decorated `run`."""

    @functools.wraps(run)
    def called(*args: Any, **kwargs: Any) -> Any:
        return run(*args, **kwargs)

    return called


class Heard(Request):
    """A class of requests of a task's own."""

    def on_failure(self, *args: Any, **kwargs: Any) -> Any:
        hearing.hear("own request")
        return super().on_failure(*args, **kwargs)


class Twice(contracts.TwiceTask):
    @loud
    def run(self, number: Any) -> Any:
        return 2 * number


class Replaced(contracts.ReplacedTask):
    def run(self, by: str) -> Any:
        add, twice = self.app.signature("add"), self.app.signature("twice")
        match by:
            case "a task":
                raise self.replace(add.clone((1, 2)))
            case "a chain":
                raise self.replace(chain(add.clone((1, 2)), twice))
            case "a group":
                raise self.replace(group(add.clone((1, 2)), twice.clone((5,))))
        return by


class KnownErrors(contracts.KnownErrorsTask):
    Request = Heard
    autoretry_for = (LookupError,)
    dont_autoretry_for = (KeyError,)
    max_retries = 2
    retry_backoff = True
    retry_backoff_max = 1
    retry_jitter = False

    def run(self, kind: str, times: int) -> int:
        if self.request.retries < times:
            raise {"index": IndexError, "key": KeyError, "value": ValueError}[kind](kind)
        return int(self.request.retries)


class Hooked(contracts.HookedTask):
    def run(self, how: str, notes: str) -> str:
        if how == "retry" and not self.request.retries:
            raise self.retry(countdown=0)
        if how == "fail":
            raise ValueError(how)
        return how

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        self._note("before_start", args)

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        self._note(f"on_success {retval}", args)

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self._note(f"on_failure {exc}", args)

    def on_retry(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self._note("on_retry", args)

    def after_return(self, status: str, retval: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        self._note(f"after_return {status}", args)

    def _note(self, word: str, args: Any) -> None:
        hearing.note(word, args[1])


class Silent(contracts.SilentTask):
    def run(self, notes: str) -> str:
        hearing.note(str(self.request.id), notes)
        return "unheard"


class Slow(contracts.SlowTask):
    def run(self, seconds: float) -> str:
        try:
            time.sleep(seconds)
        except SoftTimeLimitExceeded:
            return "in time"
        return "slept"


class Note(contracts.NoteTask):
    def run(self, value: Any, file: str) -> Any:
        Path(f"{file}.new").write_text(str(value))
        os.rename(f"{file}.new", file)
        return value


class Waits(contracts.WaitsTask):
    async def run(self, seconds: float) -> str:  # type: ignore[override]
        await asyncio.sleep(seconds)
        return "waited"


class Buy(contracts.BuyTask):
    def run(self, things: list[contracts.Thing], when: datetime) -> dict[datetime, set[contracts.Thing]]:
        return {when: set(things)}


class Pack(contracts.PackTask):
    def run(self, parcel: contracts.Parcel, thing: str) -> contracts.Parcel:
        return parcel.model_copy(update={"things": [*parcel.things, thing]})


class Routed(contracts.RoutedTask):
    def run(self) -> str:
        return str(self.request.delivery_info["routing_key"])


class Tick(contracts.TickTask):
    def run(self, file: str) -> None:
        hearing.note(f"{self.request.id} {self.request.properties.get('priority')}", file)


class Debugged(contracts.DebuggedTask):
    def run(self) -> str:
        answer = "wrong"
        rdb.set_trace()
        return answer


TASKS = (Buy, Pack, Debugged, Twice, Replaced, KnownErrors, Hooked, Silent, Slow, Note, Waits, Routed, Tick)
