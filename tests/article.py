"""The article's code as it is printed, run as its reader would: no agent, `python consumer.py` and `import producer`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]
QUEUE = "unique_magic_task"


def printed(name: str) -> str:
    """Return what the article prints under a name."""
    text = (ROOT / "tests" / "article.md").read_text()
    found = re.search(rf"^## {re.escape(name)}\n\n```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@contextmanager
def consuming(
    broker: RabbitMQ,
    vhost: str,
    folder: Path,
    variables: Mapping[str, str],
    python: str = sys.executable,
    queue: str = QUEUE,
) -> Iterator[Path]:
    """Run `consumer.py` of a folder while it is needed; give its log."""
    log = folder / "consumer.log"
    with log.open("wb") as output:
        consumer = subprocess.Popen(
            [python, "consumer.py"], cwd=folder, env={**os.environ, **variables}, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: broker.consumers(queue, vhost) == 1 or consumer.poll() is not None, 60, "a consumer")
        assert consumer.poll() is None, log.read_text()
        yield log
    finally:
        consumer.terminate()
        assert consumer.wait(60) == 0, log.read_text()


def result(folder: Path, variables: Mapping[str, str], python: str = sys.executable) -> Any:
    """Run `producer.py` of a folder; return what its `result` was."""
    done = subprocess.run(
        [python, "-c", "import json, producer; print(json.dumps(producer.result))"],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
