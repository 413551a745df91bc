"""The page about logs names exactly the events that the agent's code can log."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
WRITERS = {"fact", "trouble", "say"}  # the methods of a log, and the name by which one of the two is called


def logged(code: str) -> Iterator[str]:
    """Yield the events that some code logs."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", None))
            if name in WRITERS and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "CELERY_EVENT" and isinstance(value, ast.Constant):
                    yield str(value.value)


def test_the_page_about_logs_names_exactly_the_events_of_the_code() -> None:
    code = {event for path in (ROOT / "agent").rglob("*.py") for event in logged(path.read_text())}
    table = (ROOT / "docs/logs.md").read_text().partition("## The agent's events")[2]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    assert {event for row in rows for event in re.findall(r"`([a-z-]+)`", row)} - {"event"} == code
