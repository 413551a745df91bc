"""The chapter Routing."""

from kombu.common import Broadcast

from tests.guide.fleet import Fleet, refused, told
from tests.guide.rows import of

row = of("Routing")


@row("automatic: a task's queue")
def automatic(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("look", "delivery_info"))["delivery_info"]["routing_key"] == "left"


@row("task_routes, patterns, functions")
def routes(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("routed.here")) == "right"


@row("task_queues, task_default_queue, exchanges of one's own")
def queues(fleet: Fleet) -> None:
    assert fleet.app.conf.task_default_queue == "left"


@row("exchange types: topic, fanout")
def exchanges(fleet: Fleet) -> None:
    refused(lambda: fleet.s("twice", 1).apply_async(exchange="amq.topic", routing_key="nobody"), "NotAccepted")


@row("task_queue_max_priority, x-max-priority")
def priorities(fleet: Fleet) -> None:
    said = told(lambda: fleet.get(fleet.s("twice", 1), priority=5))
    assert said == "nothing: 2" or "has none in quorum queues" in said, said


@row("broadcast")
def broadcast(fleet: Fleet) -> None:
    refused(lambda: fleet.s("twice", 1).apply_async(queue=Broadcast("all")), "")


@row("task_create_missing_queues")
def missing(fleet: Fleet) -> None:
    refused(lambda: fleet.s("twice", 1).apply_async(queue="missing"), "there is no queue 'missing'")


@row("celery amqp, queues by hand")
def by_hand(fleet: Fleet) -> None:
    with fleet.app.connection_for_write() as connection:
        assert connection.default_channel.queue_declare("right", passive=True).consumer_count == 1
