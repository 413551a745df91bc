"""Whose place at the control socket a newcomer gets, where all are taken."""

import pytest

from agent.control.peer import Peer
from agent.control.places import Place, to_be_given_up

ROOT = Peer(1, 0)
GREEDY = Peer(2, 1000)
HONEST = Peer(3, 1000)
OTHER = Peer(4, 1001)


def waits(peer: Peer) -> Place:
    return Place(peer, is_silent=False)


def is_silent(peer: Peer) -> Place:
    return Place(peer, is_silent=True)


@pytest.mark.parametrize(
    ("places", "newcomer", "index"),
    [
        pytest.param([waits(ROOT), waits(GREEDY), waits(HONEST)], OTHER, 1, id="of the user who has most"),
        pytest.param([waits(GREEDY), is_silent(ROOT), waits(HONEST)], OTHER, 0, id="however silent others are"),
        pytest.param([waits(HONEST), waits(GREEDY), waits(GREEDY)], ROOT, 1, id="of the process that has most"),
        pytest.param([waits(GREEDY), is_silent(GREEDY), waits(GREEDY)], ROOT, 1, id="one who is silent"),
        pytest.param([waits(GREEDY), waits(GREEDY)], ROOT, 0, id="the oldest"),
        pytest.param([waits(ROOT), waits(OTHER)], OTHER, 1, id="the newcomer counts"),
    ],
)
def test_the_place_that_is_given_up_is(places: list[Place], newcomer: Peer, index: int) -> None:
    assert to_be_given_up(places, newcomer) == index
