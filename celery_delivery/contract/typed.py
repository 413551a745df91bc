"""`TypedTask`: what editors, mypy and pyright learn of a contract from its `run`. Nothing of it is there while a program runs.

Celery has no types, so a wrong argument of `delay` is seen when the program gets there. The methods here have the
arguments, and the result, of the `run` of the class they are called on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

import celery

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class TypedTask(celery.Task):
    """A task class whose `delay`, `apply_async`, `s`, `si` and results are typed by its `run`; else it is `celery.Task`."""

    abstract = True

    if TYPE_CHECKING:

        def __call__(self: Runs[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
            """Run the task here, without a broker."""

        def delay(self: Runs[P, R], *args: P.args, **kwargs: P.kwargs) -> Result[R]:
            """Send the task with these arguments."""

        def apply_async(
            self: Runs[P, R], args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
        ) -> Result[R]:
            """Send the task, with options of Celery. The arguments are looked at when it is sent: not by their types."""

        async def adelay(self: Runs[P, R], *args: P.args, **kwargs: P.kwargs) -> Result[R]:
            """Send the task with these arguments, in an event loop."""

        async def aapply_async(
            self: Runs[P, R], args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None, **options: Any
        ) -> Result[R]:
            """Do what `apply_async` does, in an event loop."""

        # In a chain the first argument is the result of the step before.
        @overload
        def s(self: Runs[P, R], *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
        @overload
        def s(self: Runs[Concatenate[Any, P], R], *args: P.args, **kwargs: P.kwargs) -> Signature[R]: ...
        def s(self, *args: Any, **kwargs: Any) -> Any:
            """Return a signature; what the step before returns is its first argument."""

        def si(self: Runs[P, R], *args: P.args, **kwargs: P.kwargs) -> Signature[R]:
            """Return a signature that takes nothing from the step before."""


class Runs(Protocol[P, R_co]):
    """What has a `run`: takes P, returns R_co."""

    def run(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Do the task."""


class Result(Protocol[R_co]):
    """Celery's `AsyncResult` of a task that returns R_co; its other methods are in Celery's documentation."""

    @property
    def id(self) -> str:
        """The task's id."""

    @property
    def state(self) -> str:
        """PENDING, STARTED, RETRY, SUCCESS, FAILURE or REVOKED."""

    @property
    def result(self) -> Any:
        """What the task returned, or the exception it raised; None while it is neither."""

    def get(self, timeout: float | None = None, **options: Any) -> R_co:
        """Wait, in seconds, and return the result; raises what the task raised, or `celery.exceptions.TimeoutError`."""

    def ready(self) -> bool:
        """Say whether the task has ended."""

    async def aget(self, timeout: float | None = None, propagate: Any = True) -> R_co:
        """Do what `get` does, in an event loop."""

    async def aready(self) -> bool:
        """Do what `ready` does, in an event loop."""

    def successful(self) -> bool:
        """Say whether the task has returned."""

    def failed(self) -> bool:
        """Say whether the task has raised."""

    def forget(self) -> None:
        """Have the store forget the result."""

    def __getattr__(self, name: str) -> Any:
        """Whatever else Celery has."""


class Signature(Protocol[R_co]):
    """Celery's `Signature` of a task that returns R_co."""

    def delay(self, *args: Any, **kwargs: Any) -> Result[R_co]:
        """Send it, with arguments before, and beside, its own."""

    def apply_async(self, *args: Any, **options: Any) -> Result[R_co]:
        """Send it, with options of Celery."""

    async def adelay(self, *args: Any, **kwargs: Any) -> Result[R_co]:
        """Do what `delay` does, in an event loop."""

    async def aapply_async(self, *args: Any, **options: Any) -> Result[R_co]:
        """Do what `apply_async` does, in an event loop."""

    def set(self, **options: Any) -> Signature[R_co]:
        """Keep options for when it is sent."""

    def __or__(self, other: Any) -> Any:
        """Make a chain."""

    def __getattr__(self, name: str) -> Any:
        """Whatever else Celery has."""
