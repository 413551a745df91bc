"""The fork server with a template that is a real process: one that fails is replaced, and every request is answered once."""

import gc
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from selectors import BaseSelector

import pytest

from agent.guest.messages import Answer, Fork, Forked, ForkFailed
from agent.guest.spec import TemplateSpec
from agent.run.children import Children
from agent.run.forkserver import ForkServer
from agent.run.links import Ends
from agent.run.timers import Timers
from tests.adapters.loop import Facts, Loop
from tests.unit.specs import SPEC
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SOON = 1.0  # seconds; a deadline that a template can't keep when it is stopped


class Server:
    """A fork server, what it has answered, and the templates that it may use."""

    def __init__(self, folder: Path, loop: Loop, children: Children, selector: BaseSelector, timers: Timers) -> None:
        self.answers: list[Answer] = []
        self.log = Facts()
        self.children = children
        self._loop = loop
        self._interpreter = folder / "python"
        self._interpreter.write_text(f"#!/bin/sh\nexec {sys.executable} {Path(__file__).parent}/fake_template.py\n")
        self._interpreter.chmod(0o755)
        self._parts = (children, selector, timers, self.log)
        self.server = self.new()

    def new(self, prepare_deadline: float = 60.0, answer_deadline: float = 60.0) -> ForkServer:
        """Go on with another fork server, of other deadlines."""
        self.server = ForkServer(*self._parts, self.answered, prepare_deadline, answer_deadline)
        return self.server

    def answered(self, answer: Answer) -> None:
        self.answers.append(answer)

    def spec(self, fault: str = "") -> TemplateSpec:
        """Return a template that has this fault."""
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "FAKE": fault}
        return TemplateSpec(str(self._interpreter), environment=tuple(environment.items()))

    def ask(self, queue: str, generation: int = 1) -> None:
        """Request a fork, with descriptors that are open."""
        self.server.request(Fork(replace(SPEC, queue=queue), generation), ends())

    def wait_prepared(self, times: int = 1) -> int:
        """Return the newest template's pid, once so many have said that they are prepared."""
        self._loop.until(lambda: len(self.log.of("template-prepared")) == times, what=f"{times} templates")
        return self.pid()

    def pid(self) -> int:
        template = self.server._template
        assert template is not None
        return template.pid

    def wait_answer(self, queue: str, generation: int = 1) -> Forked | ForkFailed:
        """Return the one answer to a request."""

        def found() -> list[Answer]:
            return [each for each in self.answers if (each.queue, each.generation) == (queue, generation)]

        (answer,) = self._loop.until(found, what=f"an answer for {queue} {generation}")
        return answer.outcome


@pytest.fixture
def forks(tmp_path: Path, loop: Loop, children: Children, selector: BaseSelector, timers: Timers) -> Iterator[Server]:
    forks = Server(tmp_path, loop, children, selector, timers)
    yield forks
    forks.server.close()


def ends() -> Ends:
    """Return descriptors that are open, as a worker's ends."""
    return Ends(*(os.open(os.devnull, os.O_RDONLY) for _ in range(3)))


def descriptors() -> set[str]:
    gc.collect()  # what other tests have left may hold some
    return set(os.listdir("/proc/self/fd"))


def test_a_request_waits_for_the_template_and_is_answered_with_a_child_of_ours(forks: Server) -> None:
    forks.server.use(forks.spec())
    forks.ask("a")
    outcome = forks.wait_answer("a")
    assert isinstance(outcome, Forked)
    assert forks.children.adopt(outcome.pid, lambda status: None)


def test_a_newer_request_of_a_queue_replaces_one_that_waits(forks: Server) -> None:
    forks.ask("a", 1)
    given_up = forks.server.request(Fork(replace(SPEC, queue="a"), 2), ends())
    assert [fork.generation for fork in given_up] == [1]
    forks.server.use(forks.spec())
    assert isinstance(forks.wait_answer("a", 2), Forked)
    assert len(forks.answers) == 1


def test_a_template_of_the_same_spec_stays(forks: Server) -> None:
    forks.server.use(forks.spec())
    pid = forks.wait_prepared()
    forks.server.use(forks.spec())
    assert forks.pid() == pid


def test_a_template_that_was_killed_is_replaced_and_serves(forks: Server) -> None:
    forks.server.use(forks.spec())
    os.kill(forks.wait_prepared(), signal.SIGKILL)
    forks.wait_prepared(2)
    forks.ask("a")
    assert isinstance(forks.wait_answer("a"), Forked)


def test_a_request_between_the_end_of_a_template_and_its_exit_is_served_by_the_next(forks: Server, loop: Loop) -> None:
    forks.server.use(forks.spec())
    pid = forks.wait_prepared()
    loop.in_each_turn.remove(forks.children.reap)
    os.kill(pid, signal.SIGKILL)
    loop.until(lambda: not loop.is_watching(forks.server.read), what="the end of the template's socket")
    forks.ask("a")
    loop.in_each_turn.append(forks.children.reap)
    assert isinstance(forks.wait_answer("a"), Forked)


def test_a_template_that_has_closed_its_socket_is_replaced_although_it_lives(forks: Server) -> None:
    server = forks.new(answer_deadline=SOON)
    server.use(forks.spec("shut"))
    forks.wait_prepared(2)


def test_what_a_template_said_before_it_ended_with_requests_unread_counts(forks: Server, loop: Loop) -> None:
    forks.server.use(forks.spec("leave"))
    forks.wait_prepared()
    forks.ask("a")
    forks.ask("b")
    assert isinstance(forks.wait_answer("a"), Forked)
    assert forks.wait_answer("b") == ForkFailed("the template ended (exit status 0)")


def test_a_template_that_is_dropped_is_heard_first(forks: Server, loop: Loop) -> None:
    forks.server.use(forks.spec("leave"))
    pid = forks.wait_prepared()
    forks.ask("a")
    forks.ask("b")
    wait_until(lambda: Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z", what="its end")
    forks.server.use(forks.spec())
    assert isinstance(forks.wait_answer("a"), Forked)
    assert forks.wait_answer("b") == ForkFailed("the template is replaced")


@pytest.mark.parametrize(("fault", "reason"), [("garble", "nested too deeply"), ("unasked", "answers nothing")])
def test_a_template_that_can_not_be_understood_is_replaced(forks: Server, loop: Loop, fault: str, reason: str) -> None:
    forks.server.use(forks.spec(fault))
    first = forks.pid()
    (given_up,) = loop.until(lambda: forks.log.of("template-given-up"))
    assert reason in given_up["reason"]
    assert not forks.answers
    loop.until(lambda: forks.server._template is not None and forks.pid() != first, what="another template")


def test_a_fault_in_what_is_called_back_is_not_the_templates(forks: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(answer: Answer) -> None:
        raise ValueError("current limit exceeds maximum limit")

    forks.server.use(forks.spec())
    pid = forks.wait_prepared()
    monkeypatch.setattr(forks.server, "_on_answer", fail)
    forks.ask("a")
    with pytest.raises(ValueError, match="current limit"):
        forks.wait_answer("a")
    monkeypatch.undo()
    forks.ask("a", 2)
    assert isinstance(forks.wait_answer("a", 2), Forked)
    assert forks.pid() == pid


def test_a_template_that_does_not_answer_in_time_is_replaced(forks: Server) -> None:
    server = forks.new(answer_deadline=SOON)
    server.use(forks.spec())
    os.kill(forks.wait_prepared(), signal.SIGSTOP)
    forks.ask("a")
    assert forks.wait_answer("a") == ForkFailed("the template did not answer for 1 s")
    forks.wait_prepared(2)
    forks.ask("a", 2)
    assert isinstance(forks.wait_answer("a", 2), Forked)


def test_a_template_that_has_nothing_to_answer_may_be_silent(forks: Server, loop: Loop, timers: Timers) -> None:
    server = forks.new(prepare_deadline=SOON, answer_deadline=SOON)
    server.use(forks.spec())
    forks.wait_prepared()
    forks.ask("a")
    forks.wait_answer("a")
    assert timers.next() is None


def test_a_template_that_does_not_answer_leaves_no_descriptor_behind(forks: Server, loop: Loop) -> None:
    before = descriptors()
    server = forks.new(answer_deadline=SOON)
    server.use(forks.spec("mute"))
    for queue in ("a", "b", "c"):
        forks.ask(queue)
    loop.until(lambda: len(forks.answers) == 3)
    server.close()
    assert descriptors() == before


def test_a_template_that_never_gets_ready_is_replaced_and_what_waited_for_it_is_told_why(forks: Server) -> None:
    server = forks.new(prepare_deadline=SOON)
    server.use(forks.spec("hang"))
    first = forks.pid()
    forks.ask("a")
    assert forks.wait_answer("a") == ForkFailed("the template was not ready in 1 s")
    forks._loop.until(lambda: server._template is not None and forks.pid() != first, what="another template")


def test_what_waits_for_a_template_that_ends_before_it_is_ready_is_told_why(forks: Server) -> None:
    forks.server.use(forks.spec("die"))
    forks.ask("a")
    assert forks.wait_answer("a") == ForkFailed("the template ended (exit status 78)")


def test_a_template_that_can_not_use_its_configuration_is_not_started_again_at_once(
    forks: Server, loop: Loop, timers: Timers
) -> None:
    forks.server.use(forks.spec("die"))
    loop.until(lambda: forks.log.of("template-exited"))
    due = timers.next()
    assert due is not None
    assert due > time.monotonic() + 10


def test_what_waits_for_an_interpreter_that_can_not_be_run_is_told_why(forks: Server) -> None:
    forks.ask("a")
    forks.server.use(replace(forks.spec(), python="/nowhere/python"))
    outcome = forks.wait_answer("a")
    assert isinstance(outcome, ForkFailed)
    assert outcome.reason == "/nowhere/python can't be run"


def test_a_start_that_fails_leaves_no_descriptor_behind(forks: Server, timers: Timers) -> None:
    before = descriptors()
    forks.server.use(replace(forks.spec(), path=("/srv" * 100_000,)))
    assert descriptors() == before
    assert forks.server._template is None


def test_a_request_that_is_too_large_fails_by_itself(forks: Server) -> None:
    forks.server.use(forks.spec())
    forks.wait_prepared()
    large = replace(SPEC, queue="large", tasks=("mail.tasks:Send",) * 40_000)
    forks.server.request(Fork(large, 1), ends())
    forks.ask("a")
    assert not forks.answers  # nobody is called back while asking
    outcome = forks.wait_answer("large")
    assert isinstance(outcome, ForkFailed)
    assert "too long" in outcome.reason
    assert isinstance(forks.wait_answer("a"), Forked)


def test_more_requests_than_the_socket_holds_are_all_answered(forks: Server, loop: Loop) -> None:
    forks.server.use(forks.spec())
    os.kill(pid := forks.wait_prepared(), signal.SIGSTOP)
    queues = [f"queue{number}" for number in range(400)]
    for queue in queues:
        forks.ask(queue)
    assert forks.server._waiting
    os.kill(pid, signal.SIGCONT)
    loop.until(lambda: len(forks.answers) == len(queues), 60)
    assert {answer.queue for answer in forks.answers if isinstance(answer.outcome, Forked)} == set(queues)


def test_close_ends_the_template_and_gives_up_what_waits(forks: Server, loop: Loop) -> None:
    before = descriptors()
    forks.server.use(forks.spec("hang"))
    pid = forks.pid()
    forks.ask("a")
    forks.server.close()
    loop.until(lambda: pid not in forks.children, what="the template's end")
    assert descriptors() == before
    assert not forks.answers
