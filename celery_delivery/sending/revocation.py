"""A revocation: tasks that are not to be run, as it is on its way to the workers.

{"ids": ["d9a5…", …], "signal": null}        the tasks are not to be begun
{"ids": ["d9a5…", …], "signal": "SIGTERM"}   and what runs of them ends, by this signal to its process
"""

import json
from dataclasses import dataclass

MOST_IDS = 1000  # in one message
LONGEST_ID = 255  # characters, all printable
LARGEST = 1024 * 1024  # bytes of a message that is looked into: MOST_IDS of the longest

# Those that end a process of the pool. Celery takes SIGUSR1 for the end of the soft time limit, which the task can see to.
SIGNALS = ("SIGTERM", "SIGKILL", "SIGQUIT", "SIGUSR1")


@dataclass(frozen=True, slots=True)
class Revocation:
    """Ids of tasks, and the signal for the processes that run some of them, None where those go on."""

    ids: tuple[str, ...]
    signal: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what is no id of a task, and for other signals."""
        for each in self.ids:
            if not isinstance(each, str) or not each.isprintable() or not 0 < len(each) <= LONGEST_ID:
                raise ValueError(f"{each!r:.80} is no id of a task, which is a text of 1 to {LONGEST_ID} characters")
        if self.signal is not None and self.signal not in SIGNALS:
            raise ValueError(
                f"the signal {self.signal!r:.80} does not end a task: it must be one of {', '.join(SIGNALS)}"
            )


def encode(revocation: Revocation) -> str:
    """Return the body of a message."""
    return json.dumps({"ids": revocation.ids, "signal": revocation.signal}, ensure_ascii=False)


def decode(body: str | bytes) -> Revocation:
    """Return what a message says, whoever wrote it; raises ValueError where that is no revocation."""
    if len(body) > LARGEST:
        raise ValueError(f"it has {len(body)} bytes")
    try:
        value = json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    match value:
        case {"ids": list() as ids, "signal": str() | None as signal}:
            return Revocation(tuple(ids), signal)
    raise ValueError("it is not ids and a signal")
