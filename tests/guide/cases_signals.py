"""The chapter Signals."""

from celery import signals

from tests.guide.fleet import Fleet
from tests.guide.rows import of

row = of("Signals")


@row("before_task_publish, after_task_publish")
def publish(fleet: Fleet) -> None:
    seen: list[str] = []

    def before(headers: dict[str, str], **_: object) -> None:
        seen.append(f"before {headers['id']}")

    def after(headers: dict[str, str], **_: object) -> None:
        seen.append(f"after {headers['id']}")

    signals.before_task_publish.connect(before)
    signals.after_task_publish.connect(after)
    sent = fleet.s("twice", 1).delay()
    assert {f"before {sent.id}", f"after {sent.id}"} <= set(seen)


@row("task_received, task_prerun, task_postrun, task_success")
def success(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("twice", 1)) == 2
    fleet.hear("task_received", "task_prerun", "task_postrun", "task_success")


@row("task_failure")
def failure(fleet: Fleet) -> None:
    assert fleet.told(fleet.s("add", -1)) == "ValueError: negative"
    fleet.hear("task_failure")


@row("task_retry")
def retry(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("try_again", 1, {"countdown": 0})) == 1
    fleet.hear("task_retry")


@row("task_revoked")
def revoked(fleet: Fleet) -> None:
    assert fleet.told(fleet.s("twice", 1), countdown=1, expires=0.5) == "TaskRevokedError: expired"
    fleet.hear("task_revoked")


@row("celeryd_init, celeryd_after_setup, worker_init, worker_ready")
def worker(fleet: Fleet) -> None:
    fleet.hear("celeryd_init", "celeryd_after_setup", "worker_init", "worker_ready")


@row("worker_process_init")
def process(fleet: Fleet) -> None:
    fleet.hear("worker_process_init")


@row("after_setup_logger, after_setup_task_logger")
def loggers(fleet: Fleet) -> None:
    fleet.hear("after_setup_logger", "after_setup_task_logger")


@row("import_modules")
def modules(fleet: Fleet) -> None:
    fleet.hear("import_modules")


@row("task_unknown, task_rejected")
def unknown(fleet: Fleet) -> None:
    with fleet.app.connection_for_write() as connection:
        connection.default_channel.basic_publish(
            connection.default_channel.prepare_message(
                "[[], {}, {}]",
                content_type="application/json",
                content_encoding="utf-8",
                headers={"lang": "py", "task": "nobody.has.it", "id": "unknown"},
                properties={"reply_to": "nowhere", "correlation_id": "unknown"},
            ),
            routing_key="right",
        )
    fleet.hear("task_unknown")
