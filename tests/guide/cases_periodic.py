"""The chapter Periodic tasks."""

from tests.guide.fleet import Fleet
from tests.guide.rows import of

row = of("Periodic tasks")


def ticks(fleet: Fleet, name: str) -> list[str]:
    return fleet.lines(str(fleet.folder / f"ticks.{name}"), 2)


@row("beat_schedule: task, schedule, args, kwargs")
def entries(fleet: Fleet) -> None:
    found = [line.split()[0] for line in ticks(fleet, "number")]
    assert len(set(found)) == len(found)


@row("schedules: seconds, timedelta, schedule()")
def schedules(fleet: Fleet) -> None:
    assert ticks(fleet, "timedelta")
    assert ticks(fleet, "schedule")


@row("crontab")
def crontabs(fleet: Fleet) -> None:
    assert "06:30:00" in fleet.schedule


@row("options of an entry: expires, queue, priority")
def options(fleet: Fleet) -> None:
    assert ticks(fleet, "schedule")


@row("timezone, enable_utc")
def zone(fleet: Fleet) -> None:
    assert "UTC" in fleet.schedule


@row("celery beat, celery worker -B")
def beat(fleet: Fleet) -> None:
    assert "sent by this node: 4 entries" in fleet.schedule


@row("app.add_periodic_task, on_after_configure")
def by_code(fleet: Fleet) -> None:
    assert "FAIL" in fleet.check(SCHEDULE="app")


@row("custom scheduler classes, django-celery-beat")
def scheduler(fleet: Fleet) -> None:
    said = fleet.check(SCHEDULE="celery.beat:PersistentScheduler")
    assert "PersistentScheduler" in said, said


@row("an entry with a mistake")
def mistake(fleet: Fleet) -> None:
    said = fleet.check(SCHEDULE="tests.guide.mistaken:ENTRIES")
    assert "FAIL" in said, said
    assert "twise" in said, said
