"""The demo, the embedded broker, and a consumer's own interpreter."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.environment import environment_with_celery
from tests.node import Node
from tests.truth import assert_true
from tests.waiting import wait_until


def test_the_demo_sends_real_tasks_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "agent", "demo"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "magic(1, 2, 3)       = 6" in done.stdout
    assert "count_words('a b a') = {'a': 2, 'b': 1}" in done.stdout
    assert "consuming from 3 queues, embedded broker: for trying out, tasks can be lost" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def consumer_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a virtual environment that holds Celery and nothing of the agent."""
    return environment_with_celery(tmp_path_factory.mktemp("consumer") / "venv")


def test_user_code_runs_in_the_consumers_own_interpreter(node: Node, consumer_python: Path) -> None:
    node.configure("alpha", PYTHON=str(consumer_python))
    (node.code / "agent.py").write_text("WHOSE = 'the consumer\\'s own module of that name'\n")
    (node.code / "greek.py").write_text(
        "import sys, agent, celery\n"
        "class Alpha(celery.Task):\n"
        "    name = 'alpha'\n"
        "    def run(self):\n"
        "        return [sys.prefix, agent.WHOSE, 'pydantic' in sys.modules, 'psutil' in sys.modules]\n"
    )
    node.start()
    node.wait_until_consuming()
    prefix, whose, *foreign = node.send("alpha")
    assert prefix == str(consumer_python.parents[1])
    assert whose == "the consumer's own module of that name"
    assert foreign == [False, False]


def test_two_instances_run_different_code_under_the_same_names(node: Node, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Node(tmp_path / "other", node.broker, node.vhost, instance="other")
    other.config, other.runtime = node.config, node.runtime
    other.env_file = node.config / "other.env"
    (other.code / "greek.py").write_text((other.code / "greek.py").read_text().replace("'alpha'", "'omega'"))
    node.configure("alpha")
    other.configure("omega")
    try:
        node.start()
        other.start()
        node.wait_until_consuming()
        other.wait_until_consuming()
        assert (node.send("alpha", "return", 1), other.send("omega", "return", 2)) == (1, 2)
        everything = node.run("status").stdout
        assert "magic: running" in everything
        assert "other: running" in everything
        assert node.stop() == 0
        assert other.send("omega", "return", 3) == 3
        assert_true(other)
    finally:
        other.close()


@pytest.mark.parametrize("pool", ["solo", "threads", "prefork"])
def test_the_embedded_broker_needs_no_server(node: Node, tmp_path: Path, pool: str) -> None:
    broker = f"embedded://{tmp_path}/broker"
    node.configure("alpha", DEFAULTS__POOL=pool)
    node.env_file.write_text(node.env_file.read_text() + f"CELERY_TASKS_BROKER={broker}\n")
    node.start()
    node.wait_until_consuming()
    assert node.status()["embedded"] is True
    script = (
        "import greek\nfrom celery_tasks.utils import create_worker_from\n"
        "_, worker = create_worker_from(greek.Alpha)\nprint(worker.delay('return', 5).get(timeout=60))"
    )
    paths = {"PYTHONPATH": str(node.code), "CELERY_TASKS_BROKER": broker}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.strip() == "5", done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_stays_up_until_it_is_told_to_go(tmp_path: Path, number: signal.Signals) -> None:
    output = tmp_path / "output"
    folder = tmp_path / "temporary files"
    folder.mkdir()
    with output.open("wb") as file:
        demo = subprocess.Popen(
            # What runs in the background of a script ignores SIGINT, and so does all that it starts.
            ["env", "--default-signal=INT", sys.executable, "-m", "agent", "demo", "--keep"],
            env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: "agent status magic\n" in _after(output, "In another terminal:"), 120, "the demo stays")
        shown = _after(output, "In another terminal:")
        done = subprocess.run(
            ["sh", "-ec", shown], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert "magic(1, 2, 3)       = 6" in done.stdout, done.stderr
        assert "magic: running, consuming from 3 queues" in done.stdout
        demo.send_signal(number)
        assert demo.wait(60) == 0
    finally:
        demo.terminate()
        demo.wait(60)
    assert "Done; nothing is left behind." in output.read_text()
    assert list(folder.iterdir()) == []


def test_no_process_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    output = tmp_path / "output"
    with output.open("wb") as file:
        demo = subprocess.Popen(
            [sys.executable, "-m", "agent", "demo", "--keep"],
            env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
            stdout=file,
            stderr=file,
        )
    try:
        wait_until(lambda: "agent status magic\n" in _after(output, "In another terminal:"), 120, "the demo stays")
        started = psutil.Process(demo.pid).children(recursive=True)
        assert started
    finally:
        demo.kill()
        demo.wait(60)
    _, left = psutil.wait_procs(started, timeout=60)
    for process in left:
        process.kill()
    assert left == []


def _after(output: Path, line: str) -> str:
    return output.read_text().partition(line)[2]
