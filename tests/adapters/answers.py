"""An answer of the control socket, for the tests of both its sides."""

import os

from agent.decide.limits import without_cgroup
from agent.decide.status import Status

STATUS = Status(
    instance="magic",
    version="1.0",
    pid=os.getpid(),
    uptime=1.0,
    state="running",
    summary="consuming from 0 queues",
    broker="amqp://broker//",
    embedded=False,
    memory=None,
    reload_error=None,
    enforcement=without_cgroup("none here"),
    queues=(),
)
