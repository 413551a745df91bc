"""What a worker leans on where tasks end its processes."""

from celery_delivery.internals.mend import Mend

BLAME = Mend(
    "blame",
    (
        "celery.app.task:Task.Request",
        "celery.worker.request:Request._context",
        "celery.worker.request:Request.delivery_info",
        "celery.worker.request:Request.on_failure.WorkerLostError",
        "celery.worker.request:Request.reject.acknowledged",
        "celery.worker.request:create_request_cls.revoked",
        "celery.worker.state:task_ready",
        "celery.worker.worker:WorkController._process_task.TaskRevokedError",
    ),
    "a task that ends its process is run as often as its queue allows",
)
CAREFUL = Mend(
    "careful",
    (
        "celery.worker.consumer.consumer:Consumer.register_with_event_loop",
        "kombu.asynchronous.hub:Hub.call_soon",
        "celery.worker.consumer.tasks:Tasks.start.qos",
        "celery.worker.loops:asynloop.on_message",
        "celery.worker.state:reserved_requests",
        "kombu.common:QoS.update",
        "kombu.messaging:Consumer.cancel",
        "kombu.messaging:Consumer.consume",
        "kombu.asynchronous.timer:Timer.call_repeatedly",
    ),
    "what a worker that died had fetched ahead may become dead letters, though it never ran",
)
