"""How rules write a cause down: since when, in which words, with which facts."""

from collections.abc import Mapping
from typing import Any, Final

from node.why.causes import BY_ID, Cause, Severity
from node.why.observation import Observation

_SCALE: Final = ((86_400_000, "days"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def ago(span_ms: int) -> str:
    """Return a span for people: whole units, the largest that gives two of them."""
    for unit, word in _SCALE:
        if span_ms >= 2 * unit:
            return f"{span_ms // unit} {word}"
    return f"{span_ms} ms" if span_ms < 1_000 else "1 s"


def cause(
    o: Observation,
    kind: str,
    say: str,
    facts: Mapping[str, Any],
    *,
    ago_ms: int | None = None,
    severity: Severity | None = None,
    member: str | None = None,
) -> Cause:
    """Return a cause of ``kind``; ``ago_ms`` is how long it has lasted, if that is known."""
    return Cause(
        kind,
        BY_ID[kind].severity if severity is None else severity,
        say,
        None if ago_ms is None else o.now_ms - ago_ms,
        tuple(facts.items()),
        member,
    )
