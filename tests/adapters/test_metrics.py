"""What measures processes: it may hang at one of them, end, or not start, and whoever asks has an answer all the same."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from selectors import BaseSelector
from typing import Any

import pytest

from agent.guest.descendants import with_descendants
from agent.run import metrics
from agent.run.children import Children
from agent.run.metrics import Metrics, Samples
from agent.run.timers import Timers
from tests.adapters.loop import Facts, Loop

FAR = 3600.0  # seconds; no test takes so long

# A worker that has started a program from one of its threads.
WORKER = """
import subprocess, threading, time
def start():
    subprocess.Popen(["sleep", "600"])
    print("started", flush=True)
    time.sleep(600)
threading.Thread(target=start).start()
"""

# Measures all but one process, the one of the number that it is given, at which it hangs.
HANGS = """
import json, socket, sys, time
control = socket.socket(fileno=3)
while request := control.recv(262_144):
    for pid in json.loads(request):
        if pid == int(sys.argv[1]):
            time.sleep(600)
        control.send(json.dumps([[pid, 1000 + pid, 1.5, 1]]).encode())
"""
HELD_UP = 77

# The one that measures, which hangs at the process of the number that it is given.
HANGS_AT = """
import sys, time
from agent.run import sampler
measure = sampler.with_descendants
def hang(pid):
    if pid == int(sys.argv[1]):
        time.sleep(600)
    return measure(pid)
sampler.with_descendants = hang
sampler.main()
"""

Ask = Callable[..., Samples]


@pytest.fixture
def make(children: Children, selector: BaseSelector, timers: Timers, log: Facts) -> Iterator[Callable[..., Metrics]]:
    made = []

    def make(*program: str) -> Metrics:
        made.append(Metrics(children, selector, timers, log, *([program] if program else [])))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def hangs(make: Callable[..., Metrics]) -> Metrics:
    return make(sys.executable, "-c", HANGS, str(HELD_UP))


@pytest.fixture
def worker(children: Children) -> Iterator[int]:
    read_end, write_end = os.pipe()
    pid = children.spawn([sys.executable, "-c", WORKER], os.environ, {1: write_end}, lambda _: None)
    os.close(write_end)
    with open(read_end) as output:
        assert output.readline() == "started\n"
    yield pid
    children.kill(pid)


def answer(metrics: Metrics, loop: Loop, *pids: int) -> Samples:
    """Ask, and turn the loop until there is an answer."""
    answers: list[Samples] = []
    metrics.ask(pids, answers.append)
    return loop.until(lambda: answers)[0]


def answer_at_once(metrics: Metrics, *pids: int) -> Samples:
    """Ask, and have the answer without a turn of the loop."""
    answers: list[Samples] = []
    metrics.ask(pids, answers.append)
    (only,) = answers
    return only


def patient(monkeypatch: pytest.MonkeyPatch, **seconds: float) -> None:
    for name, value in {"WAIT": FAR, "STUCK": FAR, "IDLE": FAR, "FRESH": FAR, **seconds}.items():
        monkeypatch.setattr(metrics, name, value)


def test_a_process_is_measured_with_all_that_it_has_started(
    make: Callable[..., Metrics], loop: Loop, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    samples = answer(make(), loop, os.getpid(), worker)
    assert samples[worker].processes == 2
    assert samples[worker].memory > 1_000_000
    assert samples[os.getpid()].processes == 1  # the one that asks is measured alone
    assert samples[os.getpid()].cpu > 0


def test_who_is_gone_is_left_out(
    make: Callable[..., Metrics], loop: Loop, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    gone = subprocess.Popen(["true"])
    os.waitpid(gone.pid, 0)
    assert set(answer(make(), loop, gone.pid, worker)) == {worker}


def test_what_is_fresh_is_not_measured_again(hangs: Metrics, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    patient(monkeypatch)
    first = answer(hangs, loop, 1, 2)
    assert answer_at_once(hangs, 2, 1) == first
    assert set(answer_at_once(hangs, 2)) == {2}


def test_answers_of_many_do_not_wake_the_daemon_each_by_itself(
    make: Callable[..., Metrics], loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch)
    measuring = make()
    wakes: list[float] = []
    read = measuring._readable

    def woken() -> None:
        wakes.append(time.monotonic())
        read()

    monkeypatch.setattr(measuring, "_readable", woken)
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(60)]
    try:
        assert len(answer(measuring, loop, *(each.pid for each in sleepers))) == 60
    finally:
        for each in sleepers:
            each.kill()
            each.wait()
    assert len(wakes) < 20


def test_what_was_measured_before_it_hangs_is_told(
    make: Callable[..., Metrics], loop: Loop, worker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, STUCK=5.0)
    assert set(answer(make(sys.executable, "-c", HANGS_AT, "1"), loop, worker, os.getpid(), 1)) == {worker, os.getpid()}


def test_who_holds_the_sampler_up_costs_nobody_else_the_figures(
    hangs: Metrics, loop: Loop, log: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, WAIT=0.5, STUCK=0.6)
    answer(hangs, loop, HELD_UP, 1, 2)
    loop.until(lambda: log.of("sampler-stuck"))
    assert log.of("sampler-stuck") == [{"pid": HELD_UP}]
    patient(monkeypatch, WAIT=0.5)
    samples = answer(hangs, loop, HELD_UP, 1, 2)  # it is measured last now
    assert {pid: sample.memory for pid, sample in samples.items()} == {1: 1001, 2: 1002}


def test_who_asks_while_it_hangs_does_not_wait_again(
    hangs: Metrics, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, WAIT=0.5)
    assert set(answer(hangs, loop, 1, HELD_UP)) == {1}
    assert set(answer_at_once(hangs, 1, HELD_UP)) == {1}


def test_a_sampler_that_stands_still_is_replaced(
    make: Callable[..., Metrics], loop: Loop, worker: int, log: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, FRESH=0.0)
    sampler = make()
    answer(sampler, loop, worker)
    before: Any = sampler._sampler
    os.kill(before[0], signal.SIGSTOP)
    patient(monkeypatch, WAIT=0.01, STUCK=0.02, FRESH=0.0)
    answer(sampler, loop, worker)
    loop.until(lambda: log.of("sampler-stuck"))
    patient(monkeypatch, FRESH=0.0)
    assert set(answer(sampler, loop, worker)) == {worker}
    assert sampler._sampler != before


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_without_a_sampler_there_are_no_figures_and_there_is_an_answer(
    make: Callable[..., Metrics], loop: Loop, log: Facts, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    patient(monkeypatch)
    sampler = make(program)
    assert answer(sampler, loop, 1) == {}
    assert answer(sampler, loop, 1) == {}
    assert len(log.of("sampler-failed")) == 2


def test_a_sampler_that_nobody_asks_ends(
    hangs: Metrics, children: Children, loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient(monkeypatch, IDLE=0.01)
    answer(hangs, loop, 1)
    loop.until(lambda: not children._on_exit)


def test_what_a_thread_has_started_is_a_descendant(worker: int) -> None:
    assert len(with_descendants(worker)) == 2
