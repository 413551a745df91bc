"""Metrics of an instance at work: the numbers of the status and of the ledger, as Prometheus itself reads them; and alerts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.exposed import Samples, parsed
from tests.integration.scraping import scraped
from tests.node import ROOT, Node
from tests.waiting import wait_until

RULES = ROOT / "deploy" / "prometheus" / "celery-agent.rules.yml"
ALERTS = Path(__file__).with_name("alerts.yml")
# A ledger: of each task what became of it, as its caller was told.
LEDGER = """
from collections import Counter
given = [("fail", "x") if number % 4 == 0 else ("retry", 1) if number % 50 == 1 else ("return", 1) for number in range(200)]
sent = [worker.delay(*each) for each in given]
for each in sent:
    each.get(timeout=60, propagate=False)
print(json.dumps({**Counter(each.state for each in sent), "retries": given.count(("retry", 1))}))
"""


def values(found: Samples, name: str) -> dict[str, float]:
    """Return the values of a metric by their queues."""
    return {labels["queue_name"]: value for labels, value in found[name]}


def test_metrics_status_and_ledger_agree(node: Node) -> None:
    node.configure_pools({"alpha": "prefork", "beta": "threads"})
    node.start()
    node.wait_until_consuming()
    ledgers = node.produce_at_once(LEDGER, ["alpha", "beta"])
    for queue in ledgers:
        node.wait_for(queue, lambda seen: seen["waiting"] == seen["active_count"] == 0, "has done all")
    said = node.run("metrics", "magic")
    assert said.returncode == 0, said.stderr
    found = parsed(said.stdout)
    for status in node.status()["queues"]:
        queue, ledger = status["queue"], ledgers[status["queue"]]
        for metric, field, told in (
            ("celery_task_succeeded_total", "succeeded", ledger["SUCCESS"]),
            ("celery_task_failed_total", "failed", ledger["FAILURE"]),
            ("celery_task_retried_total", "retried", ledger["retries"]),
            ("celery_worker_tasks_active", "active_count", 0),
            ("celery_queue_length", "waiting", 0),
            ("celery_active_consumer_count", "consumers", 1),
            ("celery_worker_up", "consuming", 1),
            ("celery_agent_queue_restarts_total", "restarts", 0),
        ):
            assert (values(found, metric)[queue], status[field]) == (told, told), f"{metric} of {queue}"
    linted = subprocess.run(
        ["promtool", "check", "metrics"], input=said.stdout, capture_output=True, text=True, timeout=60, check=False
    )
    unusual = [line.split()[0] for line in (linted.stdout + linted.stderr).splitlines()]
    assert unusual == ["celery_active_consumer_count"]  # celery-exporter's name, which has the end of a histogram's


def test_prometheus_scrapes_an_instance(alpha: Node, tmp_path: Path) -> None:
    alpha.start()
    alpha.wait_until_consuming()
    with scraped(alpha, tmp_path, RULES) as prometheus:
        asked = prometheus.by_queue
        wait_until(lambda: asked("celery_worker_up") == {"alpha": "1", "beta": "1"}, 60, "it has scraped")
        assert asked('up{job="celery-agent"}') == {"": "1"}
        assert alpha.send("alpha", "return", 1) == 1
        done = {"alpha": "1", "beta": "0"}
        wait_until(lambda: asked("celery_task_succeeded_total") == done, 60, "it has seen a task")
        alpha.stop()
        wait_until(lambda: asked("celery_agent_up") == {"": "0"}, 60, "it has seen the agent end")
        wait_until(lambda: asked("celery_worker_up") == {}, 60, "nothing is told of its workers")
        pending = 'ALERTS{alertname="CeleryAgentDown"}'
        wait_until(lambda: asked(pending) == {"": "1"}, 60, "the alert is pending")


def test_each_alert_comes_when_it_has_to_and_not_before() -> None:
    for command in (["check", "rules", str(RULES)], ["test", "rules", str(ALERTS)]):
        done = subprocess.run(["promtool", *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_test_and_a_line_in_the_docs() -> None:
    names = [line.split()[-1] for line in RULES.read_text().splitlines() if "- alert:" in line]
    tested, told = ALERTS.read_text(), (ROOT / "docs" / "metrics.md").read_text()
    assert [name for name in names if f"alertname: {name}" not in tested or f"| `{name}` |" not in told] == []
