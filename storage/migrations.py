"""Which layout follows which, and the rows that a step adds or takes away.

Owns: the table of steps; a new layout is a new entry and a new line in ``schema``.  Refuses:
how a step is carried out safely (``migrate.py``).
Invariant: the rows of a step depend only on what is stored, so that a step that was cut short
can begin again; a step that has no way back says so by ``down`` being None.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from storage import keys
from storage.errors import MigrationRefused
from storage.kv import KV
from storage.schema import LOWEST_HEIGHT

Row = tuple[bytes, bytes | None]
Rows = Callable[[KV], Iterator[Row]]


@dataclass(frozen=True, slots=True)
class Step:
    """From one version to the next; ``up`` and ``down`` yield the rows to write."""

    source: int
    target: int
    say: str
    up: Rows
    down: Rows | None = None


def _add_lowest(kv: KV) -> Iterator[Row]:
    """The founders' layout never lost a block, but ask: the first row there is decides."""
    if kv.get(keys.LOWEST) is not None:
        return  # a ledger that began with a snapshot said so before all did
    first = next(kv.scan(keys.BLOCK, keys.after(keys.BLOCK), limit=1), None)
    lowest = LOWEST_HEIGHT if first is None else int.from_bytes(first[0][1:], "big")
    yield keys.LOWEST, keys.be64(lowest)


def _drop_lowest(kv: KV) -> Iterator[Row]:
    lowest = kv.get(keys.LOWEST)
    shortened = lowest is not None and int.from_bytes(lowest, "big") != LOWEST_HEIGHT
    if shortened or kv.get(keys.PRUNED) is not None:
        raise MigrationRefused("old blocks were removed; version 1 cannot say so")
    yield keys.LOWEST, None


STEPS: Final = (
    Step(1, 2, "note the lowest height whose block is kept", _add_lowest, _drop_lowest),
)


def way(source: int, target: int, steps: tuple[Step, ...] = STEPS) -> list[tuple[Step, Rows]]:
    """Return the steps from ``source`` to ``target`` in order, each with its rows.

    Raises ``MigrationRefused`` when there is no way.
    """
    found: list[tuple[Step, Rows]] = []
    at = source
    while at != target:
        up = target > at
        step = next((s for s in steps if (s.source if up else s.target) == at), None)
        rows = None if step is None else (step.up if up else step.down)
        if step is None or rows is None:
            raise MigrationRefused(f"no way from version {source} to {target}")
        found.append((step, rows))
        at = step.target if up else step.source
    return found
