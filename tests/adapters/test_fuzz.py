"""Garbage on every way into the daemon: it costs the peer that sent it, and a worker beside is supervised all the while.

`make fuzz` sends 100,000 inputs each way, and says with which seed a failure is seen again.
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.control.protocol import decode_answer, decode_request
from agent.errors import ProtocolError
from agent.guest.messages import decode
from agent.guest.scoreboard import Scoreboard, create
from tests.adapters.agents import Agent
from tests.adapters.garbage import datagram, page
from tests.waiting import wait_until

pytestmark = pytest.mark.fuzz


@pytest.fixture
def supervised(tmp_path: Path, request: pytest.FixtureRequest, seed: int) -> Iterator[Agent]:
    """An agent whose queue alpha is served by a worker that is as it should be, beside what the parameter says."""
    trouble = getattr(request, "param", "")
    agent = Agent(tmp_path, "alpha", "beta", FAKE_TROUBLE=trouble, FAKE_SEED=str(seed))
    agent.start()
    yield agent
    agent.close()
    assert "agent-fault" not in agent.log.read_text()


def assert_alpha_was_left_alone(agent: Agent) -> None:
    """Fail unless the daemon lives, and alpha has the worker that it had from the start, of which its pulse is heard."""
    assert agent.is_running()
    alpha = wait_until(lambda: agent.queues().get("alpha"), 30)
    assert alpha is not None
    assert (alpha["generation"], alpha["restarts"], alpha["consuming"]) == (1, 0, True)


def test_each_decoder_takes_what_it_can_use_and_refuses_the_rest(count: int, seed: int) -> None:
    chance = random.Random(seed)
    memory = create()
    board = Scoreboard(memory)
    try:
        for number in range(count):
            what = datagram(chance)
            for decoder, refusal in (
                (decode, ValueError),
                (decode_request, ProtocolError),
                (decode_answer, ProtocolError),
            ):
                try:
                    decoder(what)
                except refusal:
                    pass
                except BaseException as error:
                    raise AssertionError(
                        f"{decoder.__name__}, input {number} of seed {seed}: {what[:200]!r}"
                    ) from error
            os.pwrite(memory, page(chance), 0)
            try:
                board.read()
            except BaseException as error:
                raise AssertionError(
                    f"scoreboard, input {number} of seed {seed}: {os.pread(memory, 200, 0)!r}"
                ) from error
    finally:
        board.close()
        os.close(memory)


@pytest.mark.parametrize("supervised", ["beta=reports", "beta=pages"], indirect=True)
def test_a_worker_that_writes_garbage_costs_nobody_else(supervised: Agent, count: int) -> None:
    supervised.wait_until_consuming()
    for _ in range(max(20, count // 1000)):
        supervised.status()
    assert_alpha_was_left_alone(supervised)


def test_a_client_that_writes_garbage_costs_nobody_else(supervised: Agent, count: int, seed: int) -> None:
    supervised.wait_until_consuming()
    chance = random.Random(seed)
    for _ in range(count):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(supervised.socket))
            try:
                client.sendall(datagram(chance) + chance.choice((b"\n", b"", b"\n" * 5)))
            except ConnectionError:  # refused while it was still talking
                pass
    assert_alpha_was_left_alone(supervised)


@pytest.mark.parametrize("supervised", ["template=messages"], indirect=True)
def test_a_template_that_writes_garbage_is_replaced_and_its_workers_live_on(supervised: Agent) -> None:
    supervised.wait_until_consuming()
    wait_until(lambda: supervised.log.read_text().count("template-prepared") == 2, 30, "there is another template")
    assert "can't be understood" in supervised.log.read_text()
    assert_alpha_was_left_alone(supervised)
