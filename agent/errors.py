"""The errors an operator can meet, each with its exit status.

The message of an error has the value that was wrong, where it stands and what to do about it. Only `agent.cli` prints
one and exits.

Exit statuses follow sysexits(3) and the LSB's `status` action.
"""

from __future__ import annotations

OK = 0
FAILURE = 1
USAGE = 2
NOT_RUNNING = 3
NO_SUCH_INSTANCE = 4
CONFIGURATION = 78


class AgentError(Exception):
    """Something went wrong that the message explains."""

    exit_status = FAILURE


class ConfigurationError(AgentError):
    """What the operator wrote can't be run; systemd must not try again (RestartPreventExitStatus=78)."""

    exit_status = CONFIGURATION


class NotRunning(AgentError):
    """The instance has an env file, but no agent answers for it."""

    exit_status = NOT_RUNNING


class NoSuchInstance(AgentError):
    """Neither an env file nor an agent is there by this name."""

    exit_status = NO_SUCH_INSTANCE


class ProtocolError(AgentError):
    """The other end of a socket sent something this version does not understand."""
