"""Family ``consent``: what a patient permits and denies, by whom it was said, until when.

``consent.grant`` puts a rule on the ledger, ``consent.amend`` a new version of it,
``consent.revoke`` ends it; ``consent.optout`` and ``consent.optin`` are the coarse switch.
The patient co-signs with the key of that subject, or a delegate does (``consent_proxy``), or
the institution that knows the patient attests a form on paper: by the patient (ink) or by
somebody for them (proxy), and then a commitment to the form is there.

Nothing is retroactive: a version holds from its block on, and what was decided before stays as
it was.  Versions stay, so "was it permitted at height h" has an answer for every h.  A permit
is not weaker than the law: one that names a purpose which a law in force forbids throughout
the permit's scope is refused, and one that a law forbids later is overruled by every decision.

Bounds: 64 consents in force per subject (expired ones make room), 4096 in all.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import consent_rows as rows
from node.ledger.facts import people
from node.ledger.facts.consent_delegates import GRANT, OPT, REVOKE, authority
from node.ledger.facts.consent_match import exempted
from node.ledger.facts.consent_rows import (
    AMENDED,
    CID_BYTES,
    EVER_MAX,
    EXPIRED,
    ID_PATTERN,
    OPEN_MAX,
    OPT_SCOPES,
    REVOKED,
    ConsentHead,
    ConsentRow,
    Count,
    LawRow,
    Listed,
    OptOutRow,
)
from node.ledger.facts.consent_rule import Rule, Scope
from node.ledger.facts.people import PatientRow
from node.ledger.facts.words import known, sized
from node.ledger.rules import Context, Operation, Refused, Result

SIGNED: Final = "signed"
INK: Final = "ink"
PROXY: Final = "proxy"
HOW: Final = (INK, PROXY, SIGNED)

SUBJECT_UNKNOWN: Final = Result(250, "consent-subject-unknown", "No such patient here.")
SUBJECT_ENDED: Final = Result(251, "consent-subject-ended", "That patient has left the ledger.")
NOT_CUSTODIAN: Final = Result(
    252, "consent-not-custodian", "Only the institution that knows the patient attests paper."
)
UNSIGNED: Final = Result(
    253, "consent-signature-missing", "Neither the patient nor a delegate who may signed it."
)
MINOR: Final = Result(
    254, "consent-patient-minor", "While a parent acts for the patient, the parent signs."
)
EXISTS: Final = Result(255, "consent-exists", "That consent is on the ledger already.")
UNKNOWN: Final = Result(256, "consent-unknown", "No such consent on the ledger.")
CLOSED: Final = Result(257, "consent-closed", "That consent was revoked or has made room.")
STALE: Final = Result(258, "consent-version-stale", "The consent has a later version.")
OVER: Final = Result(259, "consent-period-over", "The period of the rule is over already.")
POLICY_UNKNOWN: Final = Result(
    260, "consent-policy-unknown", "No policy of that name was published."
)
LAW_FORBIDS: Final = Result(
    261, "consent-law-forbids", "A law in force forbids what the rule would permit."
)
FULL: Final = Result(262, "consent-list-full", "The patient has too many consents in force.")
OUT_ALREADY: Final = Result(263, "consent-out-already", "The patient is opted out already.")
NOT_OUT: Final = Result(264, "consent-not-out", "The patient is not opted out of that.")
RESULTS: Final = (
    SUBJECT_UNKNOWN,
    SUBJECT_ENDED,
    NOT_CUSTODIAN,
    UNSIGNED,
    MINOR,
    EXISTS,
    UNKNOWN,
    CLOSED,
    STALE,
    OVER,
    POLICY_UNKNOWN,
    LAW_FORBIDS,
    FULL,
    OUT_ALREADY,
    NOT_OUT,
)


def _attested(how: str, source: bytes | None) -> None:
    known(how, HOW, "how")
    sized(source, 32, "source")
    if how != SIGNED and source is None:
        raise ValueError("paper needs source: a commitment to the form")


@dataclass(frozen=True, slots=True)
class Grant:
    """A new consent.

    ``cid``: 16 random bytes; ``subject``: the patient as one institution knows them; ``rule``:
    what is permitted or denied; ``how``: signed (a key signs this transaction), ink or proxy
    (the institution attests paper); ``source``: commitment to the signed form; ``policy``: id
    of the published text that the patient was shown.
    """

    cid: bytes
    subject: bytes
    rule: Rule
    how: str = SIGNED
    source: bytes | None = None
    policy: str | None = None

    def __post_init__(self) -> None:
        sized(self.cid, CID_BYTES, "cid")
        sized(self.subject, 32, "subject")
        _attested(self.how, self.source)
        if self.policy is not None and not ID_PATTERN.fullmatch(self.policy):
            raise ValueError("policy must match [a-z0-9][a-z0-9.-]{0,62}")


@dataclass(frozen=True, slots=True)
class Amend:
    """A new version of consent ``cid``, instead of ``version``, the one in force."""

    cid: bytes
    version: int
    rule: Rule
    how: str = SIGNED
    source: bytes | None = None
    policy: str | None = None

    def __post_init__(self) -> None:
        sized(self.cid, CID_BYTES, "cid")
        _attested(self.how, self.source)
        if self.policy is not None and not ID_PATTERN.fullmatch(self.policy):
            raise ValueError("policy must match [a-z0-9][a-z0-9.-]{0,62}")


@dataclass(frozen=True, slots=True)
class Revoke:
    """The end of consent ``cid``, from this block on; never for the past."""

    cid: bytes
    how: str = SIGNED
    source: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.cid, CID_BYTES, "cid")
        _attested(self.how, self.source)


@dataclass(frozen=True, slots=True)
class OptOut:
    """The patient stays out.  ``scope``: primary (care), secondary (research, public health,
    quality) or whole (everything)."""

    subject: bytes
    scope: str
    how: str = SIGNED
    source: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        known(self.scope, OPT_SCOPES, "scope")
        _attested(self.how, self.source)


@dataclass(frozen=True, slots=True)
class OptIn:
    """The end of an opt-out of ``scope``."""

    subject: bytes
    scope: str
    how: str = SIGNED
    source: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        known(self.scope, OPT_SCOPES, "scope")
        _attested(self.how, self.source)


def _authorised(
    context: Context, subject: bytes, *, how: str, deed: str
) -> tuple[PatientRow, bytes | None]:
    """Return the patient and the key by which the deed is done; None: attested on paper."""
    patient = people.patient(context.view.get, subject)
    if patient is None:
        raise Refused(SUBJECT_UNKNOWN)
    if patient.status == people.ENDED:
        raise Refused(SUBJECT_ENDED)
    if how != SIGNED:
        if context.org.id != patient.org:
            raise Refused(NOT_CUSTODIAN)
        return patient, None
    found = authority(
        context.view.get, patient, context.keys, deed=deed, time_ms=context.time_ms
    )
    if found.signer is None:
        minor = found.minor and context.signed_by(patient.sign_key)
        raise Refused(MINOR if minor else UNSIGNED)
    return patient, found.signer


# --- what a rule must be to stand ------------------------------------------------------------


def _check_rule(context: Context, patient: PatientRow, rule: Rule, policy: str | None) -> None:
    if rule.scope.until_ms is not None and rule.scope.until_ms <= context.time_ms:
        raise Refused(OVER)
    if policy is not None and not rows.count_of(context.view.get, rows.policy_key(policy)):
        raise Refused(POLICY_UNKNOWN)
    permits = [rule.scope] if rule.permit else []
    permits += [item.scope for item in exempted(rule) if item.permit]
    for scope in permits:
        for purpose in scope.purposes:
            laws = rows.laws_at(
                context.view.get,
                purpose,
                patient.subject,
                height=context.height,
                time_ms=context.time_ms,
            )
            if any(_forbids_all(law, scope, patient.org) for law in laws):
                raise Refused(LAW_FORBIDS)


def _forbids_all(law: LawRow, scope: Scope, custodian: str) -> bool:
    """Return whether ``law`` leaves nothing of what ``scope`` would permit."""
    if law.permit or (law.custodians and custodian not in law.custodians):
        return False
    if law.classes and not (scope.classes and set(scope.classes) <= set(law.classes)):
        return False
    if not law.orgs and not law.roles:
        return True
    whom = scope.orgs or scope.roles
    return (
        bool(whom)
        and not scope.practitioners
        and set(scope.orgs) <= set(law.orgs)
        and set(scope.roles) <= set(law.roles)
    )


# --- consents --------------------------------------------------------------------------------


def _grant(context: Context, body: Grant) -> None:
    patient, signer = _authorised(context, body.subject, how=body.how, deed=GRANT)
    view = context.view
    if rows.head(view.get, body.cid) is not None:
        raise Refused(EXISTS)
    _check_rule(context, patient, body.rule, body.policy)
    listed = rows.heads(view.get, body.subject)
    still = listed.open
    if len(still) >= OPEN_MAX:
        still = _without_expired(context, still)
    if len(still) >= OPEN_MAX or listed.count >= EVER_MAX:
        raise Refused(FULL)
    number = listed.count
    changed = replace(
        listed, count=number + 1, open=(*still, body.cid), changed_height=context.height
    )
    view.save(rows.subject_key(body.subject), changed)
    view.save(rows.listed_key(body.subject, number), Listed(body.cid))
    head = ConsentHead(body.cid, body.subject, number, context.org.id, 1)
    view.save(rows.consent_key(body.cid), head)
    _save_version(context, head, body, signer)


def _save_version(
    context: Context, head: ConsentHead, body: Grant | Amend, signer: bytes | None
) -> None:
    row = ConsentRow(
        cid=head.cid,
        version=head.versions,
        rule=body.rule,
        how=body.how,
        signer=signer,
        org=context.org.id,
        source=body.source,
        policy=body.policy,
        txid=context.txid,
        number=head.number,
        from_height=context.height,
        from_ms=context.time_ms,
    )
    context.view.save(rows.version_key(head.cid, head.versions), row)


def _close(context: Context, row: ConsentRow, end: str) -> None:
    closed = replace(
        row,
        until_height=context.height,
        ended_ms=context.time_ms,
        end=end,
        end_txid=context.txid,
    )
    context.view.save(rows.version_key(row.cid, row.version), closed)


def _without_expired(context: Context, still: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Close the consents whose period is over; return those that stay."""
    kept = []
    for cid in still:
        head = rows.head(context.view.get, cid)
        assert head is not None, "what is open has a head"
        row = rows.version(context.view.get, cid, head.versions)
        until_ms = row.rule.scope.until_ms
        if until_ms is not None and until_ms <= context.time_ms:
            _close(context, row, EXPIRED)
        else:
            kept.append(cid)
    return tuple(kept)


def _open(context: Context, cid: bytes) -> tuple[ConsentHead, ConsentRow]:
    """Return a consent and its version in force."""
    head = rows.head(context.view.get, cid)
    if head is None:
        raise Refused(UNKNOWN)
    row = rows.version(context.view.get, cid, head.versions)
    if row.until_height is not None:
        raise Refused(CLOSED)
    return head, row


def _amend(context: Context, body: Amend) -> None:
    head, row = _open(context, body.cid)
    patient, signer = _authorised(context, head.subject, how=body.how, deed=GRANT)
    if body.version != row.version:
        raise Refused(STALE)
    _check_rule(context, patient, body.rule, body.policy)
    _close(context, row, AMENDED)
    head = replace(head, versions=head.versions + 1)
    context.view.save(rows.consent_key(body.cid), head)
    _save_version(context, head, body, signer)


def _revoke(context: Context, body: Revoke) -> None:
    head, row = _open(context, body.cid)
    _authorised(context, head.subject, how=body.how, deed=REVOKE)
    _close(context, row, REVOKED)
    listed = rows.heads(context.view.get, head.subject)
    still = tuple(cid for cid in listed.open if cid != body.cid)
    changed = replace(listed, open=still, changed_height=context.height)
    context.view.save(rows.subject_key(head.subject), changed)


# --- opting out ------------------------------------------------------------------------------


def _optout(context: Context, body: OptOut) -> None:
    _, signer = _authorised(context, body.subject, how=body.how, deed=OPT)
    view = context.view
    if rows.opt_out_at(view.get, body.subject, body.scope, context.height) is not None:
        raise Refused(OUT_ALREADY)
    key = rows.opt_key(body.subject, body.scope)
    number = rows.count_of(view.get, key)
    row = OptOutRow(
        scope=body.scope,
        number=number,
        signer=signer,
        org=context.org.id,
        source=body.source,
        from_height=context.height,
        from_ms=context.time_ms,
    )
    view.save(rows.opt_row_key(body.subject, body.scope, number), row)
    view.save(key, Count(number + 1))


def _optin(context: Context, body: OptIn) -> None:
    _authorised(context, body.subject, how=body.how, deed=OPT)
    view = context.view
    row = rows.opt_out_at(view.get, body.subject, body.scope, context.height)
    if row is None:
        raise Refused(NOT_OUT)
    ended = replace(row, until_height=context.height, ended_ms=context.time_ms)
    view.save(rows.opt_row_key(body.subject, body.scope, row.number), ended)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "consent.grant", Grant, _grant, _ANYBODY, "Record what a patient permits or denies."
    ),
    Operation("consent.amend", Amend, _amend, _ANYBODY, "Change a consent by a new version."),
    Operation("consent.revoke", Revoke, _revoke, _ANYBODY, "End a consent from now on."),
    Operation("consent.optout", OptOut, _optout, _ANYBODY, "Keep a patient out of exchange."),
    Operation("consent.optin", OptIn, _optin, _ANYBODY, "Let an opted-out patient in again."),
)
