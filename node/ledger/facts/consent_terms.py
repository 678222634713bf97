"""The words of a consent decision: request, decision, reasons, what was considered.

Closed vocabularies; sentences for people in ``consent_words``.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts.consent_match import Clause, Data
from node.ledger.facts.consent_rule import ordered, spanned
from node.ledger.facts.words import LABELS, PURPOSES, known, sized
from node.ledger.payload import ORG_PATTERN

EVALUATION_VERSION: Final = 1

NO_SUBJECT: Final = "no-such-subject"
NOT_CUSTODIAN: Final = "not-custodian"
ENDED: Final = "subject-ended"
LAW: Final = "law-preempts"
GLASS_BROKEN: Final = "break-glass"
OPTED_OUT: Final = "patient-opted-out"
DENIED: Final = "patient-denies"
PERMITTED: Final = "patient-permits"
IMPLICIT: Final = "implicit-policy"
NO_POLICY: Final = "no-policy"
REASONS: Final = (
    GLASS_BROKEN,
    IMPLICIT,
    LAW,
    NO_POLICY,
    NO_SUBJECT,
    NOT_CUSTODIAN,
    DENIED,
    OPTED_OUT,
    PERMITTED,
    ENDED,
)
# Why something that was looked at did or did not decide.
VERDICTS: Final = (
    "decides",
    "expired",
    "glass-not-for-purpose",
    "glass-not-in-policy",
    "glass-over-denial",
    "less-specific",
    "limits",
    "not-yet",
    "older",
    "other-data",
    "other-party",
    "other-purpose",
    "overridden",
    "part-only",
)
KINDS: Final = ("break-glass", "consent", "law", "opt-out", "policy")
# Purposes that an opt-out of primary use stops; one of secondary use stops the rest, but for
# what the patient asks for and what a court does.
PRIMARY_PURPOSES: Final = ("BTG", "ETREAT", "HOPERAT", "HPAYMT", "TREAT")
SECONDARY_PURPOSES: Final = ("HQUALIMP", "HRESCH", "PUBHLTH")


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what.  ``data_from_ms`` to ``data_until_ms``: when the data was made."""

    subject: bytes
    custodian: str
    requester: str
    purpose: str
    data_class: int | None = None  # None: all classes
    labels: tuple[str, ...] = ()  # sensitivity of the data; none: not known
    practitioner: bytes | None = None
    data_from_ms: int | None = None
    data_until_ms: int | None = None
    break_glass: bool = False

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        sized(self.practitioner, 32, "practitioner")
        known(self.purpose, PURPOSES, "purpose")
        for label in self.labels:
            known(label, LABELS, "label")
        ordered(self.labels, "labels")
        if self.data_class is not None and self.data_class > 255:
            raise ValueError("data_class is one byte")
        for org in (self.custodian, self.requester):
            if not ORG_PATTERN.fullmatch(org):
                raise ValueError("custodian and requester are institution ids")
        spanned(self.data_from_ms, self.data_until_ms, "data period")

    @property
    def data(self) -> Data:
        return Data(self.data_class, self.labels, self.data_from_ms, self.data_until_ms)

    @property
    def breaks_glass(self) -> bool:
        return self.break_glass or self.purpose == "BTG"


@dataclass(frozen=True, slots=True)
class Considered:
    """Something looked at.  ``id``: the consent's in hexadecimal, or that of the law or policy,
    or the scope of the opt-out; ``version`` counts from 1."""

    kind: str
    id: str
    version: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Decision:
    """``basis``: consent id (16 bytes), or the id of a law, policy or opt-out in ASCII."""

    permit: bool
    reason: str
    basis: bytes | None = None
    basis_version: int = 0
    residual: tuple[Clause, ...] = ()
    considered: tuple[Considered, ...] = ()
    version: int = EVALUATION_VERSION
