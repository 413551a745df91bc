"""The right to send on a Redis: one has it, the next one knows what was sent, and nothing of who has lost it arrives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery
from celery.beat import Scheduler
from kombu import Connection, Exchange, Queue

from agent.guest.schedule.lock import DEADLINE, Lock, Memory
from agent.guest.schedule.record import Record, Seen
from agent.guest.schedule.right import kind_of
from agent.guest.schedule.timetable import Desk, Own
from tests.redis import Redis
from tests.waiting import wait_until

pytestmark = pytest.mark.celery

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
PREFIX = "shop:"
Stand = Callable[..., Lock]


@pytest.fixture
def name() -> str:
    """The name of a right to send."""
    return f"{uuid.uuid4()}.schedule"


@pytest.fixture
def stand(redis_server: Redis, name: str) -> Iterator[Stand]:
    """Return a function that makes a candidate, on a connection of its own, as an app with prefixed keys has.

    It is one of this process, or with a `Memory` one of another.
    """
    with ExitStack() as stack:

        def one(memory: Memory | None = None) -> Lock:
            connection = Connection(redis_server.url, transport_options={"global_keyprefix": PREFIX})
            stack.callback(connection.collect)
            connection.connect()
            lock = Lock(connection, name)
            if memory is not None:
                lock._memory, lock._token = memory, f"{memory.process}{uuid.uuid4()}"
            lock.stand(declares=True)
            return lock

        yield one


@pytest.fixture
def queue(name: str) -> Queue:
    """A queue that a tick goes to."""
    return Queue(f"{name}.work", Exchange(f"{name}.work", type="direct"), f"{name}.work", expires=600)


def sending(lock: Lock, queue: Queue) -> Callable[[], Any]:
    producer = Celery(broker="memory://", set_as_current=False).amqp.Producer(lock.channel)
    queue.bind(lock.connection.channel()).declare()
    return lambda: producer.publish("tick", exchange=queue.exchange, routing_key=queue.routing_key, priority=6)


def ticks(lock: Lock, queue: Queue) -> list[Any]:
    """Take what is in the queue, as a worker would."""
    found = queue.bind(lock.connection.channel())
    return [message.payload for message in iter(lambda: found.get(no_ack=True), None)]


def seen(record: Record, later: float = 0) -> Record:
    tick = NOON + timedelta(seconds=later)
    return record.after("each", Seen(tick, tick), "a host")


def run_out(lock: Lock) -> None:
    """Have it be as when its lock has run out, which its process had no time to renew."""
    assert lock._client.delete(lock._lock) == 1


def test_a_redis_has_locks(redis_server: Redis) -> None:
    assert kind_of(Connection(redis_server.url)) is Lock


def test_the_first_candidate_leads_and_the_second_one_waits(stand: Stand) -> None:
    first, second = stand(), stand()
    assert first.record == Record()
    second.wait(0.1)
    assert second.record is None
    with pytest.raises(Lock.LOST):
        second.write(seen(Record()))
    assert first.write(seen(Record())) == []


def test_who_follows_knows_what_was_written(stand: Stand) -> None:
    first, second = stand(), stand()
    written = seen(Record())
    first.write(written)
    assert first.record == written
    first.resign()
    second.wait(0.1)
    assert second.record == written


def test_a_leader_that_does_not_renew_is_followed_and_one_that_does_is_not(stand: Stand) -> None:
    leader, other = stand(), stand()

    def is_renewed() -> bool:
        leader.wait(0.1)
        return bool(leader._client.pttl(leader._lock) < 600_000 / 2)

    def is_followed() -> bool:
        other.wait(0.1)
        return other.record is not None

    leader._client.pexpire(leader._lock, 600_000)
    wait_until(is_renewed, 30, "it is renewed")
    assert not is_followed()
    leader._client.pexpire(leader._lock, 1)
    wait_until(is_followed, 30, "the other one leads")
    with pytest.raises(Lock.LOST):
        leader._transact(Record(), lambda _: None)


def test_a_tick_comes_with_its_record_under_the_app_s_prefix(stand: Stand, queue: Queue, redis_server: Redis) -> None:
    lock = stand()
    lock.write(seen(Record()), sending(lock, queue))
    assert ticks(lock, queue) == ["tick"]
    with redis_server.client() as client:
        assert not client.keys(f"{queue.name.removesuffix('.work')}*")
        assert client.exists(lock._kept, lock._lock) == 2


def test_nothing_arrives_of_a_leader_that_was_frozen_before_it_wrote(stand: Stand, queue: Queue) -> None:
    first, second = stand(), stand()
    send = sending(first, queue)
    run_out(first)
    second.wait(0.1)
    second.write(seen(Record(), later=1))
    with pytest.raises(Lock.LOST):
        first.write(seen(Record()), send)
    assert ticks(second, queue) == []
    assert second._read() == seen(Record(), later=1)


def test_nothing_arrives_of_a_leader_that_was_frozen_between_its_look_and_its_write(
    stand: Stand, redis_server: Redis, name: str
) -> None:
    first, second = stand(), stand()

    def frozen(transaction: Any) -> None:
        run_out(first)
        second.wait(0.1)
        assert second.record is not None
        transaction.lpush(name, "tick")

    with pytest.raises(Lock.LOST):
        first._transact(seen(Record()), frozen)
    with redis_server.client() as client:
        assert not client.exists(name)


def test_who_has_led_goes_on_from_there_when_redis_has_lost_all(stand: Stand) -> None:
    first = stand()
    first.write(seen(Record(), later=2))
    first._client.delete(first._kept)
    run_out(first)
    with pytest.raises(Lock.LOST):
        first.write(seen(Record(), later=3))
    again = stand()
    assert again.record == seen(Record(), later=2)


def lose_all(lock: Lock) -> None:
    """Have it be as in a Redis that was restarted without its data."""
    lock._client.delete(lock._lock, lock._kept)


def test_another_process_that_has_looked_on_goes_on_from_there_once_who_led_had_time_to(stand: Stand) -> None:
    leader, other = stand(Memory()), stand(Memory())
    former = seen(Record(), later=1)
    leader.write(former)
    other.wait(0.1)
    written = seen(former, later=2)
    leader.write(written)
    other.wait(0.1)
    lose_all(leader)
    other.wait(0.1)
    assert other.record is None  # it leaves it to the other one
    assert other._memory.lost is not None
    other._memory.lost -= DEADLINE
    other.wait(0.1)
    assert other.record == written


def test_who_led_is_followed_by_itself_when_redis_has_lost_all_and_not_by_who_led_before(stand: Stand) -> None:
    former, latter = Memory(), Memory()
    first, second = stand(former), stand(latter)
    first.write(seen(Record(), later=1))
    first.resign()
    second.wait(0.1)
    assert second.record is not None
    written = seen(second.record, later=2)
    second.write(written)
    first = stand(former)
    lose_all(second)
    first.wait(0.1)
    assert first.record is None
    again = stand(latter)
    assert again.record == again._read() == written
    first.wait(0.1)
    assert first.record is None


def test_a_process_that_knows_of_no_record_waits_for_nobody(stand: Stand) -> None:
    leader = stand(Memory())
    leader.write(seen(Record()))
    lose_all(leader)
    assert stand(Memory()).record == Record()


def test_an_entry_that_a_redis_refuses_stops_no_other(stand: Stand, redis_server: Redis, name: str) -> None:
    app = Celery("of the test", broker=redis_server.url, set_as_current=False)
    app.conf.broker_transport_options = {"global_keyprefix": PREFIX}
    entries = {each: {"task": each, "schedule": 1, "options": {"queue": f"{name}.{each}"}} for each in ("good", "bad")}
    scheduler = Scheduler(app, schedule={}, lazy=True)
    scheduler.update_from_dict(entries)
    pauses: dict[str, float] = {}
    with redis_server.client() as client:
        lock = stand()
        timetable = Own(scheduler, Desk(name, app, lock, pauses, lambda: None), lambda: NOON)
        timetable.tick()  # has them begin
        client.acl_setuser(
            "default",
            enabled=True,
            nopass=True,
            reset_keys=True,
            keys=[f"*{name}.{each}*" for each in ("lock", "record", "good")] + ["*_kombu*"],
        )
        try:
            later = Own(scheduler, Desk(name, app, lock, pauses, lambda: None), lambda: NOON + timedelta(seconds=1))
            with pytest.raises(Lock.REFUSED):
                later.tick(), later.tick()
            run_out(lock)
            again = stand()
            Own(scheduler, Desk(name, app, again, pauses, lambda: None), lambda: NOON + timedelta(seconds=2)).tick()
            assert pauses.keys() == {"bad"}
            assert client.llen(f"{PREFIX}{name}.good") >= 1
        finally:
            client.acl_setuser("default", enabled=True, nopass=True, keys=["*"])


def test_what_is_no_record_is_dropped(stand: Stand) -> None:
    lock = stand()
    lock._client.set(lock._kept, "not for you")
    lock.resign()
    assert stand().record == Record()


def test_two_records_are_joined_by_where_each_entry_stands_furthest() -> None:
    early, late = Seen(NOON), Seen(NOON + timedelta(hours=1))
    one, other = Record(7, "a", {"x": early, "y": late}), Record(2, "b", {"x": late, "y": early, "z": early})
    both = {"x": late, "y": late, "z": early}
    assert one.joined(other) == Record(7, "a", both)
    assert other.joined(one) == Record(7, "b", both)
