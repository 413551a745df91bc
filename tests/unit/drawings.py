"""Instances to be drawn, of many kinds."""

from dataclasses import replace

from agent.cli.draw.stacks import Sight
from agent.decide.status import EntryStatus, QueueStatus, ScheduleStatus, TaskStatus
from tests.unit.test_render import QUEUE, STATUS

BROKER = "rabbitmq://magic:**@broker.example:5671//"
LONG = "department.of.unusually.long.names.and.even.longer.abbreviations_WWWWWMMMM.final"


def queue(name: str, **changes: object) -> QueueStatus:
    """Return a queue that does well, at which 3 tasks wait."""
    usual = {"queue": name, "tasks": (f"shop.tasks:{name.title()}",), "active": (), "active_count": 0, "exchange": name}
    known = {"dead_letters": f"{name}.dead", "health": "ok", "waiting": 3, "oldest": 4.2, "consumers": 1}
    return replace(QUEUE, **{**usual, **known, "rate_in": 4.25, "rate_out": 4.0, **changes})  # type: ignore[arg-type]


def sight(*queues: QueueStatus, node: str = "", instance: str = "magic", **changes: object) -> Sight:
    """Return an instance that has these queues."""
    usual = {"instance": instance, "broker": BROKER, "queues": queues}
    return Sight(node, instance, "running", replace(STATUS, **{**usual, **changes}))  # type: ignore[arg-type]


ONE = (sight(queue("unique_magic_task", tasks=("tasks:ActualMagicCeleryTask",))),)

RUNNING = (TaskStatus("6e1c", "reports", 61.0), TaskStatus("7f2d", "reports", 3.0))
SCHEDULE = ScheduleStatus("magic.schedule", "shop.periodic:ENTRIES", True, (EntryStatus("nightly", None, 1e9),), 4)
KINDS = (
    sight(
        queue("orders", tasks=("shop.tasks:Order", "shop.tasks:Refund", "shop.tasks:Cancel", "shop.tasks:Return")),
        queue("reports", health="busy", concurrency=4, active=RUNNING, active_count=2, waiting=1234),
        queue("mails", health="hung", cause="its pool has had a place for 40 s and begins no task", concurrency=64),
        queue(
            "thumbs",
            health="backoff",
            pid=None,
            consuming=False,
            state="backoff",
            restarts=7,
            waiting=90_512,
            cause="killed by SIGSEGV 7 times in a row, next try in 32 s",
            oldest=7200.0,
            rate_out=0.0,
        ),
        queue(
            "old",
            health="draining",
            wanted=False,
            draining=1,
            waiting=None,
            consumers=None,
            oldest=None,
            rate_in=None,
            rate_out=None,
            unseen="it is not asked about",
        ),
        replace(queue("magic.schedule"), tasks=()),
        schedule=SCHEDULE,
    ),
    sight(
        queue("celery", exchange="", dead_letters="", tasks=("shop.add",), pool="solo", concurrency=1),
        queue("audit.eu", exchange="audit", dead_letters="", tasks=("audit.write",), pool="threads", concurrency=8),
        queue(
            "audit.us",
            exchange="audit",
            dead_letters="",
            tasks=("audit.write",),
            health="",
            state="connecting",
            consuming=False,
        ),
        instance="hosted",
        app="shop.celery:app",
        broker="amqp://shop:**@other.example:5672//shop",
    ),
    sight(
        queue(
            "demo",
            exchange="",
            dead_letters="",
            waiting=None,
            consumers=None,
            rate_in=None,
            rate_out=None,
            health="",
            concurrency=2,
            pool="prefork",
        ),
        instance="trial",
        broker="embedded:///tmp/b",
        embedded=True,
    ),
    Sight("", "billing", "not running"),
    Sight("", "stuck", "no answer"),
    sight(instance="young", broker="", state="starting", summary="reading the configuration"),
)

FIVE = (sight(*(queue(name) for name in ("emails", "invoices", "orders", "reports", "thumbnails"))),)
FIFTY = (
    sight(
        *(
            queue(
                f"queue_{number:02}",
                concurrency=1 + number % 12,
                active_count=number % 5,
                health=("ok", "busy", "idle", "saturated", "stuck")[number % 5],
                cause="" if number % 5 != 4 else "its tasks wait for a lock that nobody gives back",
            )
            for number in range(50)
        )
    ),
)
FLEET = tuple(
    sight(
        queue("orders", consumers=3),
        queue("mails", consumers=3, health="ok" if node != "node3" else "stuck"),
        node=node,
    )
    for node in ("node1", "node2", "node3")
)
HOSTILE = '<script>alert("1")</script>&\'`]]>\x1b[2J\u202e\ud800#quot;;--></svg>\n'
LONG_ONES = (
    sight(
        queue(
            LONG,
            tasks=(f"a:{LONG}", f"b:{LONG}", f"c:{LONG}"),
            cause=" ".join([LONG] * 4),
            health="stuck",
            dead_letters=f"{LONG}.dead",
            exchange=LONG,
            pool="prefork",
            concurrency=1_000_000,
            active_count=99_999,
            waiting=10**12,
            oldest=1e9,
            consumers=10**6,
            rate_in=1e12,
            rate_out=123456.7,
        ),
        queue("大" * 60, tasks=("模块:任务" * 20,)),
        queue("ﷺ" * 20 + "𒐫" * 20, tasks=("👩‍👩‍👧‍👦" * 20,)),
        queue(HOSTILE, tasks=(HOSTILE,), cause=HOSTILE, pool=HOSTILE, health=HOSTILE),
        node="host-with-a-name-that-is-as-long-as-names-of-hosts-in-clouds-are.eu-central-1.compute.internal",
        broker="rabbitmq://user:**@" + "b" * 200 + ".example:5671//" + HOSTILE,
        instance="a-name-of-an-instance-that-has-as-many-signs-as-are-allowed-1234",
    ),
)
ALL = {"one": ONE, "kinds": KINDS, "five": FIVE, "fifty": FIFTY, "fleet": FLEET, "long": LONG_ONES, "none": ()}
