"""`agent metrics`: as a file and by HTTP, of a daemon that runs, one that does not, and one that hangs."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from agent.cli.monitoring.listener import AT_ONCE, Listener, Page, Place, place
from agent.cli.monitoring.textfile import write_textfile
from agent.errors import FAILURE, NO_SUCH_INSTANCE, AgentError
from tests.adapters.agents import ROOT, Agent
from tests.exposed import parsed
from tests.waiting import wait_until

UP = ({"agent": "magic"}, 1.0)
DOWN = ({"agent": "magic"}, 0.0)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    started = Agent(tmp_path, "alpha", "beta")
    yield started
    started.close()


def metrics(agent: Agent, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "agent", "metrics", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=agent.environment(), capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def listening(agent: Agent, *arguments: str) -> Iterator[int]:
    """Give the port at which `agent metrics` listens."""
    command = [sys.executable, "-m", "agent", "metrics", "--listen", "127.0.0.1:0", *arguments]
    process = subprocess.Popen(command, cwd=ROOT, env=agent.environment(), stderr=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stderr is not None
            yield int(process.stderr.readline().removesuffix("/metrics\n").rpartition(":")[2])
        finally:
            process.kill()


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_an_instance_that_does_not_run_is_told_and_is_no_failure(agent: Agent) -> None:
    said = metrics(agent)
    assert (said.returncode, said.stderr) == (0, "")
    assert parsed(said.stdout) == {"celery_agent_up": [DOWN]}


def test_an_instance_that_there_is_not_is_an_error(agent: Agent) -> None:
    said = metrics(agent, "magics")
    assert (said.returncode, said.stdout) == (NO_SUCH_INSTANCE, "")
    assert len(said.stderr.splitlines()) == 1


def test_a_running_instance_is_told_and_one_that_hangs_is_not_up(agent: Agent, tmp_path: Path) -> None:
    agent.start()
    agent.wait_until_consuming()
    said = metrics(agent, "magic")
    assert said.returncode == 0, said.stderr
    assert parsed(said.stdout)["celery_agent_up"] == [UP]
    assert [labels["queue_name"] for labels, _ in parsed(said.stdout)["celery_worker_up"]] == ["alpha", "beta"]
    file = tmp_path / "agent.prom"
    assert metrics(agent, "--textfile", str(file)).returncode == 0
    assert parsed(file.read_text())["celery_agent_up"] == [UP]
    assert agent.process is not None
    agent.process.send_signal(signal.SIGSTOP)
    said = metrics(agent)
    assert (said.returncode, parsed(said.stdout)) == (FAILURE, {"celery_agent_up": [DOWN]})
    assert "stopped or hung" in said.stderr


def test_pages_say_what_commands_say(agent: Agent) -> None:
    with listening(agent) as port:
        assert parsed(get(port, "/metrics")[1]) == {"celery_agent_up": [DOWN]}
        status, said = get(port, "/livez")
        assert (status, said.startswith("magic: no agent listens")) == (503, True)
        assert get(port, "/readyz")[0] == 503
        agent.start()
        agent.wait_until_consuming()
        status, said = get(port, "/metrics?a=query")
        assert (status, parsed(said)["celery_agent_up"]) == (200, [UP])
        assert [get(port, path) for path in ("/livez", "/readyz")] == [(200, "live\n"), (200, "ready\n")]
        assert get(port, "/metrics", "HEAD") == (200, "")
        assert get(port, "/") == (404, "There are /metrics, /livez, /readyz.\n")
        assert get(port, "/metrics", "POST")[0] == 501


def test_who_says_nothing_and_who_hangs_up_keeps_nobody_from_being_answered(agent: Agent) -> None:
    with listening(agent) as port:
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(AT_ONCE + 1)]
        wait_until(lambda: _is_answered(port), 60, "places are free again")
        for each in silent:
            each.close()
        assert get(port, "/metrics")[0] == 200


def _is_answered(port: int) -> bool:
    try:
        return get(port, "/metrics")[0] == 200
    except OSError:  # it was sent away
        return False


def test_a_fault_in_a_page_is_told_and_the_next_request_is_answered(capfd: pytest.CaptureFixture[str]) -> None:
    pages = {"/bad": lambda: Page(HTTPStatus(1), "", ""), "/good": lambda: Page(HTTPStatus.OK, "text/plain", "good")}
    with Listener(Place("127.0.0.1", 0), pages) as listener:
        Thread(target=listener.serve_forever, args=(0.05,)).start()
        with pytest.raises(ConnectionError):
            get(listener.place.port, "/bad")
        assert get(listener.place.port, "/good") == (200, "good")
        listener.shutdown()
    assert "ValueError: 1 is not a valid HTTPStatus" in capfd.readouterr().err


def test_a_node_on_which_no_instance_is_yet_is_answered_for(agent: Agent) -> None:
    (agent.folder / "etc" / "magic.env").unlink()
    with listening(agent) as port:
        assert get(port, "/metrics") == (200, "")
        assert get(port, "/livez") == (503, "no instance is configured\n")


def test_what_others_can_reach_has_to_be_wished_for(agent: Agent) -> None:
    said = metrics(agent, "--listen", "0.0.0.0:0")
    assert (said.returncode, len(said.stderr.splitlines())) == (FAILURE, 1)
    assert "--beyond-loopback" in said.stderr


def test_a_port_that_is_taken_is_one_line(agent: Agent) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = metrics(agent, "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
    assert (said.returncode, len(said.stderr.splitlines())) == (FAILURE, 1)
    assert "Address already in use" in said.stderr


@pytest.mark.parametrize(
    "text", ["", "9808", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "host:1", ":9808", "::1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AgentError, match=r"as 127\.0\.0\.1:9808"):
        place(text)


@pytest.mark.parametrize(
    ("text", "found", "is_loopback"),
    [
        ("127.0.0.1:9808", Place("127.0.0.1", 9808), True),
        ("localhost:0", Place("127.0.0.1", 0), True),
        ("[::1]:9808", Place("::1", 9808), True),
        ("10.0.0.1:9808", Place("10.0.0.1", 9808), False),
        ("[::]:9808", Place("::", 9808), False),
    ],
)
def test_an_address_is_read(text: str, found: Place, is_loopback: bool) -> None:
    assert (place(text), place(text).is_loopback) == (found, is_loopback)


def test_a_file_is_readable_for_all_whatever_the_umask_is(tmp_path: Path) -> None:
    file = tmp_path / "agent.prom"
    before = os.umask(0o077)
    try:
        write_textfile(file, b"a 1\n")
        write_textfile(file, b"a 2\n")
    finally:
        os.umask(before)
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"a 2\n", 0o644)
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("name", ["agent.txt", "agent", ".prom"])
def test_a_file_that_nobody_would_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(AgentError, match=r"\.prom"):
        write_textfile(tmp_path / name, b"")
    assert list(tmp_path.iterdir()) == []


def test_where_there_is_no_room_the_former_file_stays_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "agent.prom"
    write_textfile(file, b"a 1\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, before[1]))
    try:
        with pytest.raises(AgentError, match="File too large"):
            write_textfile(file, b"a 2\n" * 4_096)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert file.read_bytes() == b"a 1\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_leaves_the_former_file(agent: Agent, tmp_path: Path) -> None:
    """Use a real one, of 4 pages, in a mount namespace of its own."""
    script = """
        mount -t tmpfs -o size=16k none "$1"
        echo "a 1" >"$1/agent.prom"
        cat /dev/zero >"$1/rest" 2>/dev/null
        "$2" -m agent metrics --textfile "$1/agent.prom"
        echo $?
        cat "$1/agent.prom"
        ls -A "$1"
    """
    target = tmp_path / "disk"
    target.mkdir()
    said = subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(target), sys.executable],
        cwd=ROOT,
        env=agent.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said.stdout.split() == ["1", "a", "1", "agent.prom", "rest"], said.stderr
    assert "No space left on device" in said.stderr


def test_a_folder_that_is_not_there_is_one_line(agent: Agent, tmp_path: Path) -> None:
    said = metrics(agent, "--textfile", str(tmp_path / "none" / "agent.prom"))
    assert (said.returncode, len(said.stderr.splitlines())) == (FAILURE, 1)
