"""The bodies of claims' operations: what each may say, and its bounds."""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts import money
from node.ledger.facts.claim_evidence import Cited
from node.ledger.facts.claim_tables import (
    LINES_MAX,
    TARIFFS_MAX,
    TIME_SPAN_MS_MAX,
    UNITS_MAX,
    Line,
    Share,
    Tariff,
    code_class,
    plan_id,
)
from node.ledger.facts.words import known, sized
from node.ledger.transaction import ORG_PATTERN

ANCHORS_MAX: Final = 16
GRANTS_MAX: Final = 50
PARTS_MAX: Final = 100
DAY_MS: Final = 86_400_000
TIME_MS_MAX: Final = (1 << 63) - 1
PREAUTH_REASONS: Final = ("granted", "experimental", "not-covered", "not-necessary")
PEND_REASONS: Final = ("coordination", "documents", "eligibility", "review")
RECOUP_REASONS: Final = ("duplicate", "fraud", "not-eligible", "overpaid")


def _span(value: int, what: str, *, least: int = 0) -> None:
    if not least <= value <= TIME_SPAN_MS_MAX:
        raise ValueError(f"{what} must be {least} to {TIME_SPAN_MS_MAX} ms")


def _time(value: int, what: str) -> None:
    if value > TIME_MS_MAX:
        raise ValueError(f"{what} must be below 2^63 ms")


def _org(value: str | None, what: str) -> None:
    if value is not None and not ORG_PATTERN.fullmatch(value):
        raise ValueError(f"{what} must be an institution's id")


@dataclass(frozen=True, slots=True)
class CoverageRegister:
    """A member's coverage under a plan of the payer.

    ``coverage``: 32 random bytes.  ``commitment``: to the Coverage resource, kept off the
    ledger.  Deductible and limits start anew every ``period_ms`` from ``from_ms`` on.
    ``member_key``: a signing key that the member made for this coverage alone, ``subject``: the
    member as the payer knows them; with either the member can appeal.
    """

    coverage: bytes
    plan: str
    commitment: bytes
    from_ms: int
    until_ms: int
    period_ms: int = 365 * DAY_MS
    member_key: bytes | None = None
    subject: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.coverage, 32, "coverage")
        plan_id(self.plan)
        sized(self.commitment, 32, "commitment")
        _time(self.until_ms, "until_ms")
        if self.from_ms >= self.until_ms:
            raise ValueError("from_ms must lie before until_ms")
        _span(self.period_ms, "period_ms", least=DAY_MS)
        sized(self.member_key, 32, "member_key")
        sized(self.subject, 32, "subject")


@dataclass(frozen=True, slots=True)
class CoverageEnd:
    """The coverage ends at ``at_ms``: now or later, never in the past."""

    coverage: bytes
    at_ms: int

    def __post_init__(self) -> None:
        sized(self.coverage, 32, "coverage")
        _time(self.at_ms, "at_ms")


@dataclass(frozen=True, slots=True)
class RulePublish:
    """Version ``version`` of a plan's table of rules; the first one founds the plan.

    ``tariffs`` ascend by class.  ``deductible``, ``out_of_pocket_max`` and ``benefit_max``: per
    coverage and period (0: none).  ``answer_ms``: how soon the payer answers a claim or an
    appeal, ``appeal_ms``: how long a denial can be appealed (0: no clock).  ``regulator``: the
    institution that has to sign each activation; of a later version it must be the same.
    """

    plan: str
    version: int
    currency: str
    tariffs: tuple[Tariff, ...]
    deductible: int = 0
    out_of_pocket_max: int = 0
    benefit_max: int = 0
    answer_ms: int = 0
    appeal_ms: int = 0
    regulator: str | None = None

    def __post_init__(self) -> None:
        plan_id(self.plan)
        money.currency(self.currency)
        classes = [item.code_class for item in self.tariffs]
        if not 1 <= len(classes) <= TARIFFS_MAX or classes != sorted(set(classes)):
            raise ValueError(f"1 to {TARIFFS_MAX} tariffs, classes unique and ascending")
        money.amount(self.deductible, "deductible")
        money.amount(self.out_of_pocket_max, "out_of_pocket_max")
        money.amount(self.benefit_max, "benefit_max")
        _span(self.answer_ms, "answer_ms")
        _span(self.appeal_ms, "appeal_ms")
        _org(self.regulator, "regulator")


@dataclass(frozen=True, slots=True)
class RuleActivate:
    """From block ``from_height`` on, new claims fall under table ``version``."""

    plan: str
    version: int
    from_height: int

    def __post_init__(self) -> None:
        plan_id(self.plan)


@dataclass(frozen=True, slots=True)
class Submit:
    """A claim for services in period ``period`` (from 0) of a coverage.

    ``claim``: 32 random bytes.  ``anchors``: the encounters, anchored by the provider.
    ``detail``: commitment to the full lines, which go to the payer sealed, off the ledger.
    """

    claim: bytes
    coverage: bytes
    period: int
    lines: tuple[Line, ...]
    anchors: tuple[Cited, ...]
    detail: bytes
    preauth: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        sized(self.coverage, 32, "coverage")
        sized(self.detail, 32, "detail")
        sized(self.preauth, 32, "preauth")
        if self.period > 0xFFFF:
            raise ValueError("period is two bytes")
        if not 1 <= len(self.lines) <= LINES_MAX:
            raise ValueError(f"a claim has 1 to {LINES_MAX} lines")
        if len({item.nullifier for item in self.lines}) != len(self.lines):
            raise ValueError("every line has a nullifier of its own")
        if not 1 <= len(self.anchors) <= ANCHORS_MAX:
            raise ValueError(f"a claim cites 1 to {ANCHORS_MAX} encounters")
        if len({item.commitment for item in self.anchors}) != len(self.anchors):
            raise ValueError("every encounter is cited once")


@dataclass(frozen=True, slots=True)
class Withdraw:
    """The provider takes a claim back; its services can be billed again."""

    claim: bytes

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")


@dataclass(frozen=True, slots=True)
class Wanted:
    code_class: str
    units: int

    def __post_init__(self) -> None:
        code_class(self.code_class)
        if not 1 <= self.units <= UNITS_MAX:
            raise ValueError(f"units must be 1 to {UNITS_MAX}")


def _wanted(items: tuple[Wanted, ...], *, least: int) -> None:
    if not least <= len(items) <= GRANTS_MAX:
        raise ValueError(f"{least} to {GRANTS_MAX} classes of codes")
    if len({item.code_class for item in items}) != len(items):
        raise ValueError("every class stands once")


@dataclass(frozen=True, slots=True)
class PreauthRequest:
    """The provider asks before it acts.  ``detail``: commitment to the full request."""

    preauth: bytes
    coverage: bytes
    wanted: tuple[Wanted, ...]
    detail: bytes

    def __post_init__(self) -> None:
        sized(self.preauth, 32, "preauth")
        sized(self.coverage, 32, "coverage")
        sized(self.detail, 32, "detail")
        _wanted(self.wanted, least=1)


@dataclass(frozen=True, slots=True)
class PreauthAnswer:
    """What of it the payer grants, until when; nothing with a reason of denial."""

    preauth: bytes
    reason: str
    granted: tuple[Wanted, ...]
    until_ms: int = 0

    def __post_init__(self) -> None:
        sized(self.preauth, 32, "preauth")
        known(self.reason, PREAUTH_REASONS, "reason")
        _wanted(self.granted, least=0)
        _time(self.until_ms, "until_ms")
        if bool(self.granted) != (self.reason == "granted"):
            raise ValueError("something is granted exactly if the reason says so")


@dataclass(frozen=True, slots=True)
class Adjudicate:
    """The shares of all lines by table ``version``, and their sums.

    ``reason`` of a share: what the table gives, or a coded reason of the payer's own to deny.
    """

    claim: bytes
    version: int
    shares: tuple[Share, ...]
    allowed: int
    patient: int
    pay: int

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        if not 1 <= len(self.shares) <= LINES_MAX:
            raise ValueError(f"a claim has 1 to {LINES_MAX} lines")


@dataclass(frozen=True, slots=True)
class Pend:
    """The payer waits for something.  ``needed``: commitment to what it asks for."""

    claim: bytes
    reason: str
    needed: bytes
    wait_ms: int

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        known(self.reason, PEND_REASONS, "reason")
        sized(self.needed, 32, "needed")
        _span(self.wait_ms, "wait_ms", least=DAY_MS)


@dataclass(frozen=True, slots=True)
class Inform:
    """The provider sent what was asked for.  ``document``: commitment to it."""

    claim: bytes
    document: bytes

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        sized(self.document, 32, "document")


def _line_numbers(lines: tuple[int, ...], *, least: int) -> None:
    if not least <= len(lines) <= LINES_MAX or list(lines) != sorted(set(lines)):
        raise ValueError("line numbers are unique and ascending")
    if lines and not 1 <= lines[0] <= lines[-1] <= LINES_MAX:
        raise ValueError("lines count from 1")


@dataclass(frozen=True, slots=True)
class Appeal:
    """Denied ``lines`` (from 1) are appealed.  ``by``: provider, or patient, whose key signs
    too.  ``document``: commitment to the grounds."""

    claim: bytes
    by: str
    lines: tuple[int, ...]
    document: bytes

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        known(self.by, ("patient", "provider"), "by")
        _line_numbers(self.lines, least=1)
        sized(self.document, 32, "document")


@dataclass(frozen=True, slots=True)
class AppealDecide:
    """``overturned``: those of the appealed lines (from 1) whose denial falls; none: it
    stands.  ``document``: commitment to the reasons."""

    claim: bytes
    overturned: tuple[int, ...]
    document: bytes

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        _line_numbers(self.overturned, least=0)
        sized(self.document, 32, "document")


@dataclass(frozen=True, slots=True)
class PaidPart:
    claim: bytes
    amount: int

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        money.amount(self.amount, "amount")
        if not self.amount:
            raise ValueError("nothing is no payment")


@dataclass(frozen=True, slots=True)
class Pay:
    """One payment for claims of one provider.  ``payment``: 32 random bytes; ``remittance``:
    commitment to the advice that goes with it."""

    payment: bytes
    provider: str
    currency: str
    parts: tuple[PaidPart, ...]
    remittance: bytes

    def __post_init__(self) -> None:
        sized(self.payment, 32, "payment")
        _org(self.provider, "provider")
        money.currency(self.currency)
        if not 1 <= len(self.parts) <= PARTS_MAX:
            raise ValueError(f"a payment has 1 to {PARTS_MAX} parts")
        if len({item.claim for item in self.parts}) != len(self.parts):
            raise ValueError("every claim stands once in a payment")
        sized(self.remittance, 32, "remittance")


@dataclass(frozen=True, slots=True)
class Reconcile:
    """The provider says what of a payment arrived, in minor units."""

    payment: bytes
    received: int

    def __post_init__(self) -> None:
        sized(self.payment, 32, "payment")
        if self.received > PARTS_MAX * money.AMOUNT_MAX:
            raise ValueError("received is more than any payment")


@dataclass(frozen=True, slots=True)
class Recoup:
    """The payer takes money back.  ``agreed``: who signs too, the provider or a regulator;
    ``document``: commitment to the finding."""

    claim: bytes
    amount: int
    reason: str
    agreed: str
    document: bytes

    def __post_init__(self) -> None:
        sized(self.claim, 32, "claim")
        money.amount(self.amount, "amount")
        if not self.amount:
            raise ValueError("nothing is not recouped")
        known(self.reason, RECOUP_REASONS, "reason")
        _org(self.agreed, "agreed")
        sized(self.document, 32, "document")
