"""Workflows between queues while workers die, while nobody hosts a step, and where a right is missing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests import administration
from tests.integration.workflows import instances, outcomes, prepared, produce, started
from tests.node import Node
from tests.rabbitmq import RabbitMQ
from tests.redis import Redis
from tests.waiting import wait_until

SENT = """
from celery import chain
from celery_tasks.tasks import AddTask
app, add = create_worker_from(AddTask)
twice, negate = app.signature("twice"), app.signature("negate")
"""
MANY = f"""{SENT}
sent = [chain(add.s(number), twice, negate).delay() for number in range(1000, 1000 + CHAINS)]
print(json.dumps([result.get(timeout=1800) for result in sent]))"""
# In the code of instances: each step that begins is written down, with its id.
LEDGER = """
from celery.signals import task_prerun
@task_prerun.connect(weak=False)
def note(task_id, task, **_):
    with open({ledger!r}, "a") as file:
        file.write(task.request.root_id + " " + task.name + " " + task_id + "\\n")
"""


@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_every_chain_ends_while_workers_are_killed(
    broker: RabbitMQ, tmp_path: Path, pool: str, pytestconfig: pytest.Config, measured: Callable[[str], None]
) -> None:
    """None forks: a step that was delivered again runs under its id, and each chain has three ids at all."""
    chains, ledger = pytestconfig.getoption("--chains"), tmp_path / "ledger"
    rounds, killed = max(3, chains // 200), 0
    with prepared(tmp_path, broker, pool) as nodes:
        first, second = nodes
        for node in nodes:
            with (node.code / "flows.py").open("a") as file:
                file.write(LEDGER.format(ledger=str(ledger)))
            node.start()
        for node in nodes:
            node.wait_until_consuming()
        with started(first, MANY.replace("CHAINS", str(chains))) as producer:
            for _ in range(rounds):
                for node, queue in ((first, "add"), (second, "twice"), (second, "negate")):
                    killed += kill(node, queue, chains // (6 * rounds), producer)
            out, errors = producer.communicate(timeout=1800)
        assert producer.returncode == 0, errors
        assert killed >= 3
        assert json.loads(out) == [-2 * number for number in range(1000, 1000 + chains)]
        for queue in ("add", "twice", "negate"):
            assert broker.messages(queue, first.vhost) == 0, queue
            assert broker.messages(f"{queue}.dead", first.vhost) == 0, queue
    runs = Counter(tuple(line.split()) for line in ledger.read_text().splitlines())
    steps = Counter((chain, name) for chain, name, _ in runs)
    assert set(steps.values()) == {1}
    assert len(steps) == 3 * chains
    twice = runs.total() - len(runs)
    measured(f"{chains} chains on {pool}, {killed} workers killed: of {len(runs)} steps {twice} ran twice")


def kill(node: Node, queue: str, at_least: int, producer: subprocess.Popen[str]) -> bool:
    """Kill the worker of a queue once it consumes and has done so many more tasks; False where the producer ended before."""
    before = node.queue(queue)["succeeded"]

    def pid() -> int | None:
        found = node.queue(queue)
        return found["pid"] if found["state"] == "consuming" and found["succeeded"] >= before + at_least else None

    found = wait_until(lambda: pid() or producer.poll() is not None, 240, f"{queue} has done {at_least}")
    if producer.poll() is not None:
        return False
    with suppress(ProcessLookupError):
        os.kill(found, signal.SIGKILL)
    return True


def test_a_step_that_nobody_hosts_yet_waits_and_the_chain_goes_on_when_somebody_does(
    broker: RabbitMQ, tmp_path: Path
) -> None:
    with instances(tmp_path, broker, "threads") as (first, second):
        code = f"""{SENT}
note = app.signature("note", kwargs={{"file": {str(tmp_path / "note")!r}}})
chain(add.s(1), app.signature("unhosted"), note).delay()
print("null")"""
        produce(first, code)
        wait_until(lambda: broker.messages("unhosted", first.vhost) == 1, 60, "the step waits")
        text = second.env_file.read_text()
        second.env_file.write_text(text.replace("flows:Twice,", "flows:Twice,flows:Unhosted,"))
        assert second.run("reload", second.instance).returncode == 0
        wait_until((tmp_path / "note").exists, 60, "the chain has ended")
        assert (tmp_path / "note").read_text() == "[1]"


def test_a_worker_passes_on_what_only_newer_contracts_name(broker: RabbitMQ, tmp_path: Path) -> None:
    """Its steps, callbacks, what it retries and what it replaces itself by."""
    with prepared(tmp_path, broker, "threads") as nodes:
        first, second = nodes
        (first.code / "celery_tasks" / "more.py").unlink()
        flows = first.code / "flows.py"
        lines = flows.read_text().replace("NegateTask", "TwiceTask").splitlines()
        flows.write_text("\n".join(line for line in lines if not line.startswith("from celery_tasks.more")))
        first.env_file.write_text(first.env_file.read_text().replace("flows:Add", "flows:Add,flows:Twice"))
        second.env_file.write_text(second.env_file.read_text().replace("flows:Twice,", ""))
        for node in nodes:
            node.start()
        for node in nodes:
            node.wait_until_consuming()
        forms = {
            "get(chain(s('add', 1), s('negate')).delay())": -1,
            "get(chain(s('add', 1), s('negate').set(countdown=1)).delay())": -1,
            "get(chain(s('twice', 40), s('negate')).delay())": -80,
            "get(chain(s('twice', 50), s('negate')).delay())": -100,
        }
        assert outcomes(second, *forms) == forms


@pytest.mark.parametrize("may_send", [True, False])
def test_a_node_sends_to_queues_of_others_as_its_rights_say(
    broker: RabbitMQ, tmp_path: Path, redis_server: Redis, may_send: bool
) -> None:
    settings = {"CELERY_TASKS_DECLARE": "0", "CELERY_TASKS_RESULTS": redis_server.url}
    with prepared(tmp_path, broker, "threads", **settings) as nodes:
        for node in nodes:
            declare(node, f"{node.instance}-{node.vhost}", "twice" if may_send and node.instance == "first" else "")
            node.start()
        for node in nodes:
            node.wait_until_consuming()
        first = nodes[0]
        first.variables |= {"RABBITMQ_USER": f"producer-{first.vhost}", "RABBITMQ_PWD": "secret"}
        for countdown in (0, 1):
            told = outcomes(first, f"get(chain(s('add', 1), s('twice').set(countdown={countdown})).delay())")
            (text,) = told.values()
            if may_send:
                assert text == 2
            else:
                assert "task twice[" in text
                assert "ACCESS_REFUSED" in text
                assert "For tasks of an agent's instance name it there, CELERY_AGENT_SENDS=twice, and give" in text
                assert "\n" not in text
        for name in ("first", "second", "producer"):
            administration.delete_user(broker, f"{name}-{first.vhost}")


def declare(node: Node, user: str, sends: str) -> None:
    """Have a node work as a user of its own, with the rights that `agent topology` gives, and so a producer."""
    password = node.config / "password"
    password.write_text("secret\n")
    node.variables |= {"RABBITMQ_USER": user, "RABBITMQ_PWD": "secret"}
    lines = {"RABBITMQ_USER": user, "RABBITMQ_PWD": "secret", "CELERY_AGENT_SENDS": sends}
    kept = [line for line in node.env_file.read_text().splitlines() if line.partition("=")[0] not in lines]
    node.env_file.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in lines.items())]) + "\n")
    producer = f"producer-{node.vhost}"
    files = [f"--password-file={each}={password}" for each in (user, producer)]
    done = node.run("topology", node.instance, "--definitions", f"--producer={producer}", *files)
    assert done.returncode == 0, done.stderr
    path = node.config / "definitions.json"
    definitions = json.loads(done.stdout)
    if (
        node.instance == "second"
    ):  # a user's rights in a vhost are replaced as a whole, and the first instance's are enough
        for kind in ("permissions", "topic_permissions"):
            definitions[kind] = [each for each in definitions[kind] if each["user"] != producer]
    path.write_text(json.dumps(definitions))
    node.broker.control("import_definitions", str(path))
