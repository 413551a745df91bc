"""The faults: what is done to agent, network and broker. Each returns the moment from which recovery counts.

A process that was killed is to be replaced from that moment on; a broker or a network that was away is to be used again
from the moment it is back.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial

from tests.chaos.stage import QUEUE, Stage
from tests.cluster import leader

Strike = Callable[[Stage], float]


# The worker and the agent


def signal_worker(number: signal.Signals, stage: Stage) -> float:
    """Signal the worker's main process while a task runs."""
    pid = stage.worker()
    stage.busy()
    moment = time.monotonic()
    os.kill(pid, number)
    return moment


def kill_pool_child(stage: Stage) -> float:
    """Kill a pool child in the middle of a task."""
    worker = stage.worker()  # asked for before: it takes longer than most tasks
    pid = stage.busy()
    if pid == worker:
        raise ValueError(f"the pool {stage.setting.pool} has no children")
    moment = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return moment


def kill_template(stage: Stage) -> float:
    """Kill the template, from which workers are forked."""
    pid = stage.node.template()
    moment = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return moment


def restart_agent(number: signal.Signals, stage: Stage, *, busy_for: float = 0.02) -> float:
    """End the agent while a task runs, and start it again as systemd would."""
    stage.busy(busy_for)
    stage.end_agent(number)
    moment = time.monotonic()
    stage.start_agent()
    return moment


# The broker


def restart_broker(stage: Stage) -> float:
    """Stop the broker in an orderly way, and start it."""
    stage.broker.stop()
    stage.nodes[0].start()
    return time.monotonic()


def kill_broker(stage: Stage) -> float:
    """Kill the broker, and start it."""
    stage.broker.kill()
    stage.nodes[0].start()
    return time.monotonic()


def freeze_broker(seconds: float, stage: Stage) -> float:
    """Stop the broker's processes where they stand: connections stay open, and nobody answers."""
    stage.broker.freeze()
    time.sleep(seconds)
    stage.broker.thaw()
    return time.monotonic()


def alarm(raise_it: tuple[str, ...], clear_it: tuple[str, ...], seconds: float, stage: Stage) -> float:
    """Have the broker block whoever publishes, for so long."""
    stage.broker.control(*raise_it)
    try:
        time.sleep(seconds)
    finally:
        stage.broker.control(*clear_it)
    return time.monotonic()


memory_alarm = partial(alarm, ("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.4"))
disk_alarm = partial(alarm, ("set_disk_free_limit", "1000GB"), ("set_disk_free_limit", "50MB"))


# A cluster


def kill_leader(stage: Stage) -> float:
    """Kill the node that has the queue's leader; start it again once the queue has another."""
    lost = leader(stage.nodes, QUEUE, stage.vhost)
    lost.kill()
    moment = time.monotonic()
    time.sleep(10)
    lost.start()
    return moment


def restart_all(stage: Stage) -> float:
    """Restart the cluster's nodes one after another, each when the one before has caught up."""
    for node in stage.nodes:
        node.tool("rabbitmq-upgrade", "await_online_quorum_plus_one")
        node.stop()
        node.start()
    return time.monotonic()


# The network


def lose_packets(seconds: float, stage: Stage) -> float:
    """Drop every packet between the broker and its clients for so long."""
    stage.network.cut(stage.ports)
    time.sleep(seconds)
    dropped = stage.network.dropped()
    stage.network.heal()
    moment = time.monotonic()
    if not dropped:
        raise ValueError("no packet was dropped: nothing was tried")
    return moment


def forget_connections(stage: Stage) -> float:
    """Drop the packets of all present connections, from now on, as a firewall does that lost its state."""
    moment = time.monotonic()
    if not stage.network.forget(stage.ports):
        raise ValueError("no connection was cut off: nothing was tried")
    return moment


def freeze_link(stage: Stage) -> float:
    """Let no byte pass on all present connections, though their packets are acknowledged."""
    assert stage.forwarder is not None
    moment = time.monotonic()
    stage.forwarder.send_signal(signal.SIGUSR1)
    return moment
