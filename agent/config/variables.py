"""How settings are called in an env file: the grammar of their variables.

CELERY_AGENT_<SETTING>                       of the instance
CELERY_AGENT_DEFAULTS__<SETTING>             of every queue
CELERY_AGENT_QUEUES__<queue>__<SETTING>      of one queue
CELERY_AGENT_QUEUES={"<queue>": {…}}         of queues whose names have other characters
"""

from __future__ import annotations

import json

PREFIX = "CELERY_AGENT_"
QUEUES = f"{PREFIX}QUEUES"
DEFAULTS = f"{PREFIX}DEFAULTS"
SEPARATOR = "__"


def is_setting(name: str) -> bool:
    """Tell whether a variable is the agent's own, in whatever case it is written."""
    return name.upper().startswith(PREFIX)


def variable_of(queue: str, field: str) -> str:
    """Return what the setting of one queue is called."""
    if queue.isidentifier() and queue.isascii():
        return f"{QUEUES}{SEPARATOR}{queue}{SEPARATOR}{field.upper()}"
    return f"{QUEUES}[{json.dumps(queue)}].{field.upper()}"
