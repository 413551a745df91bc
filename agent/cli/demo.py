"""`agent demo`: a node, a consumer and a producer on the embedded broker, in a temporary folder that is removed at the end."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from agent.cli.plain import plain_lines
from agent.cli.render import render
from agent.cli.table import terminal_width
from agent.cli.waiting import wait_until_consuming
from agent.config.instances import CONFIG_VARIABLE, RUNTIME_VARIABLE, Folders
from agent.control import client
from agent.decide.status import Status
from agent.errors import OK, AgentError
from agent.guest.kernel import die_with_parent

INSTANCE = "magic"
SOURCE = Path(__file__).parents[2]
READY_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 30.0


def add_options(parser: argparse.ArgumentParser) -> None:
    """Say what the command does, and add its options."""
    parser.description = (
        "Starts an agent that hosts examples/consumer/, sends tasks through examples/producer/, shows its status."
    )
    parser.add_argument("--keep", action="store_true", help="stay up until Ctrl-C, to send more")
    parser.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    producer = SOURCE / "examples" / "producer" / "send.py"
    if not producer.exists():
        raise AgentError(
            f"the demo runs from the project's source tree, and {producer} is not there: clone the repository"
        )
    for number in (signal.SIGTERM, signal.SIGHUP):  # such as a terminal that is closed: go as after Ctrl-C
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="celery-agent-demo-") as folder:
        places = Folders(config=Path(folder), runtime=Path(folder) / "run")
        broker = {"CELERY_TASKS_BROKER": f"embedded://{folder}/broker", "PYTHONPATH": str(SOURCE)}
        env_file = places.env_file(INSTANCE)
        env_file.write_text(_env_file(broker["CELERY_TASKS_BROKER"]))
        _say(f"An env file says what the node hosts ({env_file}):")
        print(env_file.read_text())
        _say(f"An agent hosts it: agent run {INSTANCE}")
        with _running(places) as agent:
            wait_until_consuming(places, [INSTANCE], READY_TIMEOUT)
            print(_status(places))
            _say("A producer sends tasks by their contracts: python examples/producer/send.py")
            subprocess.run([sys.executable, producer], env={**os.environ, **broker}, check=True)
            _say(f"What the agent says now: agent status {INSTANCE}")
            _wait_until_idle(places)
            print(_status(places))
            if options.keep:
                _stay(agent, places, broker, producer)
            _say("The agent is told to go: it drains and stops.")
    _say("Done; nothing is left behind.")
    return OK


def _env_file(broker: str) -> str:
    tasks = ",".join(f"magic_consumer.tasks:{name}" for name in ("ActualMagicCeleryTask", "CountWords", "Sleep"))
    return (
        f"CELERY_AGENT_TASKS={tasks}\n"
        f"CELERY_AGENT_PATH={SOURCE}:{SOURCE / 'examples' / 'consumer'}\n"
        f"CELERY_TASKS_BROKER={broker}\n"
    )


@contextmanager
def _running(places: Folders) -> Iterator[subprocess.Popen[bytes]]:
    """Run the agent, with its log in a file that is shown if something goes wrong."""
    environment = {**os.environ, **_variables(places)}
    log = places.config / "log"
    with log.open("wb") as output:
        agent = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", INSTANCE],
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the demo, which then tells the agent
            preexec_fn=lambda: die_with_parent(signal.SIGTERM),  # where the demo is killed
        )
    try:
        yield agent
    except (AgentError, subprocess.CalledProcessError) as error:
        print(plain_lines(log.read_text()), file=sys.stderr)
        raise AgentError(f"the demo failed: {error}; above is the agent's log") from error
    finally:
        agent.send_signal(signal.SIGTERM)
        try:
            agent.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()


def _stay(agent: subprocess.Popen[bytes], places: Folders, broker: Mapping[str, str], producer: Path) -> None:
    use = places.config / "use"
    variables = {**broker, **_variables(places), "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    use.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
    _say("Staying up until Ctrl-C. In another terminal:")
    print(f"  . {shlex.quote(str(use))}")
    print(f"  python {shlex.quote(str(producer))}")
    print(f"  agent status {INSTANCE}")
    try:
        while agent.poll() is None:
            time.sleep(0.2)
    except KeyboardInterrupt:
        print()
    else:
        raise AgentError(f"the agent has ended, with exit status {agent.returncode}")


def _variables(places: Folders) -> dict[str, str]:
    return {CONFIG_VARIABLE: str(places.config), RUNTIME_VARIABLE: str(places.runtime)}


def _wait_until_idle(places: Folders) -> None:
    """Return when no worker runs a task; a worker may tell of a task's end up to a second late."""
    while any(queue.active_count for queue in _ask(places).queues):
        time.sleep(0.1)


def _status(places: Folders) -> str:
    return render(_ask(places), terminal_width()) + "\n"


def _ask(places: Folders) -> Status:
    return client.status(places.runtime_folder(INSTANCE))


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)
