"""Revokes tasks: of contracts by way of the broker, of a project's own app by Celery's remote control.

{"revoked": "the broker …"}                        how, for people; one line for each broker
{"failed": {"broker": "", "fault": "", "text": …}}  no further; what was told before stands
{"finished": true}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celery import Celery

from celery_delivery.broker.urls import brokers
from celery_delivery.errors import RemoteControlOff, SendError

from .importing import Emit
from .kinds import of_contracts, of_project
from .reading import Refused, failure

REPLIES = 2.0  # seconds for workers to answer remote control

_KEPT = "the broker has it, for every worker of the virtual host, those that start later too"


def take(step: Mapping[str, Any], apps: Mapping[str, Celery], emit: Emit) -> None:
    """Revoke tasks at each broker of the apps; step: `ids`, and `signal` or null for what runs of them."""
    contracts = list(of_contracts(apps).values())[:1]
    projects = {brokers(app): app for app in of_project(apps).values()}.values()
    for app in (*contracts, *projects):
        try:
            emit({"revoked": _revoke(app, step["ids"], step["signal"])})
        except (RemoteControlOff, SendError, ValueError) as error:
            emit(failure(app, Refused(str(error))))
            return
        except Exception as error:  # whatever a broker or the network does is the finding
            emit(failure(app, error))
            return
    emit({"finished": True})


def _revoke(app: Any, ids: list[str], signal: str | None) -> str:
    options = {"terminate": signal is not None, **({"signal": signal} if signal else {})}
    if of_contracts({"": app}) and not app.conf.worker_enable_remote_control:
        app.control.revoke(ids, **options)
        return _KEPT
    if not app.conf.worker_enable_remote_control:
        raise RemoteControlOff("the app has worker_enable_remote_control = False: its workers hear of no revocation")
    heard = app.control.revoke(ids, reply=True, timeout=REPLIES, **options) or []
    if not heard:
        raise RemoteControlOff(
            f"no worker has answered in {REPLIES:g} s, and nobody keeps the revocation: try again when some run"
        )
    return f"heard by the workers that run, {len(heard)}; those that start later ask them"
