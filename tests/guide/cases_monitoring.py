"""The chapter Monitoring."""

from typing import Any

from celery.events.state import State

from tests.guide.fleet import Fleet
from tests.guide.rows import of

row = of("Monitoring")


@row("celery status, celery inspect")
def status(fleet: Fleet) -> None:
    assert fleet.queue("right").pid


@row("events of tasks: app.events.Receiver, state")
def events(fleet: Fleet) -> None:
    state, sent = State(), list[Any]()
    with fleet.app.connection_for_read() as connection:
        receiver = fleet.app.events.Receiver(connection, handlers={"*": state.event})
        for _ in receiver.consume(limit=2000, timeout=60, wakeup=False):  # the ticks of the schedule have events, too
            sent = sent or [fleet.s("twice", 1).delay()]
            found = state.tasks.get(sent[0].id)
            if found and found.sent and found.succeeded:  # one is of the producer, the other of the worker
                break
    assert (found.name, found.state, found.result) == ("twice", "SUCCESS", "2")


@row("task_send_sent_event, worker_send_task_events")
def settings(fleet: Fleet) -> None:
    assert fleet.app.conf.worker_send_task_events


@row("worker-online, worker-heartbeat; Flower, celery events")
def heartbeat(fleet: Fleet) -> None:
    seen: list[str] = []
    with fleet.app.connection_for_read() as connection:
        receiver = fleet.app.events.Receiver(connection, handlers={"*": lambda event: seen.append(event["type"])})
        for _ in receiver.consume(limit=9, timeout=60, wakeup=False):
            pass
    assert seen
    assert not any(kind.startswith("worker-") for kind in seen)


@row("rabbitmqctl list_queues")
def queues(fleet: Fleet) -> None:
    with fleet.app.connection_for_read() as connection:
        assert connection.default_channel.queue_declare("left", passive=True).consumer_count == 1


@row("figures for Prometheus, Munin")
def figures(fleet: Fleet) -> None:
    found = fleet.queue("left")
    assert found.succeeded + found.failed + found.retried + found.restarts >= 0
