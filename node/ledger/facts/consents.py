"""May X see data of Y for purpose P?  One pure function, the same answer on every node.

``evaluate`` reads consents as they stood after the block of ``height``, judges periods by
``time_ms`` and decides in this order: (1) a law that permits or forbids; (2) break-glass,
where the network's policy allows it and no denial stands that it may not override; (3) a
denial of the patient: an opt-out or a rule; (4) the patient's permits, those for all that is
asked before those for part of it, the most specific first; (5) the latest; (6) the network's
implicit policy.  Without a policy nothing is permitted.

Where rules speak of part of the data only, the decision carries a *residual*: clauses by which
the server that releases the data filters (``consent_match.releases``).

Roles of institutions are those of today.  ``EVALUATION_VERSION`` changes whenever an answer may
change for the same state.  Integers only; nothing is scanned; at most ``OPEN_MAX`` consents
and the laws on the purpose are looked at.
"""

from dataclasses import replace

from node.ledger.facts import numbered, people
from node.ledger.facts.consent_judge import Held, judge
from node.ledger.facts.consent_match import Clause, Data, purposes_of, releases
from node.ledger.facts.consent_rows import (
    OPT_SCOPES,
    ConsentHead,
    ConsentRow,
    LawRow,
    OptOutRow,
    PolicyRow,
    consents_at,
    implicit_at,
    laws_at,
    opt_out_at,
)
from node.ledger.facts.consent_rule import Exemption, Named, Rule, Scope
from node.ledger.facts.consent_terms import (
    EVALUATION_VERSION,
    REASONS,
    VERDICTS,
    Considered,
    Decision,
    Request,
)
from node.ledger.genesis import Institution
from node.ledger.state import Read, institution_key, load_from

__all__ = [
    "EVALUATION_VERSION",
    "REASONS",
    "VERDICTS",
    "Clause",
    "ConsentHead",
    "ConsentRow",
    "Considered",
    "Data",
    "Decision",
    "Exemption",
    "Held",
    "LawRow",
    "Named",
    "OptOutRow",
    "PolicyRow",
    "Request",
    "Rule",
    "Scope",
    "evaluate",
    "hold",
    "judge",
    "laws_for",
    "patient_at",
    "releases",
    "roles_of",
]


def patient_at(read: Read, subject: bytes, *, height: int) -> people.PatientRow | None:
    """Return a patient as bound or ended after block ``height``; keys are those of today."""
    row = people.patient(read, subject)
    changes = people.patient_changes(subject)
    count = 0 if row is None else numbered.length(read, changes)
    if row is None or not count:
        return row
    if row.since_height > height:
        first = load_from(read, people.PatientChange, numbered.row_key(changes, 0))
        if first is not None and first.height > height:
            return None
    if row.status == people.ENDED:
        last = load_from(read, people.PatientChange, numbered.row_key(changes, count - 1))
        if last is not None and last.height > height:
            return replace(row, status=people.ACTIVE)
    return row


def hold(read: Read, subject: bytes, *, height: int) -> Held:
    """Read what ``judge`` needs, once for many requests about one subject."""
    outs = (opt_out_at(read, subject, scope, height) for scope in OPT_SCOPES)
    return Held(
        patient_at(read, subject, height=height),
        consents_at(read, subject, height),
        tuple(item for item in outs if item is not None),
        implicit_at(read, height),
    )


def roles_of(read: Read, org: str) -> tuple[str, ...]:
    """Return the roles of an institution as they stand now; none for an unknown one."""
    found = load_from(read, Institution, institution_key(org))
    return () if found is None else found.roles


def laws_for(read: Read, request: Request, *, height: int, time_ms: int) -> tuple[LawRow, ...]:
    """Return the laws that name the request's purpose or a wider one."""
    found = {
        (law.law, law.version): law
        for purpose in purposes_of(request.purpose)
        for law in laws_at(read, purpose, request.subject, height=height, time_ms=time_ms)
    }
    return tuple(found.values())


def evaluate(read: Read, request: Request, *, time_ms: int, height: int) -> Decision:
    """Return the decision on ``request`` as of the block of ``height`` and its time."""
    return judge(
        hold(read, request.subject, height=height),
        laws_for(read, request, height=height, time_ms=time_ms),
        request,
        roles=roles_of(read, request.requester),
        time_ms=time_ms,
    )
