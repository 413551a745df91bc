"""`agent metrics [INSTANCE]`: the values of `agent status` for Prometheus: printed, as a file for node_exporter, or by HTTP."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.cli.monitoring.exposition import CONTENT_TYPE, Sight, exposition
from agent.cli.monitoring.families import FAMILIES
from agent.cli.monitoring.textfile import write_textfile
from agent.cli.options import add_instance
from agent.cli.plain import plain_lines
from agent.cli.probe import LIVE, READY, troubles
from agent.cli.status import Ask, answers
from agent.config.instances import Folders, folders
from agent.control import client
from agent.decide.status import Status
from agent.errors import OK, AgentError, NoSuchInstance, NotRunning

ANSWER = 2.0  # seconds for each daemon: Prometheus waits for 10 s, and one that hangs must not hide the others


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Prints what `agent status` says in Prometheus's text format; see docs/metrics.md. An instance that does not run is "
        "celery_agent_up 0. Exit status: 0; 4 no such instance; 1 when an agent gives no answer, or PATH can't be written."
    )
    add_instance(parser, "all of this node")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--textfile", metavar="PATH", type=Path, help="write it there, for node_exporter's textfile collector"
    )
    where.add_argument(
        "--listen",
        metavar="ADDRESS:PORT",
        help="stay, and answer /metrics, /livez and /readyz by HTTP, as at 127.0.0.1:9808",
    )
    parser.add_argument(
        "--beyond-loopback", action="store_true", help="let --listen take an address that other machines can reach"
    )
    parser.set_defaults(run=_metrics)


def _metrics(options: argparse.Namespace) -> int:
    places = folders(os.environ)
    if options.listen is not None:
        return _listen(places, options)
    found = answers(places, options.instance, ANSWER, client.status if options.textfile is None else client.figures)
    text = _text(found)
    if options.textfile is not None:
        write_textfile(options.textfile, text.encode())
    else:
        sys.stdout.write(plain_lines(text) if sys.stdout.isatty() else text)
    for each in found.values():
        if isinstance(each, AgentError) and not isinstance(each, NotRunning):
            raise each
    return OK


def _text(found: Mapping[str, Status | AgentError]) -> str:
    host = socket.gethostname()  # as Celery names its nodes
    sights = (Sight(name, host, None if isinstance(each, AgentError) else each) for name, each in found.items())
    return exposition(FAMILIES, sights)


def _listen(places: Folders, options: argparse.Namespace) -> int:
    # They take as long to import as all else here, and few calls need them.
    from http import HTTPStatus  # noqa: PLC0415

    from agent.cli.monitoring.listener import Listener, Page, place  # noqa: PLC0415

    at = place(options.listen)
    if not at.is_loopback and not options.beyond_loopback:
        raise AgentError(
            f"{at} can be reached from other machines, and whoever reaches it reads which queues there are: "
            "listen at 127.0.0.1, or add --beyond-loopback."
        )
    if options.instance is not None and options.instance not in places.known():
        raise places.unknown(options.instance)

    def metrics() -> Page:
        return Page(HTTPStatus.OK, CONTENT_TYPE, _text(_seen(places, options.instance, client.figures)))

    def probe(question: str) -> Page:
        said = _against(question, _seen(places, options.instance, client.status))
        status = HTTPStatus.SERVICE_UNAVAILABLE if said else HTTPStatus.OK
        return Page(status, "text/plain; charset=utf-8", "".join(line + "\n" for line in said or [question]))

    pages = {"/metrics": metrics, "/livez": lambda: probe(LIVE), "/readyz": lambda: probe(READY)}
    with Listener(at, pages) as listener:
        print(f"agent: http://{listener.place}/metrics", file=sys.stderr, flush=True)
        listener.serve_forever()
    return OK


def _seen(places: Folders, instance: str | None, ask: Ask) -> dict[str, Status | AgentError]:
    """Return the answers of all instances that there are, which may be none: they come and go beside the listener."""
    try:
        return answers(places, instance, ANSWER, ask)
    except NoSuchInstance:
        return {} if instance is None else {instance: NotRunning(f"{instance} is not running")}


def _against(question: str, found: Mapping[str, Status | AgentError]) -> list[str]:
    """Return what speaks against a yes for all of these instances."""
    said = []
    for name, each in found.items():
        against = [str(each)] if isinstance(each, AgentError) else troubles(question, each)
        said += [f"{name}: {why}" for why in against]
    return said if found else ["no instance is configured"]
