"""The short form of the suite: whatever is killed, cut off or blocked, no accepted task is lost."""

from pathlib import Path

import pytest

from tests.chaos.catalogue import RATE, Fault, kill_worker, short_form
from tests.chaos.network import Network
from tests.chaos.producer import Load
from tests.chaos.run import Outcome, play
from tests.chaos.stage import Setting, Stage
from tests.rabbitmq import RabbitMQ

FAULTS = {fault.name: fault for fault in short_form()}
RUNS = [(fault.name, pool) for fault in FAULTS.values() for pool in fault.pools]


@pytest.mark.parametrize(("name", "pool"), RUNS)
def test_the_safe_profile_loses_nothing(
    name: str, pool: str, tmp_path: Path, network: Network, broker_inside: RabbitMQ
) -> None:
    fault = FAULTS[name]
    outcome = _play(fault, fault.setting(pool, "safe"), tmp_path, network, broker_inside)
    assert outcome.trouble is None
    assert outcome.verdict.lost == frozenset()
    assert outcome.verdict.accepted == fault.load.count


@pytest.mark.rabbitmq_4
def test_the_ledger_sees_what_the_article_profile_loses_with_a_killed_worker(
    tmp_path: Path, network: Network, broker_inside: RabbitMQ
) -> None:
    fault = Fault("kill -9 of a worker", (kill_worker,), Load(200, RATE, long_every=10), at=(0.1,))
    outcome = _play(fault, fault.setting("prefork", "article"), tmp_path, network, broker_inside)
    assert outcome.trouble is None
    assert outcome.verdict.lost


def _play(fault: Fault, setting: Setting, folder: Path, network: Network, broker: RabbitMQ) -> Outcome:
    stage = Stage(folder, network, [broker], setting)
    try:
        return play(fault, stage)
    finally:
        stage.close()
