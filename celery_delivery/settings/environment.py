"""What variables say about delivery, for producers and consumers alike, so that the two can't disagree.

CELERY_TASKS_DELIVERY   safe (default): nothing accepted is lost; a task may run twice
                        article: Celery's defaults, as the article of 2019 has them; kill -9 loses what was running
CELERY_TASKS_DECLARE    1 (default): producers and consumers declare the queues they use
                        0: the operator has declared them, and nobody else needs the right to
CELERY_TASKS_RESULTS    rpc (default), redis://…, db+…://…, or off
CELERY_TASKS_BROKER     embedded: a folder instead of RabbitMQ, for trying out; see `celery_delivery.broker.embedded`

A settings module names each of them: `delivery_profile = environment.delivery_profile(os.environ)`.
"""

from collections.abc import Mapping

from celery_delivery.broker import embedded
from celery_delivery.errors import SettingError
from celery_delivery.settings.profile import Profile

DISABLED = "disabled://"  # Celery's word for a result backend that keeps nothing


def delivery_profile(environment: Mapping[str, str]) -> str | None:
    """Return the name of the chosen profile, None on the embedded broker; raises SettingError for a name that is none."""
    name = environment.get("CELERY_TASKS_DELIVERY") or Profile.SAFE
    known = [str(each) for each in Profile]
    if name not in known:
        raise SettingError(f"CELERY_TASKS_DELIVERY is {name!r}, but must be one of: {', '.join(known)}")
    return None if embedded.url(environment) else str(name)


def clients_declare(environment: Mapping[str, str]) -> bool:
    """Say whether clients declare what they use; raises SettingError for what is neither yes nor no."""
    text = environment.get("CELERY_TASKS_DECLARE") or "1"
    if text not in {"0", "1"}:
        raise SettingError(f"CELERY_TASKS_DECLARE is {text!r}, but must be 1 or 0")
    return text == "1"


def result_backend(environment: Mapping[str, str]) -> str:
    """Return Celery's result_backend; raises SettingError for one that is not known here."""
    folder = embedded.folder(environment)
    if folder is not None:
        return embedded.results(folder)
    text = environment.get("CELERY_TASKS_RESULTS") or "rpc"
    if text == "off":
        return DISABLED
    if text in {"rpc", "rpc://"}:
        return "rpc://"
    if text.startswith(("redis://", "rediss://", "db+")) and "://" in text:
        return text
    kind = text.partition("://")[0]
    raise SettingError(
        f"CELERY_TASKS_RESULTS begins with {kind!r}, but must be rpc, off, redis://host/0 or db+sqlite:////file.db"
    )
