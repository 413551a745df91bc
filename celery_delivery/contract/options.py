"""The options that a task class has as attributes, and values of theirs by which Celery fails later, and elsewhere.

the class says                                          on stock Celery 5.7 seen as
------------------------------------------------------  -----------------------------------------------------------------------
`bind = True`, as of decorated tasks                    TypeError: 'bool' object is not callable, when its app is made
`autoretry_for = OSError`, not `(OSError,)`             TypeError: 'type' object is not iterable, when its app is made
`rate_limit = "often"`                                  ValueError: could not convert string to float; its worker can't start
`time_limit = "5m"`                                     ValueError: could not convert string to float; a task ends its worker
a soft limit above the hard one                         ValueError, whenever it is called
"""

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import celery
from celery.utils.time import rate

from celery_delivery.contract.contracts import path
from celery_delivery.errors import ContractError


def check_options(task: type[celery.Task]) -> None:
    """Raise ContractError for an option of a task class that Celery can't use; one that is None is not set."""
    if not callable(task.bind):
        raise ContractError(
            f"{path(task)}.bind is {task.bind!r}: leave it out. A method has self, and Celery has a method of that name"
        )
    for name, (is_right, needed) in _OPTIONS.items():
        value = getattr(task, name, None)
        is_computed = hasattr(value, "__get__")  # a property has its value in a task, and not in its class
        if value is not None and not is_computed and not is_right(value):
            raise ContractError(f"{path(task)}.{name} is {value!r}, and must be {needed}")
    soft, hard = task.soft_time_limit, task.time_limit
    if _is_number(soft) and _is_number(hard) and 0 < hard < soft:
        raise ContractError(f"{path(task)}.soft_time_limit is {soft!r}, and must not be above its time_limit, {hard!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real)


def _is_rate(value: Any) -> bool:
    try:
        return isinstance(rate(value), Real)
    except (ValueError, KeyError):
        return False


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def _are_exceptions(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str) and all(map(_is_exception, value))


def _is_thrown(value: object) -> bool:
    return _is_exception(value) or (isinstance(value, tuple) and all(map(_is_thrown, value)))


_SECONDS = (_is_number, "a number of seconds")
_EXCEPTIONS = (_are_exceptions, "a tuple of exception classes, as in (OSError,)")
_OPTIONS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "autoretry_for": _EXCEPTIONS,
    "dont_autoretry_for": _EXCEPTIONS,
    "throws": (_is_thrown, _EXCEPTIONS[1]),
    "max_retries": (_is_number, "a number"),
    "default_retry_delay": _SECONDS,
    "retry_backoff": (_is_number, "True, False or a number of seconds"),
    "retry_backoff_max": _SECONDS,
    "rate_limit": (_is_rate, "a number of tasks a second, or one as in '10/s', '10/m' or '10/h'"),
    "time_limit": _SECONDS,
    "soft_time_limit": _SECONDS,
}
