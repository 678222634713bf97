"""Stacks with weights as a flame graph (SVG).  Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Final

WIDTH: Final = 1200
ROW: Final = 17
NARROWEST: Final = 0.6  # pixels; what is narrower is not drawn
_HUES: Final = {"node": 205, "consensus": 140, "storage": 30, "aiohttp": 280, "asyncio": 0}


def parse(text: str) -> dict[tuple[str, ...], float]:
    """Return stack -> weight from folded lines."""
    found: dict[tuple[str, ...], float] = {}
    for line in text.splitlines():
        stack, _, weight = line.rpartition(" ")
        found[tuple(stack.split(";"))] = float(weight)
    return found


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
