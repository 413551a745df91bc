"""What several looks at a queue tell together."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.decide.looks import MOST, RECENT, Look, Looks, added, oldest, rates


def looks(*each: tuple[float, int, int]) -> Looks:
    """Return looks: when, how many waited, how many tasks the node had ended."""
    return tuple(Look(at, waiting, {1: done}, alone=True) for at, waiting, done in each)


def test_what_came_is_what_was_ended_and_what_the_queue_has_grown_by() -> None:
    assert rates(looks((0, 10, 100), (10, 30, 150))) == (7.0, 5.0)


def test_a_queue_that_others_purge_has_had_nothing() -> None:
    assert rates(looks((0, 100, 0), (10, 0, 0))) == (0.0, 0.0)


def test_one_look_tells_no_rate_nor_do_two_that_are_close_or_far_apart() -> None:
    assert rates(looks((0, 1, 1))) == (None, None)
    assert rates(looks((0, 1, 1), (1, 2, 2))) == (None, None)
    assert rates(looks((0, 1, 1), (3600, 2, 2))) == (None, None)


def test_what_came_is_not_known_where_others_took_some() -> None:
    before, after = looks((0, 10, 100), (10, 30, 150))
    assert rates((replace(before, alone=False), after)) == (None, 5.0)


def test_a_process_that_is_new_counts_from_nothing_and_one_that_is_gone_not_at_all() -> None:
    before = Look(0.0, 0, {1: 100}, alone=True)
    assert rates((before, Look(10.0, 0, {2: 20}, alone=True))) == (2.0, 2.0)


def test_what_waits_has_waited_since_the_look_after_which_fewer_were_taken() -> None:
    # 5 waited at 10; 4 have been ended since, so one of those is there still. Of the 3 that waited at 0 none is.
    assert oldest(looks((0, 3, 0), (10, 5, 6), (20, 5, 10))) == 10.0


def test_what_waits_while_nothing_is_taken_has_waited_since_it_was_first_seen() -> None:
    assert oldest(looks((0, 0, 0), (10, 3, 0), (20, 5, 0), (500, 5, 0))) == 490.0


def test_an_age_begins_anew_once_a_queue_was_empty() -> None:
    assert oldest(looks((0, 50, 0), (10, 0, 10), (20, 5, 10), (30, 5, 10))) == 10.0


def test_there_is_no_age_where_nothing_waits_or_others_take() -> None:
    assert oldest(looks((0, 5, 0), (10, 0, 5))) is None
    before, after = looks((0, 5, 0), (10, 5, 0))
    assert oldest((before, replace(after, alone=False))) is None
    assert oldest((replace(before, alone=False), after)) == 0.0


@given(st.lists(st.floats(2.0, 100.0), min_size=1, max_size=400))
def test_few_looks_are_kept_and_the_first_and_recent_ones_are_among_them(pauses: list[float]) -> None:
    at, kept, every = 0.0, looks((0, 5, 0)), looks((0, 5, 0))
    for pause in pauses:
        at += pause
        (look,) = looks((at, 5, 0))
        kept, every = added(kept, look), (*every, look)
    assert len(kept) <= MOST
    assert kept[0] == every[0]
    assert [each for each in every if at - each.at < RECENT] == [each for each in kept if at - each.at < RECENT]
    assert oldest(kept) == at
