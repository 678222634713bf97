"""The life of claims: clocks, third parties, keys, limits, what comes back and what stays."""

from dataclasses import replace
from typing import Any

from consensus import wire
from node.ledger import merkle
from node.ledger.facts.claims import PreauthRow, preauth_key
from node.ledger.facts.people import PatientRow, patient_key
from node.ledger.state import load_from
from tests.support import claims_bench
from tests.support.claims_bench import DAY_MS, EXAM, MEMBERS, TARIFFS, Bench, line
from tests.support.story import named, person


def publish(bench: Bench, **changed: Any) -> str:
    plan = {"plan": "basic", "version": 2, "currency": "EUR", "tariffs": TARIFFS}
    return bench.act("insurer", "claim.rule.publish", **(plan | changed))


def test_a_recoupment_is_agreed_to_by_any_key_of_the_provider_or_by_a_regulator() -> None:
    bench = Bench()
    bench.adjudicated("a")
    assert bench.pay("p", 6400, "a") == "applied"
    key = person("new-key").public_key.hex()
    bench.fine("clinic", "identity.key.add", "new-key", new_key=key)
    assert bench.recoup("a", 100, "new-key") == "applied"
    assert bench.recoup("a", 300, "regulator/identity", agreed="regulator") == "applied"
    assert bench.ask("claim.owed", claim=named("a").hex())["held"] == 6000


def test_a_payer_that_regulates_too_is_no_third_party_to_its_own_claims(monkeypatch) -> None:
    roles = [word.replace("insurer:payer", "insurer:payer,regulator") for word in MEMBERS]
    monkeypatch.setattr(claims_bench, "MEMBERS", roles)
    bench = Bench()
    bench.adjudicated("a", line("one"), line("two"), line2="not-necessary")
    assert bench.pay("p", 6400, "a") == "applied"
    assert bench.recoup("a", 1, agreed="insurer") == "claim-recoup-alone"
    assert bench.appeal("a", 2) == bench.decide("insurer", "a") == "applied"
    assert bench.appeal("a", 2) == "applied"
    assert bench.decide("insurer", "a") == "claim-appeal-not-yours"


def test_only_the_named_regulator_decides_for_a_plan_that_names_one() -> None:
    bench = Bench()
    assert publish(bench, plan="named", version=1, regulator="regulator") == "applied"
    height = bench.rules.height + 2
    bench.fine("insurer", "claim.rule.activate", "regulator/identity", plan="named", version=1,
               from_height=height)  # fmt: skip
    bench.fine("insurer", "claim.coverage.register", **bench.coverage("second", plan="named"))
    assert bench.submit("a", coverage=named("second").hex()) == "applied"
    assert bench.adjudicate("a", line1="experimental") == "applied"
    assert bench.appeal("a", 1) == bench.decide("insurer", "a") == "applied"
    assert bench.appeal("a", 1) == "applied"
    assert bench.decide("watchdog", "a", 1) == "claim-appeal-not-yours"
    assert bench.decide("regulator", "a", 1) == "applied"


def test_a_silent_payer_is_passed_over_after_its_time() -> None:
    bench = Bench(answer_ms=14 * DAY_MS)
    bench.adjudicated("a", line1="not-necessary")
    assert bench.appeal("a", 1) == "applied"
    bench.later(15)
    assert bench.appeal("a", 1) == "applied"
    assert bench.decide("insurer", "a", 1) == "claim-appeal-not-yours"
    said = bench.ask("claim.appeals", claim=named("a").hex())["appeals"]
    assert [(item["level"], item["status"]) for item in said] == [(1, "lapsed"), (2, "open")]


def test_documents_that_never_came_let_the_payer_go_on() -> None:
    bench = Bench()
    assert bench.submit("a") == bench.pend("a") == "applied"
    bench.later(11)
    assert bench.adjudicate("a", line1="documents-missing") == "applied"
    steps = bench.ask("claim.timeline", claim=named("a").hex())["steps"]
    assert [item["word"] for item in steps] == [
        "submitted",
        "pended",
        "pend-lapsed",
        "adjudicated",
    ]


def test_a_withdrawn_claim_gives_back_its_services_and_its_preauthorised_units() -> None:
    bench = Bench()
    assert bench.preauth() == "applied"
    handle = named("preauth")
    scan = line("scan", "scan", 2)
    assert bench.submit("a", scan, preauth=handle.hex()) == "applied"
    bench.fine("clinic", "claim.withdraw", claim=named("a").hex())
    row = load_from(bench.rules.get, PreauthRow, preauth_key(handle))
    assert row is not None
    assert [item.used for item in row.grants] == [0]
    assert bench.submit("b", scan, preauth=handle.hex()) == "applied"


def test_a_denied_preauthorised_line_is_paid_only_with_the_preauthorisation() -> None:
    bench = Bench()
    bench.adjudicated("a", line("a", "scan", 1, 10_001))
    assert bench.row("a").approved == 0
    assert bench.preauth() == "applied"
    assert (
        bench.submit("b", line("b", "scan", 1, 10_001), preauth=named("preauth").hex())
        == "applied"
    )
    assert bench.adjudicate("b") == "applied"
    assert bench.row("b").approved == 7001  # 7000.7


def test_units_over_the_limit_are_cut_and_an_overturned_denial_ignores_it() -> None:
    bench = Bench()
    bench.adjudicated("a", line("a", "care", 4, 20_000))
    bench.adjudicated("b", line("b", "care", 4, 20_000))
    bench.adjudicated("c", line("c", "care", 1, 5_000))
    assert [bench.row(name).approved for name in "abc"] == [18_000, 9_000, 0]
    assert bench.appeal("c", 1) == bench.decide("insurer", "c", 1) == "applied"
    assert bench.adjudicate("c") == "applied"
    assert bench.row("c").approved == 4500


def test_a_claim_keeps_the_table_that_was_in_force_when_it_came() -> None:
    bench = Bench()
    assert bench.submit("old") == "applied"
    before = bench.rules.height
    assert publish(bench, tariffs=[EXAM | {"allowed": 1000}]) == "applied"
    bench.activate("basic", 2)
    assert bench.submit("new") == "applied"
    for name in ("old", "new"):
        assert bench.adjudicate(name) == "applied"
    assert [bench.row(name).approved for name in ("old", "new")] == [6400, 800]
    height = bench.rules.height
    for asked, version in ((1, None), (before, 1), (height, 2)):
        said = bench.ask("claim.rules", payer="insurer", plan="basic", at_height=asked)
        assert said["table"] is None if version is None else said["table"]["version"] == version


def test_no_table_comes_into_force_before_one_that_is_waiting() -> None:
    bench = Bench()
    assert publish(bench) == "applied"
    late = {"plan": "basic", "version": 2, "from_height": 900}
    bench.fine("insurer", "claim.rule.activate", **late)
    early = {"plan": "basic", "version": 1, "from_height": 899}
    assert bench.act("insurer", "claim.rule.activate", **early) == "claim-activation-past"
    bench.fine("insurer", "claim.rule.activate", **(early | {"from_height": 900}))
    said = bench.ask("claim.rules", payer="insurer", plan="basic", at_height=900)
    assert said["table"]["version"] == 1


def test_a_coverage_ends_once_and_never_in_the_past() -> None:
    bench = Bench()
    handle = {"coverage": named("cover").hex()}
    now = bench.rules.time_ms
    for at_ms in (now - DAY_MS, now + 900 * DAY_MS):
        fields = handle | {"at_ms": at_ms}
        assert bench.act("insurer", "claim.coverage.end", **fields) == "claim-coverage-ended"
    bench.fine("insurer", "claim.coverage.end", **handle, at_ms=now + DAY_MS)
    fields = handle | {"at_ms": now + 2 * DAY_MS}
    assert bench.act("insurer", "claim.coverage.end", **fields) == "claim-coverage-ended"
    assert bench.ask("claim.coverage.state", **handle)["live"]
    bench.later(2)
    assert not bench.ask("claim.coverage.state", **handle)["live"]
    assert bench.submit("late bill") == "applied"  # for what was done while it stood


def test_a_claim_is_open_while_its_appeal_is() -> None:
    bench = Bench()
    bench.adjudicated("a", line1="not-necessary")
    asked = {"org": "clinic", "side": "provider"}
    assert bench.ask("claim.aging", **asked)["count"] == 0
    assert bench.appeal("a", 1) == "applied"
    assert bench.ask("claim.aging", **asked)["count"] == 1
    assert bench.decide("insurer", "a") == "applied"
    assert bench.ask("claim.aging", **asked)["count"] == 0


def test_the_deductible_of_a_period_is_spent_once_and_starts_anew() -> None:
    bench = Bench(deductible=10_000, tariffs=[EXAM | {"deductible": True, "coinsurance_bp": 0}])
    bench.adjudicated("a")
    bench.adjudicated("b")
    bench.adjudicated("c")
    assert [bench.row(name).patient for name in "abc"] == [8000, 2000, 0]
    bench.later(366)
    assert bench.submit("d", period=1) == bench.adjudicate("d") == "applied"
    assert bench.row("d").patient == 8000
    now = bench.ask("claim.coverage.state", coverage=named("cover").hex())
    assert (now["period"], now["deductible"], now["benefit"]) == (1, 8000, 0)


def test_a_patient_known_to_the_payer_appeals_with_the_key_of_the_day() -> None:
    bench = Bench()
    subject = named("subject")
    row = PatientRow(
        subject=subject, org="insurer", sign_key=person("new-phone").public_key,
        seal_key=bytes(32), level=2, status="active", guardians=(), guardians_needed=0,
        version=2, since_height=1, since_ms=1,
    )  # fmt: skip
    bench.rules.state[patient_key(subject)] = wire.encode(row)
    fields = bench.coverage("second", subject=subject.hex(), member_key=None)
    bench.fine("insurer", "claim.coverage.register", **fields)
    assert bench.submit("a", coverage=named("second").hex()) == "applied"
    assert bench.adjudicate("a", line1="not-necessary") == "applied"
    assert bench.appeal("a", 1, by="patient", cosigners=("anna",)) == "claim-member-missing"
    ended = wire.encode(replace(row, status="ended"))
    bench.rules.state[patient_key(subject)], kept = ended, wire.encode(row)
    assert (
        bench.appeal("a", 1, by="patient", cosigners=("new-phone",)) == "claim-member-missing"
    )
    bench.rules.state[patient_key(subject)] = kept
    signed = {"by": "patient", "cosigners": ("new-phone",), "org": "hospital"}
    assert bench.appeal("a", 1, **signed) == "applied"


def test_an_encounter_in_a_batch_is_cited_with_its_path() -> None:
    bench = Bench()
    one, two = named("item one"), named("item two")
    root = batch_root(one, two)
    leaves = (one + two).hex()
    bench.fine("clinic", "record.batch", root=root.hex(), count=2, leaves=leaves)
    path = [leaf(two).hex()]
    cited = {"commitment": one.hex(), "root": root.hex(), "index": 0, "path": path}
    assert bench.submit("a", anchors=[cited]) == "applied"
    assert bench.submit("b", anchors=[cited | {"index": 1}]) == "claim-anchor-unknown"
    proof = {"root": root.hex(), "index": 0, "path": path}
    bench.fine("clinic", "record.retract", commitment=one.hex(), proof=proof)
    assert bench.submit("c", anchors=[cited]) == "claim-anchor-stale"


def leaf(commitment: bytes) -> bytes:
    return merkle.leaf_hash(commitment)


def batch_root(*commitments: bytes) -> bytes:
    return merkle.root([leaf(item) for item in commitments])


def test_the_same_transactions_give_the_same_state_everywhere() -> None:
    def played() -> dict[bytes, bytes]:
        bench = Bench()
        bench.adjudicated("a", line("one"), line("two", "care", 9), line2="not-necessary")
        assert bench.pay("p", 6400, "a") == bench.appeal("a", 2) == "applied"
        return bench.rules.state

    first = played()
    assert first == played()
