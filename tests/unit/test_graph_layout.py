"""The picture of a stack: everything has a place of its own, whatever its names are."""

import random
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.cli.draw.layout import layout
from agent.cli.draw.picture import Area, Picture
from agent.cli.draw.stacks import Sight, graph_of
from tests.unit.drawings import ALL, FIFTY, KINDS, LONG, queue, sight

BOXES = {"source", "exchange", "queue", "worker", "pool", "tasks"}
NAMES = st.text(min_size=1, max_size=90) | st.just(LONG) | st.text("Wm@", min_size=1, max_size=90)


def drawn(sights: tuple[Sight, ...]) -> Picture:
    return layout(graph_of(sights))


def assert_orderly(picture: Picture) -> None:
    whole = Area(0, 0, picture.width, picture.height)
    boxes = [each.area for each in picture.frames if each.role.partition(" ")[0] in BOXES]
    labels = [each.area for each in picture.labels]
    squares = [each.area for each in picture.frames if each.role.startswith("cell")]
    assert all(whole.holds(each) for each in (*labels, *boxes, *squares))
    assert all(whole.holds(Area(x, y, 0, 0)) for way in picture.ways for x, y in way.points)
    assert not [pair for pair in combinations([*labels, *squares], 2) if pair[0].meets(pair[1])]
    assert not [pair for pair in combinations(boxes, 2) if pair[0].meets(pair[1])]
    for mark in (*labels, *squares):
        assert all(box.holds(mark) or not box.meets(mark) for box in boxes), "it is half in a box"
    for way in picture.ways:
        (x, y), (to_x, to_y) = way.points
        line = Area(min(x, to_x), min(y, to_y), abs(to_x - x), abs(to_y - y))
        assert not [each for each in (*boxes, *labels) if each.meets(line)], "a line goes through something"


@pytest.mark.parametrize("name", sorted(ALL))
def test_nothing_lies_on_anything_else_or_leaves_the_picture(name: str) -> None:
    assert_orderly(drawn(ALL[name]))


@settings(max_examples=60)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES, st.integers(0, 10**15), st.integers(1, 99)), min_size=1, max_size=4))
def test_nor_does_it_whatever_the_names_and_numbers_are(given: list[tuple[str, str, str, int, int]]) -> None:
    queues = [
        queue(
            name,
            tasks=(task,) * 4,
            cause=cause,
            waiting=many,
            concurrency=few,
            rate_in=float(many),
            rate_out=many / 7e3,
        )
        for name, task, cause, many, few in given
    ]
    assert_orderly(drawn((sight(*queues, node=queues[0].queue),)))


def test_fifty_queues_are_fifty_rows_of_a_picture_that_is_as_wide_as_a_screen() -> None:
    picture = drawn(FIFTY)
    assert picture.width < 1280
    assert picture.height < 50 * 80
    assert sum(label.text.startswith("queue_") for label in picture.labels) == 2 * 50  # exchanges and queues


def test_long_names_widen_no_picture_without_end_and_their_whole_is_told_to_who_points_at_it() -> None:
    picture = drawn(ALL["long"])
    assert picture.width < 1600
    assert any(LONG in frame.more for frame in picture.frames)


def test_the_order_in_which_instances_come_changes_nothing() -> None:
    sights = list(KINDS)
    random.Random(1).shuffle(sights)
    assert drawn(tuple(sights)) == drawn(KINDS)


def test_a_pool_of_many_is_a_number_and_one_of_few_has_a_square_for_each() -> None:
    for places, squares in ((1, 0), (2, 2), (10, 10), (11, 0), (64, 0)):
        picture = drawn((sight(queue("q", concurrency=places)),))
        assert sum(frame.role.startswith("cell") for frame in picture.frames) == squares


def test_a_worker_that_takes_nothing_has_a_broken_line_to_its_queue() -> None:
    well, ill = queue("q"), queue("q", consuming=False)
    assert not any(way.is_open for way in drawn((sight(well),)).ways)
    assert [way.is_open for way in drawn((sight(ill),)).ways].count(True) == 1
    assert [way.is_open for way in drawn((sight(replace(ill, pid=None)),)).ways].count(True) == 3
