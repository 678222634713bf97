"""Who may act for a patient: parents of minors, attorneys, guardians, by keys and until when.

A delegate is a key made for this one subject.  While a *parent's* delegation is in force the
patient is a minor: the patient's own key alone does not suffice.  That ends by ledger time and
needs nobody's deed: what a parent may do is over at ``until_ms``, and the patient's key counts.
So that no date of birth stands on the ledger, a parent's delegation ends on a grid of
``MAJORITY_GRID_MS`` (91 days, counted from 1970): up to that much late.

State: ``consent-delegates/<subject>`` -> ``Count``; ``.../<number be32>`` -> ``DelegateRow``.
Bound: ``DELEGATES_EVER_MAX`` per subject.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from node.ledger.facts.consent_rows import count_of, row
from node.ledger.facts.people import PatientRow
from node.ledger.state import Read

DELEGATES_EVER_MAX: Final = 64
MAJORITY_GRID_MS: Final = 91 * 86_400_000
PARENT: Final = "parent"
DELEGATE_KINDS: Final = ("attorney", "court", PARENT)
GRANT: Final = "grant"  # grant and amend
REVOKE: Final = "revoke"
OPT: Final = "opt"  # opt out and in again
DELEGATE: Final = "delegate"
DEEDS: Final = (DELEGATE, GRANT, OPT, REVOKE)


@dataclass(frozen=True, slots=True)
class DelegateRow:
    """``key`` may do ``deeds`` for the subject from ``from_height`` until ``until_ms``."""

    subject: bytes
    number: int
    key: bytes
    kind: str  # attorney, court, parent
    deeds: tuple[str, ...]
    until_ms: int | None
    signer: bytes | None  # who delegated; None: attested by ``org``
    org: str
    source: bytes | None  # commitment to the document
    from_height: int
    from_ms: int
    until_height: int | None = None
    ended_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """``signer``: the key that may do it, if one signed; ``minor``: the patient is one."""

    signer: bytes | None
    minor: bool


def delegates_key(subject: bytes) -> bytes:
    return b"consent-delegates/" + subject


def delegate_key(subject: bytes, number: int) -> bytes:
    return delegates_key(subject) + b"/" + number.to_bytes(4, "big")


def delegates(read: Read, subject: bytes) -> Iterator[DelegateRow]:
    """Yield every delegation that ever was, oldest first."""
    for number in range(count_of(read, delegates_key(subject))):
        yield row(read, DelegateRow, delegate_key(subject, number))


def holds(item: DelegateRow, time_ms: int) -> bool:
    """Return whether a delegation is in force now."""
    return item.until_height is None and (item.until_ms is None or time_ms < item.until_ms)


def authority(
    read: Read, patient: PatientRow, keys: tuple[bytes, ...], *, deed: str, time_ms: int
) -> Authority:
    """Return by whose key among ``keys`` a deed is done for ``patient``."""
    current = [item for item in delegates(read, patient.subject) if holds(item, time_ms)]
    minor = any(item.kind == PARENT for item in current)
    if not minor and patient.sign_key in keys:
        return Authority(patient.sign_key, minor=False)
    for item in current:
        if deed in item.deeds and item.key in keys:
            return Authority(item.key, minor)
    return Authority(None, minor)
