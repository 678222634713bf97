"""Family access: each refusal, the clocks, and what the patient's log holds."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.ledger import execute, merkle
from node.ledger.facts import access_rules, accesses, consents, duties, people, records
from node.ledger.facts.access_rules import BatchItem
from node.ledger.facts.accesses import RELEASES_MAX, items_digest
from node.ledger.facts.consent_rule import Rule, Scope
from node.ledger.facts.records import BatchRow, batch_key, item_key, record_key
from node.ledger.families import access, access_release
from node.ledger.families.access import DAY_MS, Decide, Glass, Request, Review
from node.ledger.families.access_release import Ack, Disclose, Release
from node.ledger.families.consent import Grant
from node.ledger.families.identity_practitioner import Status
from node.ledger.families.record_custody import Custody
from tests.support.accesses import (
    ANNA,
    DOCTOR,
    Bench,
    header,
    licence,
    op,
    patient,
    record,
    tx,
)
from tests.support.story import named

RID = named("rid")
SCAN, LETTER = named("scan"), named("letter")
WRAPS = named("wraps")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def asked(**changes: object) -> Request:
    return replace(Request(RID, ANNA, "north", "TREAT", bytes(32)), **changes)


def broken(**changes: object) -> Glass:
    glass = Glass(RID, ANNA, "north", "life-threatening", DOCTOR, bytes(32))
    return replace(glass, **changes)


def decision(bench: Bench, rid: bytes = RID, **changes: object) -> Decide:
    found = bench.verdict(rid)
    made = Decide(
        rid, found.permit, found.residual, bench.height, found.basis, found.basis_version
    )
    return replace(made, **changes)


def released(bench: Bench, *commitments: bytes, rid: bytes = RID, **changes: object) -> Release:
    made = Release(rid, commitments or (SCAN,), WRAPS, bench.verdict(rid).residual)
    return replace(made, **changes)


def permitted(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    assert bench.do("north", decision(bench)) == "applied"


def refused(bench: Bench, org: str, body: object, code: str, *, span_ms: int = 1000) -> None:
    """Try one operation and see it refused without a trace."""
    before = {key: value for key, value in bench.state.items() if key.startswith(b"access")}
    assert bench.do(org, body, span_ms=span_ms) == code
    after = {key: value for key, value in bench.state.items() if key.startswith(b"access")}
    assert before == after


def reasons(bench: Bench) -> list[tuple[str, str | None]]:
    return [(item.event, item.reason) for item in bench.ask("access.log", subject=ANNA).events]


# --- asking ----------------------------------------------------------------------------------


def test_a_request_names_a_patient_of_that_custodian(bench: Bench) -> None:
    refused(bench, "south", asked(subject=named("nobody")), "access-subject-unknown")
    refused(bench, "south", asked(custodian="east"), "access-subject-unknown")
    bench.put(people.patient_key(named("gone")), patient(named("gone"), status="ended"))
    refused(bench, "south", asked(subject=named("gone")), "access-subject-ended")
    refused(bench, "north", asked(), "access-own-records")


def test_a_purpose_needs_a_role(bench: Bench) -> None:
    refused(bench, "payer", asked(), "access-purpose-role")
    refused(bench, "south", asked(purpose="HRESCH"), "access-purpose-role")
    assert bench.do("payer", asked(purpose="HPAYMT")) == "applied"
    assert bench.do("payer", asked(rid=named("other"), purpose="HLEGAL")) == "applied"


def test_a_request_ends_in_the_future_within_a_year(bench: Bench) -> None:
    refused(bench, "south", asked(until_ms=bench.time_ms + 1000), "access-until-invalid")
    too_far = bench.time_ms + 2000 + access.REQUEST_MS_MAX
    refused(bench, "south", asked(until_ms=too_far), "access-until-invalid")
    assert bench.do("south", asked(until_ms=bench.time_ms + 1001)) == "applied"
    longest = asked(rid=named("long"), until_ms=bench.time_ms + 1000 + access.REQUEST_MS_MAX)
    assert bench.do("south", longest) == "applied"


def test_what_the_consents_are_asked_is_what_was_requested(bench: Bench) -> None:
    body = asked(
        data_class=7, labels=("HIV", "R"), practitioner=DOCTOR, data_from_ms=5, data_until_ms=9
    )
    assert bench.do("south", body) == "applied"
    assert access_rules.request_of(bench.access(RID)) == consents.Request(
        subject=ANNA,
        custodian="north",
        requester="south",
        purpose="TREAT",
        data_class=7,
        labels=("HIV", "R"),
        practitioner=DOCTOR,
        data_from_ms=5,
        data_until_ms=9,
        break_glass=False,
    )


def test_a_practitioner_has_a_licence_in_force(bench: Bench) -> None:
    unknown = asked(practitioner=named("quack"))
    refused(bench, "south", unknown, "access-practitioner-invalid")
    bench.put(people.practitioner_key(DOCTOR), licence(until_ms=bench.time_ms + 1000))
    refused(bench, "south", asked(practitioner=DOCTOR), "access-practitioner-invalid")
    refused(bench, "south", broken(), "access-practitioner-invalid")


def test_a_random_name_is_used_once(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    refused(bench, "east", asked(), "access-rid-taken")
    refused(bench, "south", broken(), "access-rid-taken")


# --- answering -------------------------------------------------------------------------------


def test_only_the_custodian_decides_and_once(bench: Bench) -> None:
    refused(bench, "north", Decide(RID, True, bytes(32), 0), "access-unknown")
    assert bench.do("south", asked()) == "applied"
    refused(bench, "east", decision(bench), "access-not-custodian")
    assert bench.do("north", decision(bench)) == "applied"
    refused(bench, "north", decision(bench), "access-decided")


@pytest.mark.parametrize(
    "lie",
    [
        {"permit": False},
        {"basis": b"other"},
        {"basis": None},
        {"basis_version": 9},
        {"residual": bytes(32)},
    ],
    ids=["permit", "basis", "no-basis", "version", "residual"],
)
def test_a_decision_that_the_consents_do_not_give_is_refused(
    bench: Bench, lie: dict[str, object]
) -> None:
    assert bench.do("south", asked()) == "applied"
    refused(bench, "north", decision(bench, **lie), "access-decision-disagrees")
    assert bench.access(RID).status == "open"


def test_a_custodian_can_neither_deny_nor_permit_against_the_rules(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    right = decision(bench)
    bench.policy("deny", glass=())
    refused(bench, "north", right, "access-decision-disagrees")
    assert not decision(bench).permit
    assert bench.do("north", decision(bench)) == "applied"
    assert bench.access(RID).status == "denied"
    assert reasons(bench)[-1] == ("deny", "implicit-policy")
    refused(bench, "north", released(bench), "access-not-permitted")


def test_a_request_for_a_patient_who_left_meanwhile_is_denied(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    bench.put(people.patient_key(ANNA), patient(status="ended"))
    answer = decision(bench)
    assert (answer.permit, answer.basis) == (False, None)
    assert bench.do("north", answer) == "applied"
    assert reasons(bench)[-1] == ("deny", "subject-ended")


def test_a_height_to_come_was_not_evaluated(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    ahead = decision(bench, height=bench.height + 2)
    refused(bench, "north", ahead, "access-height-ahead")
    assert bench.do("north", decision(bench, height=bench.height + 1)) == "applied"


# --- handing over ----------------------------------------------------------------------------


def test_a_release_needs_a_permit_that_lives_at_its_block(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    refused(bench, "north", released(bench), "access-not-permitted")
    assert bench.do("north", decision(bench)) == "applied"
    refused(bench, "south", released(bench), "access-not-custodian")
    bench.policy("deny", glass=())
    refused(bench, "north", released(bench), "access-permit-gone")
    bench.policy("all-normal", glass=())
    refused(bench, "north", released(bench, residual=bytes(32)), "access-residual-differs")
    assert bench.do("north", released(bench)) == "applied"


def test_nothing_is_released_for_a_practitioner_without_a_licence(bench: Bench) -> None:
    assert bench.do("south", asked(practitioner=DOCTOR)) == "applied"
    assert bench.do("north", decision(bench)) == "applied"
    assert bench.do("north", released(bench)) == "applied"
    assert bench.do("south", Status(DOCTOR, "suspend")) == "applied"
    assert not bench.ask("access.verdict", rid=RID).live
    refused(bench, "north", released(bench), "access-practitioner-invalid")
    assert bench.do("south", Status(DOCTOR, "resume")) == "applied"
    assert bench.do("north", released(bench)) == "applied"


def test_what_a_practitioner_did_is_listed(bench: Bench) -> None:
    rids = [named(f"rid-{at}") for at in range(3)]
    assert bench.do("south", asked(rid=rids[0], practitioner=DOCTOR)) == "applied"
    assert bench.do("south", asked(rid=named("other"))) == "applied"
    assert bench.do("south", broken(rid=rids[1])) == "applied"
    assert bench.do("south", asked(rid=rids[2], practitioner=DOCTOR)) == "applied"
    page = bench.ask("access.practitioner", licence=DOCTOR, limit=2)
    assert (page.count, [row.rid for row in page.accesses], page.next) == (3, rids[:2], 2)
    page = bench.ask("access.practitioner", licence=DOCTOR, start=2)
    assert ([row.rid for row in page.accesses], page.next) == (rids[2:], None)
    assert bench.ask("access.practitioner", licence=named("nobody")).count == 0


def test_nothing_is_released_from_the_end_of_a_request_on(bench: Bench) -> None:
    permitted(bench)
    left_ms = bench.access(RID).until_ms - bench.time_ms
    refused(bench, "north", released(bench), "access-expired", span_ms=left_ms)


def test_nothing_is_released_that_the_custodian_does_not_keep(bench: Bench) -> None:
    permitted(bench)
    refused(bench, "north", released(bench, named("unheard")), "access-record-unknown")
    bench.put(record_key(LETTER), record("east"))
    refused(bench, "north", released(bench, SCAN, LETTER), "access-record-not-custodian")
    bench.put(record_key(LETTER), record(status=records.GONE))
    refused(bench, "north", released(bench, LETTER), "access-record-retracted")
    bench.put(record_key(LETTER), record(status=records.ERASED))
    refused(bench, "north", released(bench, LETTER), "access-record-erased")


def test_a_record_that_was_handed_over_is_released_by_its_new_custodian_alone(
    bench: Bench,
) -> None:
    permitted(bench)
    bench.put(record_key(LETTER), record("east"))
    handed_over = Custody((LETTER,), "north")
    assert bench.do("east", handed_over, key="north/identity") == "applied"
    assert bench.do("north", released(bench, LETTER)) == "applied"
    assert bench.do("north", Custody((SCAN,), "east"), key="east/identity") == "applied"
    refused(bench, "north", released(bench, SCAN), "access-record-not-custodian")


def test_a_decision_rests_on_the_consent_that_permits_it(bench: Bench) -> None:
    bench.policy("deny", glass=())
    rule = Rule(permit=True, scope=Scope(orgs=("south",)))
    grant = Grant(named("yes", 16), ANNA, rule)
    assert bench.do("north", grant, key="anna") == "applied"
    permitted(bench)
    assert bench.access(RID).basis == named("yes", 16)
    assert bench.do("north", released(bench)) == "applied"


def test_an_item_of_a_batch_is_released_with_its_path(bench: Bench) -> None:
    permitted(bench)
    items = [named(f"item-{at}") for at in range(5)]
    leaves = [merkle.leaf_hash(item) for item in items]
    root = merkle.root(leaves)
    bench.put(batch_key(root), BatchRow("north", bytes(32), 0, 0, 5))
    proof = BatchItem(1, root, 3, tuple(merkle.inclusion_path(leaves, 3)))
    wrong = replace(proof, index=2)
    both = (SCAN, items[3])
    refused(bench, "north", released(bench, *both, proofs=(wrong,)), "access-proof-invalid")
    elsewhere = replace(proof, root=named("elsewhere"))
    named_wrong = released(bench, *both, proofs=(elsewhere,))
    refused(bench, "north", named_wrong, "access-record-unknown")
    assert bench.do("north", released(bench, *both, proofs=(proof,))) == "applied"
    bench.put(item_key(root, items[3]), record(status=records.GONE))
    again = released(bench, *both, proofs=(proof,))
    refused(bench, "north", again, "access-record-retracted")


def test_releases_of_one_request_are_bounded(bench: Bench) -> None:
    permitted(bench)
    for _ in range(RELEASES_MAX):
        assert bench.do("north", released(bench)) == "applied"
    refused(bench, "north", released(bench), "access-releases-full")
    assert len(bench.access(RID).events) == 2 + RELEASES_MAX


def test_the_recipient_says_what_arrived_once(bench: Bench) -> None:
    permitted(bench)
    ok = Ack(RID, 0, items_digest((SCAN,)), "ok")
    refused(bench, "south", ok, "access-release-unknown")
    assert bench.do("north", released(bench)) == "applied"
    refused(bench, "north", ok, "access-not-recipient")
    other = replace(ok, arrived=items_digest((LETTER,)))
    refused(bench, "south", other, "access-ack-contradicts")
    assert bench.do("south", replace(other, outcome="mismatch-altered")) == "applied"
    refused(bench, "south", ok, "access-acknowledged")
    (kept,) = bench.ask("access.story", rid=RID).releases
    assert (kept.status, kept.arrived) == ("mismatch-altered", other.arrived)


def test_a_disclosure_outside_requests_is_in_the_log(bench: Bench) -> None:
    told = Disclose(
        RID, ANNA, "PUBHLTH", "authority", 2, items_digest((SCAN, LETTER)), bench.time_ms
    )
    refused(bench, "south", told, "access-subject-unknown")
    member = replace(told, kind="institution", recipient="nowhere")
    refused(bench, "north", member, "access-recipient-unknown")
    late = replace(told, happened_ms=bench.time_ms + 1001)
    refused(bench, "north", late, "access-disclosure-future")
    assert bench.do("north", told) == "applied"
    refused(bench, "north", told, "access-rid-taken")
    (event,) = bench.ask("access.log", subject=ANNA).events
    assert (event.event, event.org, event.items) == ("disclosure", "north", 2)
    assert event.happened_ms == told.happened_ms < event.time_ms
    just_now = replace(told, did=named("now"), happened_ms=bench.time_ms + 1000)
    assert bench.do("north", just_now) == "applied"


def test_a_disclosure_is_noted_for_a_patient_who_has_left_too(bench: Bench) -> None:
    bench.put(people.patient_key(ANNA), patient(status="ended"))
    told = Disclose(RID, ANNA, "HLEGAL", "court", 1, items_digest((SCAN,)), bench.time_ms)
    assert bench.do("north", told) == "applied"


# --- the broken glass ------------------------------------------------------------------------


def test_the_glass_breaks_only_where_the_rules_allow_it(bench: Bench) -> None:
    bench.policy("deny", glass=())
    refused(bench, "south", broken(), "access-glass-refused")
    refused(bench, "payer", broken(), "role-missing")
    bench.policy("break-glass-only", glass=())
    assert bench.do("south", broken()) == "applied"
    assert bench.do("north", released(bench)) == "applied"
    assert reasons(bench)[0] == ("glass", "life-threatening")
    row = bench.access(RID)
    assert row.until_ms == row.time_ms + DAY_MS
    assert access_rules.request_of(row).break_glass


def test_a_broken_glass_is_reviewed_by_others_and_once(bench: Bench) -> None:
    bench.policy("break-glass-only", glass=())
    assert bench.do("south", broken()) == "applied"
    found = Review(RID, "not-justified")
    refused(bench, "south", found, "access-reviewer-barred")
    refused(bench, "east", found, "access-reviewer-barred")
    assert bench.do("north", found) == "applied"
    refused(bench, "watch", Review(RID, "justified"), "access-reviewed")
    refused(bench, "north", released(bench), "access-glass-stopped")
    assert bench.ask("access.overdue", org="north", waiting=True).count == 0


def test_a_glass_broken_at_home_is_reviewed_by_a_regulator_or_ethics_board(
    bench: Bench,
) -> None:
    bench.policy("break-glass-only", glass=())
    assert bench.do("north", broken()) == "applied"
    refused(bench, "north", Review(RID, "justified"), "access-reviewer-barred")
    assert bench.do("board", Review(RID, "justified")) == "applied"
    assert bench.access(RID).status == "permitted"


def test_a_request_is_no_glass_to_review(bench: Bench) -> None:
    permitted(bench)
    refused(bench, "watch", Review(RID, "justified"), "access-glass-none")


# --- the clocks ------------------------------------------------------------------------------


def test_what_is_late_is_marked_at_its_block_and_stands_in_the_log(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    due_ms = bench.time_ms + access.DECIDE_MS
    bench.later(access.DECIDE_MS - 1)
    assert bench.ask("access.overdue", org="north").duties == ()
    bench.later(1)
    (late,) = bench.ask("access.overdue", org="north").duties
    assert (late.kind, late.overdue, late.due_ms) == ("decide", True, due_ms)
    assert reasons(bench)[-1] == ("overdue", "decide")
    assert bench.ask("access.story", rid=RID).late == (late,)
    assert bench.do("north", decision(bench)) == "applied"
    assert bench.ask("access.overdue", org="north", waiting=True).count == 0
    assert [event for event, _ in reasons(bench)] == ["request", "overdue", "permit"]


def test_a_question_sees_what_is_late_before_a_block_marks_it(bench: Bench) -> None:
    permitted(bench)
    assert bench.do("north", released(bench)) == "applied"
    bench.time_ms += access_release.ACKNOWLEDGE_MS
    (late,) = bench.ask("access.overdue", org="south").duties
    assert (late.kind, late.overdue) == ("acknowledge", False)


def test_a_review_that_does_not_come_is_overdue_at_the_custodian(bench: Bench) -> None:
    bench.policy("break-glass-only", glass=())
    assert bench.do("south", broken()) == "applied"
    bench.later(access.REVIEW_MS)
    (late,) = bench.ask("access.overdue", org="north").duties
    assert (late.kind, late.overdue) == ("review", True)
    assert bench.do("north", Review(RID, "breach")) == "applied"
    assert [event for event, _ in reasons(bench)] == ["glass", "overdue", "review"]


def test_duties_stay_a_dense_list_whatever_is_closed_first(bench: Bench) -> None:
    rids = [named(f"rid-{at}") for at in range(5)]
    for rid in rids:
        assert bench.do("south", asked(rid=rid)) == "applied"
    for done, at in enumerate((1, 0, 4, 2, 3), start=1):
        assert bench.do("north", decision(bench, rids[at])) == "applied"
        waiting = bench.ask("access.overdue", org="north", waiting=True)
        assert waiting.count == len(waiting.duties) == 5 - done
        assert rids[at] not in {duty.rid for duty in waiting.duties}
    rest = [key for key in bench.state if key.startswith(b"access-dut")]
    assert rest == [duties.count_key("north")]


# --- reading ---------------------------------------------------------------------------------


def test_the_log_is_paged_by_number_and_cut_by_time(bench: Bench) -> None:
    starts = []
    for at in range(7):
        assert (
            bench.do("south", asked(rid=named(f"rid-{at}")), span_ms=DAY_MS // 4) == "applied"
        )
        starts.append(bench.time_ms)
    page = bench.ask("access.log", subject=ANNA, limit=3)
    assert ([item.number for item in page.events], page.next) == ([0, 1, 2], 3)
    page = bench.ask("access.log", subject=ANNA, start=page.next, limit=9)
    assert ([item.number for item in page.events], page.next) == ([3, 4, 5, 6], None)
    cut = bench.ask("access.log", subject=ANNA, from_ms=starts[2], until_ms=starts[5])
    assert ([item.number for item in cut.events], cut.count) == ([2, 3, 4], 7)
    between = bench.ask("access.log", subject=ANNA, from_ms=starts[2] + 1, limit=1)
    assert ([item.number for item in between.events], between.next) == ([3], 4)
    assert bench.ask("access.log", subject=ANNA, from_ms=starts[6] + 1).events == ()


def test_what_is_not_there_is_answered_as_such(bench: Bench) -> None:
    nobody = bench.ask("access.log", subject=named("nobody"), from_ms=1)
    assert (nobody.count, nobody.events, nobody.next) == (0, (), None)
    assert not bench.ask("access.story", rid=RID).known
    assert not bench.ask("access.verdict", rid=RID).known
    assert bench.ask("access.overdue", org="nowhere").count == 0
    assert bench.ask("access.log", subject=ANNA, start=99).first == 0
    unknown = bench.ask("access.chain", org="nowhere")
    assert (unknown.known, unknown.entries, unknown.next) == (False, (), None)


def test_the_verdict_tells_how_to_decide_and_whether_a_release_may_go_on(bench: Bench) -> None:
    assert bench.do("south", asked()) == "applied"
    now = bench.ask("access.verdict", rid=RID)
    assert (now.permit, now.live, now.status) == (True, False, "open")
    made = Decide(RID, now.permit, now.residual, now.height, now.basis, now.basis_version)
    assert bench.do("north", made) == "applied"
    assert bench.ask("access.verdict", rid=RID).live
    bench.policy("deny", glass=())
    assert not bench.ask("access.verdict", rid=RID).live
    bench.policy("all-normal", glass=())
    bench.time_ms = bench.access(RID).until_ms - 1
    assert bench.ask("access.verdict", rid=RID).live
    bench.time_ms += 1
    assert not bench.ask("access.verdict", rid=RID).live


def test_two_states_take_the_same_writes(bench: Bench) -> None:
    """Requests, a decision and an overdue mark in one block, executed twice."""
    assert bench.do("south", asked()) == "applied"
    made = [
        tx("south", op(asked(rid=named("second"))), number=900),
        tx("north", op(decision(bench)), number=901),
    ]
    at = header(bench.height + 1, bench.time_ms + access.DECIDE_MS)
    one = execute.execute(at, made, bench.state.get, first_index=5000)
    two = execute.execute(at, made, dict(bench.state).get, first_index=5000)
    assert one.writes == two.writes
    assert list(one.writes) == list(two.writes)
    head = accesses.log_key(ANNA)
    assert one.writes[head] != bench.state[head]


@pytest.mark.parametrize(
    ("make", "say"),
    [
        (lambda: asked(rid=bytes(31)), "rid is 32"),
        (lambda: asked(purpose="BTG"), "purpose"),
        (lambda: asked(labels=("V", "HIV")), "ascending"),
        (lambda: asked(labels=("SECRET",)), "label"),
        (lambda: asked(data_class=256), "one byte"),
        (lambda: asked(data_from_ms=2, data_until_ms=2), "period"),
        (lambda: asked(custodian="North"), "custodian"),
        (lambda: broken(reason="curious"), "reason"),
        (lambda: Decide(RID, True, bytes(32), 0, bytes(64)), "basis"),
        (lambda: Decide(RID, True, bytes(32), 0, bytes(32)), "basis is"),
        (lambda: Review(RID, "fine"), "finding"),
        (lambda: Release(RID, (), WRAPS, bytes(32)), "commitments"),
        (lambda: Release(RID, (SCAN, SCAN), WRAPS, bytes(32)), "once"),
        (lambda: Release(RID, (bytes(31),), WRAPS, bytes(32)), "commitment is 32"),
        (
            lambda: Release(RID, (SCAN,), WRAPS, bytes(32), (BatchItem(1, WRAPS, 0, ()),)),
            "proofs",
        ),
        (lambda: BatchItem(0, bytes(31), 0, ()), "hashes"),
        (lambda: BatchItem(0, WRAPS, 0, (WRAPS,) * 21), "20 hashes"),
        (lambda: Ack(RID, RELEASES_MAX, WRAPS, "ok"), "number"),
        (lambda: Ack(RID, 0, WRAPS, "fine"), "outcome"),
        (lambda: Disclose(RID, ANNA, "TREAT", "court", 0, WRAPS, 0), "items"),
        (lambda: Disclose(RID, ANNA, "TREAT", "institution", 1, WRAPS, 0), "recipient"),
        (lambda: Disclose(RID, ANNA, "TREAT", "court", 1, WRAPS, 0, "payer"), "only there"),
        (lambda: Disclose(RID, ANNA, "TREAT", "boss", 1, WRAPS, 0), "kind"),
        (lambda: Disclose(RID, ANNA, "TREAT", "court", 1, WRAPS, 0, None, None, 256), "byte"),
    ],
)  # fmt: skip
def test_bodies_refuse_what_is_out_of_bounds(make, say: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=say):
        make()


def test_every_refusal_of_the_family_is_met_by_a_test_above() -> None:
    """``refused`` plays each of them; here it is only seen that none was forgotten."""
    told = Path(__file__).read_text(encoding="utf-8")
    codes = {item.code for item in (*access.RESULTS, *access_release.RESULTS)}
    assert [code for code in sorted(codes) if f', "{code}"' not in told] == []
