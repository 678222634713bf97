"""The claim families: each way to be refused, played."""

from collections.abc import Callable
from typing import Any

import pytest

from node.ledger.families import claim, claim_money, claim_plan
from tests.support.claims_bench import DAY_MS, TARIFFS, Bench, line
from tests.support.story import named

Scene = Callable[[Bench], str]
SCENES: dict[str, Scene] = {}
NOWHERE = named("nowhere").hex()


def refuses(code: str) -> Callable[[Scene], Scene]:
    """Register a scene that must end with this code; its name says what happens."""

    def register(scene: Scene) -> Scene:
        SCENES[code] = scene
        return scene

    return register


CODES = [r.code for family in (claim, claim_plan, claim_money) for r in family.RESULTS]


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_is_met(code: str) -> None:
    assert SCENES[code](Bench()) == code


def publish(bench: Bench, **changed: Any) -> str:
    plan = {"plan": "basic", "version": 2, "currency": "EUR", "tariffs": TARIFFS}
    return bench.act("insurer", "claim.rule.publish", **(plan | changed))


@refuses("claim-plan-unknown")
def _(bench: Bench) -> str:
    fields = bench.coverage("second", plan="gold")
    return bench.act("insurer", "claim.coverage.register", **fields)


@refuses("claim-rules-inactive")
def _(bench: Bench) -> str:
    assert publish(bench, plan="new", version=1) == "applied"
    bench.fine("insurer", "claim.coverage.register", **bench.coverage("second", plan="new"))
    return bench.submit("a", coverage=named("second").hex())


@refuses("claim-version-wrong")
def _(bench: Bench) -> str:
    return publish(bench, version=3)


@refuses("claim-currency-wrong")
def _(bench: Bench) -> str:
    return publish(bench, currency="USD")


@refuses("claim-activation-past")
def _(bench: Bench) -> str:
    height = bench.rules.height + 1
    fields = {"plan": "basic", "version": 1, "from_height": height}
    return bench.act("insurer", "claim.rule.activate", **fields)


@refuses("claim-regulator-missing")
def _(bench: Bench) -> str:
    return publish(bench, plan="new", version=1, regulator="clinic")


@refuses("claim-coverage-exists")
def _(bench: Bench) -> str:
    return bench.act("insurer", "claim.coverage.register", **bench.coverage("cover"))


@refuses("claim-coverage-unknown")
def _(bench: Bench) -> str:
    return bench.submit("a", coverage=NOWHERE)


@refuses("claim-coverage-ended")
def _(bench: Bench) -> str:
    return bench.submit("a", period=1)


@refuses("claim-member-unknown")
def _(bench: Bench) -> str:
    fields = bench.coverage("second", subject=NOWHERE)
    return bench.act("insurer", "claim.coverage.register", **fields)


@refuses("claim-not-payer")
def _(bench: Bench) -> str:
    fields = {"coverage": named("cover").hex(), "at_ms": bench.rules.time_ms + DAY_MS}
    return bench.act("mutual", "claim.coverage.end", **fields)


@refuses("claim-not-provider")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    return bench.act("hospital", "claim.withdraw", claim=named("a").hex())


@refuses("claim-exists")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    return bench.submit("a", line("another"))


@refuses("claim-unknown")
def _(bench: Bench) -> str:
    return bench.act("clinic", "claim.withdraw", claim=NOWHERE)


@refuses("claim-double-billed")
def _(bench: Bench) -> str:
    assert bench.submit("a", line("one")) == "applied"
    return bench.submit("b", line("two"), line("one"))


@refuses("claim-anchor-unknown")
def _(bench: Bench) -> str:
    return bench.submit("a", anchors=[{"commitment": NOWHERE}])


@refuses("claim-anchor-foreign")
def _(bench: Bench) -> str:
    return bench.act("hospital", "claim.submit", **bench.claim("a"))


@refuses("claim-anchor-stale")
def _(bench: Bench) -> str:
    bench.fine("clinic", "record.retract", commitment=named("visit").hex())
    return bench.submit("a")


@refuses("claim-preauth-exists")
def _(bench: Bench) -> str:
    assert bench.preauth() == "applied"
    fields = {
        "preauth": named("preauth").hex(),
        "coverage": named("cover").hex(),
        "wanted": [{"code_class": "scan", "units": 1}],
        "detail": NOWHERE,
    }
    return bench.act("clinic", "claim.preauth.request", **fields)


@refuses("claim-preauth-unknown")
def _(bench: Bench) -> str:
    return bench.submit("a", preauth=NOWHERE)


@refuses("claim-preauth-answered")
def _(bench: Bench) -> str:
    assert bench.preauth() == "applied"
    fields = {"preauth": named("preauth").hex(), "reason": "not-covered", "granted": []}
    return bench.act("insurer", "claim.preauth.answer", **fields)


@refuses("claim-preauth-invalid")
def _(bench: Bench) -> str:
    assert bench.preauth(reason="not-necessary", granted=[]) == "applied"
    return bench.submit("a", preauth=named("preauth").hex())


@refuses("claim-preauth-expired")
def _(bench: Bench) -> str:
    assert bench.preauth() == "applied"
    bench.later(30)
    return bench.submit("a", line("a", "scan"), preauth=named("preauth").hex())


@refuses("claim-preauth-spent")
def _(bench: Bench) -> str:
    assert bench.preauth() == "applied"
    assert bench.submit("a", line("a", "scan", 2), preauth=named("preauth").hex()) == "applied"
    return bench.submit("b", line("b", "scan", 1), preauth=named("preauth").hex())


@refuses("claim-preauth-exceeded")
def _(bench: Bench) -> str:
    return bench.preauth(granted=[{"code_class": "scan", "units": 3}])


@refuses("claim-adjudication-disagrees")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    body = bench.shares("a")
    share = body["shares"][0]
    share["coinsurance"] += 1
    share["pay"] -= 1
    changed = {"patient": body["patient"] + 1, "pay": body["pay"] - 1}
    return bench.act("insurer", "claim.adjudicate", **(body | changed))


@refuses("claim-totals-wrong")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    body = bench.shares("a")
    return bench.act("insurer", "claim.adjudicate", **(body | {"pay": body["pay"] + 1}))


@refuses("claim-table-wrong")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    return bench.act("insurer", "claim.adjudicate", **(bench.shares("a") | {"version": 2}))


@refuses("claim-still-pended")
def _(bench: Bench) -> str:
    assert bench.submit("a") == bench.pend("a") == "applied"
    return bench.adjudicate("a")


@refuses("claim-state-wrong")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    return bench.adjudicate("a")


@refuses("claim-documents-not-asked")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    return bench.adjudicate("a", line1="documents-missing")


@refuses("claim-denial-overturned")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line1="not-necessary")
    assert bench.appeal("a", 1) == bench.decide("insurer", "a", 1) == "applied"
    body = bench.shares("a")
    body["shares"][0] |= dict.fromkeys(("units", "allowed", "coinsurance", "pay"), 0)
    body["shares"][0]["reason"] = "not-necessary"
    nothing = {"allowed": 0, "patient": 0, "pay": 0}
    return bench.act("insurer", "claim.adjudicate", **(body | nothing))


@refuses("claim-allowed-already")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    return bench.act("clinic", "claim.withdraw", claim=named("a").hex())


@refuses("claim-too-many-steps")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    for _ in range(8):
        assert bench.pend("a") == bench.inform("a") == "applied"
    return bench.pend("a")


@refuses("claim-not-pended")
def _(bench: Bench) -> str:
    assert bench.submit("a") == "applied"
    return bench.inform("a")


@refuses("claim-member-missing")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line1="not-necessary")
    return bench.appeal("a", 1, by="patient", cosigners=("somebody",))


@refuses("claim-not-denied")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line("one"), line("two"), line2="not-necessary")
    return bench.appeal("a", 1, 2)


@refuses("claim-appeal-open")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line1="not-necessary")
    assert bench.appeal("a", 1) == "applied"
    return bench.appeal("a", 1)


@refuses("claim-appeal-late")
def _(_: Bench) -> str:
    bench = Bench(appeal_ms=30 * DAY_MS)
    bench.adjudicated("a", line1="not-necessary")
    bench.later(31)
    return bench.appeal("a", 1)


@refuses("claim-appeal-final")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line1="not-necessary")
    for judge in ("insurer", "regulator"):
        assert bench.appeal("a", 1) == bench.decide(judge, "a") == "applied"
    return bench.appeal("a", 1)


@refuses("claim-appeal-mixed")
def _(bench: Bench) -> str:
    why = "not-necessary"
    bench.adjudicated("a", line("one"), line("two"), line1=why, line2=why)
    assert bench.appeal("a", 1) == bench.decide("insurer", "a") == "applied"
    return bench.appeal("a", 1, 2)


@refuses("claim-appeal-unknown")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line1="not-necessary")
    return bench.decide("insurer", "a")


@refuses("claim-appeal-not-yours")
def _(bench: Bench) -> str:
    bench.adjudicated("a", line1="not-necessary")
    assert bench.appeal("a", 1) == "applied"
    return bench.decide("mutual", "a")


@refuses("claim-line-not-appealed")
def _(bench: Bench) -> str:
    why = "not-necessary"
    bench.adjudicated("a", line("one"), line("two"), line1=why, line2=why)
    assert bench.appeal("a", 1) == "applied"
    return bench.decide("insurer", "a", 2)


@refuses("claim-payment-exists")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    assert bench.pay("p", 1, "a") == "applied"
    return bench.pay("p", 1, "a")


@refuses("claim-payment-unknown")
def _(bench: Bench) -> str:
    return bench.act("clinic", "claim.reconcile", payment=NOWHERE, received=1)


@refuses("claim-overpaid")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    assert bench.pay("p", 6000, "a") == "applied"
    return bench.pay("q", 401, "a")


@refuses("claim-payment-reconciled")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    assert bench.pay("p", 6000, "a") == "applied"
    fields = {"payment": named("p").hex(), "received": 6000}
    bench.fine("clinic", "claim.reconcile", **fields)
    return bench.act("clinic", "claim.reconcile", **fields)


@refuses("claim-recoup-exceeds")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    assert bench.pay("p", 6000, "a") == "applied"
    assert bench.recoup("a", 4000, "clinic/identity") == "applied"
    return bench.recoup("a", 2001, "clinic/identity")


@refuses("claim-recoup-alone")
def _(bench: Bench) -> str:
    bench.adjudicated("a")
    assert bench.pay("p", 6000, "a") == "applied"
    return bench.recoup("a", 1, "hospital/identity", agreed="hospital")
