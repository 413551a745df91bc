"""The errors that this library raises for whoever sets it up, writes a contract, or sends a task."""

from typing import Any

from kombu.exceptions import OperationalError


class SettingError(ValueError):
    """A variable or a setting can't be used; the message says which, why, and what it must be."""


class ContractError(TypeError):
    """A task class does not keep its contract; the message says which, how, and what to do."""


class UnsupportedError(RuntimeError):
    """A package is not of a release on which the promise was measured; the message says which, and what to install."""


class TlsError(ConnectionError):
    """The broker and we don't agree on TLS; the message says why, and what to do.

    A ConnectionError, so that the next broker of a failover list is tried.
    """


class DelayError(ValueError):
    """A task can't wait so long."""


class PriorityError(ValueError):
    """A task has a priority that the broker would ignore; the message says why, and what to do."""


class ResultRefused(RuntimeError):
    """A task has ended, and the broker does not take its result; the message says how it ended, and why, such as a limit."""


class TooLarge(ValueError):
    """What comes out of a compressed body is larger than what is taken; the message says how much that is."""


class TaskExit(RuntimeError):
    """A task raised what is no Exception, such as SystemExit, and has failed by it; the message is that one's repr."""


class RemoteControlOff(RuntimeError):
    """A command is for Celery's remote control, which is off; the message says what to do instead."""


class SendError(OperationalError):
    """A task was not confirmed by the broker; `task_id` says which, where there is one."""

    def __init__(self, text: str, task_id: str | None = None) -> None:
        super().__init__(text)
        self.task_id = task_id

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it be pickled: a pool's process tells of it that way, and what can't be read back ends the worker."""
        return type(self), (str(self), self.task_id)


class NotAccepted(SendError):
    """The broker does not have the task: it refused it, or could not be reached."""


class Refused(NotAccepted):
    """The broker refuses the task for good: it is too large, or there is no right to send it."""


class UnknownTask(Refused):
    """Nobody here knows a task of that name; the message says which are similar, and what to do."""


class WorkflowError(ValueError):
    """A workflow can't be run here as it is written; the message says why, and what it needs."""


class Unconfirmed(SendError):
    """The broker may have the task or not: it was sent, and no answer came. Send it again with the same task id."""
