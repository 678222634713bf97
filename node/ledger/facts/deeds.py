"""Deeds: transactions that may be cited as evidence that somebody earned a reward.

State knows no transactions, so a family whose operations count as evidence leaves a row behind.
A deed has as many *slots* as there are people whose doing it shows: one for a patient who joins
a study, as many as are included for the use of a dataset.  Each slot is used once, by whom the
ledger is not told.

State: ``deed/<kind>/<txid>`` -> ``DeedRow``; ``deed-slot/<kind>/<txid><slot be32>`` -> who used
it.  Bounded: 2^32 slots.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.rules import Context
from node.ledger.state import Overlay, Read, load_from

KINDS: Final = ("research.join", "research.use")


@dataclass(frozen=True, slots=True)
class DeedRow:
    """``orgs``: the institutions that took part; only they may reward it, so that nobody
    uses up what others want to reward."""

    orgs: tuple[str, ...]
    about: bytes  # what it was done for: a study
    slots: int
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class SlotRow:
    program: bytes
    height: int


def deed_key(kind: str, txid: bytes) -> bytes:
    return b"deed/" + kind.encode() + b"/" + txid


def slot_key(kind: str, txid: bytes, slot: int) -> bytes:
    return b"deed-slot/" + kind.encode() + b"/" + txid + slot.to_bytes(4, "big")


def deed(read: Read, kind: str, txid: bytes) -> DeedRow | None:
    return load_from(read, DeedRow, deed_key(kind, txid))


def done(context: Context, kind: str, about: bytes, *, with_org: str, slots: int) -> None:
    """Let the transaction at hand count as evidence; several operations add their slots as
    long as they are about the same, otherwise the first one's count."""
    key = deed_key(kind, context.txid)
    row = context.view.load(DeedRow, key)
    if row is None:
        orgs = tuple(sorted({context.org.id, with_org}))
        row = DeedRow(orgs, about, 0, context.height, context.time_ms)
    if row.about == about:
        total = min(row.slots + slots, (1 << 32) - 1)
        context.view.save(key, replace(row, slots=total))


def use_slot(view: Overlay, kind: str, txid: bytes, slot: int, used: SlotRow) -> bool:
    """Take a slot; return whether it was free."""
    key = slot_key(kind, txid, slot)
    if view.get(key) is not None:
        return False
    view.save(key, used)
    return True
