"""`agent COMMAND …`: the only place that prints errors and decides the exit status.

Commands are imported when they are asked for: `agent status` answers in milliseconds, `agent run` keeps what it loads small.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

from agent.cli.plain import plain
from agent.errors import AgentError
from agent.version import VERSION

RUN = "run"
COMMANDS = {
    RUN: "run an instance in the foreground; what systemd does",
    "status": "show what instances are doing",
    "graph": "draw what tasks go through, from producers to task classes",
    "metrics": "tell Prometheus what instances are doing: printed, as a file, or by HTTP",
    "task": "tell what this node knows of one task",
    "probe": "say whether an instance is live, ready or healthy: for monitoring",
    "reload": "have an instance read its env file anew",
    "check": "check an instance's configuration without starting anything",
    "config": "show an instance's settings, or an example env file",
    "dead-letters": "list tasks that could not be done; send them back, or throw them away",
    "move-queue": "move the tasks of an old queue into the safe one that has taken its place",
    "revoke": "have tasks not be run, or end those that run",
    "topology": "print what the broker needs for an instance, and its users' rights",
    "schedule": "show an instance's periodic tasks, their last and their next run",
    "demo": "try it all out on the embedded broker",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit status."""
    _open_what_is_closed()
    given = sys.argv[1:] if arguments is None else list(arguments)
    gc.disable()  # what is imported now stays
    parser = argparse.ArgumentParser(prog="agent", description="Runs one supervised Celery worker per queue.")
    parser.add_argument("--version", action="version", version=f"agent {VERSION}")
    commands = parser.add_subparsers(prog="agent", metavar="COMMAND", required=True)
    asked = given[0] if given and given[0] in COMMANDS else None
    for name, help_text in COMMANDS.items():
        if asked in (None, name):
            command = commands.add_parser(name, help=help_text)
            if asked is not None:
                import_module(f"agent.cli.{name.replace('-', '_')}").add_options(command)
    gc.freeze()
    gc.enable()
    options = parser.parse_args(given)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except AgentError as error:
        with suppress(OSError):  # the exit status says it too, and systemd goes by that
            print(f"agent: {plain(str(error))}", file=sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # `agent status | head`
        if asked == RUN:  # that prints nothing: a pipe of its own broke, and no service has ended well by it
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status


def _open_what_is_closed() -> None:
    """Let no file that is opened later be taken for stdin, stdout or stderr; and let output say what no encoding has."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free: this one
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
