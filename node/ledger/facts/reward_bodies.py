"""What the reward operations carry, checked for form alone.

Points are integers up to 2^40, one point is worth up to 2^20 minor units of its currency; 32
merchants at most; kinds of evidence and reasons are codes of closed lists.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts import deeds, money
from node.ledger.facts.words import known, sized
from node.ledger.transaction import ORG_PATTERN

POINTS_MAX: Final = 1 << 40
UNIT_MAX: Final = 1 << 20
MERCHANTS_MAX: Final = 32
SLOT_MAX: Final = (1 << 32) - 1
REASONS: Final = ("error", "evidence-recalled", "fraud")


def _points(points: int, what: str = "points") -> None:
    if not 1 <= points <= POINTS_MAX:
        raise ValueError(f"{what} must be 1 to 2^40")


@dataclass(frozen=True, slots=True)
class Program:
    """A programme.  Its terms cannot be changed afterwards.

    ``unit_minor``: worth of one point in minor units of ``currency`` (ISO 4217); ``budget``:
    the most points that may ever be funded; ``award_max`` and ``holder_max``: the caps on what
    one award and one holder may get; ``evidence``: kinds of deeds that earn; ``about``: the
    study they must belong to, if any; ``merchants``: who may take points; ``lifetime_ms``: how
    long points last after a holder last earned or redeemed some, if not to the end.
    """

    program: bytes
    terms: bytes
    currency: str
    unit_minor: int
    budget: int
    award_max: int
    holder_max: int
    evidence: tuple[str, ...]
    merchants: tuple[str, ...]
    ends_ms: int
    about: bytes | None = None
    lifetime_ms: int | None = None

    def __post_init__(self) -> None:
        sized(self.program, 32, "program")
        sized(self.terms, 32, "terms")
        sized(self.about, 32, "about")
        money.currency(self.currency)
        if not 1 <= self.unit_minor <= UNIT_MAX:
            raise ValueError("unit_minor must be 1 to 2^20")
        _points(self.budget, "budget")
        if not 1 <= self.award_max <= self.holder_max <= self.budget:
            raise ValueError("award_max, holder_max and budget ascend from 1")
        for kind in self.evidence:
            known(kind, deeds.KINDS, "evidence")
        if not self.evidence or list(self.evidence) != sorted(set(self.evidence)):
            raise ValueError("evidence is named, unique and ascending")
        if not 1 <= len(self.merchants) <= MERCHANTS_MAX:
            raise ValueError("merchants are 1 to 32")
        if list(self.merchants) != sorted(set(self.merchants)):
            raise ValueError("merchants are unique and ascending")
        if not all(ORG_PATTERN.fullmatch(org) for org in self.merchants):
            raise ValueError("merchants must match [a-z0-9][a-z0-9-]{0,62}")
        if self.lifetime_ms == 0:
            raise ValueError("lifetime_ms is above 0")


@dataclass(frozen=True, slots=True)
class Fund:
    """Put points into a programme; ``payment`` commits to the proof that they are paid for."""

    program: bytes
    points: int
    payment: bytes

    def __post_init__(self) -> None:
        sized(self.program, 32, "program")
        sized(self.payment, 32, "payment")
        _points(self.points)


@dataclass(frozen=True, slots=True)
class Earn:
    """Give points to a holder for a deed.

    ``holder``: 32 random bytes that the patient made for this programme, with ``key`` to sign
    redemptions; ``evidence``: the id of the transaction that shows the deed, ``kind`` its
    operation; ``slot``: one of as many numbers as the deed concerns people, drawn at random, so
    that it tells nobody who is meant.
    """

    program: bytes
    holder: bytes
    key: bytes
    points: int
    kind: str
    evidence: bytes
    slot: int = 0

    def __post_init__(self) -> None:
        for name in ("program", "holder", "key", "evidence"):
            sized(getattr(self, name), 32, name)
        known(self.kind, deeds.KINDS, "kind")
        _points(self.points)
        if self.slot > SLOT_MAX:
            raise ValueError("slot is below 2^32")


@dataclass(frozen=True, slots=True)
class Redeem:
    """A merchant takes points; the holder's key co-signs.  ``receipt``: a commitment to what
    was given for them."""

    program: bytes
    holder: bytes
    points: int
    receipt: bytes

    def __post_init__(self) -> None:
        for name in ("program", "holder", "receipt"):
            sized(getattr(self, name), 32, name)
        _points(self.points)


@dataclass(frozen=True, slots=True)
class Expire:
    """Let a holder's points expire whose lifetime is over."""

    program: bytes
    holder: bytes

    def __post_init__(self) -> None:
        sized(self.program, 32, "program")
        sized(self.holder, 32, "holder")


@dataclass(frozen=True, slots=True)
class Clawback:
    """Take back points of an award that should not have been; never more than are left."""

    program: bytes
    holder: bytes
    award: int  # the number in the holder's list of awards, from 0
    points: int
    reason: str

    def __post_init__(self) -> None:
        sized(self.program, 32, "program")
        sized(self.holder, 32, "holder")
        known(self.reason, REASONS, "reason")
        _points(self.points)


@dataclass(frozen=True, slots=True)
class Close:
    """Close a programme in which nothing is outstanding: what was not earned is free again."""

    program: bytes

    def __post_init__(self) -> None:
        sized(self.program, 32, "program")
