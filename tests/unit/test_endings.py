"""How processes ended, and what of: in words."""

import pytest

from agent.decide.endings import OOM_SEQUEL, Ending, Shortage, cause, ending_text, exit_text
from agent.decide.events import OutOfMemory

KILLED = OutOfMemory(1, 200 * 1_048_576)


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "exit status 0"), (3, "exit status 3"), (-9, "killed by SIGKILL"), (-42, "killed by signal 42")],
)
def test_an_exit_status_in_words(code: int, words: str) -> None:
    assert exit_text(code) == words


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending(-9), "killed by SIGKILL"),
        (Ending(-9, KILLED), "killed: out of memory (memory.max 200 MiB)"),
        (Ending(None, KILLED), "pool process killed: out of memory (memory.max 200 MiB)"),
        (Ending(1, words="ValueError: no"), "exit status 1: ValueError: no"),
        (Ending(1, KILLED), "exit status 1: out of memory (memory.max 200 MiB)"),
        (Ending(-9, OutOfMemory(1, None)), "killed: out of memory (of the service or the node)"),
    ],
)
def test_an_ending_in_words(ending: Ending, words: str) -> None:
    assert ending_text(ending) == words


def test_what_ends_right_after_a_kill_for_want_of_memory_ended_of_it() -> None:
    shortage = Shortage(3, at=100.0, event=KILLED)
    assert cause(shortage, 3, 100.0 + OOM_SEQUEL) == KILLED


@pytest.mark.parametrize(("generation", "now"), [(4, 100.0), (3, 100.1 + OOM_SEQUEL)])
def test_an_end_of_another_process_or_much_later_has_another_cause(generation: int, now: float) -> None:
    assert cause(Shortage(3, at=100.0, event=KILLED), generation, now) is None
