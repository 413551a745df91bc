"""What the benchmark makes of its figures."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
from kombu.utils.imports import symbol_by_name

from bench.__main__ import MARK, REPORT
from bench.report import NEVER, Quantity, Side, aim, inserted, renewed, table
from bench.starts import Figures, typical
from bench.workload import Workload


@pytest.mark.parametrize(
    ("value", "text"), [(0.0312, "0.031 s"), (1.5, "1.50 s"), (12.34, "12.3 s"), (5401.3, "5,401 s"), (NEVER, "never")]
)
def test_a_quantity_shows_the_digits_that_count(value: float, text: str) -> None:
    assert str(Quantity(value, "s")) == text


@pytest.mark.parametrize(
    ("value", "base", "text"),
    [
        (6.0, 1.5, "6.00 s (4.0x)"),
        (0.3, 1.5, "0.30 s (0.20x)"),
        (30.0, 1.5, "30.0 s (20x)"),
        (6.0, 0.0, "6.00 s"),
        (0.0, 6.0, "0 s"),
        (NEVER, 1.5, "never"),
        (6.0, NEVER, "6.00 s"),
    ],
)
def test_a_peer_is_shown_as_a_multiple_where_there_is_one(value: float, base: float, text: str) -> None:
    assert Quantity(value, "s").beside(Quantity(base, "s")) == text


def test_a_share_is_no_multiple_of_another() -> None:
    assert Quantity(30, "%").beside(Quantity(10, "%")) == "30.0 %"


def test_rows_are_compared_with_the_first() -> None:
    rows = {"ours": [Quantity(2, "s"), Quantity(10, "MB")], "theirs": [Quantity(8, "s"), Quantity(30, "MB")]}
    assert table(["start", "memory"], rows) == [
        "|  | start | memory |",
        "| --- | ---: | ---: |",
        "| ours | 2.00 s | 10.0 MB |",
        "| theirs | 8.00 s (4.0x) | 30.0 MB (3.0x) |",
    ]


@pytest.mark.parametrize(
    ("side", "value", "verdict"),
    [
        (Side.AT_LEAST, 4.0, "reached"),
        (Side.AT_LEAST, 3.9, "**missed**"),
        (Side.AT_MOST, 4.0, "reached"),
        (Side.AT_MOST, NEVER, "**missed**"),
    ],
)
def test_an_aim_is_reached_on_its_side_of_the_limit(side: Side, value: float, verdict: str) -> None:
    assert aim("it", Quantity(value, "s"), side, 4).endswith(f"| {verdict} |")


def test_a_report_replaces_the_former_one_and_nothing_above_its_mark() -> None:
    assert inserted("text\n<!-- mark -->\n\nold\n", "<!-- mark -->", "new") == "text\n<!-- mark -->\n\nnew\n"


def test_the_report_of_the_project_has_its_mark() -> None:
    assert REPORT.read_text().count(MARK) == 1


def test_a_report_without_its_mark_is_not_written_anywhere() -> None:
    with pytest.raises(ValueError, match="mark"):
        inserted("text\n", "<!-- mark -->", "new")


def test_a_section_takes_the_place_of_the_one_with_its_title_or_comes_last() -> None:
    report = "text\n\n### One\n\nold\n\n### Two\n\nit\n"
    assert renewed(report, ["### One", "", "new", ""]) == "text\n\n### One\n\nnew\n\n### Two\n\nit\n"
    assert renewed(report, ["### Two", "", "new", ""]) == "text\n\n### One\n\nold\n\n### Two\n\nnew\n"
    assert renewed(report, ["### Six", "", "new", ""]) == report + "\n### Six\n\nnew\n"


def test_rounds_come_to_their_medians_and_all_recoveries() -> None:
    rounds = [
        Figures(ready, cpu=1, fresh=1, worked=1, own=1, strangers=1, recoveries=took)
        for ready, took in ((1.0, (0.1,)), (9.0, (NEVER,)), (2.0, (0.3, 0.2)))
    ]
    assert typical(rounds) == Figures(2.0, 1, 1, 1, 1, 1, (0.1, NEVER, 0.3, 0.2))


@pytest.mark.parametrize(
    ("kind", "consumer"), [("app", "celery_delivery.worker.consumer"), ("stock", "celery.worker.consumer.consumer")]
)
def test_only_the_stock_worker_has_celerys_own_consumer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, consumer: str
) -> None:
    work = Workload(tmp_path, count=1, pool="solo", prefetch=1, variables={})
    work.write()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "work", raising=False)
    app = getattr(importlib.import_module("work"), f"{kind}_bench0")
    assert symbol_by_name(app.conf.worker_consumer).__module__ == consumer
