"""The order in which a request for a patient's data is judged; ``consents`` says the rules.

Pure over what was read: ``judge`` decides one request about one subject, and records on the
way what it looked at and why that did or did not decide.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from node.ledger.facts import consent_match, people
from node.ledger.facts.consent_match import (
    ALL,
    CARE,
    DENIES,
    DENIES_PART,
    NONE,
    PART,
    PERMITS,
    PERMITS_PART,
    SILENT,
    Asker,
    Clause,
)
from node.ledger.facts.consent_rows import (
    ALL_NORMAL,
    BASIC_NORMAL,
    DENY,
    PRIMARY,
    RULE,
    SECONDARY,
    WHOLE,
    ConsentRow,
    LawRow,
    OptOutRow,
    PolicyRow,
)
from node.ledger.facts.consent_rule import Scope
from node.ledger.facts.consent_terms import (
    DENIED,
    ENDED,
    GLASS_BROKEN,
    IMPLICIT,
    LAW,
    NO_POLICY,
    NO_SUBJECT,
    NOT_CUSTODIAN,
    OPTED_OUT,
    PERMITTED,
    PRIMARY_PURPOSES,
    SECONDARY_PURPOSES,
    Considered,
    Decision,
    Request,
)
from node.ledger.facts.words import PURPOSES


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of one subject after one block: everything but the laws."""

    patient: people.PatientRow | None
    consents: tuple[ConsentRow, ...]
    outs: tuple[OptOutRow, ...]
    policy: PolicyRow | None


def judge(
    held: Held,
    laws: Sequence[LawRow],
    request: Request,
    *,
    roles: tuple[str, ...],
    time_ms: int,
) -> Decision:
    """Decide on what was read; see ``consents.evaluate``."""
    patient = held.patient
    if patient is None:
        return _refuse(NO_SUBJECT)
    if patient.org != request.custodian:
        return _refuse(NOT_CUSTODIAN)
    if patient.status == people.ENDED:
        return _refuse(ENDED)
    asker = Asker(request.requester, roles, request.practitioner, request.purpose)
    case = _Case(held, request, asker, time_ms)
    return (
        case.by_law(laws)
        or case.by_breaking_glass()
        or case.by_denial()
        or case.by_permit()
        or case.by_policy()
    )


def _refuse(reason: str) -> Decision:
    return Decision(permit=False, reason=reason)


@dataclass(frozen=True, slots=True)
class _View:
    """One consent as it bears on the request."""

    row: ConsentRow
    word: str  # what its clauses say
    clauses: tuple[Clause, ...]
    specificity: int
    miss: str  # why it does not bear on it at all; "" when it does

    @property
    def rank(self) -> tuple[int, int, int, int]:
        full = 1 if self.word == PERMITS else 0
        return full, self.specificity, self.row.from_height, self.row.number

    @property
    def limits(self) -> bool:
        """Whether it takes something away from what others permit."""
        return self.word in (DENIES_PART, PERMITS_PART) and not all(
            clause.permit for clause in self.clauses
        )


def _clause(kind: str, source: bytes, scope: Scope, *, permit: bool, exempt: bool) -> Clause:
    return Clause(
        kind,
        source,
        permit,
        exempt,
        scope.classes,
        scope.labels,
        scope.named,
        scope.data_from_ms,
        scope.data_until_ms,
    )


def _outside(scope: Scope, time_ms: int) -> str:
    if scope.from_ms is not None and time_ms < scope.from_ms:
        return "not-yet"
    return "expired" if scope.until_ms is not None and time_ms >= scope.until_ms else ""


@dataclass(slots=True)
class _Case:
    """One request under judgement; collects the explanation as it goes."""

    held: Held
    request: Request
    asker: Asker
    time_ms: int
    considered: list[Considered] = field(default_factory=list)
    forbidden: list[Clause] = field(default_factory=list)  # by law, part of the data
    _views: list[_View] | None = None

    # --- (1) ---------------------------------------------------------------------------------

    def by_law(self, laws: Sequence[LawRow]) -> Decision | None:
        deciding: list[tuple[tuple[bool, int, int], LawRow]] = []
        for place, law in enumerate(laws):
            verdict = self._law(law)
            if verdict == "decides":
                deciding.append(((law.subject is not None, law.from_height, place), law))
            else:
                self._note("law", law.law.encode(), law.version, verdict)
        if not deciding:
            return None
        _, law = max(deciding, key=lambda item: item[0])
        for _, other in deciding:
            verdict = "decides" if other is law else "older"
            self._note("law", other.law.encode(), other.version, verdict)
        basis = law.law.encode()
        return self._decided(LAW, basis, law.version, permit=law.permit, views=())

    def _law(self, law: LawRow) -> str:
        scope = Scope(orgs=law.orgs, roles=law.roles, classes=law.classes)
        if law.custodians and self.request.custodian not in law.custodians:
            return "other-party"
        if consent_match.actor_rank(scope, self.asker) is None:
            return "other-party"
        clause = _clause("law", law.law.encode(), scope, permit=law.permit, exempt=False)
        much = consent_match.match(clause, self.request.data, None)
        if much == ALL:
            return "decides"
        if much == PART and not law.permit:
            self.forbidden.append(clause)
            return "limits"
        return "part-only" if much == PART else "other-data"

    # --- (2) ---------------------------------------------------------------------------------

    def by_breaking_glass(self) -> Decision | None:
        if not self.request.breaks_glass:
            return None
        policy = self.held.policy
        allowed = policy is not None and policy.default != DENY
        if policy is None or not allowed:
            self._note("break-glass", b"", 0, "glass-not-in-policy")
            return None
        source = policy.policy.encode()
        if self.request.purpose not in CARE:
            self._note("break-glass", source, policy.version, "glass-not-for-purpose")
            return None
        outs = [item for item in self._outs() if item.scope not in policy.glass]
        over_rules = RULE in policy.glass
        denials = [] if over_rules else [item for item in self.views if item.word == DENIES]
        if outs or denials:
            self._note("break-glass", source, policy.version, "glass-over-denial")
            return None
        for item in self._outs():
            self._note("opt-out", item.scope.encode(), item.number + 1, "overridden")
        for view in self.views:
            if view.word == DENIES or (over_rules and view.limits):
                self._note("consent", view.row.cid, view.row.version, "overridden")
        limiting = () if over_rules else [view for view in self.views if view.limits]
        self._note("break-glass", source, policy.version, "decides")
        return self._decided(GLASS_BROKEN, source, policy.version, permit=True, views=limiting)

    # --- (3) ---------------------------------------------------------------------------------

    def _outs(self) -> list[OptOutRow]:
        """Return the opt-outs that bear on the purpose."""
        purpose = self.request.purpose
        stops = {PRIMARY: PRIMARY_PURPOSES, SECONDARY: SECONDARY_PURPOSES, WHOLE: PURPOSES}
        return [item for item in self.held.outs if purpose in stops[item.scope]]

    def by_denial(self) -> Decision | None:
        bearing = self._outs()
        deciding = max(bearing, key=lambda item: (item.from_height, item.scope), default=None)
        for out in self.held.outs:
            verdict = "older" if out in bearing else "other-purpose"
            verdict = "decides" if out is deciding else verdict
            self._note("opt-out", out.scope.encode(), out.number + 1, verdict)
        if deciding is not None:
            basis = deciding.scope.encode()
            return self._decided(OPTED_OUT, basis, deciding.number + 1, permit=False, views=())
        denials = [view for view in self.views if view.word == DENIES]
        if not denials:
            return None
        last = max(denials, key=lambda view: view.rank[2:])
        for view in self.views:
            self._note_view(view, last, "older" if view.word == DENIES else "overridden")
        row = last.row
        return self._decided(DENIED, row.cid, row.version, permit=False, views=())

    # --- (4), (5) ----------------------------------------------------------------------------

    def by_permit(self) -> Decision | None:
        permits = [view for view in self.views if view.word in (PERMITS, PERMITS_PART)]
        best = max(permits, key=lambda view: view.rank, default=None)
        for view in self.views:
            less = best is not None and view.rank[:2] < best.rank[:2]
            self._note_view(view, best, "less-specific" if less else "older")
        if best is None:
            return None
        whole = best.word == PERMITS
        bearing = [view for view in self.views if view.limits or not whole]
        row = best.row
        return self._decided(
            PERMITTED, row.cid, row.version, permit=True, views=bearing, whole=whole
        )

    # --- (6) ---------------------------------------------------------------------------------

    def by_policy(self) -> Decision:
        policy = self.held.policy
        if policy is None:
            return self._decided(NO_POLICY, None, 0, permit=False, views=())
        permit = policy.default == ALL_NORMAL or (
            policy.default == BASIC_NORMAL and self.request.purpose in ("ETREAT", "TREAT")
        )
        source = policy.policy.encode()
        self._note("policy", source, policy.version, "decides")
        limiting = [view for view in self.views if view.limits]
        return self._decided(IMPLICIT, source, policy.version, permit=permit, views=limiting)

    # --- what they share ---------------------------------------------------------------------

    @property
    def views(self) -> list[_View]:
        if self._views is None:
            self._views = [self._view(row) for row in self.held.consents]
        return self._views

    def _view(self, row: ConsentRow) -> _View:
        """Return how one consent bears on the request."""
        outside = _outside(row.rule.scope, self.time_ms)
        if outside:
            return _View(row, SILENT, (), 0, outside)
        provisions = [(row.rule.permit, row.rule.scope, False)] + [
            (item.permit, item.scope, True) for item in consent_match.exempted(row.rule)
        ]
        clauses: list[Clause] = []
        best, miss = 0, "other-party"
        for permit, scope, exempt in provisions:
            rank = consent_match.actor_rank(scope, self.asker)
            if rank is None or _outside(scope, self.time_ms):
                continue
            if not consent_match.names_purpose(scope, self.request.purpose):
                miss = "other-purpose"
                continue
            clause = _clause("consent", row.cid, scope, permit=permit, exempt=exempt)
            if not self._touches(clause):
                miss = "other-data"
                continue
            clauses.append(clause)
            if permit:
                best = max(best, consent_match.specificity(scope, rank))
        word = consent_match.says(tuple(clauses), self.request.data)
        if clauses and word == SILENT:
            miss = "other-data"
        return _View(row, word, tuple(clauses), best, "" if word != SILENT else miss)

    def _touches(self, clause: Clause) -> bool:
        data = self.request.data
        labels = consent_match.atoms(data.labels)
        return any(consent_match.match(clause, data, atom) != NONE for atom in labels)

    def _note(self, kind: str, source: bytes, version: int, verdict: str) -> None:
        name = source.hex() if kind == "consent" else source.decode("ascii")
        self.considered.append(Considered(kind, name, version, verdict))

    def _note_view(self, view: _View, deciding: _View | None, otherwise: str) -> None:
        verdict = view.miss or ("limits" if view.word == DENIES_PART else otherwise)
        if view is deciding:
            verdict = "decides"
        self._note("consent", view.row.cid, view.row.version, verdict)

    def _decided(
        self,
        reason: str,
        basis: bytes | None,
        version: int,
        *,
        permit: bool,
        views: Sequence[_View],
        whole: bool = True,
    ) -> Decision:
        """Close the case.  ``whole``: the basis permits all that is asked for, so what
        remains to filter is only what ``views`` and laws take away."""
        clauses = [clause for view in views for clause in view.clauses] + self.forbidden
        if permit and clauses and whole and basis is not None:
            kind = {PERMITTED: "consent", LAW: "law"}.get(reason, "policy")
            clauses.insert(0, Clause(kind, basis, permit=True))
        residual = tuple(clauses) if permit else ()
        return Decision(permit, reason, basis, version, residual, tuple(self.considered))
