"""A result as Markdown: the goals first, then every table the figures allow.

Owns: form.  A figure that was not measured is an empty cell, never a zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.bench import goals

_CELL_COLUMNS: Final = (
    ("tx/s", ("saturation", "tx_per_s")),
    ("ops/s", ("saturation", "ops_per_s")),
    ("commitments/s", ("saturation", "commitments_per_s")),
    ("CPU us/tx/node", ("saturation", "cpu_us_per_tx_node")),
    ("tx/block", ("saturation", "tx_per_block")),
    ("syncs/block/node", ("saturation", "syncs_per_block")),
    ("bytes/tx", ("saturation", "net_bytes_per_tx")),
    ("lag p99 ms", ("saturation", "loop_lag_p99_ms")),
    ("RSS MB", ("saturation", "rss_mb_max")),
    ("own MB", ("saturation", "own_mb_max")),
    ("fdatasync us", ("fdatasync_us",)),
)
_LATENCY_COLUMNS: Final = tuple(
    (f"{state} {name.replace('_', '.')}", (state, name))
    for state in ("idle", "half")
    for name in ("p50", "p95", "p99", "p99_9")
)


def number(value: float | None) -> str:
    """Return three significant digits at least, thousands separated; empty for None."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first column is text, the others are figures."""
    lines = [f"| {' | '.join(head)} |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)


def markdown(result: Mapping[str, Any]) -> str:
    """Return the whole report."""
    parts = ["# Benchmark results", _machine(result), "## Goals", goal_table(result)]
    for title, body in (
        ("## One transaction on one node", _micro(result)),
        ("## Clusters at saturation", _cells(result, _CELL_COLUMNS)),
        ("## Commit latency, ms", _cells(result, _LATENCY_COLUMNS)),
        ("## Members that fail", _faults(result)),
        ("## Other systems, same machine, same run", _peers(result)),
        ("## Memory over time", _soak(result)),
    ):
        if body:
            parts += [title, body]
    if skipped := result.get("skipped"):
        lines = [f"- {item['name']}: {item['why']}" for item in skipped]
        parts += ["## Not measured", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


def goal_table(result: Mapping[str, Any]) -> str:
    """Return each goal with required, aim, measured and verdict."""
    rows = []
    for row in goals.rows(result):
        goal, sign = row.goal, ">=" if row.goal.higher else "<="
        unit = "" if goal.unit == "x" else f" {goal.unit}"
        rows.append(
            [
                goal.name,
                f"{sign} {goal.required:,g}{unit}",
                f"{sign} {goal.aim:,g}{unit}",
                number(row.value),
                row.verdict,
            ]
        )
    return table(("goal", "required", "aim", "measured", "verdict"), rows)


def _machine(result: Mapping[str, Any]) -> str:
    machine = result.get("machine", {})
    lines = [f"- {name}: {value}" for name, value in machine.items() if name != "versions"]
    versions = machine.get("versions", {})
    if versions:
        lines.append("- versions: " + ", ".join(f"{k} {v}" for k, v in versions.items()))
    settings = result.get("settings", {})
    lines += [f"- {name}: {value}" for name, value in settings.items()]
    return "\n".join(lines)


def _micro(result: Mapping[str, Any]) -> str:
    rows = []
    for name, figures in result.get("micro", {}).items():
        values = [figures.get(key) for key in ("us", "limit_us", "over_limit")]
        rows.append([name, *map(number, values), str(figures.get("limit", ""))])
    head = ("what", "us", "limit us", "times the limit", "the limit is")
    return table(head, rows) if rows else ""


def _cells(result: Mapping[str, Any], columns: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    rows = []
    for name, cell in result.get("cells", {}).items():
        values = [goals.dig(cell, *path) for _, path in columns]
        if any(value is not None for value in values):
            rows.append([name, *map(number, values)])
    return table(("cluster", *(title for title, _ in columns)), rows) if rows else ""


def _faults(result: Mapping[str, Any]) -> str:
    rows = [
        [name, str(cell["fault"]), number(goals.dig(cell, "gap_s"))]
        for name, cell in result.get("cells", {}).items()
        if cell.get("fault")
    ]
    return table(("cluster", "fault", "seconds without a commit"), rows) if rows else ""


def _peers(result: Mapping[str, Any]) -> str:
    rows = []
    for name, peer in result.get("peers", {}).items():
        figures = [goals.dig(peer, key) for key in ("per_s", "p50", "p99", "idle_p50")]
        cpu = [goals.dig(peer, key) for key in ("cpu_us_servers", "cpu_us_client")]
        rows.append(
            [
                name,
                *map(number, [*figures, *cpu]),
                str(peer.get("signatures", "")),
                str(peer.get("durable", "")),
            ]
        )
    head = (
        "system", "writes/s", "p50 ms", "p99 ms", "idle p50 ms", "CPU us, servers",
        "CPU us, client", "signatures", "on disk before the answer",
    )  # fmt: skip
    return table(head, rows) if rows else ""


def _soak(result: Mapping[str, Any]) -> str:
    soak = result.get("soak")
    if not soak:
        return ""
    rows = [
        [name, number(node["first_mb"]), number(node["last_mb"]), number(node["mb_per_h"]),
         "flat" if node["flat"] else "grows"]
        for name, node in soak["nodes"].items()
    ]  # fmt: skip
    head = ("node", "own MB at first", "at last", "MB per hour, second half", "verdict")
    said = f"With LevelDB's mapped tables {number(soak['resident_mb_max'])} MB at most."
    return f"{table(head, rows)}\n\n{said}"
