"""The picture that the documentation shows is what the code draws."""

import json
from pathlib import Path

from agent.cli.draw.words import mark
from agent.cli.main import main

DOCS = Path(__file__).parents[2] / "docs"


def test_the_committed_picture_is_what_the_code_draws(tmp_path: Path) -> None:
    drawn = tmp_path / "graph.svg"
    assert main(["graph", "--from", str(DOCS / "graph.json"), "--output", str(drawn)]) == 0
    assert drawn.read_text() == (DOCS / "graph.svg").read_text(), (
        "`agent graph --from docs/graph.json --output docs/graph.svg`"
    )


def test_the_committed_status_is_of_a_broker_of_nobody() -> None:
    assert "broker.example" in json.loads((DOCS / "graph.json").read_text())["broker"]


def test_each_state_of_the_page_has_the_sign_that_the_page_says() -> None:
    signs = {"●": "good", "◆": "busy", "○": "passing", "▲": "bad", "□": "off"}
    rows = [
        line.strip("| ").split(" | ") for line in (DOCS / "graph.md").read_text().splitlines() if line[2:3] in signs
    ]
    assert len(rows) == len(signs)
    for sign, states in rows:
        for state in states.rpartition(": ")[2].split(", "):
            assert mark(state).tone.value == signs[sign] or state == "the instance does not run"
