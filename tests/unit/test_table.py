"""Tables that fit into a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.table import SHORTEST, fit, table

ROWS = [("QUEUE", "STATE", "MEMORY", "CPU"), ("reports.monthly.of_all_departments", "consuming", "10.8 MiB", "0.1 s")]
WHOLE = len(table(ROWS, ())[1])


def headings(width: int) -> tuple[str, ...]:
    return fit(ROWS, width, ("CPU", "MEMORY"))[0]


def test_what_fits_is_left_as_it_is() -> None:
    assert fit(ROWS, WHOLE, ("CPU", "MEMORY")) == ROWS


def test_columns_that_can_be_spared_go_one_by_one() -> None:
    assert headings(WHOLE - 1) == ("QUEUE", "STATE", "MEMORY")
    assert headings(WHOLE - len("  0.1 s") - 1) == ("QUEUE", "STATE")


def test_then_the_first_column_s_words_lose_their_middle() -> None:
    assert fit(ROWS, 35, ("CPU", "MEMORY"))[1] == ("reports.mont…departments", "consuming")


@given(
    st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=80), min_size=1, max_size=5),
    st.integers(1, 120),
)
def test_no_line_is_longer_than_the_terminal_is_wide_unless_that_is_very_narrow(names: list[str], width: int) -> None:
    rows = [ROWS[0], *((name, "waiting for broker", "10.8 MiB", "0.1 s") for name in names)]
    lines = table(fit(rows, width, ("CPU", "MEMORY")), ())
    assert max(map(len, lines)) <= max(width, SHORTEST + len("  waiting for broker"))
