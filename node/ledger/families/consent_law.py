"""Family ``consent``, what stands around it: published policies and laws that come first.

``consent.policy.publish`` publishes the digest of a policy's text.  An *overarching* one is
the network's implicit policy: what holds for a patient who said nothing, with one of the four
defaults of IHE PCF, and which denials an emergency may override.  Exactly one is in force: the
last.  A *basis* is a text that consents refer to.

``consent.preempt`` states that a law permits or forbids for certain purposes, whatever patients
say; ``consent.unpreempt`` ends that.  Neither reaches back before its block.

Bounds: 128 law versions ever per purpose, and per purpose and patient.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import consent_rows as rows
from node.ledger.facts.consent_rows import (
    DEFAULTS,
    GLASS,
    ID_PATTERN,
    IMPLICIT_KEY,
    LAWS_MAX,
    Count,
    LawList,
    LawRef,
    LawRow,
    PolicyRow,
)
from node.ledger.facts.consent_rule import TIME_MS_MAX, Scope, ordered
from node.ledger.facts.words import known, sized
from node.ledger.payload import ORG_PATTERN
from node.ledger.rules import Context, Operation, Refused, Result

OVERARCHING: Final = "overarching"
BASIS: Final = "basis"

POLICY_TAKEN: Final = Result(
    285, "consent-policy-taken", "Another institution published a policy of that name."
)
LAW_TAKEN: Final = Result(286, "consent-law-taken", "Another regulator stated that law.")
LAW_UNKNOWN: Final = Result(287, "consent-law-unknown", "No such law was stated.")
LAW_ENDED: Final = Result(288, "consent-law-ended", "That law was ended already.")
LAWS_FULL: Final = Result(289, "consent-laws-full", "Too many laws on one purpose.")
RESULTS: Final = (POLICY_TAKEN, LAW_TAKEN, LAW_UNKNOWN, LAW_ENDED, LAWS_FULL)


def _id(value: str, what: str) -> None:
    if not ID_PATTERN.fullmatch(value):
        raise ValueError(f"{what} must match [a-z0-9][a-z0-9.-]{{0,62}}")


@dataclass(frozen=True, slots=True)
class Publish:
    """A policy, or a new version of it.

    ``policy``: its id; ``kind``: overarching or basis; ``digest``: SHA-256 of the public text;
    ``default``, for an overarching one: all-normal, basic-normal, break-glass-only or deny;
    ``glass``: which denials of a patient an emergency overrides, of primary, rule, secondary,
    whole, ascending.
    """

    policy: str
    kind: str
    digest: bytes
    default: str | None = None
    glass: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _id(self.policy, "policy")
        known(self.kind, (BASIS, OVERARCHING), "kind")
        sized(self.digest, 32, "digest")
        ordered(self.glass, "glass")
        for item in self.glass:
            known(item, GLASS, "glass")
        if self.kind == OVERARCHING:
            if self.default is None:
                raise ValueError("an overarching policy has a default")
            known(self.default, DEFAULTS, "default")
        elif self.default is not None or self.glass:
            raise ValueError("only an overarching policy has a default and glass")


@dataclass(frozen=True, slots=True)
class Preempt:
    """A law, or a new version of it, that stands before every consent.

    ``law``: its id; ``permit``: whether it permits (a duty to report, a court's order) or
    forbids; ``purposes``: at least one; ``custodians``: from whom, ``orgs`` and ``roles``: to
    whom, ``classes``: which records, each empty for any; ``subject``: one patient only;
    ``from_ms`` until before ``until_ms``.  Lists are ascending.
    """

    law: str
    permit: bool
    purposes: tuple[str, ...]
    custodians: tuple[str, ...] = ()
    orgs: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    classes: tuple[int, ...] = ()
    subject: bytes | None = None
    from_ms: int = 0
    until_ms: int | None = None

    def __post_init__(self) -> None:
        _id(self.law, "law")
        if not self.purposes:
            raise ValueError("a law names its purposes")
        Scope(self.orgs, self.roles, (), self.purposes, self.classes)  # same vocabularies
        ordered(self.custodians, "custodians")
        if any(not ORG_PATTERN.fullmatch(item) for item in self.custodians):
            raise ValueError("custodians are institution ids")
        sized(self.subject, 32, "subject")
        times = (self.from_ms, self.until_ms or 0)
        if max(times) > TIME_MS_MAX:
            raise ValueError("times lie beyond the year 9999")
        if self.until_ms is not None and self.until_ms <= self.from_ms:
            raise ValueError("the law ends before it begins")


@dataclass(frozen=True, slots=True)
class Unpreempt:
    """The end of a law, from this block on."""

    law: str

    def __post_init__(self) -> None:
        _id(self.law, "law")


def _publish(context: Context, body: Publish) -> None:
    view = context.view
    count = rows.count_of(view.get, rows.policy_key(body.policy))
    if count:
        last = rows.row(view.get, PolicyRow, rows.policy_row_key(body.policy, count))
        if last.org != context.org.id:
            raise Refused(POLICY_TAKEN)
    row = PolicyRow(
        policy=body.policy,
        version=count + 1,
        kind=body.kind,
        digest=body.digest,
        default=body.default,
        glass=body.glass,
        org=context.org.id,
        from_height=context.height,
        from_ms=context.time_ms,
    )
    view.save(rows.policy_key(body.policy), Count(row.version))
    view.save(rows.policy_row_key(body.policy, row.version), row)
    if body.kind == OVERARCHING:
        number = rows.count_of(view.get, IMPLICIT_KEY)
        view.save(rows.implicit_row_key(number), row)
        view.save(IMPLICIT_KEY, Count(number + 1))


def _last(context: Context, law: str) -> LawRow | None:
    """Return the last version of a law; refuses a law of another regulator."""
    count = rows.count_of(context.view.get, rows.law_key(law))
    if not count:
        return None
    last = rows.row(context.view.get, LawRow, rows.law_row_key(law, count))
    if last.org != context.org.id:
        raise Refused(LAW_TAKEN)
    return last


def _end(context: Context, last: LawRow) -> bool:
    """End a version in the lists that hold it; return whether it was in force."""
    ended = False
    for purpose in last.purposes:
        listed = rows.law_list(context.view.get, purpose, last.subject)
        changed = []
        for item in listed.laws:
            if (item.law, item.version, item.until_height) == (last.law, last.version, None):
                changed.append(replace(item, until_height=context.height))
                ended = True
            else:
                changed.append(item)
        context.view.save(rows.laws_key(purpose, last.subject), LawList(tuple(changed)))
    return ended


def _preempt(context: Context, body: Preempt) -> None:
    last = _last(context, body.law)
    if last is not None:
        _end(context, last)
    row = LawRow(
        law=body.law,
        version=1 if last is None else last.version + 1,
        org=context.org.id,
        permit=body.permit,
        purposes=body.purposes,
        custodians=body.custodians,
        orgs=body.orgs,
        roles=body.roles,
        classes=body.classes,
        subject=body.subject,
        from_ms=body.from_ms,
        until_ms=body.until_ms,
        from_height=context.height,
    )
    view = context.view
    view.save(rows.law_key(row.law), Count(row.version))
    view.save(rows.law_row_key(row.law, row.version), row)
    reference = LawRef(row.law, row.version, context.height)
    for purpose in row.purposes:
        listed = rows.law_list(view.get, purpose, row.subject)
        if len(listed.laws) >= LAWS_MAX:
            raise Refused(LAWS_FULL)
        key = rows.laws_key(purpose, row.subject)
        view.save(key, LawList((*listed.laws, reference)))


def _unpreempt(context: Context, body: Unpreempt) -> None:
    last = _last(context, body.law)
    if last is None:
        raise Refused(LAW_UNKNOWN)
    if not _end(context, last):
        raise Refused(LAW_ENDED)


_REGULATOR: Final = frozenset({"regulator"})
OPERATIONS: Final = (
    Operation(
        "consent.policy.publish", Publish, _publish, _REGULATOR, "Publish a consent policy."
    ),
    Operation(
        "consent.preempt", Preempt, _preempt, _REGULATOR, "State a law that precedes consents."
    ),
    Operation("consent.unpreempt", Unpreempt, _unpreempt, _REGULATOR, "End such a law."),
)
