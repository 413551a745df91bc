"""What `agent check` says of periodic tasks: each fault in a line, with status 78."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.errors import CONFIGURATION
from tests.integration.schedules import LEASE, LEDGER
from tests.node import Node

ENTRIES = "'each': {'task': 'tick', 'schedule': 60, 'args': ['/x']}"


@pytest.fixture
def ticking(node: Node) -> Node:
    """An instance with one good entry, which does not run."""
    (node.code / "ledger.py").write_text(LEDGER)
    write(node, ENTRIES)
    node.configure(TASKS="ledger:Tick", SCHEDULE="entries:ENTRIES")
    return node


def write(node: Node, entries: str) -> None:
    text = f"import datetime\nfrom celery.schedules import crontab\nfrom ledger import Tick\nENTRIES = {{{entries}}}\n"
    (node.code / "entries.py").write_text(text)


def faults(node: Node) -> list[str]:
    done = node.run("check", "magic")
    assert done.returncode == CONFIGURATION, done.stdout
    return [line for line in done.stdout.splitlines() if "CELERY_AGENT_SCHEDULE" in line]


def test_a_good_schedule_is_told_with_the_queue_that_is_the_right_to_send(ticking: Node) -> None:
    crontabs = "'nightly': {'task': Tick, 'schedule': crontab(hour=3), 'kwargs': {'ledger': ''}, 'options': {'missed': 'skip'}}"
    write(ticking, f"{ENTRIES}, {crontabs}")
    done = ticking.run("check", "magic")
    assert done.returncode == 0, done.stdout
    assert f"entries:ENTRIES: one node at a time sends them: who has {LEASE} on the broker" in done.stdout


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("entries", "is 'entries', which names no entries. Write package.module:NAME, or app."),
        ("ledger:LEDGER", "names 'ledger:LEDGER', but module ledger has no LEDGER."),
    ],
)
def test_a_schedule_that_is_none_is_one_line(ticking: Node, schedule: str, said: str) -> None:
    ticking.configure(TASKS="ledger:Tick", SCHEDULE=schedule)
    (line,) = faults(ticking)
    assert said in line


def test_another_queue_of_the_lease_s_name_is_told(ticking: Node) -> None:
    with ticking.broker.connect(ticking.vhost) as connection:
        connection.channel().queue_declare(LEASE, durable=True, auto_delete=False)
    (line,) = faults(ticking)
    assert f"the broker has another queue '{LEASE}'" in line


def test_an_entry_that_is_wrong_does_not_start(ticking: Node) -> None:
    write(ticking, "'each': {'task': 'tick', 'schedule': 60, 'args': ['/x'], 'options': {'misse': 'skip'}}")
    (line,) = faults(ticking)
    assert "entry 'each': nothing is known of its option 'misse'. Did you mean 'missed'?" in line
    assert ticking.run("run", "magic").returncode == CONFIGURATION


def test_a_priority_that_the_broker_would_not_heed_is_told_and_stops_no_other_entry(
    ticking: Node, tmp_path: Path
) -> None:
    each = f"{{'task': 'tick', 'schedule': 1, 'args': [{str(tmp_path / 'ledger')!r}]"
    write(ticking, f"'first': {each}, 'options': {{'priority': 5}}}}, 'each': {each}}}")
    (line,) = faults(ticking)
    assert "entry 'first': its task has the priority 5, and RabbitMQ 3." in line
    ticking.start()
    ticking.wait_for("tick", lambda queue: queue["succeeded"] >= 2, "runs what is sent")
    assert "Entry first sends nothing at" in ticking.log.read_text()
    assert ticking.queue(LEASE)["restarts"] == 0
