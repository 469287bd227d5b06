"""docs/performance.md and its plots, drawn from the kept results: `make bench`, or this alone.

Everything in the page comes from docs/results/*.json; a bench that was not run is left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PLOTS, PAGE = ROOT / "docs" / "results", ROOT / "docs" / "plots", ROOT / "docs" / "performance.md"

Result = dict[str, Any]
INK, FAINT, TONES = "#1f2933", "#d5dbe1", ("#2f6fb0", "#9aa5b1", "#c2703d", "#5b8c5a")
WORDS = {
    "ack": "Acknowledging a call",
    "steady": "A hundred calls a second, beside housework",
    "drain": "A burst, and a backlog",
    "idle": "A lonely call",
    "scale": "One portal or a hundred",
    "fair": "Bad neighbours",
    "growth": "A long log",
    "push": "Many robots to many portals",
    "cost": "Statements, WAL, memory",
}
_HEAD = """# Performance

Made by `scripts/performance.py` from `docs/results/`: run `make bench` to measure on your machine, and this page is
drawn anew. Hub and reference run in the same run on the same machine, by turns. A ratio is the median of its rounds,
with the least and the most in brackets. What each bench does is told at the top of `tests/bench/NAME.py`.
"""


def main() -> int:
    kept = {name: RESULTS / f"{name}.json" for name in WORDS}
    found = {
        name: json.loads(path.read_text(encoding="utf-8")) for name, path in kept.items() if path.exists()
    }
    if not found:
        print("docs/results/ holds nothing; run make bench.", file=sys.stderr)
        return 1
    PLOTS.mkdir(parents=True, exist_ok=True)
    parts = [_HEAD, _summary(found)]
    for name, title in WORDS.items():
        if name in found:
            parts.append(_section(name, title, found[name]))
    PAGE.write_text("\n".join(parts), encoding="utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {len(found)} benches")
    return 0


def _summary(found: dict[str, Result]) -> str:
    goals = [goal for result in found.values() for goal in result["goals"]]
    missed = [goal for goal in goals if goal["met"] is False]
    lines = [f"{sum(goal['met'] is True for goal in goals)} of {len(goals)} goals are met."]
    if missed:
        lines.append(f"Missed: {'; '.join(goal['what'] for goal in missed)}.")
    return "\n".join(lines) + "\n"


def _section(name: str, title: str, result: Result) -> str:
    facts = result["machine"]
    packages = ", ".join(f"{package} {number}" for package, number in facts["packages"].items())
    lines = [
        f"## {title}",
        "",
        f"`tests/bench/{name}.py`, {result['at']}, commit {facts['commit'] or 'unknown'}: {facts['system']},"
        f" {facts['cores']} cores ({facts['processor']}), load {facts['load_before']} before and"
        f" {facts['load_after']} after; Python {facts['python']}, {packages}, SQLite {facts['sqlite']},"
        f" PostgreSQL {facts['postgresql']}.",
        "",
        "| | wanted | seen | |",
        "|---|---|---|---|",
    ]
    for goal in result["goals"]:
        word = {True: "met", False: "**missed**", None: "not seen"}[goal["met"]]
        lines.append(f"| {goal['what']} | {goal['wanted']} | {goal['value']} | {word} |")
    draw = _DRAWN.get(name)
    for plot, words, svg in draw(result["figures"]) if draw else ():
        (PLOTS / f"{plot}.svg").write_text(svg, encoding="utf-8")
        lines += ["", f"![{words}](plots/{plot}.svg)"]
    note = RESULTS / f"{name}.md"
    if note.exists():
        # What a person has to say of these figures: why a goal is missed.
        lines += ["", note.read_text(encoding="utf-8").strip()]
    return "\n".join(lines) + "\n"


Plots = list[tuple[str, str, str]]


def _ack(figures: dict[str, Any]) -> Plots:
    return [
        (
            f"ack-{stack.partition('+')[0].lower()}",
            f"Answers a second by side, {stack}",
            bars(
                f"Answers a second, {stack}",
                [(name, sorted(side["rate"])) for name, side in sides["sides"].items()],
            ),
        )
        for stack, sides in figures.items()
    ]


def _steady(figures: dict[str, Any]) -> Plots:
    return [
        (
            f"steady-{stack.partition('+')[0].lower()}",
            f"p99 of an acknowledgement at 100 calls a second, {stack}",
            bars(
                f"ms until a call is answered (p50, p95, p99), {stack}",
                [(name, list(part.values())) for name, part in each["ms"].items()],
                middle=False,
            ),
        )
        for stack, each in figures.items()
    ]


def _drain(figures: dict[str, Any]) -> Plots:
    waited = figures["backlog"]
    points, sent = [], 0
    for moment, results in waited["by_time"]:
        sent += results
        points.append((moment, sent))
    end = max(waited["limit_seconds"], points[-1][0])
    allowed = [(0.0, min(waited["rows"], 2500))]
    allowed += [
        (second / 2, min(waited["rows"], 2500 + second * 50)) for second in range(1, int(2 * end) + 1)
    ]
    return [
        (
            "drain",
            "Results at the portal over time, and what its bucket allows",
            lines_of(
                f"Results of {waited['rows']} at the portal, by seconds",
                [("hub", points), ("the bucket allows", allowed)],
            ),
        )
    ]


def _idle(figures: dict[str, Any]) -> Plots:
    rows = [
        (f"{stack}{words}", [each[name]["p50"], each[name]["p95"]])
        for stack, each in figures.items()
        for name, words in (("alfa", ""), ("late", ", saved late"), ("late-old", ", saved late, older"))
        if name in each
    ]
    return [
        ("idle", "A lonely call there and back", bars("ms there and back (p50, p95)", rows, middle=False))
    ]


def _scale(figures: dict[str, Any]) -> Plots:
    rows = [
        (f"{size} portals", [each["least"], each["median"], each["most"]])
        for size, each in figures["by_portals"].items()
    ]
    return [("scale", "CPU a result by number of portals", bars("CPU ms a result, all processes", rows))]


def _growth(figures: dict[str, Any]) -> Plots:
    rows = [(name, [each["least"], each["median"], each["most"]]) for name, each in figures["ratios"].items()]
    title = f"{figures['rows'][1]:,} ended calls beside {figures['rows'][0]:,}: time of each step, as often"
    return [("growth", title, bars(title, rows))]


def _cost(figures: dict[str, Any]) -> Plots:
    seen = figures["memory"]["kb"]
    roles = [role for role in ("web", "worker", "runner") if all(role in sizes for _calls, sizes in seen)]
    return [
        (
            "memory",
            "Resident memory over calls",
            lines_of(
                "MB of the largest process of each kind, by calls",
                [(role, [(calls, sizes[role] / 1024) for calls, sizes in seen]) for role in roles],
            ),
        )
    ]


_DRAWN: dict[str, Callable[[dict[str, Any]], Plots]] = {
    "ack": _ack,
    "steady": _steady,
    "drain": _drain,
    "idle": _idle,
    "scale": _scale,
    "growth": _growth,
    "cost": _cost,
}


def bars(title: str, rows: Sequence[tuple[str, Sequence[float]]], middle: bool = True) -> str:
    """Horizontal bars. `middle`: each row is sorted figures, drawn as the median with its spread; else each
    figure of a row is a bar of its own tone, behind the former."""
    top = max((max(values) for _name, values in rows if values), default=1) or 1
    width, left, step = 720, 250, 30
    height = 44 + step * len(rows)
    room = width - left - 110
    drawn = []
    for place, (name, values) in enumerate(rows):
        y = 36 + place * step
        drawn.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        if middle:
            median = sorted(values)[len(values) // 2]
            low, high = left + room * min(values) / top, left + room * max(values) / top
            drawn.append(
                f'<rect x="{left}" y="{y}" width="{room * median / top:.1f}" height="18" fill="{TONES[0]}"/>'
            )
            drawn.append(f'<path d="M{low:.1f} {y + 9}H{high:.1f}" stroke="{INK}" stroke-width="2"/>')
            said, end = f"{median:,.4g}", high
        else:
            for number, value in reversed(list(enumerate(values))):
                tone, size = TONES[0], room * value / top
                opacity = 1 - 0.3 * number
                drawn.append(
                    f'<rect x="{left}" y="{y}" width="{size:.1f}" height="18" fill="{tone}" opacity="{opacity:.1f}"/>'
                )
            said, end = " / ".join(f"{value:,.4g}" for value in values), left + room * max(values) / top
        drawn.append(f'<text x="{end + 6:.1f}" y="{y + 14}">{said}</text>')
    return _svg(title, width, height, drawn)


def lines_of(title: str, series: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> str:
    """Lines over one axis, from zero."""
    width, height, left, bottom = 720, 320, 70, 40
    right = max(x for _name, points in series for x, _y in points) or 1
    top = max(y for _name, points in series for _x, y in points) or 1
    drawn = []
    for part in range(5):
        x, y = left + (width - left - 20) * part / 4, height - bottom - (height - bottom - 50) * part / 4
        drawn.append(f'<path d="M{left} {y:.1f}H{width - 20}" stroke="{FAINT}"/>')
        drawn.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{top * part / 4:,.4g}</text>')
        drawn.append(
            f'<text x="{x:.1f}" y="{height - bottom + 18}" text-anchor="middle">{right * part / 4:,.4g}</text>'
        )
    for place, (name, points) in enumerate(series):
        path = " ".join(
            f"{left + (width - left - 20) * x / right:.1f},{height - bottom - (height - bottom - 50) * y / top:.1f}"
            for x, y in points
        )
        tone = TONES[place]
        drawn.append(f'<polyline points="{path}" fill="none" stroke="{tone}" stroke-width="2"/>')
        drawn.append(f'<text x="{left + 10 + 150 * place}" y="44" fill="{tone}">{escape(name)}</text>')
    return _svg(title, width, height, drawn)


def _svg(title: str, width: int, height: int, drawn: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img" aria-label="{escape(title)}" font-family="sans-serif" font-size="13" fill="{INK}">'
    )
    field = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    words = f'<text x="8" y="20" font-weight="bold">{escape(title)}</text>'
    return "\n".join([head, field, words, *drawn, "</svg>"]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
