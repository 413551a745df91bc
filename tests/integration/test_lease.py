"""The right to send: one has it, the next one knows what was sent, and nothing of who has lost it arrives."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import amqp
import pytest
from kombu import Connection

from agent.guest.schedule.lease import Lease
from agent.guest.schedule.record import Record, Seen, decode, encode
from celery_delivery.sending.confirms import Answer
from tests.rabbitmq import RabbitMQ
from tests.waiting import wait_until

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
Stand = Callable[[], Lease]


@pytest.fixture(scope="module")
def vhost(broker: RabbitMQ) -> Iterator[str]:
    """One vhost for all tests; each has a right of its own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    broker.add_vhost(name)
    yield name
    broker.delete_vhost(name)


@pytest.fixture
def name() -> str:
    """The name of a right to send, which is that of its queue."""
    return f"{uuid.uuid4()}.schedule"


@pytest.fixture
def stand(broker: RabbitMQ, vhost: str, name: str) -> Iterator[Stand]:
    """Return a function that makes a candidate, on a connection of its own."""
    with ExitStack() as stack:

        def one() -> Lease:
            connection = Connection(f"amqp://guest:guest@{broker.host}:{broker.port}/{vhost}")
            stack.callback(connection.collect)
            connection.connect()
            lease = Lease(connection, name)
            lease.stand(declares=True)
            return lease

        yield one


def led(lease: Lease) -> Record:
    """Return the record once a candidate leads."""

    def found() -> Record | None:
        lease.wait(0.1)
        return lease.record

    record = wait_until(found, 20, "it leads")
    assert record is not None
    return record


def seen(record: Record, name: str = "each") -> Record:
    return record.after(name, Seen(NOON, NOON), "a host")


def test_the_first_candidate_leads_and_the_second_one_waits(stand: Stand) -> None:
    first, second = stand(), stand()
    assert led(first) == Record()
    second.wait(0.2)
    assert second.record is None
    with pytest.raises(Lease.LOST):
        second.write(seen(Record()))


def test_who_follows_knows_what_was_written(stand: Stand) -> None:
    first, second = stand(), stand()
    written = seen(led(first))
    assert first.write(written) == []
    assert first.record == written
    first.resign()
    assert led(second) == written


def test_of_two_records_the_newer_one_counts_wherever_it_stands(
    stand: Stand, broker: RabbitMQ, vhost: str, name: str
) -> None:
    stand().resign()
    newer, older = seen(seen(Record())), seen(Record())
    with broker.connect(vhost) as connection:
        for record in (older, newer, older, Record()):
            connection.channel().basic_publish(amqp.Message(encode(record)), routing_key=name)
    lease = stand()
    assert led(lease) == newer
    lease.resign()
    wait_until(lambda: broker.messages(name, vhost) == 1, 20, "the others are gone")


def test_a_tick_and_its_record_go_out_in_one_write(stand: Stand, broker: RabbitMQ, vhost: str, name: str) -> None:
    lease = stand()
    record = seen(led(lease))
    with broker.connect(vhost) as connection:
        connection.channel().queue_declare(f"{name}.work", durable=True, auto_delete=False)
    written = []
    transport: Any = lease.connection.connection.transport
    send = transport._write

    def note(data: bytes) -> None:
        written.append(bytes(data))
        send(data)

    transport._write = note
    tick = amqp.Message("tick", delivery_mode=2)
    answers = lease.write(record, lambda: lease.channel.basic_publish(tick, routing_key=f"{name}.work", mandatory=True))
    assert answers == [Answer.TAKEN]
    (first, *_) = written
    assert b"tick" in first
    assert encode(record) in first
    assert broker.messages(f"{name}.work", vhost) == 1


def test_what_finds_no_queue_is_told(stand: Stand) -> None:
    lease = stand()
    record = seen(led(lease))
    tick = amqp.Message("tick", correlation_id="1")
    answers = lease.write(record, lambda: lease.channel.basic_publish(tick, routing_key="nowhere", mandatory=True))
    assert answers == [Answer.RETURNED]


def test_nothing_arrives_of_a_leader_whose_connection_the_broker_has_closed(
    stand: Stand, broker: RabbitMQ, vhost: str, name: str
) -> None:
    first, second = stand(), stand()
    record = led(first)
    with broker.connect(vhost) as connection:
        connection.channel().queue_declare(f"{name}.work", durable=True, auto_delete=False)
    port = first.connection.connection.transport.sock.getsockname()[1]
    ours = f"{{peer_port, {port}}} <- rabbit_networking:connection_info(Pid, [peer_port])"
    close = f'[rabbit_networking:close_connection(Pid, "") || Pid <- rabbit_networking:connections(), {ours}].'
    broker.evaluate(close)
    assert led(second) == record
    tick = amqp.Message("tick", delivery_mode=2)
    with pytest.raises(Lease.LOST):
        first.write(seen(record), lambda: first.channel.basic_publish(tick, routing_key=f"{name}.work"))
    assert broker.messages(f"{name}.work", vhost) == 0
    assert second.record == record


def test_a_queue_that_is_deleted_is_a_right_that_is_lost(stand: Stand, broker: RabbitMQ, vhost: str, name: str) -> None:
    lease = stand()
    led(lease)
    with broker.connect(vhost) as connection:
        connection.channel().queue_delete(name)
    with pytest.raises(Lease.LOST):
        wait_until(lambda: lease.wait(0.1), 20, "it is told")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"{}", b"[" * 100_000, b"\xff", b'{"version": 1, "by": "", "entries": {"a": ["now", null]}}']
)
def test_what_is_no_record_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        decode(body)


def test_a_record_is_read_as_it_was_written() -> None:
    record = seen(Record(), "a").after("b", Seen(NOON), "another host")
    assert decode(encode(record)) == record
    assert record.without_the_forgotten(frozenset({"a"}), NOON.replace(year=2027)).entries == {"a": Seen(NOON, NOON)}
