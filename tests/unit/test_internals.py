"""What the library leans on inside Celery and its packages: all of it is there, and a mend that misses something is off."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import amqp
import celery
import pytest
from celery.worker.consumer import Consumer as StockConsumer

from celery_delivery import internals, mending
from celery_delivery.apps import create_app_from
from celery_delivery.errors import UnsupportedError
from celery_delivery.internals import unswitched
from celery_delivery.internals.mend import MEASURED, Mend
from celery_delivery.results.backends import _tolerant
from celery_delivery.sending.confirms import Confirms
from celery_tasks.tasks import SleepTask
from tests.unit.mends_in_effect import IN_EFFECT

pytestmark = pytest.mark.celery

LIBRARY = Path(mending.__file__).parent
SETTINGS = "celery_tasks.celery_config"
EVERY_MEND = pytest.mark.parametrize("mend", internals.OPTIONAL, ids=lambda mend: mend.name)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    """What one test made of the installed packages is not true in the next."""
    mending.applies.cache_clear()
    mending.obstacle.cache_clear()
    yield
    mending.applies.cache_clear()
    mending.obstacle.cache_clear()
    _tolerant.cache_clear()  # classes that were made while a mend was off


@pytest.mark.parametrize(
    "mend",
    [*internals.REQUIRED_OF_OTHERS, *internals.OPTIONAL, unswitched.AGENT, unswitched.TESTING],
    ids=lambda mend: mend.name,
)
def test_all_that_a_mend_needs_is_in_the_installed_packages(mend: Mend) -> None:
    assert mending.obstacle(mend) is None


@pytest.mark.parametrize(
    "name",
    [
        "celery.no_such_module:Thing",
        "celery.worker.consumer.consumer:NoSuchConsumer",
        "celery.worker.consumer.consumer:Consumer.no_such_method",
        "kombu.asynchronous.hub:Hub.call_soon._no_such_attribute",
        "celery.app.base:Celery.producer_pool.no_such_attribute",
    ],
)
def test_a_name_that_is_gone_is_missed(name: str) -> None:
    assert mending.obstacle(Mend("a mend", (name,), "it is not mended")) == f"there is no {name}"


def test_a_function_that_something_has_wrapped_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    original = celery.Celery.send_task
    wrapped = functools.wraps(original)(lambda *args, **options: (args, options))
    monkeypatch.setattr(celery.Celery, "send_task", wrapped)
    assert mending._exists("celery.app.base:Celery.send_task.producer_or_acquire")
    assert not mending._exists("celery.app.base:Celery.send_task.no_such_name")


def test_a_function_that_something_has_put_in_the_place_of_celery_s_counts_as_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(celery.Celery, "send_task", lambda *args, **options: (args, options))
    assert mending._exists("celery.app.base:Celery.send_task.producer_or_acquire")


def test_a_method_that_is_renamed_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(StockConsumer, "on_connection_error_after_connected")
    assert not mending.applies(internals.worker.LOST_CONNECTION)


@EVERY_MEND
def test_a_mend_is_in_effect(mend: Mend) -> None:
    assert IN_EFFECT[mend.name]()


@EVERY_MEND
def test_a_mend_whose_name_is_gone_is_off_and_says_so_once(
    mend: Mend, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    exists, last = mending._exists, mending.needed(mend)[-1]
    monkeypatch.setattr(mending, "_exists", lambda name: name != last and exists(name))
    assert not IN_EFFECT[mend.name]()
    assert not IN_EFFECT[mend.name]()
    assert [
        record.getMessage() for record in caplog.records if record.getMessage().startswith(f"The mend '{mend.name}'")
    ] == [f"The mend {mend.name!r} is off, because there is no {last}: {mend.without}"]


@EVERY_MEND
@pytest.mark.parametrize("measured", [((1, 0), (1, 1)), ((99, 0), (99, 1))], ids=["newer", "older"])
def test_a_mend_is_off_on_a_release_that_was_not_measured(
    mend: Mend,
    measured: tuple[tuple[int, int], tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    package = mend.names[0].partition(".")[0]
    monkeypatch.setitem(MEASURED, package, measured)
    assert not IN_EFFECT[mend.name]()
    assert f"because {package} " in caplog.text


@pytest.mark.parametrize("package", ["celery", "kombu", "amqp"])
def test_an_app_that_could_not_confirm_is_refused(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURED, package, ((1, 0), (1, 1)))
    with pytest.raises(UnsupportedError, match=rf"the safe profile can't keep its promise, because {package} \d.*1\.0"):
        create_app_from([SleepTask], SETTINGS)


def test_the_article_s_profile_promises_nothing_and_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MEASURED, "amqp", ((1, 0), (1, 1)))
    create_app_from([SleepTask], "celery.app.defaults")


def test_a_channel_that_could_not_confirm_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    exists = mending._exists
    monkeypatch.setattr(mending, "_exists", lambda name: not name.endswith("confirm_select") and exists(name))
    with pytest.raises(UnsupportedError, match="there is no amqp.channel:Channel.confirm_select"):
        Confirms(amqp.Connection())


def test_the_library_asks_for_the_releases_that_were_measured() -> None:
    asked = tomllib.loads((LIBRARY / "pyproject.toml").read_text())["project"]["dependencies"]
    assert asked == [
        f"{package}>={'.'.join(map(str, first))},<{'.'.join(map(str, end))}"
        for package, (first, end) in MEASURED.items()
    ]


def test_what_is_private_to_others_is_named_in_one_module() -> None:
    """A private name that is neither the library's own nor in the table could be renamed without anybody noticing."""
    used, own = set(), set()
    for path in LIBRARY.rglob("*.py"):
        text = path.read_text()
        own |= set(
            re.findall(r"(?:def |self\.|^\s*|class )(_[a-z_]+)\b(?=\(|:| =|, )", text, re.MULTILINE | re.IGNORECASE)
        )
        used |= {
            node.attr
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__")
        }
    mends = (*internals.REQUIRED_OF_OTHERS, *internals.OPTIONAL, unswitched.AGENT, unswitched.TESTING)
    named = {re.split(r"[.:]", name.partition(" ")[0])[-1] for mend in mends for name in mend.names}
    assert used - own - named == {"_exit", "_current_frames"}  # of os and sys, whose docs have them
