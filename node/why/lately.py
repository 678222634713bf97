"""What a node remembers so that a diagnosis can say "lately" and "since when".

Owns: refusals of clients' transactions by code, and when each cause was first seen.
Bounded: ``CODES_MAX`` codes, and as many causes as a diagnosis names.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from node.why.causes import Cause

LATELY_S: Final = 60.0
CODES_MAX: Final = 32


@dataclass(frozen=True, slots=True)
class Lasting:
    """A cause, and since when: by its own facts, or else when this node first saw it."""

    cause: Cause
    since_ms: int


@dataclass(slots=True)
class Refusals:
    """How often each code was answered lately; times are monotonic seconds."""

    _counts: dict[str, tuple[int, float]] = field(default_factory=dict)

    def note(self, code: str, now_s: float) -> None:
        count, last_s = self._counts.get(code, (0, now_s))
        if code not in self._counts and len(self._counts) >= CODES_MAX:
            return
        self._counts[code] = (1 if now_s - last_s > LATELY_S else count + 1, now_s)

    def lately(self, now_s: float) -> tuple[tuple[str, int, int], ...]:
        """Return code, count and age of the last in milliseconds."""
        return tuple(
            (code, count, int((now_s - last_s) * 1000))
            for code, (count, last_s) in sorted(self._counts.items())
            if now_s - last_s <= LATELY_S
        )


@dataclass(slots=True)
class Memory:
    """Since when each cause lasts."""

    _first_ms: dict[tuple[str, str | None], int] = field(default_factory=dict)

    def lasting(self, causes: Sequence[Cause], now_ms: int) -> tuple[Lasting, ...]:
        """Return ``causes`` with their beginnings; forget those that are gone."""
        keys = {item.key for item in causes}
        self._first_ms = {key: at for key, at in self._first_ms.items() if key in keys}
        found = []
        for item in causes:
            seen_ms = self._first_ms.setdefault(item.key, now_ms)
            known = seen_ms if item.since_ms is None else item.since_ms
            found.append(Lasting(item, known))
        return tuple(found)
