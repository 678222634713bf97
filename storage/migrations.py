"""Which layout follows which, and the rows that a step adds or takes away.

Owns: the table of steps; a new layout is a new entry and a new line in ``schema``.  Refuses:
how a step is carried out safely (``migrate.py``).
Invariant: the rows of a step depend only on what is stored, so that a step that was cut short
can begin again; a step that has no way back says so by ``down`` being None.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from storage import history, keys, pagelog, slots
from storage.errors import MigrationRefused
from storage.kv import KV, Readable
from storage.schema import LOWEST_HEIGHT

_PAGE: Final = b"p"  # page key -> page, until version 3
_PAGE_WAS: Final = b"q"  # page key, height be64 -> what the page lost, until version 3

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
    changed, _ = pagelog.load(kv, _whole_pages)
    yield from ((_PAGE + key, page) for key, page in sorted(changed.items()))
    yield keys.PAGES, keys.be64(pagelog.newest_height(kv))
    for letter in (keys.PAGE_LOG, _PAGE_WAS, keys.STATE_WAS, keys.WAS_AT):
        yield from ((key, None) for key, _ in kv.scan(letter, keys.after(letter)))
    yield keys.HISTORY, None
    yield keys.PAGES, None


def _whole_pages(source: Readable, page_keys: Sequence[bytes]) -> list[bytes | None]:
    return source.get_many([_PAGE + key for key in page_keys])


def _take_pages_apart(kv: KV) -> Iterator[Row]:
    """A page goes after its slots are there, what it lost after it is there by height."""
    for name, page in kv.scan(_PAGE, keys.after(_PAGE)):
        yield from slots.rows_of([(name[1:], page)])
        yield name, None
    for name, raw in kv.scan(keys.WAS_AT, keys.after(keys.WAS_AT)):
        names, at = list(history.split(raw)), name[1:]
        of_pages = [key for key in names if key.startswith(_PAGE_WAS)]
        if of_pages:
            # What is missing was missing before; `check` executes again and names it.
            lost = kv.get_many([key + at for key in of_pages])
            found = [(key[1:], was) for key, was in zip(of_pages, lost, strict=True) if was]
            yield from history.rows_of_pages(int.from_bytes(at, "big"), found)
            yield name, history.join(names[len(of_pages) :])
    yield from ((name, None) for name, _ in kv.scan(_PAGE_WAS, keys.after(_PAGE_WAS)))


def _put_pages_together(kv: KV) -> Iterator[Row]:
    """A page that is there already was whole, whatever is left of its slots."""
    for key, page in slots.every(kv.scan(keys.NODE, keys.after(keys.NODE))):
        if kv.get(_PAGE + key) is None:
            yield _PAGE + key, page
        yield from ((name, None) for name, _ in slots.rows_of([(key, page)]))
    for name, raw in kv.scan(keys.WAS_AT, keys.after(keys.WAS_AT)):
        if raw.startswith(_PAGE_WAS, 2):
            continue  # done before it was cut short
        at, names = name[1:], []
        for _, chunk in kv.scan(keys.PAGES_WERE + at, keys.after(keys.PAGES_WERE + at)):
            for key, lost in history.pages_in(chunk):
                names.append(_PAGE_WAS + key)
                yield names[-1] + at, lost
        if names:
            yield name, history.join([*names, *history.split(raw)])
    lo, hi = keys.PAGES_WERE, keys.after(keys.PAGES_WERE)
    yield from ((name, None) for name, _ in kv.scan(lo, hi))


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
    Step(
        3,
        4,
        "store of these pages what changed, not the whole",
        _take_pages_apart,
        _put_pages_together,
    ),
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
