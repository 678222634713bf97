"""Stacks with weights as a flame graph (SVG), and as microseconds by hop of the flow.

Pure.  Owns: the picture, and the rules that say which hop a stack belongs to.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final

WIDTH: Final = 1200
ROW: Final = 17
NARROWEST: Final = 0.6  # pixels; what is narrower is not drawn
_HUES: Final = {"node": 205, "consensus": 140, "storage": 30, "aiohttp": 280, "asyncio": 0}

# The innermost frame of one of these files decides; below it, the innermost of the second
# table names the part.  Order within a table does not matter: the stack does.
PLACES: Final[Mapping[str, str]] = {
    "node/intake.py": "intake",
    "node/book.py": "apply",
    "node/replica.py": "order",
    "node/holding.py": "order",
    "node/supply.py": "order",
    "node/proposing.py": "order",
    "node/bodies.py": "order",
    "consensus/pbft/": "order",
    "consensus/raft/": "order",
    "consensus/driver.py": "order",
    "node/gossip/": "gossip",
    "node/switchboard.py": "gossip",
    "node/net/": "network",
    "asyncio/sslproto.py": "network",
    "node/publish.py": "publish",
    "node/service.py": "publish",
    "node/http/": "http",
    "aiohttp/": "http",
    "node/observe.py": "metrics",
    "prometheus_client/": "metrics",
}
PARTS: Final[Mapping[str, Mapping[str, str]]] = {
    "intake": {
        "node/ledger/accel/__init__.py:verify_batch": "verify",
        "node/ledger/accel/": "decode",
        "node/ledger/transaction.py": "decode",
        "node/ledger/payload.py": "decode",
        "node/ledger/frame.py": "decode",
        "consensus/codec.py": "decode",
        "node/ledger/execute.py": "admission rules",
        "node/ledger/state.py": "admission rules",
        "storage/": "known already?",
        "node/mempool.py": "pool",
    },
    "apply": {
        "node/ledger/smt.py": "state tree",
        "node/ledger/pages.py": "state tree",
        "node/ledger/tiles.py": "Merkle log",
        "node/ledger/merkle.py": "Merkle log",
        "storage/level.py": "LevelDB",
        "storage/": "LevelDB rows",
        "node/ledger/execute.py": "execute",
        "node/ledger/families/": "execute",
        "node/ledger/state.py": "execute",
    },
    "order": {
        "node/ledger/accel/__init__.py:verify_batch": "verify votes",
        "consensus/codec.py": "messages",
        "consensus/wire.py": "messages",
        "storage/": "persist",
        "node/mempool.py": "take from the pool",
    },
}


def parse(text: str) -> dict[tuple[str, ...], float]:
    """Return stack -> weight from folded lines."""
    found: dict[tuple[str, ...], float] = {}
    for line in text.splitlines():
        stack, _, weight = line.rpartition(" ")
        found[tuple(stack.split(";"))] = float(weight)
    return found


def hop_of(stack: tuple[str, ...]) -> str:
    """Return the hop of a stack (root first), ``place`` or ``place: part``."""
    for at in range(len(stack) - 1, -1, -1):
        place = _match(stack[at], PLACES)
        if place is not None:
            parts = PARTS.get(place, {})
            for frame in reversed(stack[at:]):
                part = _match(frame, parts)
                if part is not None:
                    return f"{place}: {part}"
            return place
    return "event loop"


def _match(frame: str, table: Mapping[str, str]) -> str | None:
    return next((name for head, name in table.items() if frame.startswith(head)), None)


def hops(stacks: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    """Return weight by hop, heaviest first."""
    found: dict[str, float] = {}
    for stack, weight in stacks.items():
        hop = hop_of(stack)
        found[hop] = found.get(hop, 0.0) + weight
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def functions(stacks: Mapping[tuple[str, ...], float]) -> dict[str, float]:
    """Return weight by innermost function of ours, heaviest first."""
    found: dict[str, float] = {}
    for stack, weight in stacks.items():
        mine = [
            frame for frame in stack if frame.startswith(("node/", "consensus/", "storage/"))
        ]
        name = mine[-1] if mine else stack[-1]
        found[name] = found.get(name, 0.0) + weight
    return dict(sorted(found.items(), key=lambda item: -item[1]))


# --- the picture ----------------------------------------------------------------------------


@dataclass(slots=True)
class Box:
    weight: float = 0.0
    inside: dict[str, "Box"] = field(default_factory=dict)

    def depth(self) -> int:
        return 1 + max((box.depth() for box in self.inside.values()), default=0)


def tree(stacks: Mapping[tuple[str, ...], float]) -> Box:
    """Return the stacks as boxes in boxes."""
    root = Box()
    for stack, weight in stacks.items():
        box = root
        box.weight += weight
        for frame in stack:
            box = box.inside.setdefault(frame, Box())
            box.weight += weight
    return root


def svg(stacks: Mapping[tuple[str, ...], float], title: str) -> str:
    """Return the flame graph, root at the top; each box tells its share when pointed at."""
    root = tree(stacks)
    height = (root.depth() + 2) * ROW
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" font-family="monospace" font-size="11">',
        f'<text x="4" y="13" font-size="13">{escape(title)}</text>',
    ]
    if root.weight:
        lines += _boxes(root, root.weight, 0.0, 1)
    return "\n".join([*lines, "</svg>", ""])


def _boxes(box: Box, whole: float, x: float, row: int) -> Iterable[str]:
    for name, inner in sorted(box.inside.items()):
        width = inner.weight / whole * WIDTH
        if width >= NARROWEST:
            share = f"{inner.weight / whole:.1%}"
            room = int(width / 6.7) - 1
            short = name.rpartition(":")[2][: max(0, room)]
            label = escape(name if len(name) <= room else short) if room > 2 else ""
            y = row * ROW + 4
            yield (
                f'<g><title>{escape(name)} {share}</title><rect x="{x:.1f}" y="{y}" '
                f'width="{width:.1f}" height="{ROW - 1}" fill="{_colour(name)}"/>'
                f'<text x="{x + 3:.1f}" y="{y + 12}">{label}</text></g>'
            )
            yield from _boxes(inner, whole, x, row + 1)
        x += width


def _colour(name: str) -> str:
    hue = _HUES.get(name.partition("/")[0], 50)
    shade = 62 + sum(name.encode()) % 18
    return f"hsl({hue},55%,{shade}%)"
