"""What a mend is, and on which releases all of them were measured."""

from dataclasses import dataclass

# The releases that were measured, from the first to before the second; celery_delivery/pyproject.toml asks for the same.
MEASURED = {
    "celery": ((5, 5), (5, 8)),
    "kombu": ((5, 5), (5, 8)),
    "amqp": ((5, 3), (5, 5)),
    "billiard": ((4, 2), (4, 4)),
}


@dataclass(frozen=True, slots=True, eq=False)  # each is itself: it is asked for at every call of a mended method
class Mend:
    """A fault that is mended.

    name: for people. names: what it needs. without: what happens where it is off.
    """

    name: str
    names: tuple[str, ...]
    without: str
