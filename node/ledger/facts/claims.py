"""Claims in state: plans, coverages, pre-authorisations, claims, payments, and their keys.

Ids of claims, coverages, pre-authorisations and payments are 32 random bytes: nothing in a row
is derived from anything about a person.  What changes a claim is kept as a numbered step;
adjudications and appeals are numbered rows that are never changed in what they said.

Bounds: ``LINES_MAX`` lines, ``STEPS_MAX`` steps, ``ROUNDS_MAX`` adjudications, ``PENDS_MAX``
pends and ``APPEALS_MAX`` appeals per claim; ``VERSIONS_MAX`` tables per plan.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts import people
from node.ledger.facts.claim_tables import Line, Share, Table, Used
from node.ledger.state import Read, load_from

STEPS_MAX: Final = 500
ROUNDS_MAX: Final = 16
PENDS_MAX: Final = 8
APPEALS_MAX: Final = 12
VERSIONS_MAX: Final = 10_000

SUBMITTED: Final = "submitted"
PENDED: Final = "pended"
ADJUDICATED: Final = "adjudicated"
REOPENED: Final = "reopened"  # an appeal was won: the payer adjudicates again
WITHDRAWN: Final = "withdrawn"

PROVIDER: Final = "provider"
PAYER: Final = "payer"
SIDES: Final = (PAYER, PROVIDER)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan: how many tables were published and how often one was activated.

    ``regulator``: the institution whose signature an activation needs, if any.
    """

    payer: str
    plan: str
    currency: str
    regulator: str | None
    versions: int
    activations: int


@dataclass(frozen=True, slots=True)
class ActivationRow:
    """From ``from_height`` on, new claims are adjudicated by table ``version``."""

    version: int
    from_height: int


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """A coverage: its accumulators start anew every ``period_ms`` from ``from_ms`` on.

    ``commitment``: to the Coverage resource, kept off the ledger.  ``member_key``: a signing
    key that the member made for this coverage alone; ``subject``: the member as the payer knows
    them (``patient/...``), whose key of the day may sign too.
    """

    payer: str
    plan: str
    commitment: bytes
    from_ms: int
    until_ms: int
    period_ms: int
    member_key: bytes | None
    subject: bytes | None
    ended_ms: int | None
    since_height: int

    @property
    def end_ms(self) -> int:
        return self.until_ms if self.ended_ms is None else self.ended_ms

    def starts_ms(self, period: int) -> int:
        return self.from_ms + period * self.period_ms


@dataclass(frozen=True, slots=True)
class Grant:
    """Units of a class that a pre-authorisation grants, and how many are used."""

    code_class: str
    units: int
    used: int


@dataclass(frozen=True, slots=True)
class PreauthRow:
    """``status``: requested, granted, denied; a granted one expires at ``until_ms``."""

    provider: str
    payer: str
    coverage: bytes
    detail: bytes
    status: str
    reason: str
    grants: tuple[Grant, ...]
    until_ms: int
    requested_ms: int
    answered_ms: int | None


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """Where a claim stands.  ``version`` is that of the table in force when it came.

    ``approved`` is what its adjudication pays, ``patient`` the patient's share, ``paid`` all
    that was paid, ``recouped`` what of it was taken back: paid - recouped <= approved -
    recouped, always.  ``anew``: lines (from 0) to be adjudicated again.
    """

    provider: str
    payer: str
    plan: str
    version: int
    currency: str
    coverage: bytes
    period: int
    detail: bytes
    preauth: bytes | None
    status: str
    charge: int
    approved: int
    patient: int
    paid: int
    recouped: int
    steps: int
    rounds: int
    pends: int
    appeals: int
    appeal_open: bool
    anew: tuple[int, ...]
    submitted_ms: int
    adjudicated_ms: int | None
    due_ms: int | None  # by when whoever is to act now should have acted
    listed: bool  # whether it stands in the lists of open claims

    @property
    def owed(self) -> int:
        return self.approved - self.paid

    @property
    def is_open(self) -> bool:
        if self.status == ADJUDICATED:
            return self.owed > 0 or self.appeal_open
        return self.status != WITHDRAWN


@dataclass(frozen=True, slots=True)
class LinesRow:
    """What was claimed and the encounters it cites: as submitted, for ever."""

    lines: tuple[Line, ...]
    anchors: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RoundRow:
    """One adjudication: the shares of all lines, the accumulators it started from (of the
    classes in the claim), the lines that it computed anew (none: all)."""

    version: int
    shares: tuple[Share, ...]
    used: Used
    anew: tuple[int, ...]
    granted: tuple[str, ...]
    height: int
    time_ms: int
    txid: bytes


@dataclass(frozen=True, slots=True)
class StepRow:
    """Something that happened to a claim.  ``code`` says more in a coded word, ``about`` is
    what it concerns: a commitment or the id of a payment."""

    word: str
    org: str
    height: int
    time_ms: int
    txid: bytes  # empty when a clock ran out
    amount: int | None
    code: str
    about: bytes | None


@dataclass(frozen=True, slots=True)
class AppealRow:
    """``level`` 1 is decided by the payer, 2 by a regulator.  ``lines`` count from 0.

    ``status``: open, upheld (the denial stands), overturned, lapsed (unanswered in time).
    """

    level: int
    by: str  # provider, patient
    lines: tuple[int, ...]
    document: bytes
    status: str
    opened_ms: int
    due_ms: int
    decided_ms: int | None
    overturned: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What of a payment belongs to one claim."""

    claim: bytes
    amount: int


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """``status``: paid, reconciled, differs (the provider received ``received``)."""

    payer: str
    provider: str
    currency: str
    amount: int
    parts: tuple[Part, ...]
    remittance: bytes
    status: str
    received: int | None
    paid_ms: int
    reconciled_ms: int | None


@dataclass(frozen=True, slots=True)
class NullifierRow:
    """The claim and line (from 0) that billed a service; a withdrawn claim frees it."""

    claim: bytes
    line: int
    height: int


@dataclass(frozen=True, slots=True)
class DeniedLine:
    line: int
    code_class: str
    reason: str


@dataclass(frozen=True, slots=True)
class DenialRow:
    """The lines that one adjudication denied."""

    claim: bytes
    round_number: int
    time_ms: int
    lines: tuple[DeniedLine, ...]


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _text(value: str) -> bytes:
    return value.encode(errors="replace")


def plan_key(payer: str, plan: str) -> bytes:
    return b"claim-plan/" + _text(payer) + b"/" + _text(plan)


def table_key(payer: str, plan: str, version: int) -> bytes:
    return b"claim-table/" + plan_key(payer, plan) + b"/" + _number(version)


def activation_key(payer: str, plan: str, number: int) -> bytes:
    return b"claim-active/" + plan_key(payer, plan) + b"/" + _number(number)


def coverage_key(coverage: bytes) -> bytes:
    return b"claim-coverage/" + coverage


def used_key(coverage: bytes, period: int) -> bytes:
    return b"claim-used/" + coverage + _number(period)


def preauth_key(preauth: bytes) -> bytes:
    return b"claim-preauth/" + preauth


def claim_key(claim: bytes) -> bytes:
    return b"claim/" + claim


def lines_key(claim: bytes) -> bytes:
    return b"claim-lines/" + claim


def round_key(claim: bytes, number: int) -> bytes:
    return b"claim-round/" + claim + _number(number)


def step_key(claim: bytes, number: int) -> bytes:
    return b"claim-step/" + claim + _number(number)


def appeal_key(claim: bytes, number: int) -> bytes:
    return b"claim-appeal/" + claim + _number(number)


def nullifier_key(nullifier: bytes) -> bytes:
    return b"claim-nullifier/" + nullifier


def payment_key(payment: bytes) -> bytes:
    return b"claim-payment/" + payment


def open_list(side: str, org: str) -> bytes:
    """Return the name of the list of an institution's open claims, as payer or provider."""
    return b"claim-open/" + side.encode() + b"/" + _text(org)


def denial_list(side: str, org: str) -> bytes:
    return b"claim-denied/" + side.encode() + b"/" + _text(org)


def claim_row(read: Read, claim: bytes) -> ClaimRow | None:
    return load_from(read, ClaimRow, claim_key(claim))


def coverage_row(read: Read, coverage: bytes) -> CoverageRow | None:
    return load_from(read, CoverageRow, coverage_key(coverage))


def table(read: Read, payer: str, plan: str, version: int) -> Table | None:
    return load_from(read, Table, table_key(payer, plan, version))


def used(read: Read, coverage: bytes, period: int) -> Used:
    """Return the accumulators of a coverage in a period; at the start all are 0."""
    return load_from(read, Used, used_key(coverage, period)) or Used()


def version_at(read: Read, payer: str, plan: str, height: int) -> int | None:
    """Return which table was in force at ``height``: the last one activated by then."""
    row = load_from(read, PlanRow, plan_key(payer, plan))
    low, high = 0, 0 if row is None else row.activations
    while low < high:  # the first activation that lies after ``height``
        middle = (low + high) // 2
        found = load_from(read, ActivationRow, activation_key(payer, plan, middle))
        assert found is not None, "activations are numbered without a gap"
        if found.from_height <= height:
            low = middle + 1
        else:
            high = middle
    if low == 0:
        return None
    last = load_from(read, ActivationRow, activation_key(payer, plan, low - 1))
    assert last is not None, "activations are numbered without a gap"
    return last.version


def claim_is_late(row: ClaimRow, time_ms: int) -> bool:
    """Return whether whoever has to act on the claim has let the time for it pass."""
    return row.due_ms is not None and row.due_ms <= time_ms


def member_keys(read: Read, coverage: CoverageRow) -> tuple[bytes, ...]:
    """Return the keys that speak for the member of a coverage now."""
    keys = [] if coverage.member_key is None else [coverage.member_key]
    if coverage.subject is not None:
        patient = people.patient(read, coverage.subject)
        if patient is not None and patient.status == people.ACTIVE:
            keys.append(patient.sign_key)
    return tuple(keys)


def claim_lines(read: Read, claim: bytes) -> LinesRow | None:
    return load_from(read, LinesRow, lines_key(claim))


def claim_round(read: Read, claim: bytes, number: int) -> RoundRow | None:
    """Return adjudication ``number`` of a claim; the first is 1."""
    return load_from(read, RoundRow, round_key(claim, number))
