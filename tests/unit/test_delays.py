"""Delays as routing keys: which stays a task has in the queues of the levels."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from celery_delivery.errors import DelayError
from celery_delivery.topology.delays import (
    DUE,
    FIRST,
    LEVELS,
    LONGEST,
    level,
    prepare,
    routing_key,
    seconds_until,
    topology,
)
from celery_delivery.topology.queues import Binding
from celery_delivery.worker.clocks import clocks
from celery_delivery.worker.incoming import Times

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def matches(pattern: str, key: str) -> bool:
    """Tell whether a topic exchange would take a key; '#' is the last word, or the first."""
    words, found = pattern.split("."), key.split(".")
    if words[0] == "#":
        return found[-len(words) + 1 :] == words[1:]
    return len(found) >= len(words) - 1 and all(w in ("*", f) for w, f in zip(words[:-1], found, strict=False))


def stay(seconds: int, queue: str, queues: tuple[str, ...]) -> tuple[int, set[str]]:
    """Follow a task through the topology; return how long it was kept, and where it came out."""
    found = topology(queues)
    ttl = {each.name: int(each.arguments["x-message-ttl"]) // 1000 for each in found.queues}
    next_exchange = {each.name: str(each.arguments["x-dead-letter-exchange"]) for each in found.queues}
    key, at, waited, arrived = routing_key(seconds, queue), [FIRST], 0, set()
    while at:
        exchange = at.pop()
        for binding in found.bindings:
            if binding.source == exchange and matches(binding.routing_key, key):
                if binding.to == "exchange":
                    at.append(binding.destination)
                elif binding.destination in ttl:
                    waited += ttl[binding.destination]
                    at.append(next_exchange[binding.destination])
                else:
                    arrived.add(binding.destination)
    return waited, arrived


@given(st.integers(1, LONGEST))
def test_a_task_is_kept_for_its_delay_and_comes_to_its_queue_alone(seconds: int) -> None:
    assert stay(seconds, "mails", ("mails", "other")) == (seconds, {"mails"})


class Channel:
    """Notes the queues that are declared, with the seconds that a task stays there, and what leads from them."""

    def __init__(self) -> None:
        self.queues: dict[str, int] = {}
        self.leading: list[str] = []

    def queue_declare(self, name: str, arguments: dict[str, int], **_options: bool) -> None:
        self.queues[name] = arguments["x-message-ttl"] // 1000

    def queue_bind(self, queue: str, *_binding: str, **_options: bool) -> None:
        self.leading.append(queue)

    def exchange_declare(self, *_exchange: str, **_options: bool) -> None:
        pass

    def exchange_bind(self, *_binding: str, **_options: bool) -> None:
        pass


@given(st.integers(1, LONGEST))
def test_a_delay_declares_the_queues_that_its_tasks_stay_in_and_no_other(seconds: int) -> None:
    channel = Channel()
    prepare("mails", seconds, channel, set())
    assert sum(channel.queues.values()) == seconds
    assert set(channel.leading) == {*channel.queues, "mails"}


def test_what_a_connection_has_declared_is_not_declared_again_for_the_same_queue() -> None:
    channel, declared = Channel(), set[object]()
    prepare("mails", 5, channel, declared)
    channel.queues.clear()
    prepare("mails", 4, channel, declared)
    assert channel.queues == {}
    prepare("mails", 7, channel, declared)
    assert channel.queues == {level(1): 2}
    prepare("other", 7, channel, declared)
    assert "other" in channel.leading


@pytest.mark.parametrize("queue", ["out", "mails.out", "a.*", "#", "ä b", "mails%2Eout"])
def test_a_queue_s_name_means_no_other_queue(queue: str) -> None:
    assert stay(5, queue, ("out", "mails.out", "a.*", "#", "ä b", "mails%2Eout")) == (5, {queue})


@pytest.mark.parametrize("start", ["д" * 124, "x" * 249, "#" * 249])
def test_a_name_as_long_as_can_be_has_a_routing_key_of_its_own(start: str) -> None:
    queues = (f"{start}1", f"{start}2", start)
    for queue in queues:
        assert stay(LONGEST, queue, queues) == (LONGEST, {queue})
        assert len(routing_key(LONGEST, queue)) <= 255


def test_a_dead_letter_queue_of_a_level_is_the_next_level() -> None:
    found = topology([])
    assert [each.name for each in found.exchanges] == [level(number) for number in range(LEVELS - 1, -2, -1)]
    assert found.queues[-1].arguments["x-dead-letter-exchange"] == DUE
    assert Binding(DUE, "a", "#.a") in topology(["a"]).bindings


@pytest.mark.parametrize(("seconds", "expected"), [(-5, 0), (0, 0), (0.001, 1), (1, 1), (1.5, 2), (86_400, 86_400)])
def test_a_delay_is_whole_seconds_rounded_up(seconds: float, expected: int) -> None:
    assert seconds_until((NOW + timedelta(seconds=seconds)).isoformat(), NOW) == expected


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert seconds_until("2026-05-04T12:00:07", NOW) == 7


def test_a_time_too_far_away_is_refused() -> None:
    with pytest.raises(DelayError, match="388 days at most, not until 2028"):
        seconds_until("2028-01-01T00:00:00+00:00", NOW)


def arrived(exchange: str, eta: object) -> SimpleNamespace:
    return SimpleNamespace(
        delivery_info={"exchange": exchange}, headers={"task": "send", "id": "1", "origin": "gen7@shop", "eta": eta}
    )


@pytest.mark.parametrize(
    ("exchange", "eta", "left"),
    [
        (DUE, "2999-01-01T00:00:00", None),
        (DUE, "1999-01-01T00:00:00+03:00", "1999-01-01T00:00:00+03:00"),
        (DUE, "soon", "soon"),
        (DUE, 7, 7),
        (DUE, None, None),
        ("emails", "2999-01-01T00:00:00", "2999-01-01T00:00:00"),
    ],
)
def test_only_what_has_waited_in_the_broker_is_due_before_its_time(exchange: str, eta: object, left: object) -> None:
    message = arrived(exchange, eta)
    Times().settle(message)
    assert message.headers["eta"] == left


def test_clocks_that_differ_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    times = Times()
    for _ in range(2):
        times.settle(arrived(DUE, "2999-01-01T00:00:00"))
    assert [record.getMessage().partition(" is ")[0] for record in caplog.records] == ["The clock of this host"]


def test_clocks_that_differ_are_shown_as_long_as_messages_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    Times().settle(arrived(DUE, "2999-01-01T00:00:00"))
    shown = clocks.read()
    assert shown.startswith("the clock of this host is ")
    assert "behind that of gen7@shop: delays are right" in shown
    assert shown.endswith("have both keep their time (NTP)")
    monkeypatch.setattr("celery_delivery.worker.clocks.LASTING", -1.0)
    Times().settle(arrived(DUE, "2999-01-01T00:00:00"))
    assert clocks.read() == ""


def test_a_sender_with_a_long_name_takes_no_place_from_what_is_to_be_done() -> None:
    message = arrived(DUE, "2999-01-01T00:00:00")
    message.headers["origin"] = "☎" * 10_000
    Times().settle(message)
    assert len(clocks.read()) < 300
    assert clocks.read().endswith("have both keep their time (NTP)")
