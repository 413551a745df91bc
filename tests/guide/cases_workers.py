"""The chapter Workers."""

from celery_delivery.apps import create_app_from
from tests.guide.fleet import SETTINGS, Fleet, refused, told
from tests.guide.rows import of
from tests.guide.shared import tasks as contracts
from tests.waiting import wait_until

row = of("Workers")


@row("celery worker, celery multi")
def started(fleet: Fleet) -> None:
    assert fleet.queue("left").state == "consuming"


@row("node names, -n")
def names(fleet: Fleet) -> None:
    assert fleet.get(fleet.s("look", "hostname"))["hostname"].startswith("left.1.first@")


@row("--concurrency, --pool")
def concurrency(fleet: Fleet) -> None:
    assert fleet.queue("left").concurrency == (1 if fleet.pool == "solo" else 4)


@row("--autoscale")
def autoscale(fleet: Fleet) -> None:
    assert "CELERY_AGENT_DEFAULTS__AUTOSCALE" in fleet.check(DEFAULTS__AUTOSCALE="10,3")


@row("--max-tasks-per-child, --max-memory-per-child")
def children(fleet: Fleet) -> None:
    said = fleet.check(DEFAULTS__MAX_TASKS_PER_CHILD="100", DEFAULTS__MAX_MEMORY_PER_CHILD="500")
    assert ("FAIL" in said) == (fleet.pool != "prefork"), said


@row("time limits: TIME_LIMIT, SOFT_TIME_LIMIT")
def limits(fleet: Fleet) -> None:
    said = fleet.check(DEFAULTS__TIME_LIMIT="100", DEFAULTS__SOFT_TIME_LIMIT="50")
    assert ("FAIL" in said) == (fleet.pool != "prefork"), said


@row("app.control.revoke")
def revoke(fleet: Fleet) -> None:
    sent = fleet.s("twice", 1).apply_async(countdown=2)
    fleet.app.control.revoke([sent.id])
    assert told(lambda: sent.get(timeout=60)) == "TaskRevokedError: revoked"


@row("revoke(terminate=True) of a task that runs")
def terminate(fleet: Fleet) -> None:
    goes_on = fleet.pool == "solo"  # where nothing is heard while it runs
    sent = fleet.s("waits", 2 if goes_on else 600).delay()
    wait_until(lambda: sent.id in {each.id for each in fleet.queue("right").active}, 60, "it runs")
    sent.revoke(terminate=True)
    said = told(lambda: sent.get(timeout=60))
    assert said == ("nothing: 'waited'" if goes_on else "TaskRevokedError: terminated")


@row("app.control.inspect()")
def inspect(fleet: Fleet) -> None:
    refused(lambda: fleet.app.control.inspect().active(), "RemoteControlOff: no worker hears", "agent status")


@row("app.control: rate_limit, time_limit, add_consumer, shutdown, pool_grow")
def control(fleet: Fleet) -> None:
    for call in (
        lambda: fleet.app.control.rate_limit("limited", "1/m"),
        lambda: fleet.app.control.add_consumer("x"),
        fleet.app.control.shutdown,
        fleet.app.control.pool_grow,
    ):
        refused(call, "RemoteControlOff: no worker hears")


@row("app.control.ping, celery status")
def ping(fleet: Fleet) -> None:
    assert fleet.queue("right").consuming


@row("own remote control commands")
def own_commands(fleet: Fleet) -> None:
    refused(lambda: fleet.app.control.broadcast("mine", reply=True), "RemoteControlOff: no worker hears 'mine'")


@row("app.control.purge, celery purge")
def purge(fleet: Fleet) -> None:
    app = create_app_from([contracts.UnhostedTask], SETTINGS)
    app.tasks["unhosted"].delay()
    assert app.control.purge() > 0


@row("warm, soft and cold shutdown, signals of processes")
def shutdown(fleet: Fleet) -> None:
    said = fleet.agent("config", "first")
    assert "WARM_TIMEOUT" in said.upper(), said


@row("--logfile, --pidfile, --statedb, --detach")
def files(fleet: Fleet) -> None:
    assert "CELERY_AGENT_LOGFILE" in fleet.check(LOGFILE="/tmp/x")
