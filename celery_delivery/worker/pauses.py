"""The pauses between a worker's attempts to connect."""

from typing import Any

STEP = 0.5  # seconds between the first two attempts, and by how much the pause grows
LONGEST = 2.0  # kombu before 5.6 adds the first pause to it


def shorten(connection: Any) -> None:
    """Have a connection of kombu's try again, as long as it is not there, with pauses that stay short."""
    stock = connection.ensure_connection

    def ensure_connection(errback: Any = None, max_retries: Any = None, **options: Any) -> Any:
        short = {"interval_start": STEP, "interval_step": STEP, "interval_max": LONGEST}
        return stock(errback, max_retries, **{**options, **short})

    connection.ensure_connection = ensure_connection
