"""The three forms of a graph: each can be read by what reads such, whoever has written the names in it."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli.draw.layout import layout
from agent.cli.draw.measure import cells
from agent.cli.draw.mermaid import mermaid
from agent.cli.draw.stacks import Sight, graph_of
from agent.cli.draw.svg import svg
from agent.cli.draw.text import LEAST, text
from tests.unit.drawings import ALL, FIVE, HOSTILE, KINDS, ONE, queue, sight

SPACE = "{http://www.w3.org/2000/svg}"
ELEMENTS = {f"{SPACE}{name}" for name in ("svg", "title", "style", "rect", "path", "text")}

# The part of Mermaid's grammar that is used; the real parser takes each of these lines.
TEXT = r'"(?:[^\W_]|[ .,:/_\-+→×·…]|#\d+;|<br>)*"'
NODE = rf"(?:\[{TEXT}\](?::::\w+)?|\[\({TEXT}\)\]|\(\[{TEXT}\]\)|\{{\{{{TEXT}\}}\}})"
MERMAID = re.compile(
    rf"flowchart LR| *(?:subgraph n\d+\[{TEXT}\]|direction LR|end|class n\d+ \w+|classDef \w+ \S+(?: \S+)?"
    rf"|n\d+{NODE}|n\d+ -\.?->(?:\|{TEXT}\|)? n\d+)|"
)


def as_svg(sights: tuple[Sight, ...]) -> str:
    return svg(layout(graph_of(sights)), "title")


def hostile(name: str) -> tuple[Sight, ...]:
    parts = queue(
        name, tasks=(name,), cause=name, pool=name, health=name, exchange=name, dead_letters=name, unseen=name
    )
    return (sight(parts, node=name, instance=name, broker=f"amqp://{name}", summary=name), Sight(name, name, name))


@pytest.mark.parametrize("name", sorted(ALL))
def test_each_form_is_well_formed(name: str) -> None:
    root = ET.fromstring(as_svg(ALL[name]))
    assert {each.tag for each in root.iter()} <= ELEMENTS
    assert all(MERMAID.fullmatch(line) for line in mermaid(graph_of(ALL[name])).split("\n"))
    for width in (80, 120):
        assert all(cells(line) <= width for line in text(graph_of(ALL[name]), width).split("\n"))


@settings(max_examples=150)
@given(st.text(st.characters(codec=None)) | st.text("<>&\"'`#;|[](){}-%\\\n\x1b\u202e\ud800é大"))
def test_what_others_have_written_is_a_text_in_each_form_and_nothing_more(name: str) -> None:
    graph = graph_of(hostile(name))
    root = ET.fromstring(svg(layout(graph), "title").encode())
    assert {each.tag for each in root.iter()} <= ELEMENTS
    assert all(MERMAID.fullmatch(line) for line in mermaid(graph).split("\n"))
    assert all(line.isprintable() for line in text(graph, 80).split("\n"))


def test_an_svg_has_no_script_and_loads_nothing() -> None:
    for name in ("script", "href", "url(", "@import", "onload"):
        assert name not in as_svg(KINDS).replace(HOSTILE, "")


def test_an_svg_has_colours_for_light_and_dark_and_a_word_beside_each_sign() -> None:
    drawn = as_svg(KINDS)
    assert "@media (prefers-color-scheme:dark)" in drawn
    root = ET.fromstring(drawn)
    signs = [each for each in root.iter(f"{SPACE}path") if "sign" in each.get("class", "")]
    words = {each.text for each in root.iter(f"{SPACE}text")}
    assert len({each.get("d") for each in signs}) == 5  # a shape for each tone
    assert {"ok", "busy", "hung", "backoff", "draining", "not running", "no answer", "waiting for broker"} <= words


def test_one_queue_as_text() -> None:
    assert text(graph_of(ONE), 80).splitlines() == [
        "broker rabbitmq://broker.example:5671//",
        "└─▶ producers",
        "    └─▶ exchange unique_magic_task ─▶ queue unique_magic_task",
        "        │ 3 waiting · oldest 4.2 s · 4.2/s in · 4.0/s out",
        "        ├─▶ ● ok  magic, pid 7 · gen 1 ─▶ prefork × 2, idle",
        "        │     ─▶ ActualMagicCeleryTask",
        "        └─▶ dead letters unique_magic_task.dead",
    ]


def test_one_queue_as_mermaid() -> None:
    assert mermaid(graph_of(ONE)).splitlines()[:12] == [
        "flowchart LR",
        '  subgraph n0["rabbitmq://broker.example:5671//"]',
        "    direction LR",
        '    n1(["producers"])',
        '    n2{{"unique_magic_task"}}',
        "    n1 --> n2",
        '    n3[("unique_magic_task<br>3 waiting · oldest 4.2 s")]',
        '    n2 -->|"4.2/s"| n3',
        '    n4[("unique_magic_task.dead<br>dead letters")]',
        "    n3 -.-> n4",
        '    n5["magic<br>#9679; ok<br>pid 7 · gen 1"]',
        "    class n5 good",
    ]


@pytest.mark.parametrize("width", [0, 1, 40, 79])
def test_a_narrow_terminal_gets_short_lines(width: int) -> None:
    lines = text(graph_of(ALL["long"]), width).split("\n")
    assert all(cells(line) <= max(LEAST, width) for line in lines)


def test_a_graph_of_the_same_is_the_same() -> None:
    assert as_svg(FIVE) == as_svg(FIVE)
    assert mermaid(graph_of(KINDS)) == mermaid(graph_of(tuple(reversed(KINDS))))
