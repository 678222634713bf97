"""Questions on consents: may X see it, who could today, which policy and laws stand around.

All provable: state is read by key only.  A question about the past names the height and the
time of its block together; heights beyond the present are answered as of now.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import consent_rows as rows
from node.ledger.facts import people
from node.ledger.facts.consent_judge import judge
from node.ledger.facts.consent_rows import ConsentRow, PolicyRow
from node.ledger.facts.consent_terms import Decision, Request
from node.ledger.facts.consent_words import sentences
from node.ledger.facts.consents import evaluate, hold, laws_for, roles_of
from node.ledger.facts.words import PURPOSES, sized
from node.ledger.payload import ORG_PATTERN
from node.ledger.questions.consent_list import page

ANYBODY: Final = "nobody-named"  # stands in for an institution that no rule names


def _moment(facts: Facts, height: int | None, time_ms: int | None) -> tuple[int, int]:
    if height is None or time_ms is None or height >= facts.height:
        return facts.height, facts.time_ms
    return height, time_ms


def _paired(height: int | None, time_ms: int | None) -> None:
    if (height is None) != (time_ms is None):
        raise ValueError("at_height and at_ms go together: a block's height and its time")


@dataclass(frozen=True, slots=True)
class May:
    """May ``requester`` see it?  ``custodian``: who holds the data, if not said the patient's
    institution; ``at_height``, ``at_ms``: a past block and its time, both or neither."""

    subject: bytes
    requester: str
    purpose: str
    custodian: str | None = None
    data_class: int | None = None
    labels: tuple[str, ...] = ()
    practitioner: bytes | None = None
    data_from_ms: int | None = None
    data_until_ms: int | None = None
    break_glass: bool = False
    at_height: int | None = None
    at_ms: int | None = None

    def __post_init__(self) -> None:
        _paired(self.at_height, self.at_ms)
        self.request(self.custodian or self.requester)  # the same bounds

    def request(self, custodian: str) -> Request:
        return Request(
            self.subject,
            custodian,
            self.requester,
            self.purpose,
            self.data_class,
            self.labels,
            self.practitioner,
            self.data_from_ms,
            self.data_until_ms,
            self.break_glass,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision, in words, and when it holds.  ``basis_name``: the law, policy or opt-out
    that decided, when it was no consent."""

    decision: Decision
    basis_name: str | None
    english: str
    chinese: str
    height: int
    time_ms: int


def _may(facts: Facts, params: May) -> Answer:
    height, time_ms = _moment(facts, params.at_height, params.at_ms)
    patient = people.patient(facts.get, params.subject)
    known = params.requester if patient is None else patient.org
    request = params.request(params.custodian or known)
    decision = evaluate(facts.get, request, time_ms=time_ms, height=height)
    english, chinese = sentences(
        permit=decision.permit, reason=decision.reason, limited=bool(decision.residual)
    )
    return Answer(decision, _basis_name(decision), english, chinese, height, time_ms)


def _basis_name(decision: Decision) -> str | None:
    named = decision.reason in ("break-glass", "implicit-policy", "law-preempts")
    if decision.basis is None or not (named or decision.reason == "patient-opted-out"):
        return None
    return decision.basis.decode("ascii")


# --- who could -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Who:
    """``orgs``: institutions to look at besides those that the patient's rules name."""

    subject: bytes
    orgs: tuple[str, ...] = ()
    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        sized(self.subject, 32, "subject")
        if len(self.orgs) > PAGE_MAX or any(not ORG_PATTERN.fullmatch(x) for x in self.orgs):
            raise ValueError(f"orgs are up to {PAGE_MAX} institution ids")


@dataclass(frozen=True, slots=True)
class Could:
    """One line: an institution, any with a role, a practitioner, or (all None) anybody else.

    ``limited``: for a part of the data only; ``basis``: the consent's id in hexadecimal, or
    the name of the law, policy or opt-out that decides.
    """

    org: str | None
    role: str | None
    practitioner: bytes | None
    purpose: str
    permit: bool
    limited: bool
    reason: str
    basis: str | None


@dataclass(frozen=True, slots=True)
class WhoAnswer:
    known: bool
    lines: tuple[Could, ...]
    next: int | None


_Party = tuple[str | None, str | None, bytes | None]


def _parties(consents: tuple[ConsentRow, ...], orgs: tuple[str, ...]) -> list[_Party]:
    """Return everybody whom a rule tells apart, in a fixed order, and anybody else last."""
    scopes = [row.rule.scope for row in consents]
    scopes += [item.scope for row in consents for item in row.rule.exemptions]
    named = sorted({org for scope in scopes for org in scope.orgs} | set(orgs))
    roles = sorted({role for scope in scopes for role in scope.roles})
    licences = sorted({item for scope in scopes for item in scope.practitioners})
    found: list[_Party] = [(org, None, None) for org in named]
    found += [(None, role, None) for role in roles]
    found += [(None, None, licence) for licence in licences]
    return [*found, (None, None, None)]


def _who(facts: Facts, params: Who) -> WhoAnswer:
    held = hold(facts.get, params.subject, height=facts.height)
    if held.patient is None:
        return WhoAnswer(known=False, lines=(), next=None)
    cells = [
        (party, purpose)
        for party in _parties(held.consents, params.orgs)
        for purpose in PURPOSES
    ]
    end, following = page(params.start, params.limit, len(cells))
    lines = []
    for (org, role, practitioner), purpose in cells[params.start : end]:
        request = Request(
            params.subject,
            held.patient.org,
            org or ANYBODY,
            purpose,
            practitioner=practitioner,
        )
        roles = (role,) if role else roles_of(facts.get, org) if org else ()
        laws = laws_for(facts.get, request, height=facts.height, time_ms=facts.time_ms)
        done = judge(held, laws, request, roles=roles, time_ms=facts.time_ms)
        limited = bool(done.residual)
        basis = _basis_name(done) or (done.basis.hex() if done.basis else None)
        lines.append(
            Could(org, role, practitioner, purpose, done.permit, limited, done.reason, basis)
        )
    return WhoAnswer(known=True, lines=tuple(lines), next=following)


# --- what stands around it -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Policy:
    """``at_height``: after the block of that height; now unless said."""

    at_height: int | None = None


@dataclass(frozen=True, slots=True)
class PolicyAnswer:
    known: bool
    policy: PolicyRow | None


def _policy(facts: Facts, params: Policy) -> PolicyAnswer:
    height = facts.height if params.at_height is None else params.at_height
    found = rows.implicit_at(facts.get, height)
    return PolicyAnswer(found is not None, found)


@dataclass(frozen=True, slots=True)
class Laws:
    """``subject``: look also at laws for this patient only."""

    purpose: str
    subject: bytes | None = None
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Law:
    now: bool
    law: rows.LawRow


@dataclass(frozen=True, slots=True)
class LawsAnswer:
    laws: tuple[Law, ...]
    next: int | None


def _laws(facts: Facts, params: Laws) -> LawsAnswer:
    listed = rows.law_list(facts.get, params.purpose, None).laws
    if params.subject is not None:
        listed += rows.law_list(facts.get, params.purpose, params.subject).laws
    end, following = page(params.start, params.limit, len(listed))
    found = []
    for item in listed[params.start : end]:
        law = rows.row(facts.get, rows.LawRow, rows.law_row_key(item.law, item.version))
        over = law.until_ms is not None and law.until_ms <= facts.time_ms
        now = item.until_height is None and law.from_ms <= facts.time_ms and not over
        found.append(Law(now, law))
    return LawsAnswer(tuple(found), following)


QUESTIONS: Final = (
    Question("consent.may", May, Answer, _may, "May they see this patient's data, and why?"),
    Question("consent.who", Who, WhoAnswer, _who, "Who could see this patient's data today?"),
    Question(
        "consent.implicit",
        Policy,
        PolicyAnswer,
        _policy,
        "What holds if a patient says nothing?",
    ),
    Question("consent.laws", Laws, LawsAnswer, _laws, "Which laws stand before consents?"),
)
