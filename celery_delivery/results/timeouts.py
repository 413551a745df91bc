"""What is said where no result has come in time."""

from typing import Any

from celery.backends.rpc import RPCBackend


def no_result(result: Any, timeout: float | None) -> str:
    """Return what a TimeoutError says of a result that was waited for so many seconds."""
    text = f"there is no result of task {result.id} after {timeout:g} s"
    if isinstance(result.backend, RPCBackend):
        text += "; by rpc it comes to the process that has sent the task alone, which gets it once"
    return text
