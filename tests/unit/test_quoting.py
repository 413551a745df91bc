"""A value in a log line can't pass for another line, or move the terminal's cursor."""

import pytest

from agent.run.logs import _quoted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("emails", "emails"),
        ("", '""'),
        ("a b", '"a b"'),
        ('say "yes"', '"say \\"yes\\""'),
        ("one\ntwo", '"one\\ntwo"'),
        ("a\rcelery-agent[magic]: stop", '"a\\rcelery-agent[magic]: stop"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("\x9b2J", '"\\u009b2J"'),
        ("\u202egnp.exe", '"\\u202egnp.exe"'),
        ("Grüße", "Grüße"),
    ],
)
def test_what_does_not_print_is_escaped(text: str, shown: str) -> None:
    assert _quoted(text) == shown
