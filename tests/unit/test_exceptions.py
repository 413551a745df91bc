"""An exception that is stored as a result comes back with its class and its text, whatever its constructor wants."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import celery
import pytest
from celery.utils.serialization import get_pickleable_exception
from kombu.utils import json as kombu_json

from celery_delivery.results.backends import backend


class KeywordsOnly(ValueError):
    def __init__(self, *, code: int) -> None:
        super().__init__()
        self.code = code

    def __str__(self) -> str:
        return f"code {self.code}"


class MoreThanArgs(Exception):
    def __init__(self, text: str, other: object) -> None:
        super().__init__(text)
        self.other = other


class MakesText(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")


class Mute(Exception):
    def __str__(self) -> str:
        raise AttributeError("not set yet")


class Picky(Exception):
    def __new__(cls, *, code: int) -> Picky:
        made = super().__new__(cls)
        made.args = (f"code {code}",)
        return made

    def __init__(self, *, code: int) -> None: ...


def while_handled(error: BaseException, act: Callable[[BaseException], Any]) -> None:
    """Do something with an exception as Celery's tracer does: while it is handled."""
    try:
        raise error
    except type(error):
        act(error)


def raised(make: Callable[[], Any]) -> BaseException:
    """Return what a call raises, or the exception that it returns."""
    try:
        made: BaseException = make()
    except (LookupError, OSError, ValueError, subprocess.SubprocessError) as error:
        return error
    return made


RAISED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "a plain one": (lambda: ValueError("so"), ValueError, "so"),
    "a KeyError": (lambda: dict[str, int]()["x"], KeyError, "'x'"),
    "an OSError": (lambda: open("/nowhere"), FileNotFoundError, "[Errno 2] No such file or directory: '/nowhere'"),  # noqa: SIM115
    "one of a library": (lambda: json.loads("{"), json.JSONDecodeError, str(raised(lambda: json.loads("{")))),
    "that of a program": (
        lambda: subprocess.run(["false"], check=True),
        subprocess.CalledProcessError,
        "Command '['false']' returned non-zero exit status 1.",
    ),
    "keywords only": (lambda: KeywordsOnly(code=3), KeywordsOnly, "code 3"),
    "more than its args": (lambda: MoreThanArgs("so", lambda: None), MoreThanArgs, "so"),
    "text that its constructor makes": (lambda: MakesText(3), MakesText, "code 3"),
    "a __str__ that raises": (lambda: Mute("so"), Mute, "so"),
    "a __new__ that wants something else": (lambda: Picky(code=3), Exception, "code 3"),
    "a group": (lambda: ExceptionGroup("both", [ValueError("so")]), Exception, "both (1 sub-exception)"),
}


@pytest.mark.parametrize("store", ["rpc://", "redis://", "db+sqlite://"])
@pytest.mark.parametrize("what", RAISED)
def test_an_exception_comes_back_as_it_was(what: str, store: str) -> None:
    make, kind, text = RAISED[what]
    app = celery.Celery("nobody", broker="memory://", set_as_current=False)
    app.conf.result_backend = store
    results = backend(app)
    kept: list[Any] = []
    results.store_result = lambda _id, exc, *_args, **_options: kept.append(results.prepare_exception(exc))
    error = raised(make)
    while_handled(error, lambda handled: results.mark_as_failure("id", get_pickleable_exception(handled)))
    back = results.exception_to_python(kombu_json.loads(kombu_json.dumps(kept[0])))
    assert isinstance(back, kind)
    assert (type(back).__name__, type(back).__module__, str(back)) == (
        type(error).__name__,
        type(error).__module__,
        text,
    )


def test_what_a_stock_worker_has_stored_is_read() -> None:
    app = celery.Celery("nobody", broker="memory://", set_as_current=False)
    app.conf.result_backend = "rpc://"
    stored = {"exc_type": "JSONDecodeError", "exc_message": ["no value"], "exc_module": "json.decoder"}
    back = backend(app).exception_to_python(stored)
    assert isinstance(back, json.JSONDecodeError)
    assert str(back) == "no value"


def test_an_attribute_that_its_constructor_can_set_is_there() -> None:
    app = celery.Celery("nobody", broker="memory://", set_as_current=False)
    app.conf.result_backend = "rpc://"
    results = backend(app)
    back = results.exception_to_python(results.prepare_exception(FileNotFoundError(2, "not there", "/nowhere")))
    assert (back.errno, str(back)) == (2, "[Errno 2] not there: '/nowhere'")
