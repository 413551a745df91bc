"""Whether a broker keeps an order by priority in its quorum queues, asked when a task has one: else it is refused.

RabbitMQ 4.0 has two levels, up to 4, as tasks without a priority, and from 5 on.
"""

from typing import Any

from celery_delivery.errors import PriorityError

FIRST = (4, 0)  # RabbitMQ
HIGHEST = 255  # AMQP's


def check(priority: Any, connection: Any, what: str) -> None:
    """Raise PriorityError where a task's priority can't be, or has no effect on the broker of an open connection.

    what: the task, for the message.
    """
    check_number(priority, what)
    told = connection.connection.server_properties
    version = str(told.get("version", ""))
    if told.get("product") == "RabbitMQ" and _numbers(version) < FIRST:
        raise PriorityError(
            f"{what} has the priority {priority}, and RabbitMQ {version} has none in quorum queues: "
            "leave it out, have a queue of its own for what is urgent, or take RabbitMQ 4; nothing was sent"
        )


def check_number(priority: Any, what: str) -> None:
    """Raise PriorityError for what is no priority on any broker."""
    if type(priority) is not int or not 0 <= priority <= HIGHEST:
        raise PriorityError(f"{what} has the priority {priority!r}, which must be a number from 0 to {HIGHEST}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in version.split(".")[:2] if number.isdigit())
