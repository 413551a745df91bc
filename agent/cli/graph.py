"""`agent graph [INSTANCE]`: what tasks go through, drawn: from what sends them to what runs them, and how each part does."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from agent.cli.draw.layout import layout
from agent.cli.draw.mermaid import mermaid
from agent.cli.draw.model import Graph
from agent.cli.draw.stacks import Sight, graph_of
from agent.cli.draw.svg import svg
from agent.cli.draw.text import text
from agent.cli.options import add_instance
from agent.cli.plain import plain
from agent.cli.status import looks
from agent.cli.table import terminal_width
from agent.config.instances import folders
from agent.decide.status import Status
from agent.decide.status_json import decode_status
from agent.errors import OK, AgentError, NoSuchInstance
from agent.guest.decoding import parse

SVG, MERMAID, TEXT = "svg", "mermaid", "text"
SUFFIXES = {".svg": SVG, ".mmd": MERMAID, ".mermaid": MERMAID}
WIDTH = 100  # signs of a line where the text goes elsewhere than to a terminal
STDIN = "-"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Draws producers, exchanges, queues, workers, their pools and task classes, with health, depth and rates as "
        "`agent status` has them. See docs/graph.md."
    )
    add_instance(parser, "all of this node")
    parser.add_argument(
        "--format", choices=(SVG, MERMAID, TEXT), help="default: as the name of --output ends (.svg, .mmd), else text"
    )
    parser.add_argument("--output", metavar="FILE", type=Path, help="write it there; default: to stdout")
    parser.add_argument(
        "--from",
        metavar="FILE",
        nargs="+",
        dest="files",
        default=[],
        help="ask nobody, and draw what `agent status --json` has written: a file for each node, named as it; - is stdin",
    )
    parser.set_defaults(run=_graph)


def _graph(options: argparse.Namespace) -> int:
    sights = list(_written(options.files) if options.files else _asked(options.instance))
    if options.instance is not None:
        sights = [each for each in sights if each.instance == options.instance]
        if not sights:
            raise NoSuchInstance(f"None of the files has an instance {options.instance!r}.")
    drawn = _drawn(graph_of(sights), _format(options))
    if options.output is None:
        sys.stdout.write(drawn)
    else:
        _write(options.output, drawn)
    return OK


def _asked(instance: str | None) -> Iterator[Sight]:
    places = folders(os.environ)
    for name, seen in looks(places, instance).items():
        yield Sight("", name, seen.state, seen) if isinstance(seen, Status) else Sight("", name, seen)


def _written(files: Iterable[str]) -> Iterator[Sight]:
    given = list(files)
    for each in given:
        node = Path(each).stem if len(given) > 1 else ""
        for value in _instances(each):
            yield _sight(node, each, value)


def _instances(file: str) -> Iterable[Any]:
    try:
        value = parse(sys.stdin.read() if file == STDIN else Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AgentError(f"{file} can't be read: {error}") from error
    found = value.get("instances", [value]) if isinstance(value, Mapping) else None
    if not isinstance(found, list):
        raise AgentError(f"{file} is not what `agent status --json` writes.")
    return found


def _sight(node: str, file: str, value: Any) -> Sight:
    name, state = (value.get("instance"), value.get("state")) if isinstance(value, Mapping) else (None, None)
    if not isinstance(name, str) or not isinstance(state, str):
        raise AgentError(f"{file} is not what `agent status --json` writes.")
    if "queues" not in value:
        return Sight(node, name, state)
    try:
        return Sight(node, name, state, decode_status(value))
    except AgentError as error:
        raise AgentError(f"{file}: {error}") from error


def _format(options: argparse.Namespace) -> str:
    if options.format is not None:
        return str(options.format)
    return TEXT if options.output is None else SUFFIXES.get(options.output.suffix, TEXT)


def _drawn(graph: Graph, kind: str) -> str:
    if kind == SVG:
        names = ", ".join(stack.name or "broker not known" for stack in graph.stacks)
        return svg(layout(graph), f"The stack of Celery workers at {names}")
    if kind == MERMAID:
        return mermaid(graph)
    return text(graph, terminal_width() or WIDTH) + "\n"


def _write(file: Path, drawn: str) -> None:
    try:
        file.write_text(drawn, encoding="utf-8")
    except OSError as error:
        raise AgentError(f"{plain(str(file))} can't be written: {error.strerror}") from error
