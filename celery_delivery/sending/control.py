"""What `app.control` is where Celery's remote control is off: tasks are revoked by way of the broker; all else raises.

Stock Celery sends its commands all the same, to nobody, and returns None or [].
"""

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from celery.app.control import Control as StockControl

from celery_delivery.errors import RemoteControlOff
from celery_delivery.sending.outgoing import REVOKES
from celery_delivery.sending.revocation import MOST_IDS, Revocation, encode
from celery_delivery.settings.profile import clients_declare, is_safe
from celery_delivery.topology.revocations import NAME, revocations

_STATUS = "`agent status INSTANCE`, or --json, says what its workers do"
_RELOAD = "change the env file of the instance, and `agent reload INSTANCE`"
_INSTEAD = {
    "inspect": _STATUS,
    "ping": _STATUS,
    "shutdown": "`systemctl stop celery-agent@INSTANCE` on its node",
    "pool_restart": "`systemctl restart celery-agent@INSTANCE` on its node",
    **dict.fromkeys(("pool_grow", "pool_shrink", "autoscale"), f"set CONCURRENCY: {_RELOAD}"),
    **dict.fromkeys(("add_consumer", "cancel_consumer"), f"name the tasks in CELERY_AGENT_TASKS: {_RELOAD}"),
    "rate_limit": "give the contract's class `rate_limit`",
    "time_limit": f"give the contract's class `time_limit`, or set TIME_LIMIT: {_RELOAD}",
    "revoke_by_stamped_headers": "revoke tasks by their ids",
}


class Control(StockControl):
    """Revokes tasks, and says what to do instead of all other commands; `purge` is Celery's, which needs no worker."""

    def revoke(
        self,
        task_id: str | Iterable[str],
        destination: Sequence[str] | None = None,
        terminate: bool = False,
        signal: str | None = None,
        **options: Any,
    ) -> None:
        """Have tasks not be begun from now on, by any worker of the virtual host, also one that starts later.

        task_id: one or several. terminate: end what runs of them, where the pool of the queue has processes; by `signal`, its
        name, default SIGTERM.

        Returns when the broker has confirmed it: workers hear of it by way of the broker, and tell who waits for a result
        (TaskRevokedError) when they come to the task. Nothing says whether there is such a task.

        Raises NotAccepted or Unconfirmed as `.delay()` does; ValueError for what is no id, or no signal; RemoteControlOff for
        `destination` and `reply`, and where the profile is another than safe.
        """
        if not is_safe(self.app.conf):
            raise RemoteControlOff(
                "tasks can be revoked with the profile safe only: on RabbitMQ, with CELERY_TASKS_DELIVERY=safe, "
                "and without CELERY_TASKS_BROKER"
            )
        if destination or options.get("reply"):
            raise RemoteControlOff(
                "every worker hears of a revocation, and none answers: revoke without `destination`, `wait` and `reply`. "
                "`.get()` raises TaskRevokedError when a worker has come to the task"
            )
        ids = (task_id,) if isinstance(task_id, str) else tuple(task_id)
        chosen = (signal or "SIGTERM") if terminate else None
        parts = [Revocation(ids[first : first + MOST_IDS], chosen) for first in range(0, len(ids), MOST_IDS)]
        stream = revocations(declares=clients_declare(self.app.conf))
        with self.app.producer_pool.acquire(block=True) as producer:
            for each in parts:
                producer.publish(
                    encode(each),
                    content_type="application/json",
                    content_encoding="utf-8",
                    delivery_mode=2,
                    headers={REVOKES: len(each.ids)},
                    exchange=NAME,
                    routing_key=NAME,
                    declare=[stream],
                    retry=True,
                )

    def broadcast(self, command: str, *_arguments: Any, **_options: Any) -> NoReturn:
        """Raise RemoteControlOff: no worker would hear it."""
        instead = _INSTEAD.get(command)
        raise RemoteControlOff(
            f"no worker hears {command!r}: remote control is off (worker_enable_remote_control)"
            + (f". Instead, {instead}" if instead else "")
        )

    def inspect(self, *_arguments: Any, **_options: Any) -> NoReturn:
        """Raise RemoteControlOff: no worker would answer."""
        self.broadcast("inspect")
