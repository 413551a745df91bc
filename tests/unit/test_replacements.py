"""What user code replaces in Celery's modules, as the modules that hold the former one come to have it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
import celery.app.trace, celery.worker.strategy
early = set(sys.modules)
import celery.worker.consumer.consumer as late
from agent.guest.work.replacements import Replacements

replacements = Replacements(early)
import celery.worker.state as state
import celery.utils.time as time

def replacement():
    pass

{act}
replacements.put_in_place()
print({told})
"""


def told(act: str, told: str) -> str:
    """Return what a process of its own tells of itself after an act: it changes Celery."""
    program = PROGRAM.format(act=act, told=told)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_a_replaced_function_is_put_where_another_module_holds_it() -> None:
    assert told("time.humanize_seconds = replacement", "late.humanize_seconds is replacement") == "True"


def test_what_is_replaced_twice_is_put_in_place_as_it_is_at_the_end() -> None:
    act = "time.humanize_seconds = len; time.humanize_seconds = replacement"
    assert told(act, "late.humanize_seconds is replacement") == "True"


def test_what_the_holder_was_given_itself_stays() -> None:
    act = "time.humanize_seconds = replacement; late.humanize_seconds = len"
    assert told(act, "late.humanize_seconds is len") == "True"


def test_what_was_put_back_or_taken_away_changes_nothing() -> None:
    put_back = "was = time.humanize_seconds; time.humanize_seconds = replacement; time.humanize_seconds = was"
    assert told(put_back, "late.humanize_seconds is was") == "True"
    taken_away = "was = time.humanize_seconds; time.humanize_seconds = replacement; del time.humanize_seconds"
    assert told(taken_away, "late.humanize_seconds is was") == "True"


def test_a_modules_own_state_is_none_of_it() -> None:
    assert told("state.should_stop = 0", "state.should_stop, replacements._noted") == "0 {}"
