"""An exception that is stored as a result comes back with its class and its text, whatever its constructor wants."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
import types
from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

import celery
import pytest
from celery.utils.serialization import get_pickleable_exception
from kombu.utils import json as kombu_json

from celery_delivery.apps import create_app_from
from celery_delivery.results.backends import backend
from celery_tasks.tasks import SleepTask


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


class Counting(LookupError):
    made: ClassVar[list[str]] = []

    def __init__(self, path: str, *, tries: int) -> None:
        super().__init__(path)
        self.tries, self.lock, self.document = tries, object(), "x" * 100_000
        Counting.made.append(path)


class OwnOSError(OSError):
    __slots__ = ("volume",)

    def __init__(self, path: str) -> None:
        super().__init__(5, "broken", path)
        self.volume = Decimal("1.5")


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


@pytest.fixture
def results() -> Any:
    app = celery.Celery("nobody", broker="memory://", set_as_current=False)
    app.conf.result_backend = "rpc://"
    return backend(app)


def over_the_wire(results: Any, error: BaseException, **changes: Any) -> Any:
    """Return an exception as its caller gets it; `changes` are of what is stored."""
    stored = results.prepare_exception(error) | changes
    return results.exception_to_python(kombu_json.loads(kombu_json.dumps(stored)))


def test_what_a_stock_worker_has_stored_is_read(results: Any) -> None:
    stored = {"exc_type": "JSONDecodeError", "exc_message": ["no value"], "exc_module": "json.decoder"}
    back = results.exception_to_python(stored)
    assert isinstance(back, json.JSONDecodeError)
    assert str(back) == "no value"


def test_attributes_arrive_and_no_constructor_is_called_again(results: Any) -> None:
    error = Counting("/somewhere", tries=3)
    Counting.made.clear()
    back = over_the_wire(results, error)
    assert (type(back), back.args, back.tries) == (Counting, ("/somewhere",), 3)
    assert not hasattr(back, "lock")  # JSON has nothing for it
    assert not hasattr(back, "document")  # it is large
    assert Counting.made == []


def test_what_a_class_of_pythons_own_knows_beside_its_args_arrives(results: Any) -> None:
    back = over_the_wire(results, OwnOSError("/nowhere"))
    assert (type(back), back.errno, back.filename, back.volume) == (OwnOSError, 5, "/nowhere", Decimal("1.5"))
    back = over_the_wire(results, ImportError("gone", name="there", path="/there"))
    assert (type(back), back.name, back.path) == (ImportError, "there", "/there")
    back = over_the_wire(results, raised(b"\xff".decode))
    assert (type(back), back.object, back.reason) == (UnicodeDecodeError, b"\xff", "invalid start byte")


def test_an_exception_of_a_class_that_is_not_known_here_has_its_name_and_attributes(results: Any) -> None:
    back = over_the_wire(results, Counting("/somewhere", tries=3), exc_module="not.imported", exc_type="Outer.Counting")
    assert (type(back).__mro__[1], f"{type(back).__module__}.{type(back).__name__}") == (
        Exception,
        "not.imported.Counting",
    )
    assert (str(back), back.tries) == ("/somewhere", 3)


@pytest.mark.parametrize(
    "attributes", [7, {"args": 1, "__class__": 2, "with_traceback": 3, "filename": [], "__str__": 4}]
)
@pytest.mark.parametrize("kind", ["OSError", "BaseExceptionGroup", "Exception"])
def test_attributes_that_nobody_has_stored_so_do_no_harm(results: Any, attributes: Any, kind: str) -> None:
    stored = {"exc_type": kind, "exc_message": ["so"], "exc_module": "builtins", "exc_attributes": attributes}
    back = results.exception_to_python(stored)
    assert (type(back).__name__, back.args, str(back)) == (kind, ("so",), "so")
    assert back.with_traceback(None) is back


def test_the_workers_traceback_is_part_of_the_callers(results: Any) -> None:
    stored = results.prepare_exception(ValueError("so"))
    meta = {"status": "FAILURE", "result": stored, "traceback": "Traceback:\n  in charge\n"}
    back = results.meta_from_decoded(results.meta_from_decoded(meta))["result"]  # as Celery does for some stores
    assert (
        "".join(traceback.format_exception(back))
        == "ValueError: so\nThe worker's traceback:\nTraceback:\n  in charge\n"
    )


@pytest.mark.parametrize("store", ["rpc://", "file:///tmp", "cache+memory://", "redis://", "disabled://"])
def test_it_is_so_without_the_profile_safe_too(monkeypatch: pytest.MonkeyPatch, store: str) -> None:
    monkeypatch.setitem(sys.modules, "plain_settings", types.ModuleType("plain_settings"))
    vars(sys.modules["plain_settings"]).update(broker_url="memory://", result_backend=store)
    app = create_app_from([SleepTask], "plain_settings")
    back = over_the_wire(app.backend, Counting("/somewhere", tries=3))
    assert (type(back), back.tries) == (Counting, 3)
