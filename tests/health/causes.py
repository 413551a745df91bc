"""Nine causes of trouble, one row each: how each is provoked, and what each place must say of it: the cause, and what to do."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from tests.health.deeds import Deed, change_password, delete_queue, nothing, revoke_rights
from tests.health.stage import QUEUE, Stage, Way
from tests.health.told import CHECK, LOG, METRICS, STATUS, SYSTEMD

DISK = "disk"  # a small one, in the folder of the stage
AHEAD = """
import datetime
from celery_delivery.sending import producer

class Ahead(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return datetime.datetime.now(zone) + datetime.timedelta(hours=1)

producer.datetime = Ahead
worker.app.now = lambda: Ahead.now(datetime.UTC)
print(json.dumps(worker.apply_async(("return", "ahead"), countdown=1).get(timeout=60)))"""
_FULL = "No space left on device: free space on the disk of "
_BEHIND, _NTP = "alpha: the clock of this host is 359", "have both keep their time (NTP)"
_DOWN = ('celery_worker_up{queue_name="alpha"} 0', 'queue_name="alpha",health="broker_down"} 1')


@dataclass(frozen=True)
class Cause:
    """One row.

    says: parts of the lines that a place must have in the end; a place that is not there tells nothing of it. seldom: whether
        it lasts, and the log is to say no line of a worker twice meanwhile.
    before: what is done before the instance starts. begins_refused: whether it can't consume then. state: its state folder.
    mend: what ends the cause, after which status and systemd must say nothing of it; None where that is not played.
    """

    name: str
    provoke: Deed
    says: Mapping[str, tuple[str, ...]]
    way: Way = Way.STRAIGHT
    before: Deed = nothing
    begins_refused: bool = False
    state: str = ""
    mend: Deed | None = None
    seldom: bool = True


def _says(
    cause: str, check: tuple[str, ...], log: str, next_step: str = "`agent check` says more"
) -> dict[str, tuple[str, ...]]:
    """Return what is said of a broker that can't be used."""
    return {
        STATUS: ("broker down for ", cause, next_step),
        SYSTEMD: (f"{cause} (alpha); `agent check` says more",),
        CHECK: check,
        METRICS: _DOWN,
        LOG: (log, next_step),
    }


def declare_otherwise(stage: Stage) -> None:
    """Declare the queue as another kind than the instance wants."""
    with stage.broker.connect(stage.vhost) as connection:
        connection.channel().queue_declare(QUEUE, durable=True, auto_delete=False)


def be_an_hour_ahead(stage: Stage) -> None:
    """Have a producer whose clock is an hour ahead send a task that waits a second in the broker."""
    stage.node.produce(AHEAD, QUEUE)


def mount_disk(stage: Stage) -> None:
    """Have a disk of 64 KiB."""
    (stage.folder / DISK).mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", stage.folder / DISK], check=True)


def fill_disk(stage: Stage) -> None:
    """Leave no room on the disk, and have something happen that the agent is to remember there."""
    with (stage.folder / DISK / "full").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4_096)) == 4_096:
                pass
        except OSError:
            pass
    stage.send("kill its parent")


def free_disk(stage: Stage) -> None:
    """Make room on the disk."""
    (stage.folder / DISK / "full").unlink()


CAUSES = (
    Cause(
        "broker away",
        Stage.end_proxy,
        _says(
            "the broker can't be reached",
            ("FAIL broker", "Nothing listens there: start the broker, or correct RABBITMQ_HOST"),
            "reason=away",
        ),
        way=Way.PROXY,
    ),
    Cause(
        "wrong password",
        change_password,
        _says(
            "the broker refuses user or password",
            ("FAIL broker", "Correct RABBITMQ_USER and RABBITMQ_PWD"),
            "reason=credentials",
        ),
    ),
    Cause(
        "expired certificate",
        Stage.let_certificate_expire,
        _says(
            "the TLS connection to the broker fails",
            ("FAIL broker", "certificate has expired", "renew it, or correct this host's clock"),
            "certificate has expired",
            "renew it, or correct this host's clock",
        ),
        way=Way.TLS,
    ),
    Cause(
        "certificate for another host",
        Stage.be_another_host,
        _says(
            "the TLS connection to the broker fails",
            ("FAIL broker", "is for another host", "use a name in RABBITMQ_HOST that it is for"),
            "is for another host",
            "use a name in RABBITMQ_HOST that it is for",
        ),
        way=Way.TLS,
    ),
    Cause(
        "revoked right",
        revoke_rights,
        _says(
            "the broker refuses a right that the worker needs",
            ("refused for user", "Give it to the user with `rabbitmqctl set_permissions`"),
            "the broker refuses a right that the worker needs",
        ),
    ),
    Cause(
        "queue declared otherwise",
        nothing,
        _says(
            "the broker has the queue with other arguments",
            ("FAIL broker", "of another kind", "`rabbitmqctl delete_queue alpha`"),
            "the broker has the queue with other arguments",
        ),
        before=declare_otherwise,
        begins_refused=True,
    ),
    Cause(
        "queue deleted",
        delete_queue,
        {LOG: ("The broker has ended the consumer, as where its queue was deleted: it is made anew, empty",)},
    ),
    Cause(
        "disk full on the node",
        fill_disk,
        {
            STATUS: (_FULL,),
            SYSTEMD: (_FULL,),
            CHECK: ("warn disk", _FULL),
            METRICS: ('celery_agent_state_writable{agent="magic"} 0',),
            LOG: ("suspects-not-kept", _FULL),
        },
        before=mount_disk,
        state=DISK,
        mend=free_disk,
        seldom=False,
    ),
    Cause(
        "clock an hour off",
        be_an_hour_ahead,
        {
            STATUS: (_BEHIND, _NTP),
            SYSTEMD: (f"this node's clock is behind that of who sends to alpha: {_NTP}",),
            CHECK: ("warn clock", _BEHIND, _NTP),
            METRICS: ('celery_agent_queue_clock_behind{queue_name="alpha"} 1',),
            LOG: ("The clock of this host is 359", _NTP),
        },
    ),
)
SHORT = ("revoked right", "certificate for another host")  # what `make test` provokes
