"""Whatever two processes of an agent are killed, the node comes back by itself, and no accepted task is lost."""

from pathlib import Path

import pytest

from tests.chaos.network import Network
from tests.chaos.pairs import DAEMON, EVERY_PAIR, SOME_PAIRS, strike
from tests.chaos.producer import Load
from tests.chaos.run import settle
from tests.chaos.stage import Setting, Stage
from tests.chaos.verdict import judge
from tests.rabbitmq import RabbitMQ

LOAD = Load(1_000_000, 25.0, long_every=5)  # until it is told to end


def test_the_node_comes_back_and_loses_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, network: Network, broker_inside: RabbitMQ
) -> None:
    pairs = EVERY_PAIR if request.config.getoption("--every-pair") else SOME_PAIRS
    stage = Stage(tmp_path, network, [broker_inside], Setting("prefork", "safe"))
    try:
        stage.send(LOAD)
        seen = [strike(stage, pair) for pair in pairs]
        stage.end_sending()
        settle(stage)
        verdict = judge(stage.ledger.entries(), stage.dead_letters())
    finally:
        stage.close()
    assert [each.pair for each in seen if each.daemon_lived != (DAEMON not in each.pair)] == []
    assert [each for each in seen if each.left_over] == []
    assert "agent-fault" not in stage.node.log.read_text()
    assert verdict.lost == verdict.kept == frozenset()
    assert verdict.accepted > 50 * len(pairs)
    print(f"{len(pairs)} pairs, {verdict.accepted} tasks, {len(verdict.twice)} run twice, {verdict.refused} refused")
