"""The benches count right, in their smallest form. No speed is asserted."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import cluster, cost, drain, fair, growth, idle, push, record, reference, scale, steady
from tests.bench.record import Found
from tests.bench.stage import staged
from tests.system.processes import ROOT
from tests.system.servers import STACKS, Stack

pytestmark = pytest.mark.system
SQLITE, POSTGRESQL = STACKS[0], STACKS[1]


@pytest.mark.parametrize("stack", [SQLITE], ids=str, indirect=True)
def test_drain_counts_each_result_once(stack: Stack) -> None:
    figures = drain.measure_stack(stack, 120, 55, 12)
    waited, whole, older = figures["backlog"], figures["whole"], figures["older"]
    assert sum(results for _at, results in waited["by_time"]) == 120 + waited["sends_repeated"]
    assert (waited["doubled"], whole["doubled"], older["doubled"], whole["refused_calls"]) == (0, 0, 0, 0)
    assert waited["requests"] >= 3 and waited["limit_seconds"] == 0
    # 50 at once, the other five half a second each.
    assert figures["one_by_one"]["seconds"] >= 2.5
    assert older["longest_request_seconds"] >= 0.2


def test_the_limit_is_the_contracts_arithmetic() -> None:
    assert drain.limit(5_000) == 25 and drain.limit(2_500) == 0 and drain.limit(2_501) == 0.5
    assert reference.extrapolated(5_000) == 2_475


@pytest.mark.parametrize("stack", [SQLITE], ids=str, indirect=True)
def test_idle_scale_and_fair_on_small_hubs(stack: Stack) -> None:
    lonely = idle.measure_stack(stack, 2, 0.0)
    assert lonely["alfa"]["p50"] > 0 and lonely["late-old"]["p50"] >= 100
    with staged(stack, dict.fromkeys(scale.names(2), scale.SETTINGS)) as hub:
        told = scale.costs(hub, None, scale.names(2), 5)
        # Five calls, and the two that warmed the portals up.
        assert hub.rows("SELECT count(*) FROM handlers_invocation WHERE state = 'delivered'") == [(7,)]
    assert (
        told["calls"] == 5 and told["all_ms"] > 0 and set(told["ms_a_result"]) >= {"web", "worker", "runner"}
    )
    assert fair.measure_stack(stack, 3, 2, 1, 2)["calls"] == 2


@pytest.mark.parametrize("stack", [POSTGRESQL], ids=str, indirect=True)
def test_growth_fills_and_asks_by_turns(stack: Stack) -> None:
    figures = growth.measure_stack(stack, (200, 400), 1, 60, 500)
    for step in ("ack", "claim to compute", "claim to send", "confirm", "sweep"):
        assert figures["ms"][0][step] > 0 and figures["ms"][1][step] > 0
    assert set(growth.ASKED) <= set(figures["ratios"]) and figures["left_open"]["calls"] == 500


@pytest.mark.parametrize("stack", [SQLITE], ids=str, indirect=True)
def test_push_counts_the_portals_requests(stack: Stack) -> None:
    figures = push.measure_stack(stack, 3, 2)
    assert figures["nothing to do"]["requests"] == 2 and figures["plan"]["requests"] == 2
    assert (figures["held"], figures["changed"], figures["limit_503"]) == (3, 3, 0)
    assert figures["first push"]["memory_mb"] > 20


@pytest.mark.parametrize("stack", [SQLITE], ids=str, indirect=True)
def test_steady_calls_are_all_taken(stack: Stack) -> None:
    figures = steady.measure_stack(stack, 500, 1, 0.5)
    assert figures["bad"] == 0
    assert figures["calls"] == {"quiet": 100, "export": 50, "purge": 50}
    assert all(times > 0 for times in figures["done"].values())


@pytest.mark.parametrize("stack", [POSTGRESQL], ids=str, indirect=True)
def test_statements_and_wal_are_counted_on_a_cluster_of_its_own(stack: Stack) -> None:
    if reason := cluster.missing():
        pytest.skip(reason)
    with cluster.own() as own, staged(cost.STACK, {"alfa": {"enterprise": True}}) as hub:
        figures = cost.statements(hub, own, 20)
        kept = cost.memory(hub, 200, 50, 60.0)
        assert own.cpu() > 0
    assert figures["statements_a_call"] > 1 and figures["wal_a_call"] > 1_000 and figures["body_bytes"] > 300
    assert kept["calls"] >= 200 and kept["kb"][0][1]["web"] > 1_000


def test_a_slope_is_over_a_hundred_thousand_calls() -> None:
    seen: list[list[Any]] = [[calls, {"web": 50_000 + calls // 100}] for calls in range(0, 60_000, 10_000)]
    assert cost.slope(seen, "web") == 1_000.0 and cost.slope(seen, "worker") == 0.0


def test_what_is_kept_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location("performance", ROOT / "scripts" / "performance.py")
    assert spec is not None and spec.loader is not None
    performance = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(performance)
    found = Found({"by_portals": {"1": record.spread([1, 2, 3]), "10": record.spread([2, 2, 2])}})
    found.goal("CPU <a> result", "≤ 1.2", "1.3", False)
    record.keep(tmp_path, "scale", {**record.machine(), "load_after": 1}, found)
    assert json.loads((tmp_path / "scale.json").read_text())["goals"][0]["met"] is False
    for name, path in (("RESULTS", tmp_path), ("PLOTS", tmp_path / "plots"), ("PAGE", tmp_path / "page.md")):
        monkeypatch.setattr(performance, name, path)
    monkeypatch.setattr(performance, "ROOT", tmp_path)
    assert performance.main() == 0
    page = (tmp_path / "page.md").read_text()
    assert "0 of 1 goals are met" in page and "plots/scale.svg" in page and "**missed**" in page
    assert (tmp_path / "plots" / "scale.svg").read_text().startswith("<svg")
