"""What the chaos suite concludes from a ledger."""

from math import inf
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.ledger import Entry, Fact, Ledger
from tests.chaos.run import Outcome
from tests.chaos.table import BEGIN, END, put_into, render, table_in
from tests.chaos.verdict import Verdict, judge, recovery, running, unsettled

O, R, A, S, E = Fact.OFFERED, Fact.REFUSED, Fact.ACCEPTED, Fact.STARTED, Fact.ENDED  # noqa: E741


def entries(*facts: tuple[Fact, str]) -> list[Entry]:
    """Return one entry a second."""
    return [Entry(float(at), fact, task, 1) for at, (fact, task) in enumerate(facts)]


def test_a_task_that_was_accepted_and_never_ended_is_lost() -> None:
    verdict = judge(entries((A, "a"), (S, "a"), (A, "b"), (S, "b"), (E, "b"), (A, "c")), frozenset())
    assert (verdict.accepted, verdict.lost, verdict.interrupted) == (3, frozenset({"a", "c"}), 1)


def test_a_dead_letter_is_kept_and_not_lost() -> None:
    verdict = judge(entries((A, "a"), (S, "a"), (A, "b"), (E, "b")), frozenset({"a", "b"}))
    assert (verdict.lost, verdict.kept) == (frozenset(), frozenset({"a"}))


def test_a_task_that_started_again_was_run_twice_whether_or_not_it_had_ended() -> None:
    verdict = judge(
        entries((A, "a"), (S, "a"), (S, "a"), (E, "a"), (S, "b"), (E, "b"), (S, "b"), (S, "c")), frozenset()
    )
    assert verdict.twice == {"a", "b"}


def test_a_task_that_was_never_accepted_can_not_be_lost() -> None:
    verdict = judge(entries((O, "a"), (R, "a"), (O, "a"), (R, "a"), (S, "b")), frozenset())
    assert (verdict.accepted, verdict.lost, verdict.refused) == (0, frozenset(), 2)


@given(st.permutations(entries((A, "a"), (S, "a"), (E, "a"), (A, "b"), (S, "b"), (S, "b"), (E, "b"), (A, "c"))))
def test_the_order_of_entries_does_not_change_the_verdict(shuffled: list[Entry]) -> None:
    verdict = judge(shuffled, frozenset())
    assert (verdict.accepted, verdict.lost, verdict.twice) == (3, frozenset({"c"}), frozenset({"b"}))


def test_accepted_tasks_are_unsettled_until_they_end() -> None:
    assert unsettled(entries((A, "a"), (S, "a"), (A, "b"), (E, "b"), (S, "c"))) == {"a"}


def test_a_task_runs_from_its_latest_start_to_its_end() -> None:
    assert list(running(entries((S, "a"), (E, "a"), (S, "b"), (S, "c"), (E, "b")))) == ["c"]


def test_recovery_is_the_time_until_a_task_that_was_sent_afterwards_starts() -> None:
    ledger = entries((O, "a"), (O, "b"), (S, "a"), (O, "c"), (S, "b"), (S, "c"))
    assert recovery(ledger, [0.5]) == 3.5  # b, the first that was sent after the moment
    assert recovery(ledger, [1.5]) == 3.5  # c; the start of a says nothing, it was sent before


def test_a_refused_task_counts_from_its_latest_attempt() -> None:
    assert recovery(entries((O, "a"), (R, "a"), (O, "a"), (S, "a")), [1.5]) == 1.5


def test_the_slowest_of_several_recoveries_counts() -> None:
    ledger = entries((O, "a"), (S, "a"), (O, "b"), (O, "c"), (S, "b"), (S, "c"))
    assert recovery(ledger, [0.0, 2.0]) == 2.0


def test_what_did_not_recover_before_the_next_moment_never_did() -> None:
    ledger = entries((O, "a"), (O, "b"), (S, "a"), (O, "c"), (S, "c"))
    assert recovery(ledger, [0.0, 1.5]) == inf
    assert recovery(ledger, [1.5]) == 2.5


def test_a_moment_after_which_nothing_was_sent_tells_nothing() -> None:
    assert recovery(entries((O, "a"), (S, "a")), [0.0, 1.5]) == 1.0
    assert recovery(entries((O, "a"), (S, "a")), [0.5]) is None


def test_a_ledger_is_read_as_it_was_written_and_a_line_only_when_it_is_whole(tmp_path: Path) -> None:
    writer, reader = Ledger(tmp_path / "ledger"), Ledger(tmp_path / "ledger")
    writer.write(Fact.OFFERED, "a")
    assert [(entry.fact, entry.task) for entry in reader.entries()] == [(Fact.OFFERED, "a")]
    with writer.path.open("a") as file:
        file.write("17.0 started b")
        file.flush()
        assert len(reader.entries()) == 1
        file.write(" 42\n")
    assert reader.entries()[1:] == [Entry(17.0, Fact.STARTED, "b", 42)]
    writer.close()
    reader.close()


def test_the_table_replaces_what_stands_between_the_markers() -> None:
    document = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_into(document, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="chaos: begin"):
        put_into("text", "new")


def outcome(fault: str, profile: str, accepted: int, trouble: str | None = None) -> Outcome:
    return Outcome(fault, "solo", profile, Verdict(accepted, frozenset(), frozenset(), frozenset(), 0, 0), 0.5, trouble)


ORDER = [("kill", "solo"), ("freeze", "solo")]


def test_what_is_played_again_takes_its_place_in_the_table_and_the_rest_stays() -> None:
    first = [outcome("freeze", "safe", 1), outcome("freeze", "article", 2, "it hangs"), outcome("former", "safe", 3)]
    table = render(first, "Facts.", [*ORDER, ("former", "solo")])
    table = render([outcome("kill", "safe", 4)], "Facts.", ORDER, table_in(put_into(f"{BEGIN}{END}", table)))
    table = render([outcome("freeze", "safe", 5)], "Later facts.", ORDER, table)
    rows = [[cell.strip() for cell in line.split("|")[1:-2]] for line in table.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        ["kill", "solo", "4", "0", "0", "0.5 s", "", "", "", ""],
        ["freeze", "solo", "5", "0", "0", "0.5 s", "2", "0", "0", "0.5 s"],
    ]
    assert table.startswith("Later facts.\n\n|")
    assert table.endswith("|\n\nfreeze, solo, article: it hangs.")
    assert "hangs" not in render([outcome("freeze", "article", 6)], "Facts.", ORDER, table)
