"""Incidents in state: what an institution has to do after a breach, and by when.

An incident is a random handle and coded words; what happened stays in the institution's own
report, of which the ledger has a commitment.  Duties and their times: GDPR Art. 33 (authority,
72 hours after becoming aware), 45 CFR 164.404 (persons, 60 days after discovery) and 164.408
(authority, at the same time when 500 or more are affected).

State: ``governance/incident/<id>`` -> ``IncidentRow``; numbered lists, each with its ``Count``
under the same key without the number: ``governance/incident/<id>/reports/<be32>`` ->
``ReportRow``, ``governance/incident-number/<be32>`` -> ``Handle``,
``governance/basis/<org>/<purpose>/<be32>`` -> ``BasisRow``.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts.governance_bodies import Limits
from node.ledger.state import Read, load_from

KINDS: Final = ("availability", "confidentiality", "integrity")  # Art. 4(12): what was breached
REGIMES: Final = ("gdpr", "hipaa")
AFFECTED: Final = ("unknown", "none", "1-499", "500-9999", "10000+")
MANY: Final = ("500-9999", "10000+")  # 45 CFR 164.408(b)
GDPR_AUTHORITY: Final = "gdpr-authority"
HIPAA_AUTHORITY: Final = "hipaa-authority"
HIPAA_PERSONS: Final = "hipaa-persons"
DUTIES: Final = (GDPR_AUTHORITY, HIPAA_AUTHORITY, HIPAA_PERSONS)
WAITING: Final = "waiting"
DONE: Final = "done"
LATE: Final = "late"  # done after its time
EXEMPT: Final = "exempt"  # Art. 33(1): no risk to persons; 164.402(2): low probability
NUMBERS: Final = b"governance/incident-number"
_HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class Duty:
    """Something to do by ``due_ms``; ``overdue`` once its clock ran out first."""

    code: str
    due_ms: int
    status: str  # waiting, done, late, exempt
    overdue: bool
    settled_ms: int | None


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """An incident as last reported; ``key`` is a signing key in wrong hands, if that is it."""

    number: int
    org: str
    kind: str
    regimes: tuple[str, ...]
    affected: str
    key: bytes | None
    aware_ms: int
    height: int
    time_ms: int
    duties: tuple[Duty, ...]
    reports: int
    closed_ms: int | None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report: ``commitment`` hides its words, ``txid`` is where it was made."""

    commitment: bytes
    affected: str
    from_height: int
    from_ms: int
    txid: bytes


@dataclass(frozen=True, slots=True)
class BasisRow:
    """On what legal ground an institution works for one purpose, from ``from_height`` on."""

    basis: str | None
    condition: str | None
    from_height: int
    from_ms: int


def incident_key(incident: bytes) -> bytes:
    return b"governance/incident/" + incident


def basis_prefix(org: str, purpose: str) -> bytes:
    return f"governance/basis/{org}/{purpose}".encode()


def incident(read: Read, handle: bytes) -> IncidentRow | None:
    return load_from(read, IncidentRow, incident_key(handle))


def due_ms(code: str, aware_ms: int, limits: Limits) -> int:
    """Return when the duty ``code`` must be done by."""
    hours = {
        GDPR_AUTHORITY: limits.gdpr_authority_hours,
        HIPAA_AUTHORITY: limits.hipaa_authority_days * 24,
        HIPAA_PERSONS: limits.hipaa_persons_days * 24,
    }
    return aware_ms + hours[code] * _HOUR_MS


def duties_of(regimes: tuple[str, ...], affected: str) -> tuple[str, ...]:
    """Return what the law asks for, ascending; nothing about persons if none is affected."""
    if affected == "none":
        return ()
    found = [GDPR_AUTHORITY] if "gdpr" in regimes else []
    if "hipaa" in regimes:
        found += [HIPAA_AUTHORITY] if affected in MANY else []
        found.append(HIPAA_PERSONS)
    return tuple(found)
