"""Pictures of a result, PNG and SVG, from its JSON alone.

Owns: which figures are drawn.  A plot without data is not made.  Needs matplotlib (the extra
``bench``).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

Result = Mapping[str, Any]
FORMS: Final = ("png", "svg")
_COLOURS: Final = ("#1b6ca8", "#c8553d", "#2e8b57", "#8e5ea2", "#b8860b", "#555555")


def draw(result: Result, directory: Path) -> list[Path]:
    """Write every plot that ``result`` has figures for; return the files."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # The same JSON gives the same SVG bytes, so that a plot in the manual changes only with it.
    matplotlib.rcParams["svg.hashsalt"] = "chartseal"
    matplotlib.rcParams["axes.prop_cycle"] = matplotlib.cycler(color=_COLOURS)
    written = []
    for name, plot in PLOTS.items():
        figure, axes = pyplot.subplots(figsize=(8, 4.8), layout="constrained")
        if plot(result, axes):
            axes.grid(visible=True, alpha=0.3)
            for form in FORMS:
                path = directory / f"{name}.{form}"
                figure.savefig(path, dpi=120, metadata=_metadata(form))
                written.append(path)
        pyplot.close(figure)
    return written


def _metadata(form: str) -> dict[str, Any]:
    return {"Date": None} if form == "svg" else {"Software": None}


def latency(result: Result, axes: Any) -> bool:
    """Commit latency over throughput: where each curve turns up is saturation."""
    drawn = False
    for name, cell in result.get("cells", {}).items():
        if cell.get("content", {}).get("count") != 1 or "half" not in cell:
            continue
        points = sorted(
            (point["tx_per_s"], point["p50"], point["p99"])
            for point in cell.get("curve", [])
            if point.get("p50") and point.get("p99")
        )
        if not points:
            continue
        (line,) = axes.plot([p[0] for p in points], [p[1] for p in points], "o-", label=name)
        axes.plot([p[0] for p in points], [p[2] for p in points], "^:", color=line.get_color())
        drawn = True
    axes.set(xlabel="committed transactions per second", ylabel="commit latency, ms")
    axes.set_title("Latency over throughput (solid p50, dotted p99)")
    axes.set_yscale("log")
    if drawn:
        axes.legend()
    return drawn


def throughput(result: Result, axes: Any) -> bool:
    """Transactions per second of every cluster at saturation."""
    bars = {
        name: cell["saturation"]["tx_per_s"]
        for name, cell in result.get("cells", {}).items()
        if cell.get("content", {}).get("count") == 1 and "saturation" in cell
    }
    return _bars(axes, bars, "Sustained transactions per second, one signature each", "tx/s")


def commitments(result: Result, axes: Any) -> bool:
    """Record commitments per second by how many share a signature."""
    bars = {
        name: cell["saturation"]["commitments_per_s"]
        for name, cell in result.get("cells", {}).items()
        if cell.get("content", {}).get("count", 1) > 1 and "saturation" in cell
    }
    return _bars(axes, bars, "Record commitments per second", "commitments/s")


def side_by_side(result: Result, axes: Any) -> bool:
    """Other systems beside ours, writes per second."""
    bars = {name: peer["per_s"] for name, peer in result.get("peers", {}).items()}
    if not bars:
        return False
    for name in ("pbft-4", "raft-3", "raft-3-single", "pbft-4-single"):
        cell = result.get("cells", {}).get(name)
        if cell:
            bars[f"chartseal {name}"] = cell["saturation"]["tx_per_s"]
    title = "Writes per second on the same machine (what each does: see the table)"
    return _bars(axes, bars, title, "writes/s")


def members(result: Result, axes: Any) -> bool:
    """Throughput and CPU per transaction by number of members."""
    drawn = False
    for engine in ("pbft", "raft"):
        points = sorted(
            (cell["members"], cell["saturation"]["cpu_us_per_tx_node"])
            for name, cell in result.get("cells", {}).items()
            if name == f"{engine}-{cell.get('members')}" and "saturation" in cell
        )
        if len(points) > 1:
            axes.plot(*zip(*points, strict=True), "o-", label=engine)
            drawn = True
    axes.set(xlabel="members", ylabel="CPU per transaction per node, us", ylim=(0, None))
    axes.set_title("Cost of a transaction by number of members")
    if drawn:
        axes.legend()
    return drawn


def memory(result: Result, axes: Any) -> bool:
    """The memory of its own of each node during the soak."""
    nodes = result.get("soak", {}).get("nodes", {})
    for name, node in nodes.items():
        xs, ys = zip(*node["series"], strict=True)
        axes.plot([x / 60 for x in xs], ys, label=f"{name}, {node['mb_per_h']:+.1f} MB/h")
    axes.set(xlabel="minutes", ylabel="memory of its own, MB", ylim=(0, None))
    axes.set_title("Memory under load")
    if nodes:
        axes.legend()
    return bool(nodes)


def _bars(axes: Any, bars: Mapping[str, float], title: str, unit: str) -> bool:
    names = list(bars)[::-1]
    values = [bars[name] for name in names]
    drawn = axes.barh(names, values, color=_COLOURS[0])
    axes.bar_label(drawn, [f"{value:,.0f}" for value in values], padding=3)
    axes.set(xlabel=unit, title=title)
    axes.margins(x=0.12)
    return bool(bars)


PLOTS: Final[dict[str, Callable[[Result, Any], bool]]] = {
    "latency": latency,
    "throughput": throughput,
    "commitments": commitments,
    "peers": side_by_side,
    "members": members,
    "memory": memory,
}
