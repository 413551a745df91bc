"""Settings modules of somebody's own on a real broker: one that knows nothing of the library, and what one line changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import celery
import pytest

from celery_delivery.apps import create_app_from
from tests.article import QUEUE, ROOT, consuming, printed, result
from tests.node import Node
from tests.rabbitmq import RabbitMQ

CONSUMER = """
from celery_tasks.tasks import MagicCeleryTask

class ActualMagicCeleryTask(MagicCeleryTask):
    def run(self, arg1, arg2, arg3):
        return arg1 + arg2 + arg3
"""
PRODUCER = printed("producer.py")
SAFE = '\ndelivery_profile = "safe"\n'


class Plain(celery.Task):
    name = "plain"

    def run(self) -> None: ...


def types(broker: RabbitMQ, vhost: str) -> dict[str, str]:
    """Return the type of each queue that takes tasks, by name."""
    lines = broker.control("list_queues", "-p", vhost, "--no-table-headers", "name", "type").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith(("replies.", "celery-tasks.")))


@pytest.fixture
def article(node: Node) -> Iterator[Path]:
    """A shared repository of the article's own four files; they know no other vhost than the first."""
    folder = node.code / "celery_tasks"
    folder.unlink()
    folder.mkdir()
    for name in ("celery_config.py", "tasks.py"):
        (folder / name).write_text(printed(name))
    (folder / "utils.py").write_text(f"import celery\n\n{printed('utils.py')}")  # it is printed without its import
    (folder / "rabbitmq_config.py").write_text(
        f"RABBITMQ_HOST = {node.broker.host!r}\nRABBITMQ_PORT = {node.broker.port}\n"
        "RABBITMQ_USER = RABBITMQ_PWD = 'guest'\n"
    )
    (node.code / "consumer.py").write_text(CONSUMER)
    (node.code / "producer.py").write_text(PRODUCER)
    node.configure(TASKS="consumer:ActualMagicCeleryTask")
    yield folder
    node.close()
    for queue in (QUEUE, f"{QUEUE}.dead"):
        if node.broker.queue(queue) is not None:
            node.broker.control("delete_queue", queue)


def test_the_article_s_four_files_are_hosted_with_celery_s_defaults_and_check_warns_of_them(
    node: Node, article: Path
) -> None:
    checked = node.run("check", "magic")
    assert checked.returncode == 0, checked.stdout
    assert "celery_tasks.celery_config has no delivery_profile" in checked.stdout
    assert 'delivery_profile = "safe"' in checked.stdout
    node.start()
    node.wait_until_consuming()
    assert result(node.code, {}) == 6
    assert types(node.broker, "/")[QUEUE] == "classic"


def test_a_line_and_our_create_worker_from_make_the_article_s_files_safe(node: Node, article: Path) -> None:
    with (article / "celery_config.py").open("a") as settings:
        settings.write(SAFE)
    (article / "utils.py").write_text((ROOT / "celery_tasks" / "utils.py").read_text())
    checked = node.run("check", "magic")
    assert "delivery_profile" not in checked.stdout
    node.start()
    node.wait_until_consuming()
    assert result(node.code, {}) == 6
    assert {QUEUE: "quorum", f"{QUEUE}.dead": "quorum"}.items() <= types(node.broker, "/").items()


def test_check_warns_of_settings_that_take_from_the_promise(node: Node, article: Path) -> None:
    with (article / "celery_config.py").open("a") as settings:
        settings.write(f"{SAFE}task_acks_late = False\n")
    checked = node.run("check", "magic")
    assert checked.returncode == 0
    assert (
        "task_acks_late is False, and safe needs True: a worker that is killed loses what it was running"
        in checked.stdout
    )


def test_safe_as_plain_text_declares_quorum_queues_and_confirms(
    broker: RabbitMQ, vhost: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plain_settings.py").write_text(f"broker_url = 'amqp://{broker.host}:{broker.port}/{vhost}'{SAFE}")
    monkeypatch.syspath_prepend(tmp_path)
    create_app_from([Plain], "plain_settings").tasks["plain"].delay()  # the process keeps its connection
    assert types(broker, vhost) == {"plain": "quorum", "plain.dead": "quorum"}
    assert broker.messages("plain", vhost) == 1
    channels = broker.control("list_channels", "--no-table-headers", "vhost", "confirm").splitlines()
    assert f"{vhost}\ttrue" in channels


def test_the_example_of_the_library_s_readme_runs(broker: RabbitMQ, vhost: str, tmp_path: Path) -> None:
    page = (ROOT / "celery_delivery/README.md").read_text()
    example = page.partition("```python\n")[2].partition("```")[0]
    files = re.findall(r"^# (\S+\.py)\n(.*?)(?=^# \S+\.py$|\Z)", example, re.MULTILINE | re.DOTALL)
    (tmp_path / "shared").mkdir()
    for name, text in files:
        url = f"amqp://{broker.host}:{broker.port}/{vhost}"
        (tmp_path / name).write_text(text.replace("amqp://me:secret@broker//", url))
    with consuming(broker, vhost, tmp_path, {}, queue="add"):
        assert result(tmp_path, {}) == 3
