"""One attempt to leave something in an app's result store, and what its failure means."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

from celery.app.backends import by_url
from celery.backends.base import BaseKeyValueStoreBackend, DisabledBackend
from celery.backends.rpc import RPCBackend
from celery.exceptions import ImproperlyConfigured
from kombu.utils.url import maybe_sanitize_url

from celery_delivery.results.losses import reason_of
from celery_delivery.settings.profile import is_safe

from ..passwords import passwords
from ..secrets import Redactor
from .folders import check_folder

TIMEOUT = 5.0  # seconds; a store in the same network answers within milliseconds

REACHED = ""  # the fault of a store that takes results


def probe(app: Any) -> dict[str, Any] | None:
    """Return {"store": …, "fault": …, "text": …, "costs": …}, None where results are kept nowhere, or go through the broker.

    fault: empty, "library" for one that can't be made here, "folder", "silent", or "refused".
    costs: what a fault does to tasks.
    """
    url = app.conf.result_backend
    redact = Redactor(())
    redact.hide(passwords(app))
    found: list[tuple[str, str] | None] = [("silent", f"no answer in {TIMEOUT:g} s")]

    def ask() -> None:
        found.append(_ask(app))

    asking = threading.Thread(target=ask, daemon=True)  # a library may wait for ever
    asking.start()
    asking.join(TIMEOUT)
    if found[-1] is None:
        return None
    fault, text = found[-1]
    name = str(maybe_sanitize_url(url)) if isinstance(url, str) else repr(url)
    costs = (
        "Tasks run all the same; their results are lost" if is_safe(app.conf) else "Tasks that are done count as failed"
    )
    return {"store": redact(name), "fault": fault, "text": redact(text), "costs": costs}


def _ask(app: Any) -> tuple[str, str] | None:
    try:
        stock, _ = by_url(app.conf.result_backend, app.loader)
        if issubclass(stock, RPCBackend | DisabledBackend):
            return None
        _leave_something(app.backend)
    except (ImportError, ImproperlyConfigured) as error:
        return "library", reason_of(error)
    except (FileNotFoundError, PermissionError) as error:
        return "folder", reason_of(error)
    except Exception as error:  # whatever a store's library raises is the finding
        return "refused", reason_of(error)
    return REACHED, ""


def _leave_something(backend: Any) -> None:
    """Write and delete, where that leaves no trace: what can be read may be full, or a replica."""
    if isinstance(backend, BaseKeyValueStoreBackend):
        key = backend.get_key_for_task(f"agent-check-{uuid4()}")
        backend.set(key, b"agent check")
        backend.delete(key)
    elif hasattr(backend, "session_manager"):  # a database, where Celery's own question would make tables
        engine = backend.session_manager.get_engine(backend.url, **backend.engine_options)
        if engine.dialect.name == "sqlite":  # it would make the file, which would be that of whoever runs the check
            check_folder(Path(engine.url.database or ".").parent)
        else:
            engine.connect().close()
    else:
        backend.get_state(f"agent-check-{uuid4()}")
