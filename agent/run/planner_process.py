"""The daemon's side of the planner: starts it, collects what it prints, bounds its time."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from selectors import EVENT_READ, BaseSelector

from agent.decide.plan import Plan, decode_plan
from agent.errors import AgentError, ConfigurationError, ProtocolError
from agent.guest.spec import TemplateSpec, decode_template
from agent.run.children import Children

DEADLINE = 300.0  # seconds; the planner bounds the import of user code itself (CELERY_AGENT_IMPORT_TIMEOUT), well below


class PlannerProcess:
    """One run of the planner process."""

    def __init__(
        self,
        instance: str,
        env_file: Path,
        children: Children,
        selector: BaseSelector,
        on_template: Callable[[TemplateSpec], None],
        on_end: Callable[[Plan | AgentError], None],
    ) -> None:
        """Start the planner; raises OSError where it can't be started.

        on_template: called as soon as the settings are known, while user code is still being imported.
        on_end: called once with the plan, or with the reason why there is none.
        """
        self._children = children
        self._selector = selector
        self._on_template = on_template
        self._on_end = on_end
        self._output = b""
        self._result: Plan | AgentError | None = None
        self._read_end, write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        try:
            self.pid = children.spawn(
                [sys.executable, "-m", "agent.config.planner", "--instance", instance, "--env-file", str(env_file)],
                os.environ,
                {1: write_end},
                self._exited,
            )
        except OSError:
            os.close(self._read_end)
            raise
        finally:
            os.close(write_end)
        selector.register(self._read_end, EVENT_READ, self._readable)

    def give_up(self) -> None:
        """Kill the planner: it has had its time."""
        self._result = ConfigurationError(f"reading the configuration took more than {DEADLINE:g} s")
        self._children.kill(self.pid)

    def _readable(self) -> None:
        self._read()

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
        return True

    def _stop_reading(self) -> None:
        if self._read_end >= 0:
            self._selector.unregister(self._read_end)
            os.close(self._read_end)
            self._read_end = -1

    def _take(self, line: bytes) -> None:
        try:
            match json.loads(line):
                case {"template": template}:
                    self._on_template(decode_template(template))
                case {"plan": plan}:
                    self._result = decode_plan(json.dumps(plan))
                case {"error": {"message": message, "exit_status": exit_status}}:
                    self._result = AgentError(message)
                    self._result.exit_status = exit_status
                case _:
                    self._result = AgentError(f"the planner printed {line[:200]!r}")
        except (KeyError, TypeError, ValueError, ProtocolError) as error:
            self._result = AgentError(f"the planner can't be understood: {error}")

    def _exited(self, status: int) -> None:
        while self._read_end >= 0 and self._read():
            pass
        self._stop_reading()
        self._on_end(self._result or AgentError(f"the planner ended without a plan (exit status {status})"))
