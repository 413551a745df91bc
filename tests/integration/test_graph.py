"""`agent graph`: of instances that run, of those that don't, and of what nodes have written down."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from agent.errors import FAILURE, NO_SUCH_INSTANCE
from tests.node import Node


def test_a_running_instance_is_drawn_in_each_form(node: Node, tmp_path: Path) -> None:
    node.configure_pools({"alpha": "prefork", "beta": "solo"})
    node.start()
    node.wait_until_consuming()
    shown = node.run("graph")
    assert shown.returncode == 0, shown.stderr
    assert "exchange alpha ─▶ queue alpha" in shown.stdout
    assert "─▶ prefork" in shown.stdout
    assert "─▶ Alpha" in shown.stdout
    assert "dead letters beta.dead" in shown.stdout
    for name, begin in (("graph.svg", "<svg"), ("graph.mmd", "flowchart LR"), ("graph.txt", "broker ")):
        assert node.run("graph", "magic", "--output", str(tmp_path / name)).returncode == 0
        assert (tmp_path / name).read_text().startswith(begin)
    assert ET.fromstring((tmp_path / "graph.svg").read_text()).tag.endswith("svg")


def test_files_of_several_nodes_are_one_graph(alpha: Node, tmp_path: Path) -> None:
    alpha.start()
    alpha.wait_until_consuming()
    written = alpha.run("status", "--json").stdout
    broker = json.loads(written)["instances"][0]["broker"]
    for name in ("node1", "node2"):
        (tmp_path / f"{name}.json").write_text(written.replace(broker, "amqp://shop:**@broker.example//"))
    shown = alpha.run("graph", "--from", str(tmp_path / "node1.json"), str(tmp_path / "node2.json"))
    assert shown.stdout.count("queue alpha") == 1
    assert "magic on node1, pid " in shown.stdout
    assert "magic on node2, pid " in shown.stdout


def test_an_instance_that_does_not_run_is_drawn_as_such(node: Node) -> None:
    node.configure("alpha")
    shown = node.run("graph", "magic")
    assert (shown.returncode, shown.stdout) == (0, "broker not known\n└─▶ □ not running  magic\n")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("no JSON", "can't be read"),
        ("[]", "is not what `agent status --json` writes"),
        ('{"instances": 1}', "is not what `agent status --json` writes"),
        ('{"instances": [{"instance": "magic"}]}', "is not what `agent status --json` writes"),
        ('{"schema": 1, "instance": "magic", "state": "running", "queues": 1}', "a status was expected"),
        ('{"schema": 2, "instance": "magic", "state": "running", "queues": []}', "the agent speaks status schema 2"),
    ],
)
def test_a_file_that_is_none_of_a_status_is_one_line(node: Node, tmp_path: Path, written: str, said: str) -> None:
    (tmp_path / "node.json").write_text(written)
    done = node.run("graph", "--from", str(tmp_path / "node.json"))
    assert (done.returncode, done.stdout) == (FAILURE, "")
    (line,) = done.stderr.splitlines()
    assert "node.json" in line
    assert said in line


def test_what_is_not_there_is_one_line(node: Node, tmp_path: Path) -> None:
    (tmp_path / "node.json").write_text('{"schema": 1, "instance": "magic", "state": "not running"}')
    for arguments, status in (
        (("graph", "other"), NO_SUCH_INSTANCE),
        (("graph",), NO_SUCH_INSTANCE),
        (("graph", "other", "--from", str(tmp_path / "node.json")), NO_SUCH_INSTANCE),
        (("graph", "--from", str(tmp_path / "none.json")), FAILURE),
        (("graph", "--from", str(tmp_path / "node.json"), "--output", str(tmp_path / "no" / "graph.svg")), FAILURE),
    ):
        done = node.run(*arguments)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1)


def test_the_version_is_told(node: Node) -> None:
    assert node.run("--version").stdout.startswith("agent 0.")


def test_of_a_hosted_app_a_topic_exchange_is_drawn_and_no_direct_one_past_which_celery_sends(node: Node) -> None:
    (node.code / "shop.py").write_text(
        "from celery import Celery\n"
        "from kombu import Exchange, Queue\n"
        f"app = Celery('shop', broker='amqp://guest:guest@{node.broker.host}:{node.broker.port}/{node.vhost}')\n"
        "audit = Exchange('audit', type='topic')\n"
        "app.conf.task_queues = [Queue('eu', audit, routing_key='eu.#'), Queue('us', audit, routing_key='us.#'),\n"
        "                        Queue('plain', Exchange('others'), routing_key='plain')]\n"
        "app.conf.task_default_queue = 'plain'\n"
        "@app.task\n"
        "def add(a, b): return a + b\n"
    )
    node.configure(TASKS="", APP="shop:app")
    node.start()
    node.wait_until_consuming()
    shown = node.run("graph").stdout
    assert "exchange audit\n    │   ├─▶ queue eu\n" in shown
    assert "─▶ queue plain\n" in shown
    assert "others" not in shown
    assert "dead letters" not in shown
