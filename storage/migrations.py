"""Which layout follows which, and the rows that a step adds or takes away.

Owns: the table of steps; a new layout is a new entry and a new line in ``schema``.  Refuses:
how a step is carried out safely (``migrate.py``).
Invariant: the rows of a step depend only on what is stored, so that a step that was cut short
can begin again; a step that has no way back says so by ``down`` being None.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from storage import keys, pagelog
from storage.errors import MigrationRefused
from storage.kv import KV
from storage.schema import LOWEST_HEIGHT

Row = tuple[bytes, bytes | None]
Rows = Callable[[KV], Iterator[Row]]


def _nothing_asked(_kv: KV) -> None:
    """There is nothing that the older version could not say."""


@dataclass(frozen=True, slots=True)
class Step:
    """From one version to the next; ``up`` and ``down`` yield the rows to write.

    ``may_go_back`` raises ``MigrationRefused``; every step of the way is asked before the first
    is taken.
    """

    source: int
    target: int
    say: str
    up: Rows
    down: Rows | None = None
    may_go_back: Callable[[KV], None] = _nothing_asked


def _add_lowest(kv: KV) -> Iterator[Row]:
    """The founders' layout never lost a block, but ask: the first row there is decides."""
    if kv.get(keys.LOWEST) is not None:
        return  # a ledger that began with a snapshot said so before all did
    first = next(kv.scan(keys.BLOCK, keys.after(keys.BLOCK), limit=1), None)
    lowest = LOWEST_HEIGHT if first is None else int.from_bytes(first[0][1:], "big")
    yield keys.LOWEST, keys.be64(lowest)


def _all_blocks_are_there(kv: KV) -> None:
    lowest = kv.get(keys.LOWEST)
    shortened = lowest is not None and int.from_bytes(lowest, "big") != LOWEST_HEIGHT
    if shortened or kv.get(keys.PRUNED) is not None:
        raise MigrationRefused("old blocks were removed; version 1 cannot say so")


def _drop_lowest(_kv: KV) -> Iterator[Row]:
    yield keys.LOWEST, None


def _nothing(_kv: KV) -> Iterator[Row]:
    """Pages that were stored with every block stand as of the newest one."""
    yield from ()


def _store_pages(kv: KV) -> Iterator[Row]:
    """Store the newest pages; what blocks replaced goes, for it is of fewer heights here.

    Pages and their height are less than one batch (``migrate.ROWS_PER_BATCH``): cut short after
    it, the step finds nothing left to store.
    """
    changed, _ = pagelog.load(kv)
    yield from ((keys.PAGE + key, page) for key, page in sorted(changed.items()))
    yield keys.PAGES, keys.be64(pagelog.newest_height(kv))
    for letter in (keys.PAGE_LOG, keys.PAGE_WAS, keys.STATE_WAS, keys.WAS_AT):
        yield from ((key, None) for key, _ in kv.scan(letter, keys.after(letter)))
    yield keys.HISTORY, None
    yield keys.PAGES, None


STEPS: Final = (
    Step(
        1,
        2,
        "note the lowest height whose block is kept",
        _add_lowest,
        _drop_lowest,
        _all_blocks_are_there,
    ),
    Step(2, 3, "write pages of the state behind their blocks", _nothing, _store_pages),
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
