"""What task authors test with: a broker, its workers and their results inside a process, of which nothing stays."""

from __future__ import annotations

import os
import threading
import unittest
from collections.abc import Iterator
from typing import Any

import celery
import pytest
from celery.exceptions import NotRegistered
from celery.exceptions import TimeoutError as NoResult
from celery.worker import state
from kombu.exceptions import EncodeError

from celery_delivery import forks
from celery_delivery.apps import App, create_app_from
from celery_delivery.batch import Fate, send_all
from celery_delivery.errors import ContractError, DelayError, NotAccepted, TaskExit, UnknownTask
from celery_delivery.sending import pools
from celery_delivery.testing import End, StubBroker, check_contract
from celery_tasks import utils
from celery_tasks.tasks import SleepTask

pytestmark = pytest.mark.celery
SETTINGS = "celery_tasks.celery_config"


class WordsTask(celery.Task):
    """A contract of this test's own, as if it stood in the package that contracts are kept in."""

    name = "count_words"

    def run(self, text: str, *, minimum_length: int = 1) -> dict[str, int]: ...  # type: ignore[empty-body]


WordsTask.__module__ = WordsTask.run.__module__ = "shared.tasks"


class Words(WordsTask):
    """Does with a text what its first word says."""

    def run(self, text: str, *, minimum_length: int = 1) -> dict[str, int]:
        match text.split():
            case ["retry", *_] if self.request.retries < minimum_length:
                raise self.retry(countdown=60)
            case ["fail", *_]:
                raise ValueError(text)
            case ["reject", *_]:
                raise celery.exceptions.Reject(text)
            case ["requeue", *_]:
                raise celery.exceptions.Reject(text, requeue=True)
            case ["ignore", *_]:
                raise celery.exceptions.Ignore
            case ["exit", *_]:
                raise SystemExit(1)
        return {word: 1 for word in text.split() if len(word) >= minimum_length}


class Narrow(celery.Task):
    name = "count_words"

    def run(self, text: str) -> str:
        return text


@pytest.fixture
def broker() -> Iterator[StubBroker]:
    with StubBroker() as broker:
        yield broker


@pytest.fixture
def words() -> Any:
    return task_of(Words)


def task_of(task: type[celery.Task]) -> Any:
    return utils.create_worker_from(task)[1]


def ends(broker: StubBroker, task: Any) -> list[End]:
    return [outcome.end for outcome in broker.work(task.app)]


def test_a_task_lies_in_its_queue_as_it_was_sent(broker: StubBroker, words: Any) -> None:
    sent = words.delay("a bb", minimum_length=2)
    (message,) = broker.messages("count_words")
    assert (message.task, message.task_id) == ("count_words", sent.id)
    assert (message.args, message.kwargs, message.countdown) == (["a bb"], {"minimum_length": 2}, 0)
    assert message.size == len(message.raw.body)


def test_what_a_worker_returned_is_the_result(broker: StubBroker, words: Any) -> None:
    sent = words.delay("a bb", minimum_length=2)
    assert ends(broker, words) == [End.SUCCEEDED]
    assert (sent.get(), sent.state) == ({"bb": 1}, "SUCCESS")
    assert broker.messages("count_words") == []


def test_a_result_that_nobody_worked_for_is_not_waited_for(broker: StubBroker, words: Any) -> None:
    with pytest.raises(NoResult, match=r"has not ended: run it by broker.work\(app\)"):
        words.delay("a").get()


def test_wrong_arguments_are_not_sent(broker: StubBroker, words: Any) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'least'"):
        words.delay("a", least=2)
    assert broker.messages("count_words") == []


def test_what_is_not_json_is_not_sent(broker: StubBroker, words: Any) -> None:
    with pytest.raises(EncodeError):
        words.delay(object())


def test_a_time_that_is_too_far_away_is_refused(broker: StubBroker, words: Any) -> None:
    with pytest.raises(DelayError):
        words.apply_async(("a",), countdown=400 * 86_400)


def test_a_task_waits_for_its_time(broker: StubBroker, words: Any) -> None:
    words.apply_async(("later",), countdown=90)
    now = words.delay("now")
    assert [message.countdown for message in broker.messages("count_words")] == [0, 90]
    assert [outcome.message.task_id for outcome in broker.work(words.app)] == [now.id]
    broker.advance(90)
    assert ends(broker, words) == [End.SUCCEEDED]


def test_a_retry_is_the_same_task_again_after_its_countdown(broker: StubBroker, words: Any) -> None:
    sent = words.delay("retry", minimum_length=2)
    for _ in range(2):
        assert ends(broker, words) == [End.RETRIED]
        (message,) = broker.messages("count_words")
        assert (message.task_id, message.countdown) == (sent.id, 60)
        broker.advance(60)
    assert ends(broker, words) == [End.SUCCEEDED]
    assert sent.get() == {"retry": 1}


def test_a_task_that_raises_has_failed_and_is_gone(broker: StubBroker, words: Any) -> None:
    sent = words.delay("fail")
    (outcome,) = broker.work(words.app)
    assert (outcome.end, repr(outcome.error)) == (End.FAILED, "ValueError('fail')")
    assert not broker.messages("count_words")
    assert not broker.dead_letters("count_words")
    with pytest.raises(ValueError, match="fail"):
        sent.get()


def test_a_task_that_is_ignored_is_gone(broker: StubBroker, words: Any) -> None:
    words.delay("ignore")
    assert ends(broker, words) == [End.IGNORED]
    assert broker.messages("count_words") == []


def test_a_rejected_task_is_a_dead_letter(broker: StubBroker, words: Any) -> None:
    words.delay("reject")
    (outcome,) = broker.work(words.app)
    assert broker.dead_letters("count_words") == [outcome]
    assert (outcome.end, type(outcome.error)) == (End.DEAD, celery.exceptions.Reject)


def test_a_task_that_is_always_given_back_is_a_dead_letter_after_six_deliveries(broker: StubBroker, words: Any) -> None:
    words.delay("requeue")
    assert ends(broker, words) == [End.REQUEUED] * 5 + [End.DEAD]
    assert len(broker.dead_letters("count_words")) == 1


def test_a_name_that_the_worker_does_not_know_is_a_dead_letter(broker: StubBroker, words: Any) -> None:
    sent = words.app.send_task("count_wrds", ("a",), queue="count_words")
    assert ends(broker, words) == [End.DEAD]
    (letter,) = broker.dead_letters("count_words")
    assert "the worker of count_words has no task 'count_wrds'" in str(letter.error)
    with pytest.raises(NotRegistered):
        sent.get()


@pytest.mark.parametrize("name", ["celery.chord_unlock", "celery.map"])
def test_a_task_of_celery_that_names_no_other_goes_to_the_sender_s_queue(
    broker: StubBroker, words: Any, name: str
) -> None:
    words.app.send_task(name, kwargs={"x": 1})
    assert len(broker.messages("count_words")) == 1


def test_a_name_that_no_contract_has_is_refused_at_the_call(broker: StubBroker, words: Any) -> None:
    with pytest.raises(UnknownTask, match=r"There is no task 'count_wrds': .* Did you mean 'count_words'\?"):
        words.app.send_task("count_wrds", ("a",))
    assert ends(broker, words) == []


def test_a_task_of_another_queue_goes_there(broker: StubBroker, words: Any) -> None:
    words.app.send_task("sleep", (1,))
    assert [message.args for message in broker.messages("sleep")] == [[1]]


def test_arguments_that_the_worker_does_not_take_are_a_dead_letter(broker: StubBroker, words: Any) -> None:
    words.delay("a", minimum_length=2)
    assert [outcome.end for outcome in broker.work(create_app_from([Narrow], SETTINGS, contracts="nobody"))] == [
        End.DEAD
    ]
    (letter,) = broker.dead_letters("count_words")
    assert "can't be called with these arguments" in str(letter.error)


def test_a_task_that_exits_has_failed(broker: StubBroker, words: Any) -> None:
    result = words.delay("exit")
    assert ends(broker, words) == [End.FAILED]
    with pytest.raises(TaskExit, match=r"SystemExit\(1\)"):
        result.get()


def test_what_a_task_leads_to_is_run_too(broker: StubBroker, words: Any) -> None:
    words.apply_async(("a",), link=words.si("b"))
    assert ends(broker, words) == [End.SUCCEEDED] * 2


def test_each_app_works_on_its_own_queue(broker: StubBroker, words: Any) -> None:
    sleep = task_of(SleepTask)
    sleep.delay(0.0)
    words.delay("a")
    assert ends(broker, words) == [End.SUCCEEDED]
    assert [message.task for message in broker.messages("sleep")] == ["sleep"]


def test_a_broker_that_is_away_takes_nothing(broker: StubBroker, words: Any) -> None:
    broker.is_away = True
    with pytest.raises(NotAccepted, match=r"task count_words\[.*\] was not accepted: the broker is away") as refused:
        words.delay("a")
    assert refused.value.task_id is not None
    assert [sent.fate for sent in send_all([words.s("a")])] == [Fate.REFUSED]


def test_many_are_sent_at_once(broker: StubBroker, words: Any) -> None:
    sent = send_all(words.s(text) for text in "abc")
    assert [each.fate for each in sent] == [Fate.ACCEPTED] * 3
    assert [message.args for message in broker.messages("count_words")] == [["a"], ["b"], ["c"]]


def test_an_app_that_promises_nothing_has_a_stub_as_well(broker: StubBroker) -> None:
    app = create_app_from([Words], "celery.app.defaults")
    app.tasks["count_words"].delay("a")
    assert [outcome.end for outcome in broker.work(app)] == [End.SUCCEEDED]


def test_nothing_of_it_stays() -> None:
    with StubBroker():
        task_of(Words).delay("warm up: what is imported once stays")
    words = task_of(Words)
    before = left_behind(words)
    with StubBroker() as broker:
        result = words.delay("a")
        words.delay("fail")
        broker.work(words.app)
        assert result.get() == {"a": 1}
    assert left_behind(words) == before
    assert App.stub is None


def left_behind(task: Any) -> list[Any]:
    """Return what a broker could leave: in the process, in Celery, in the library, in a task."""
    celery_s = [state.active_requests, state.successful_requests, state.requests, state.total_count]
    ours = [pools._pools, forks._arranged]
    return [threading.enumerate(), sorted(os.listdir("/proc/self/fd")), task.__trace__, *map(list, (*celery_s, *ours))]


def test_one_within_another_gives_the_apps_back_to_it(broker: StubBroker, words: Any) -> None:
    with StubBroker() as inner:
        words.delay("a")
        assert len(inner.messages("count_words")) == 1
    words.delay("b")
    assert [message.args for message in broker.messages("count_words")] == [["b"]]


class WithUnittest(unittest.TestCase):
    def setUp(self) -> None:
        self.broker = self.enterContext(StubBroker())

    def test_a_task(self) -> None:
        words = task_of(Words)
        result = words.delay("a")
        self.broker.work(words.app)
        assert result.get() == {"a": 1}


def test_an_implementation_is_checked_against_its_contract() -> None:
    check_contract(Words)
    narrow = type("Narrow", (WordsTask,), {"run": Narrow.run, "__module__": __name__})
    with pytest.raises(ContractError, match="does not fit its contract shared.tasks:WordsTask"):
        check_contract(narrow)


@pytest.mark.parametrize("task", [Narrow, celery.Task])
def test_what_inherits_no_contract_keeps_none(task: type[celery.Task]) -> None:
    with pytest.raises(ContractError, match="inherits from no contract"):
        check_contract(task)
