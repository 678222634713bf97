"""The consent decision against a second, deliberately naive one, and what must always hold.

The naive one knows no clauses, no heads, no lists of what is open: it is given every version
that ever was and asks, item by item, what each says.
"""

from dataclasses import dataclass, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger.facts import consent_rows as rows
from node.ledger.facts.consent_match import Data, releases
from node.ledger.facts.consent_rows import (
    ConsentHead,
    ConsentRow,
    Count,
    LawList,
    LawRef,
    LawRow,
    Listed,
    OptOutRow,
    PolicyRow,
    SubjectRow,
)
from node.ledger.facts.consent_rule import Exemption, Named, Rule, Scope
from node.ledger.facts.consent_terms import KINDS, REASONS, VERDICTS
from node.ledger.facts.consents import Decision, Request, evaluate
from node.ledger.facts.people import PatientRow, patient_key
from node.ledger.state import institution_key
from tests.support.consents import LABELS, LICENCES, ORGS, PURPOSES, ROLES, few, periods, rules
from tests.support.story import institution, named

ANNA = named("anna")
# A busy machine draws histories slowly; that says nothing about the rules.
HISTORIES = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
WIDER = {"ETREAT": ["ETREAT", "TREAT"], "BTG": ["BTG", "ETREAT", "TREAT"]}
ORG_ROLES = {"clinic-b": ["author"], "lab-c": ["laboratory"], "uni-r": ["research"]}


@dataclass
class World:
    """Everything that ever was, and the state that the ledger would hold of it."""

    versions: list[ConsentRow]
    outs: list[OptOutRow]
    policies: list[PolicyRow]
    laws: list[LawRow]
    last_height: int

    def state(self) -> dict[bytes, bytes]:
        kept: dict[bytes, object] = {
            patient_key(ANNA): PatientRow(
                ANNA, "hospital-a", bytes(32), bytes(32), 2, "active", (), 0, 1, 1, 1
            ),
            rows.IMPLICIT_KEY: Count(len(self.policies)),
        }
        for org, held in ORG_ROLES.items():
            kept[institution_key(org)] = institution(org, held, validator=True)
        cids = list(dict.fromkeys(row.cid for row in self.versions))
        for number, cid in enumerate(cids):
            own = [row for row in self.versions if row.cid == cid]
            kept[rows.listed_key(ANNA, number)] = Listed(cid)
            kept[rows.consent_key(cid)] = ConsentHead(cid, ANNA, number, "hospital-a", len(own))
            kept |= {rows.version_key(cid, row.version): row for row in own}
        still = tuple(row.cid for row in self.versions if row.until_height is None)
        changed = max((row.until_height or row.from_height for row in self.versions), default=0)
        kept[rows.subject_key(ANNA)] = SubjectRow(len(cids), still, changed)
        for scope in rows.OPT_SCOPES:
            own_outs = [out for out in self.outs if out.scope == scope]
            kept[rows.opt_key(ANNA, scope)] = Count(len(own_outs))
            kept |= {rows.opt_row_key(ANNA, scope, out.number): out for out in own_outs}
        for number, policy in enumerate(self.policies):
            kept[rows.implicit_row_key(number)] = policy
        for law in self.laws:
            kept[rows.law_row_key(law.law, law.version)] = law
            for purpose in law.purposes:
                key = rows.laws_key(purpose, law.subject)
                listed = kept.get(key, LawList())
                assert isinstance(listed, LawList)
                reference = LawRef(law.law, law.version, law.from_height)
                kept[key] = LawList((*listed.laws, reference))
        return {key: wire.encode(record) for key, record in kept.items()}


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a history: heights grow by one with each event."""
    height = 1
    versions: list[ConsentRow] = []
    for number in range(draw(st.integers(0, 4))):
        cid = named(f"consent {number}", 16)
        for version in range(1, draw(st.integers(1, 2)) + 1):
            height += 1
            if version > 1:
                versions[-1] = replace(versions[-1], until_height=height, end="amended")
            versions.append(
                ConsentRow(
                    cid, version, draw(rules()), "signed", None, "hospital-a", None, None,
                    b"", number, height, 0,
                )
            )  # fmt: skip
        if draw(st.integers(0, 3)) == 0:
            height += 1
            versions[-1] = replace(versions[-1], until_height=height, end="revoked")
    outs = []
    for scope in draw(few(rows.OPT_SCOPES, 1)):
        ends = draw(st.none() | st.integers(6, 9))
        outs.append(OptOutRow(scope, 0, None, "hospital-a", None, 5, 0, ends))
    policies = []
    for number in range(draw(st.integers(0, 2))):
        default, glass = draw(st.sampled_from(rows.DEFAULTS)), draw(few(rows.GLASS))
        since = 1 + 4 * number
        policies.append(
            PolicyRow("p", number + 1, "overarching", b"", default, glass, "r", since, 0)
        )
    laws = []
    for number in range(draw(st.sampled_from([0, 0, 1, 2]))):
        first, last = draw(periods())
        laws.append(
            LawRow(
                f"law-{number}", 1, "r", draw(st.booleans()), draw(few(PURPOSES)),
                draw(few(("hospital-a", "other"), 1)), draw(few(ORGS, 1)), draw(few(ROLES, 1)),
                draw(few((3, 4), 1)), draw(st.sampled_from([None, ANNA])),
                first or 0, last, 3 + number,
            )
        )  # fmt: skip
    return World(versions, outs, policies, laws, height)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    first, last = draw(periods())
    return Request(
        ANNA, "hospital-a", draw(st.sampled_from(ORGS)), draw(st.sampled_from(PURPOSES)),
        draw(st.sampled_from([None, 3, 4])), draw(few(LABELS)),
        draw(st.sampled_from([None, *LICENCES])), first, last, draw(st.booleans()),
    )  # fmt: skip


# --- the naive one: about one item, of which everything is known ------------------------------


def speaks_of(scope: Scope, request: Request, item: Data, label: str, now: int) -> bool:
    """Whether a scope, with all it inherited, means this asker and this item now."""
    actors = [*scope.orgs, *scope.roles, *scope.practitioners]
    mine = [request.requester, *ORG_ROLES[request.requester], request.practitioner]
    if actors and not set(actors) & set(mine):
        return False
    purposes = WIDER.get(request.purpose, [request.purpose])
    if scope.purposes and not set(scope.purposes) & set(purposes):
        return False
    labels = set(scope.labels)
    if "R" in labels:
        labels |= {"HIV", "PSY"}
    if labels and label not in labels:
        return False
    if scope.classes and item.data_class not in scope.classes:
        return False
    if scope.named and not set(scope.named) & set(item.named or ()):
        return False
    made = item.from_ms or 0
    return (
        (scope.data_from_ms is None or scope.data_from_ms <= made)
        and (scope.data_until_ms is None or made < scope.data_until_ms)
        and (scope.from_ms is None or scope.from_ms <= now)
        and (scope.until_ms is None or now < scope.until_ms)
    )


def inherited(rule: Rule, exemption: Exemption) -> Scope:
    found, base = exemption.scope, rule.scope
    if (found.orgs, found.roles, found.practitioners) == ((), (), ()):
        found = replace(
            found, orgs=base.orgs, roles=base.roles, practitioners=base.practitioners
        )
    if (found.data_from_ms, found.data_until_ms) == (None, None):
        found = replace(found, data_from_ms=base.data_from_ms, data_until_ms=base.data_until_ms)
    return replace(
        found,
        purposes=found.purposes or base.purposes,
        classes=found.classes or base.classes,
        labels=found.labels or base.labels,
        named=found.named or base.named,
    )


def naive_label(rule: Rule, request: Request, item: Data, label: str, now: int) -> str:
    base = rule.scope
    if base.from_ms is not None and now < base.from_ms:
        return "silent"
    if base.until_ms is not None and now >= base.until_ms:
        return "silent"
    said = [
        exemption.permit
        for exemption in rule.exemptions
        if speaks_of(inherited(rule, exemption), request, item, label, now)
    ]
    if False in said:
        return "no"
    if True in said:
        return "yes"
    if speaks_of(base, request, item, label, now):
        return "yes" if rule.permit else "no"
    return "silent"


def naive_rule(rule: Rule, request: Request, item: Data, now: int) -> str:
    labels = set(item.labels)
    if labels & {"HIV", "PSY"}:
        labels.discard("R")
    words = {naive_label(rule, request, item, label, now) for label in labels}
    if "no" in words:
        return "no"
    return "yes" if words == {"yes"} else "silent"


def naive(world: World, request: Request, item: Data, now: int, height: int) -> str:
    """Return reason and answer for one item, by the rules as the manual tells them."""
    wider = WIDER.get(request.purpose, [request.purpose])
    laws = [
        law
        for law in world.laws
        if law.from_height <= height
        and law.from_ms <= now
        and (law.until_ms is None or now < law.until_ms)
        and set(law.purposes) & set(wider)
        and (not law.custodians or "hospital-a" in law.custodians)
        and (
            not (law.orgs or law.roles)
            or request.requester in law.orgs
            or set(law.roles) & set(ORG_ROLES[request.requester])
        )
        and (not law.classes or item.data_class in law.classes)
    ]
    if laws:
        law = max(laws, key=lambda law: (law.subject is not None, law.from_height))
        return "law-preempts " + ("yes" if law.permit else "no")
    in_force = [
        row
        for row in world.versions
        if row.from_height <= height and (row.until_height is None or height < row.until_height)
    ]
    said = [naive_rule(row.rule, request, item, now) for row in in_force]
    stops = {
        "primary": ["BTG", "ETREAT", "HOPERAT", "HPAYMT", "TREAT"],
        "secondary": ["HQUALIMP", "HRESCH", "PUBHLTH"],
    }
    outs = [
        out.scope
        for out in world.outs
        if out.from_height <= height
        and (out.until_height is None or height < out.until_height)
        and request.purpose in stops.get(out.scope, PURPOSES)
    ]
    policies = [policy for policy in world.policies if policy.from_height <= height]
    policy = policies[-1] if policies else None
    breaking = request.break_glass or request.purpose == "BTG"
    if breaking and policy and policy.default != "deny" and request.purpose != "HRESCH":
        denials = set(outs) | ({"rule"} if "no" in said else set())
        if denials <= set(policy.glass):
            return "break-glass yes"
    if outs:
        return "patient-opted-out no"
    if "no" in said:
        return "patient-denies no"
    if "yes" in said:
        return "patient-permits yes"
    if policy is None:
        return "no-policy no"
    treats = policy.default == "basic-normal" and request.purpose in ("TREAT", "ETREAT")
    permits = policy.default == "all-normal" or treats
    return "implicit-policy " + ("yes" if permits else "no")


# --- properties ------------------------------------------------------------------------------


def said(decision: Decision) -> str:
    return f"{decision.reason} {'yes' if decision.permit else 'no'}"


@st.composite
def items(draw: st.DrawFn) -> Data:
    """Return one item of which everything is known: one ms of data, at least one label."""
    labels = draw(st.lists(st.sampled_from(LABELS), min_size=1, max_size=3, unique=True))
    made = draw(st.integers(0, 6))
    meaning, record = draw(st.sampled_from([("instance", "record-1"), ("related", "record-2")]))
    thing = (Named(meaning, named(record)),) if draw(st.booleans()) else ()
    return Data(draw(st.sampled_from([3, 4])), tuple(sorted(labels)), made, made + 1, thing)


def without_names(world: World) -> World:
    """A request cannot say which records it means, so rules that name some are left out."""

    def plain(rule: Rule) -> Rule:
        return replace(
            rule,
            scope=replace(rule.scope, named=()),
            exemptions=tuple(
                replace(item, scope=replace(item.scope, named=())) for item in rule.exemptions
            ),
        )

    kept = [replace(row, rule=plain(row.rule)) for row in world.versions]
    return replace(world, versions=kept)


@settings(HISTORIES, max_examples=150)
@given(worlds(), requests(), items(), st.integers(0, 7), st.integers(0, 12))
def test_a_request_for_one_item_is_decided_as_the_naive_judge_does(
    world: World, request: Request, item: Data, now: int, height: int
) -> None:
    world = without_names(world)
    request = replace(
        request,
        data_class=item.data_class,
        labels=item.labels,
        data_from_ms=item.from_ms,
        data_until_ms=item.until_ms,
    )
    decision = evaluate(world.state().get, request, time_ms=now, height=height)
    assert said(decision) == naive(world, request, item, now, height)
    assert decision.residual == ()


@settings(HISTORIES, max_examples=150)
@given(worlds(), requests(), items(), st.integers(0, 7), st.integers(0, 12))
def test_what_the_residual_releases_the_naive_judge_permits(
    world: World, request: Request, item: Data, now: int, height: int
) -> None:
    """Asked for everything; each item that the filter lets pass is one that may be seen."""
    request = replace(
        request, data_class=None, labels=(), data_from_ms=None, data_until_ms=None
    )
    decision = evaluate(world.state().get, request, time_ms=now, height=height)
    if decision.permit and releases(decision.residual, item):
        assert naive(world, request, item, now, height).endswith("yes")


@settings(HISTORIES, max_examples=60)
@given(worlds(), requests(), st.integers(0, 7), st.integers(0, 12))
def test_every_decision_speaks_in_closed_words_and_the_same_way_twice(
    world: World, request: Request, now: int, height: int
) -> None:
    state = world.state()
    decision = evaluate(state.get, request, time_ms=now, height=height)
    assert decision == evaluate(state.get, request, time_ms=now, height=height)
    assert wire.decode(Decision, wire.encode(decision), size_max=1 << 20) == decision
    assert decision.reason in REASONS
    assert all(item.verdict in VERDICTS and item.kind in KINDS for item in decision.considered)
    deciding = [item for item in decision.considered if item.verdict == "decides"]
    assert len(deciding) == (decision.basis is not None)
    assert decision.permit or decision.residual == ()


@settings(HISTORIES, max_examples=60)
@given(worlds(), requests(), st.integers(0, 7), st.integers(0, 12))
def test_what_came_later_changes_no_answer_about_the_past(
    world: World, request: Request, now: int, height: int
) -> None:
    """The state as it was after ``height`` gives the answer that today's state gives."""

    def before(row: ConsentRow) -> ConsentRow:
        open_then = row.until_height is None or row.until_height > height
        return replace(row, until_height=None, end="") if open_then else row

    then = World(
        [before(row) for row in world.versions if row.from_height <= height],
        [out for out in world.outs if out.from_height <= height],
        [policy for policy in world.policies if policy.from_height <= height],
        [law for law in world.laws if law.from_height <= height],
        height,
    )
    past = evaluate(then.state().get, request, time_ms=now, height=height)
    assert past == evaluate(world.state().get, request, time_ms=now, height=height)
