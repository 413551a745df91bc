"""Whatever Celery a project has: no accepted task is lost with a worker that is killed."""

from collections.abc import Callable
from pathlib import Path

from tests.chaos.catalogue import RATE, Fault, kill_worker
from tests.chaos.network import Network
from tests.chaos.producer import Load
from tests.chaos.run import play
from tests.chaos.stage import Stage
from tests.rabbitmq import RabbitMQ


def test_nothing_is_lost_with_a_killed_worker(
    release: str,
    ledger_of: tuple[str, int],
    interpreter: str,
    tmp_path: Path,
    network: Network,
    broker_inside: RabbitMQ,
    measured: Callable[[str], None],
) -> None:
    pool, count = ledger_of
    fault = Fault("kill -9 of a worker", (kill_worker,) * 3, Load(count, RATE, long_every=20))
    stage = Stage(tmp_path, network, [broker_inside], fault.setting(pool, "safe"), interpreter)
    try:
        outcome = play(fault, stage)
    finally:
        stage.close()
    assert outcome.trouble is None
    verdict = outcome.verdict
    measured(
        f"Celery {release}, {pool}: kill -9 of the worker three times, {verdict.accepted} accepted, "
        f"{len(verdict.lost)} lost, {len(verdict.twice)} run twice"
    )
    assert verdict.lost == frozenset()
    assert verdict.accepted == count
