"""What tasks print, where each message is a record."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

from celery._state import get_current_task, pop_current_task, push_current_task

from agent.guest.journal import Journal, Priority
from agent.guest.lines import Lines
from agent.guest.secrets import Redactor
from agent.guest.work.output import Output, Stream


def test_what_coroutines_print_in_turns_is_a_message_of_each(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []

    class Recording(Output):
        def record(self, message: str, _fields: Mapping[str, object]) -> None:
            said.append((get_current_task().request.id, message))

    output = Recording(Journal(str(tmp_path)), Lines("agent"), {}, Redactor(()))
    stream = Stream(sys.stdout, output, Priority.INFO)
    for end in (" ", "\n"):
        for task in ("a", "b"):
            push_current_task(SimpleNamespace(name="greet", request=SimpleNamespace(id=task)))
            print(task, end=end, file=stream)
            pop_current_task()
    assert said == [("a", "a a"), ("b", "b b")]
