"""The daemon's side of the planner: starts it, collects what it prints, bounds its time."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from selectors import EVENT_READ, BaseSelector

from agent.decide.plan import Plan
from agent.errors import AgentError, ConfigurationError
from agent.guest.decoding import parse, read
from agent.guest.spec import TemplateSpec
from agent.run.children import Children
from agent.run.own import own_in_short

CODE = 3  # where the planner finds the descriptor for the project's code
DEADLINE = 300.0  # seconds; the planner bounds the import of user code itself (CELERY_AGENT_IMPORT_TIMEOUT), well below


class PlannerProcess:
    """One run of the planner process."""

    def __init__(
        self,
        instance: str,
        env_file: Path,
        children: Children,
        selector: BaseSelector,
        code: int,
        on_template: Callable[[TemplateSpec], None],
        on_end: Callable[[Plan | AgentError], None],
    ) -> None:
        """Start the planner; raises OSError where it can't be started.

        code: the descriptor that the project's code is written to.
        on_template: called as soon as the settings are known, while user code is still being imported.
        on_end: called once with the plan, or with the reason why there is none; not after `close`.
        """
        self._children = children
        self._selector = selector
        self._on_template = on_template
        self._on_end = on_end
        self._output = b""
        self._result: Plan | AgentError | None = None
        self._has_ended = False
        self._read_end, write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        try:
            self.pid = children.spawn(
                [
                    *own_in_short("agent.config.planner"),
                    *("--instance", instance, "--env-file", str(env_file), "--code", str(CODE)),
                ],
                os.environ,
                {1: write_end, CODE: code},
                self._exited,
            )
        except OSError:
            os.close(self._read_end)
            raise
        finally:
            os.close(write_end)
        selector.register(self._read_end, EVENT_READ, self._read)

    def give_up(self) -> None:
        """Kill the planner: it has had its time."""
        self._kill()
        self._end(ConfigurationError(f"reading the configuration took more than {DEADLINE:g} s"))

    def close(self) -> None:
        """Kill the planner, where it still runs: nobody wants to know any more."""
        self._has_ended = True
        self._kill()

    def _kill(self) -> None:
        self._children.kill(self.pid)  # and with it, by its death signal, the process that imports user code
        self._stop_reading()

    def _read(self) -> bool:
        """Take in what is there; return whether there may be more."""
        try:
            received = os.read(self._read_end, 65_536)
        except BlockingIOError:
            return False
        if not received:
            self._stop_reading()
            return False
        *lines, self._output = (self._output + received).split(b"\n")
        for line in lines:
            self._take(line)
        return self._read_end >= 0

    def _stop_reading(self) -> None:
        if self._read_end >= 0:
            with suppress(KeyError):  # the loop may have dropped it, after faults of the daemon's own
                self._selector.unregister(self._read_end)
            os.close(self._read_end)
            self._read_end = -1

    def _take(self, line: bytes) -> None:
        try:
            said = _decode(line)
        except ValueError as error:
            said = AgentError(f"the planner can't be understood: {error}, in {line[:200]!r}")
        if isinstance(said, TemplateSpec):
            self._on_template(said)
        else:
            self._result = said

    def _exited(self, status: int) -> None:
        while self._read_end >= 0 and self._read():
            pass
        self._stop_reading()
        self._end(self._result or AgentError(f"the planner ended without a plan (exit status {status})"))

    def _end(self, result: Plan | AgentError) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._on_end(result)


def _decode(line: bytes) -> TemplateSpec | Plan | AgentError:
    """Return what a line of the planner says, see `agent.config.planner`; raises ValueError."""
    match parse(line):
        case {"template": template}:
            return read(TemplateSpec, template)
        case {"plan": plan}:
            return read(Plan, plan)
        case {"error": {"message": str(message), "exit_status": int(exit_status)}}:
            error = AgentError(message)
            error.exit_status = exit_status
            return error
    raise ValueError("it has nothing that is known")
