"""Text of others on a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.plain import plain, plain_lines
from agent.cli.table import fit, table

HOSTILE = "a\x1b[2J\x07\r\nfake  consuming\u202e\ud800\x9b\u2028"
ROWS = [("QUEUE", "STATE"), (HOSTILE, "consuming"), ("größe ☃", HOSTILE)]


def test_what_no_terminal_is_to_act_upon_is_shown_as_it_is_written_in_a_program() -> None:
    assert plain(HOSTILE) == r"a\x1b[2J\x07\r\nfake  consuming\u202e\ud800\x9b\u2028"


def test_what_people_write_is_left_as_it_is() -> None:
    assert plain("größe ☃ 大 a\\b") == "größe ☃ 大 a\\b"


@given(st.text(st.characters(codec=None)))
def test_whatever_it_is_it_is_one_printable_line_and_nothing_changes_it_further(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(plain(text)) == plain(text)


def test_lines_stay_lines() -> None:
    assert plain_lines("Traceback:\n  x = '\x1b'\r\n") == "Traceback:\n  x = '\\x1b'\\r\n"


def test_a_word_of_a_table_can_forge_no_row_and_has_its_place_as_it_is_shown() -> None:
    for rows in (ROWS, fit(ROWS, 60, ())):
        lines = table(rows, ())
        assert len(lines) == len(ROWS)
        assert all(line.isprintable() for line in lines)
        assert lines[0].index("STATE") == lines[1].rindex("consuming") == lines[2].index("a\\x1b")
