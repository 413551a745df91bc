"""Traces by OpenTelemetry: from a producer through the agent to the task, by the code of docs/tracing.md."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dead_letters import bury, desk, task
from tests.node import ROOT, Node
from tests.truth import assert_well
from tests.waiting import wait_until

PAGE = (ROOT / "docs" / "tracing.md").read_text()
OTLP = "from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter"
TASKS = """
import celery, json, os, tracing

class Alpha(celery.Task):
    name = "alpha"
    def run(self, action="return"):
        if action.startswith("retry") and not self.request.retries:
            raise self.retry(countdown=1)
        if action.endswith("headers"):
            headers = {name: self.request.get(name) for name in ("traceparent", "tracestate", "baggage")}
            with open(os.path.join(os.path.dirname(__file__), "headers"), "a") as file:
                file.write(json.dumps(headers) + "\\n")
        return os.getpid()
"""
HEADERS = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "baggage": "userId=alice,serverNode=DF%2028",
}


@pytest.fixture
def spans(node: Node) -> Path:
    """The file that spans are exported to, by the code that the page shows, with another exporter."""
    file = node.code / "spans"
    found = re.search(r"```python\n# tracing.py[^\n]*\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    exporter = "from opentelemetry.sdk.trace.export import ConsoleSpanExporter"
    to_file = (
        f"ConsoleSpanExporter(out=open({str(file)!r}, 'a'), formatter=lambda span: span.to_json(indent=None) + '\\n')"
    )
    code = found[1].replace(OTLP, exporter).replace("OTLPSpanExporter()", to_file)
    (node.code / "tracing.py").write_text(code)
    (node.code / "greek.py").write_text(TASKS)
    return file


def exported(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def named(file: Path, name: str) -> list[dict[str, Any]]:
    return [span for span in exported(file) if span["name"] == name]


def send(node: Node, times: int, action: str = "return") -> list[Any]:
    return node.produce(  # type: ignore[no-any-return]
        "import tracing; tracing.start()\n"
        f"print(json.dumps([worker.delay({action!r}).get(timeout=60) for _ in range({times})]))",
        "alpha",
    )


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_each_task_s_span_belongs_to_its_producer_s_and_none_is_lost(node: Node, spans: Path, pool: str) -> None:
    of_pool = {"DEFAULTS__MAX_TASKS_PER_CHILD": "2"} if pool == "prefork" else {}
    node.configure("alpha", DEFAULTS__POOL=pool, **of_pool)
    node.start()
    node.wait_until_consuming()
    send(node, 3)
    send(node, 1, "retry")
    if of_pool:
        wait_until(lambda: len(named(spans, "run/alpha")) >= 4, what="the spans of the processes that were replaced")
    assert_well(node)
    assert node.stop() == 0
    sent = {span["context"]["span_id"]: span for span in named(spans, "apply_async/alpha")}
    run = named(spans, "run/alpha")
    assert (len(sent), len(run)) == (5, 5)  # the retry is sent by the worker, and run once more
    assert {span["parent_id"] for span in run} == set(sent)
    assert all(span["context"]["trace_id"] == sent[span["parent_id"]]["context"]["trace_id"] for span in run)
    assert len({span["context"]["trace_id"] for span in run}) == 4
    assert "starts threads" not in node.log.read_text()


def test_headers_of_a_trace_go_through_untouched(node: Node) -> None:
    noted = node.code / "headers"
    (node.code / "tracing.py").write_text("")
    (node.code / "greek.py").write_text(TASKS)
    node.configure("alpha", DEFAULTS__POOL="solo")
    letter = task("alpha", "headers", id="letter")
    letter.properties["application_headers"] |= HEADERS
    bury(node, "alpha", [letter])
    node.start()
    node.wait_until_consuming()
    desk(node, "replay", "letter")
    code = "print(json.dumps(worker.apply_async(({!r},), headers={!r}, countdown={!r}).get(timeout=60)))"
    for action, countdown in (("headers", None), ("headers", 2), ("retry headers", None)):
        node.produce(code.format(action, HEADERS, countdown), "alpha")
    wait_until(lambda: noted.exists() and noted.read_text().count("\n") == 4, what="all have run")
    assert [json.loads(line) for line in noted.read_text().splitlines()] == [HEADERS] * 4
    assert_well(node)
