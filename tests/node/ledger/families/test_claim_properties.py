"""What always holds of claims: shares, accumulators, money, lists; and the bounds of bodies."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus import wire
from consensus.codec import Malformed
from node.ledger import registry
from node.ledger.facts import bags, money, numbered
from node.ledger.facts.claim_tables import (
    COMPUTED,
    DISCRETIONARY,
    Case,
    Line,
    Share,
    Table,
    Tariff,
    UnitsUsed,
    Used,
    adjudicate,
)
from node.ledger.state import VALUE_BYTES_MAX, Overlay
from tests.support.claims_bench import Bench, line
from tests.support.story import named

# --- shares ----------------------------------------------------------------------------------

AMOUNTS = st.integers(0, 50_000)
POINTS = st.integers(0, 10_000)


@st.composite
def tariffs(draw: st.DrawFn, code: str) -> Tariff:
    fixed = draw(st.booleans())
    return Tariff(
        code_class=code,
        allowed=draw(AMOUNTS) if fixed else None,
        percent_bp=None if fixed else draw(POINTS),
        coinsurance_bp=draw(POINTS),
        copay=draw(st.integers(0, 3000)),
        deductible=draw(st.booleans()),
        preauth=draw(st.booleans()),
        units_max=0 if code == "*" else draw(st.integers(0, 5)),
    )


@st.composite
def tables(draw: st.DrawFn) -> Table:
    codes = draw(st.lists(st.sampled_from(["*", "a", "b"]), unique=True, min_size=1))
    rows = tuple(draw(tariffs(code)) for code in sorted(codes))
    ceilings = [draw(st.one_of(st.just(0), AMOUNTS)) for _ in range(3)]
    return Table("p", "plan", 1, "EUR", rows, *ceilings, 0, 0)


LINES = st.lists(
    st.builds(Line, st.sampled_from("abc"), st.integers(1, 6), AMOUNTS, st.just(bytes(32))),
    min_size=1,
    max_size=8,
)
CASES = st.builds(
    Case,
    denied=st.dictionaries(st.integers(0, 7), st.sampled_from(DISCRETIONARY)),
    granted=st.frozensets(st.sampled_from("ab")),
)


@given(tables(), LINES, CASES)
def test_every_line_splits_without_a_remainder(
    table: Table, lines: list[Line], case: Case
) -> None:
    shares, used = adjudicate(table, lines, Used(), case)
    for one, share in zip(lines, shares, strict=True):
        assert share.allowed == share.patient + share.pay
        assert share.allowed <= one.charge
        assert share.units <= one.units
    assert used.benefit == sum(share.pay for share in shares)
    for number, reason in case.denied.items():
        if number < len(shares) and table.tariff(lines[number].code_class):
            assert shares[number] == Share(reason, 0, 0, 0, 0, 0, 0, 0)
    undenied = [s for at, s in enumerate(shares) if at not in case.denied]
    assert all(share.reason in COMPUTED for share in undenied)


@given(tables(), LINES, LINES, CASES)
def test_ceilings_hold_over_claims_and_accumulators_only_grow(
    table: Table, first: list[Line], second: list[Line], case: Case
) -> None:
    _, one = adjudicate(table, first, Used(), case)
    _, two = adjudicate(table, second, one, case)
    for before, after in ((Used(), one), (one, two)):
        assert before.deductible <= after.deductible
        assert before.benefit <= after.benefit
    if table.out_of_pocket_max:
        assert two.out_of_pocket <= table.out_of_pocket_max
    if table.benefit_max:
        assert two.benefit <= table.benefit_max
    assert two.deductible <= table.deductible
    for row in table.tariffs:
        if row.units_max:
            assert two.of(row.code_class) <= row.units_max


@given(tables(), LINES, CASES)
def test_one_claim_of_all_lines_comes_to_what_its_lines_alone_come_to(
    table: Table, lines: list[Line], case: Case
) -> None:
    case = replace(case, denied={})
    together, used = adjudicate(table, lines, Used(), case)
    alone, one_by_one = [], Used()
    for item in lines:
        shares, one_by_one = adjudicate(table, [item], one_by_one, case)
        alone += shares
    assert (list(together), used) == (alone, one_by_one)


@given(tables(), LINES, CASES, st.frozensets(st.integers(0, 7)))
def test_an_overturned_denial_is_not_repeated_and_leaves_the_rest_alone(
    table: Table, lines: list[Line], case: Case, anew: frozenset[int]
) -> None:
    first, used = adjudicate(table, lines, Used(), case)
    again = replace(case, before=first, anew=anew)
    second, _ = adjudicate(table, lines, used, again)
    for at, (before, after) in enumerate(zip(first, second, strict=True)):
        if at not in anew:
            assert after == before
        else:
            assert after.reason in ("covered", "not-covered")


@given(st.integers(0, 10**15), st.integers(1, 10**6))
def test_half_even_is_nearest_and_ties_go_to_the_even(numerator: int, denominator: int) -> None:
    got = money.half_even(numerator, denominator)
    off = abs(2 * (numerator - got * denominator))
    assert off <= denominator
    assert off < denominator or got % 2 == 0


def test_a_tie_is_rounded_to_the_even_cent() -> None:
    assert [money.part(cents, 5000) for cents in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_units_keep_their_class() -> None:
    used = Used().with_units("a", 1).with_units("b", 2).with_units("a", 3)
    assert used.units == (UnitsUsed("a", 4), UnitsUsed("b", 2))
    assert used.only(["b"]).units == (UnitsUsed("b", 2),)


# --- money -----------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["pay", "pay", "recoup", "appeal", "adjudicate"]),
        st.integers(1, 9000),
    ),
    max_size=14,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MOVES)
def test_nothing_is_paid_beyond_what_is_approved_nor_taken_back_beyond_what_was_paid(
    moves,
) -> None:
    bench = Bench()
    bench.adjudicated("a", line("one"), line("two"), line2="not-necessary")
    for number, (move, amount) in enumerate(moves):
        before = bench.row("a")
        if move == "pay":
            fine = amount <= before.approved - before.paid
            code = bench.pay(f"p{number}", amount, "a")
            assert (code == "applied") == fine
        elif move == "recoup":
            fine = amount <= before.paid - before.recouped
            assert (bench.recoup("a", amount, "clinic/identity") == "applied") == fine
        elif move == "appeal" and bench.appeal("a", 2) == "applied":
            assert bench.decide("insurer", "a", 2) == "applied"
        elif before.status == "reopened":
            assert bench.adjudicate("a") == "applied"
        row = bench.row("a")
        assert 0 <= row.recouped <= row.paid <= row.approved
        assert row.paid - row.recouped <= row.approved - row.recouped
        open_claims = bench.ask("claim.aging", org="clinic", side="provider")
        assert open_claims == bench.ask("claim.aging", org="insurer", side="payer") | {
            "claims": open_claims["claims"]
        }
        assert open_claims["count"] == (row.owed > 0 or row.status != "adjudicated")
    used = bench.ask("claim.coverage.state", coverage=named("cover").hex())
    row = bench.row("a")
    assert used["benefit"] == row.approved - row.recouped


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), max_size=40))
def test_a_bag_holds_what_was_put_in_and_not_taken_out(moves) -> None:
    view, held = Overlay({}.get), set()
    for put, number in moves:
        item = bytes([number])
        if put and item not in held:
            bags.put_in(view, b"bag", item)
            held.add(item)
        elif not put and item in held:
            bags.take_out(view, b"bag", item)
            held.discard(item)
        count = numbered.length(view.get, b"bag")
        assert {bags.item_at(view.get, b"bag", at) for at in range(count)} == held
        assert count == len(held)


def test_open_claims_are_paged_without_gap_or_overlap() -> None:
    bench = Bench()
    names = [f"c{at}" for at in range(5)]
    assert {bench.submit(name) for name in names} == {"applied"}
    bench.fine("clinic", "claim.withdraw", claim=named("c1").hex())
    asked = {"org": "clinic", "side": "provider", "limit": 3}
    first = bench.ask("claim.aging", **asked)
    second = bench.ask("claim.aging", **asked, start=first["next"])
    assert (first["count"], second["next"]) == (4, None)
    found = [item["claim"] for item in first["claims"] + second["claims"]]
    assert sorted(found) == sorted(named(name).hex() for name in names if name != "c1")


def test_denials_are_found_by_period_and_page() -> None:
    bench = Bench()
    for day in range(5):
        bench.adjudicated(f"c{day}", line1="not-necessary")
        bench.later(1)
    whole = bench.ask("claim.denials", org="insurer", side="payer")
    times = [item["time_ms"] for item in whole["denied"]]
    assert len(times) == 5
    middle = bench.ask(
        "claim.denials", org="insurer", side="payer", from_ms=times[1], until_ms=times[4]
    )
    assert [item["time_ms"] for item in middle["denied"]] == times[1:4]
    assert middle["reasons"] == [{"reason": "not-necessary", "lines": 3}]
    second = bench.ask("claim.denials", org="insurer", side="payer", start=3, limit=1)
    assert [item["time_ms"] for item in second["denied"]] == times[3:4]
    assert second["next"] == 4


def test_questions_about_nothing_are_answered() -> None:
    bench = Bench()
    for name, question in registry.QUESTIONS.items():
        if not name.startswith("claim."):
            continue
        fields = {
            key: {"org": "nobody\ud800", "side": "none", "plan": "x", "payer": "y"}.get(
                key, 1 << 63 if key in ("period", "height", "number") else named("none").hex()
            )
            for key in required(question.params)
        }
        answer = bench.ask(name, **fields)
        assert not answer.get("known", False), name


def required(params: type) -> Iterator[str]:
    return (item.name for item in fields(params) if item.default is MISSING)


# --- bounds ----------------------------------------------------------------------------------

GOOD: dict[str, dict[str, Any]] = {
    "claim.rule.publish": {
        "plan": "p", "version": 1, "currency": "EUR",
        "tariffs": [{"code_class": "a", "allowed": 1, "percent_bp": None}],
    },
    "claim.rule.activate": {"plan": "p", "version": 1, "from_height": 1},
    "claim.coverage.register": Bench().coverage("cover"),
    "claim.coverage.end": {"coverage": named("c").hex(), "at_ms": 1},
    "claim.preauth.request": {
        "preauth": named("p").hex(), "coverage": named("c").hex(),
        "wanted": [{"code_class": "a", "units": 1}], "detail": named("d").hex(),
    },
    "claim.preauth.answer": {
        "preauth": named("p").hex(), "reason": "granted",
        "granted": [{"code_class": "a", "units": 1}], "until_ms": 1,
    },
    "claim.submit": Bench().claim("a"),
    "claim.withdraw": {"claim": named("c").hex()},
    "claim.adjudicate": {
        "claim": named("c").hex(), "version": 1, "allowed": 0, "patient": 0, "pay": 0,
        "shares": [wire.to_plain(Share("covered", 1, 0, 0, 0, 0, 0, 0))],
    },
    "claim.pend": {
        "claim": named("c").hex(), "reason": "review", "needed": named("n").hex(),
        "wait_ms": 86_400_000,
    },
    "claim.inform": {"claim": named("c").hex(), "document": named("d").hex()},
    "claim.appeal.open": {
        "claim": named("c").hex(), "by": "provider", "lines": [1], "document": named("d").hex(),
    },
    "claim.appeal.decide": {
        "claim": named("c").hex(), "overturned": [], "document": named("d").hex(),
    },
    "claim.pay": {
        "payment": named("p").hex(), "provider": "clinic", "currency": "EUR",
        "parts": [{"claim": named("c").hex(), "amount": 1}], "remittance": named("r").hex(),
    },
    "claim.reconcile": {"payment": named("p").hex(), "received": 1},
    "claim.recoup": {
        "claim": named("c").hex(), "amount": 1, "reason": "fraud", "agreed": "clinic",
        "document": named("d").hex(),
    },
}  # fmt: skip
ROW = {"code_class": "a", "allowed": 1, "percent_bp": None}
ONE = GOOD["claim.submit"]["lines"][0]
CITED = GOOD["claim.submit"]["anchors"][0]
BAD = [
    *[
        (kind, {name: "00" * 31})
        for kind, body in GOOD.items()
        for name, value in body.items()
        if isinstance(value, str) and len(value) == 64
    ],
    ("claim.rule.publish", {"plan": "Plan of Anna"}),
    ("claim.rule.publish", {"currency": "ABC"}),
    ("claim.rule.publish", {"tariffs": []}),
    ("claim.rule.publish", {"tariffs": [ROW, ROW]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"percent_bp": 1}]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"allowed": None}]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"code_class": "Hepatitis C"}]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"allowed": None, "percent_bp": 10_001}]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"coinsurance_bp": 10_001}]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"units_max": 1_000_001}]}),
    ("claim.rule.publish", {"tariffs": [ROW | {"code_class": "*", "units_max": 1}]}),
    ("claim.rule.publish", {"deductible": 10**13 + 1}),
    ("claim.rule.publish", {"answer_ms": 1 << 40}),
    ("claim.rule.publish", {"regulator": "The Regulator"}),
    ("claim.coverage.register", {"until_ms": 0}),
    ("claim.coverage.register", {"until_ms": 1 << 63}),
    ("claim.coverage.register", {"period_ms": 1}),
    ("claim.submit", {"lines": []}),
    ("claim.submit", {"lines": [line(str(at)) for at in range(201)]}),
    ("claim.submit", {"lines": [ONE, ONE]}),
    ("claim.submit", {"lines": [ONE | {"units": 0}]}),
    ("claim.submit", {"lines": [ONE | {"charge": 10**13 + 1}]}),
    ("claim.submit", {"lines": [ONE | {"code_class": "*"}]}),
    ("claim.submit", {"anchors": []}),
    ("claim.submit", {"anchors": [CITED, CITED]}),
    ("claim.submit", {"anchors": [CITED | {"index": 1}]}),
    ("claim.submit", {"anchors": [CITED | {"root": "00" * 32, "path": ["00"]}]}),
    ("claim.submit", {"period": 1 << 16}),
    ("claim.preauth.request", {"wanted": []}),
    ("claim.preauth.request", {"wanted": [{"code_class": "a", "units": 1}] * 2}),
    ("claim.preauth.answer", {"granted": []}),
    ("claim.preauth.answer", {"reason": "because"}),
    ("claim.adjudicate", {"shares": []}),
    ("claim.pend", {"reason": "because"}),
    ("claim.pend", {"wait_ms": 1}),
    ("claim.appeal.open", {"by": "neighbour"}),
    ("claim.appeal.open", {"lines": []}),
    ("claim.appeal.open", {"lines": [0]}),
    ("claim.appeal.open", {"lines": [2, 1]}),
    ("claim.appeal.decide", {"overturned": [201]}),
    ("claim.pay", {"parts": []}),
    ("claim.pay", {"parts": [{"claim": "00" * 32, "amount": 0}]}),
    ("claim.pay", {"parts": [{"claim": "00" * 32, "amount": 1}] * 2}),
    ("claim.pay", {"provider": "Anna Example"}),
    ("claim.recoup", {"amount": 0}),
    ("claim.recoup", {"reason": "because"}),
]  # fmt: skip


@pytest.mark.parametrize("kind", GOOD)
def test_a_body_within_its_bounds_is_one(kind) -> None:
    wire.from_plain(registry.OPERATIONS[kind].body, GOOD[kind])


@pytest.mark.parametrize(("kind", "changed"), BAD, ids=range(len(BAD)))
def test_a_body_out_of_its_bounds_is_none(kind, changed) -> None:
    with pytest.raises(Malformed):
        wire.from_plain(registry.OPERATIONS[kind].body, GOOD[kind] | changed)


def test_the_largest_claim_and_the_largest_table_fit_into_state() -> None:
    rows = [
        {"code_class": f"class-number-{at:03}", "allowed": 10**13, "percent_bp": None,
         "copay": 10**13, "units_max": 1_000_000}
        for at in range(500)
    ]  # fmt: skip
    bench = Bench(tariffs=rows)
    lines = [
        line(f"big{at}", f"class-number-{at:03}", 10_000, 10**13 - at) for at in range(200)
    ]
    assert bench.submit("big", *lines) == "applied"
    assert bench.adjudicate("big") == "applied"
    assert bench.row("big").charge > 10**15
    assert max(map(len, bench.rules.state.values())) < VALUE_BYTES_MAX // 2
