"""Reward programmes: points that a sponsor funds, patients earn, and merchants take.

Points are a closed loop: they are made by funding, go from the programme to a holder and from a
holder to an end (redeemed, expired, clawed back), and never from holder to holder.  A *holder*
is 32 random bytes with a key, made for one programme and linked to nothing about the patient.

Invariant, checked at every change: funded = unearned + outstanding + redeemed + expired +
clawed; and outstanding is the sum of the holders' balances while the programme lasts.

At a programme's end all that is outstanding expires at once.  Holders' rows are not touched
for that: what a holder had left then counts as expired (``settled``, ``left_with``).

State: ``reward/program/<program>`` -> ``ProgramRow``; ``reward/holder/<holder>`` ->
``HolderRow``; ``reward/key/<key>`` -> ``KeyRow``; lists ``reward/awards/<holder>`` of
``AwardRow``, ``reward/entries/<holder>`` of ``EntryRow``, ``reward/funding/<program>`` of
``FundRow``; ``reward/merchant/<program><org>`` -> ``MerchantRow``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.state import Overlay, Read, load_from

OPEN: Final = "open"
ENDED: Final = "ended"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """A programme with its terms and its five accounts, in points.

    ``unit_minor`` is what one point is worth in minor units of ``currency`` (ISO 4217).
    """

    program: bytes
    org: str
    terms: bytes  # commitment to the terms that holders are told
    currency: str
    unit_minor: int
    budget: int  # the most that may ever be funded
    award_max: int
    holder_max: int
    evidence: tuple[str, ...]
    about: bytes | None  # what the evidence must be about: a study
    merchants: tuple[str, ...]
    lifetime_ms: int | None
    ends_ms: int
    status: str  # open, ended, closed
    funded: int
    unearned: int
    outstanding: int
    redeemed: int
    expired: int
    clawed: int
    holders: int
    height: int
    time_ms: int
    closed_height: int | None
    closed_ms: int | None

    @property
    def is_conserved(self) -> bool:
        ends = self.redeemed + self.expired + self.clawed
        return self.funded == self.unearned + self.outstanding + ends


@dataclass(frozen=True, slots=True)
class HolderRow:
    """What became of one holder's points while the programme lasted."""

    holder: bytes
    program: bytes
    key: bytes  # Ed25519; signs redemptions
    earned: int
    redeemed: int
    expired: int
    clawed: int
    active_ms: int  # when points were last earned or redeemed

    @property
    def balance(self) -> int:
        return self.earned - self.redeemed - self.expired - self.clawed


@dataclass(frozen=True, slots=True)
class KeyRow:
    holder: bytes


@dataclass(frozen=True, slots=True)
class AwardRow:
    """Points that were earned by one slot of one deed."""

    points: int
    kind: str
    evidence: bytes
    slot: int
    clawed: int
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One line of a holder's statement; ``balance`` is what there was after it."""

    kind: str  # earn, redeem, expire, clawback
    points: int
    balance: int
    org: str
    award: int | None  # the number of the award that was earned or clawed back
    receipt: bytes | None  # the merchant's, as a commitment
    reason: str | None
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class FundRow:
    points: int
    payment: bytes  # commitment to the proof of payment
    height: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class MerchantRow:
    points: int


def program_key(program: bytes) -> bytes:
    return b"reward/program/" + program


def holder_key(holder: bytes) -> bytes:
    return b"reward/holder/" + holder


def key_key(key: bytes) -> bytes:
    return b"reward/key/" + key


def awards_key(holder: bytes) -> bytes:
    return b"reward/awards/" + holder


def entries_key(holder: bytes) -> bytes:
    return b"reward/entries/" + holder


def funding_key(program: bytes) -> bytes:
    return b"reward/funding/" + program


def merchant_key(program: bytes, org: str) -> bytes:
    return b"reward/merchant/" + program + org.encode()


def settled(row: ProgramRow, time_ms: int) -> ProgramRow:
    """Return a programme as it is at ``time_ms``: past its end nothing is outstanding."""
    if row.status != OPEN or time_ms < row.ends_ms:
        return row
    expired = row.expired + row.outstanding
    return replace(row, status=ENDED, expired=expired, outstanding=0)


def program_at(read: Read, program: bytes, time_ms: int) -> ProgramRow | None:
    """Return a programme, settled, or None if there is none of that name."""
    row = load_from(read, ProgramRow, program_key(program))
    return None if row is None else settled(row, time_ms)


def holder_row(read: Read, holder: bytes) -> HolderRow | None:
    return load_from(read, HolderRow, holder_key(holder))


def left_with(row: HolderRow, program: ProgramRow) -> int:
    """Return the points that a holder can still use; ``program`` is settled."""
    return row.balance if program.status == OPEN else 0


def save_program(view: Overlay, row: ProgramRow) -> None:
    assert row.is_conserved, "no point of a programme is made or lost on the way"
    view.save(program_key(row.program), row)


def save_holder(view: Overlay, row: HolderRow) -> None:
    assert row.balance >= 0, "nobody owes points"
    view.save(holder_key(row.holder), row)
