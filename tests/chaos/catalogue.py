"""What is played: each fault with its pools, how often it strikes, and what is sent meanwhile. Two forms of it.

The long form is `make chaos`: 5,000 tasks a run, as long as it takes. The short one is part of `make test`.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from functools import partial

from tests.chaos import faults
from tests.chaos.faults import Strike
from tests.chaos.mayhem import mayhem
from tests.chaos.producer import Load
from tests.chaos.stage import Setting

RATE = 60.0  # tasks a second: half of what a solo worker does on two busy cores, so that nothing queues up but for the faults
LONG_COUNT = 5000  # tasks a run
CHAOS_SECONDS = 300.0
POOLS = ("prefork", "threads", "solo")
IMPATIENT = (("DEFAULTS__WARM_TIMEOUT", "1"), ("DEFAULTS__COLD_TIMEOUT", "1"))


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table.

    strikes: what is done, each when the one before is overcome.
    at: the shares of the load after which it is done; () spreads them evenly.
    pools: those that may fare differently.
    nodes: how many the broker has.
    settings, is_forwarded: see `tests.chaos.stage.Setting`.
    """

    name: str
    strikes: tuple[Strike, ...]
    load: Load
    pools: tuple[str, ...] = POOLS
    nodes: int = 1
    settings: tuple[tuple[str, str], ...] = ()
    is_forwarded: bool = False
    at: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of the load after which the strikes are done."""
        return self.at or tuple(number / (len(self.strikes) + 1) for number in range(1, len(self.strikes) + 1))

    def setting(self, pool: str, profile: str) -> Setting:
        """Return how a run of the fault is set up."""
        return Setting(pool, profile, self.settings, self.is_forwarded)


def long_form(count: int, rate: float, seed: int) -> tuple[Fault, ...]:
    """Return all faults, each with so many tasks; with LONG_COUNT, full chaos takes five minutes of sending or more."""
    load = Load(count, rate)
    patient = Load(count, rate, long_every=count // 10, long_seconds=8.0)
    lasting = Load(round(CHAOS_SECONDS * rate * count / LONG_COUNT), rate)
    return (
        Fault("kill -9 of a worker", (kill_worker,) * 3, load),
        Fault("kill -9 of a pool child", (faults.kill_pool_child,) * 5, load, ("prefork",)),
        Fault("kill -9 of the template", (faults.kill_template,) * 3, load, ("prefork",)),
        Fault("kill -9 of the whole agent", (kill_agent,) * 3, load),
        Fault("SIGTERM to a worker", (term_worker,) * 3, load),
        Fault("SIGQUIT to a worker", (quit_worker,) * 3, load),
        Fault("SIGTERM to the agent", (term_agent,) * 3, load),
        Fault("SIGQUIT to the agent", (quit_agent,) * 3, load),
        Fault("stop timeout, long tasks running", (stop_past_timeout,) * 2, patient, settings=IMPATIENT),
        Fault("broker restarted", (faults.restart_broker,) * 2, load),
        Fault("kill -9 of the broker", (faults.kill_broker,) * 2, load),
        Fault("broker frozen for 40 s", (partial(faults.freeze_broker, 40.0),), load),
        Fault("link frozen, not closed", (faults.freeze_link,), load, is_forwarded=True),
        Fault("packets of all connections lost for good", (faults.forget_connections,), load),
        Fault("all packets lost for 60 s", (partial(faults.lose_packets, 60.0),), load),
        Fault("memory alarm for 15 s", (partial(faults.memory_alarm, 15.0),) * 2, load),
        Fault("disk alarm for 15 s", (partial(faults.disk_alarm, 15.0),) * 2, load),
        Fault("full chaos for five minutes", (partial(mayhem, seed),), lasting, at=(0.01,)),
        Fault("cluster: kill -9 of the leader's node", (faults.kill_leader,) * 2, load, nodes=3),
        Fault("cluster: all nodes restarted in turn", (faults.restart_all,), load, nodes=3),
    )


def short_form() -> tuple[Fault, ...]:
    """Return the faults that take seconds, with a few hundred tasks a run and one broker."""
    signals = (kill_worker, faults.kill_template, term_agent, kill_agent, quit_worker, quit_agent, term_worker)
    outages = (
        faults.restart_broker,
        faults.forget_connections,
        faults.kill_broker,
        partial(faults.lose_packets, 5.0),
        partial(faults.memory_alarm, 3.0),
    )
    load = Load(400, RATE, long_every=20)
    patient = Load(100, per_second=50, long_every=50, long_seconds=4.0)
    return (
        Fault("each process signalled", signals, load),
        Fault("kill -9 of a pool child", (faults.kill_pool_child,) * 3, load, ("prefork",)),
        Fault("stop timeout, long tasks running", (stop_past_timeout,), patient, settings=IMPATIENT),
        Fault("broker and network away", outages, load, ("prefork",)),
        Fault("link frozen, not closed", (faults.freeze_link,), load, ("prefork",), is_forwarded=True),
    )


kill_worker = partial(faults.signal_worker, signal.SIGKILL)
term_worker = partial(faults.signal_worker, signal.SIGTERM)
quit_worker = partial(faults.signal_worker, signal.SIGQUIT)
kill_agent = partial(faults.restart_agent, signal.SIGKILL)
term_agent = partial(faults.restart_agent, signal.SIGTERM)
quit_agent = partial(faults.restart_agent, signal.SIGQUIT)
stop_past_timeout = partial(faults.restart_agent, signal.SIGTERM, busy_for=1.0)
