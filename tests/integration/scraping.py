"""A real Prometheus that scrapes an instance by its listener, four times a second, and judges alert rules."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests import ports
from tests.node import Node


class Prometheus:
    """One that listens at a port of loopback, or is about to."""

    def __init__(self, port: int) -> None:
        """Take the port."""
        self._port = port

    def found(self, query: str) -> list[tuple[dict[str, str], str]]:
        """Return the labels and values that a query has now; none before it listens."""
        try:
            url = f"http://{ports.HOST}:{self._port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return [(each["metric"], each["value"][1]) for each in json.load(answer)["data"]["result"]]
        except OSError:
            return []

    def by_queue(self, query: str) -> dict[str, str]:
        """Return the values of a query by queue, with "" for what has none."""
        return {labels.get("queue_name", ""): value for labels, value in self.found(query)}


@contextmanager
def scraped(node: Node, folder: Path, rules: Path) -> Iterator[Prometheus]:
    """Have an instance scraped; the files are written into a folder."""
    with ports.reserve() as kept, ports.reserve() as of_prometheus:
        at, port = f"{ports.HOST}:{ports.number(kept)}", ports.number(of_prometheus)
        config = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
            "rule_files": [str(rules)],
            "scrape_configs": [{"job_name": "celery-agent", "static_configs": [{"targets": [at]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # which is YAML too
        prometheus = (
            "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
            f"--web.listen-address={ports.HOST}:{port}", "--log.level=warn",
        )  # fmt: skip
        listener = (sys.executable, "-m", "agent", "metrics", "--listen", at)
        with (
            (folder / "prometheus.log").open("wb") as log,
            _ended(*listener, env=node.environment()),
            _ended(*prometheus, stderr=log),
        ):
            yield Prometheus(port)


@contextmanager
def _ended(*command: str, **more: Any) -> Iterator[None]:
    with subprocess.Popen(command, **more) as process:
        try:
            yield
        finally:
            process.kill()
