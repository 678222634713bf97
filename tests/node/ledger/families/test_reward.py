"""Family reward: whatever happens, no point is made or lost, and nobody gets above the caps."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger.facts import deeds
from node.ledger.facts.deeds import DeedRow, deed_key
from node.ledger.facts.reward import ENDED, ProgramRow, holder_row, program_key
from node.ledger.facts.reward_bodies import (
    Clawback,
    Close,
    Earn,
    Expire,
    Fund,
    Program,
    Redeem,
)
from node.ledger.families import reward
from node.ledger.state import load_from
from tests.support.acting import Acting, codes_told
from tests.support.story import START_MS, named, person

STORIES = Path(__file__).parents[3] / "stories"
PROGRAM, DEED, PAID = named("program"), named("deed"), named("paid")
DAY_MS = 86_400_000
BUDGET, AWARD_MAX, HOLDER_MAX, SLOTS = 300, 60, 100, 12
HOLDERS = ("holder-a", "holder-b", "holder-c")


def program(**fields: object) -> Program:
    given = {
        "program": PROGRAM,
        "terms": named("terms"),
        "currency": "EUR",
        "unit_minor": 5,
        "budget": BUDGET,
        "award_max": AWARD_MAX,
        "holder_max": HOLDER_MAX,
        "evidence": ("research.use",),
        "merchants": ("cafe",),
        "ends_ms": START_MS + 60 * DAY_MS,
        "lifetime_ms": 20 * DAY_MS,
    }
    return Program(**(given | fields))


def earn(who: str, points: int, slot: int = 0) -> Earn:
    key = person(who).public_key
    return Earn(PROGRAM, named(who), key, points, "research.use", DEED, slot)


def made_world() -> Acting:
    world = Acting("university:research cafe:author")
    deed = DeedRow(("university",), named("study"), SLOTS, 0, START_MS)
    world.state[deed_key("research.use", DEED)] = wire.encode(deed)
    assert world.do("university", program()) == "applied"
    return world


def row_of(world: Acting) -> ProgramRow:
    found = load_from(world.get, ProgramRow, program_key(PROGRAM))
    assert found is not None
    return found


POINTS = st.integers(1, 110)
WHO = st.sampled_from(HOLDERS)
MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("fund"), POINTS),
        st.tuples(st.just("earn"), WHO, st.integers(1, 70), st.integers(0, SLOTS)),
        st.tuples(st.just("redeem"), WHO, POINTS),
        st.tuples(st.just("expire"), WHO),
        st.tuples(st.just("clawback"), WHO, st.integers(0, 2), POINTS),
        st.tuples(st.just("close")),
        st.tuples(st.just("later"), st.integers(1, 25)),
    ),
    max_size=30,
)


def play(world: Acting, what: str, *given: object) -> str:
    """Do one move; return its result's code."""
    match what, given:
        case "fund", (points,):
            return world.do("university", Fund(PROGRAM, points, PAID))
        case "earn", (who, points, slot):
            return world.do("university", earn(who, points, slot))
        case "redeem", (who, points):
            body = Redeem(PROGRAM, named(who), points, named("receipt"))
            return world.do("cafe", body, by=(person(who),))
        case "expire", (who,):
            return world.do("university", Expire(PROGRAM, named(who)))
        case "clawback", (who, award, points):
            body = Clawback(PROGRAM, named(who), award, points, "error")
            return world.do("university", body)
        case "close", ():
            return world.do("university", Close(PROGRAM))
        case "later", (days,):
            world.later(days * DAY_MS)
    return "applied"


@settings(max_examples=80, deadline=None)
@given(MOVES)
def test_every_point_has_its_place_whatever_happens(moves):
    world, slots = made_world(), set()
    for what, *given_ in moves:
        before = row_of(world)
        code = play(world, what, *given_)
        if what == "earn" and code == "applied":
            assert given_[2] not in slots
            slots.add(given_[2])
        if what == "fund":
            fits = before.status == "open" and before.funded + given_[0] <= BUDGET
            assert (code == "applied") == fits
        check(world)
        later = row_of(world)
        for name in ("funded", "redeemed", "expired", "clawed"):
            assert getattr(later, name) >= getattr(before, name)
        if before.status == "closed":
            assert later == before


def check(world: Acting) -> None:
    row = row_of(world)
    ends = row.redeemed + row.expired + row.clawed
    assert row.funded == row.unearned + row.outstanding + ends <= BUDGET
    assert min(row.unearned, row.outstanding) >= 0
    rows = [found for who in HOLDERS if (found := holder_row(world.get, named(who)))]
    assert all(holder.balance >= 0 for holder in rows)
    assert all(holder.earned - holder.clawed <= HOLDER_MAX for holder in rows)
    assert row.holders == len(rows)
    if row.status == "open":
        assert row.outstanding == sum(holder.balance for holder in rows)
    statements = [world.say("reward.statement", holder=holder.holder) for holder in rows]
    assert sum(item.balance for item in statements) == row.outstanding
    assert sum(item.expired for item in statements) == row.expired
    for item in statements:
        assert item.earned == item.balance + item.redeemed + item.expired + item.clawed
        if item.entries and row.status == "open":
            assert item.entries[-1].balance == item.balance
    told = world.say("reward.conservation", program=PROGRAM)
    assert told.holds
    owed = world.say("reward.liabilities", program=PROGRAM)
    assert owed.outstanding_minor == 5 * row.outstanding
    assert sum(merchant.points for merchant in owed.merchants) == row.redeemed


def test_one_history_makes_one_state():
    def history() -> dict[bytes, bytes]:
        world = made_world()
        moves = (("fund", 100), ("earn", "holder-a", 30, 1), ("redeem", "holder-a", 10))
        for what, *given_ in (*moves, ("clawback", "holder-a", 0, 5), ("later", 60)):
            assert play(world, what, *given_) == "applied"
        return world.state

    assert history() == history()


def test_the_end_comes_by_alarm_without_anybody_asking():
    world = made_world()
    world.do("university", Fund(PROGRAM, 100, PAID))
    world.do("university", earn("holder-a", 30))
    world.later(60 * DAY_MS)
    row = row_of(world)
    assert (row.status, row.outstanding, row.expired) == (ENDED, 0, 30)


def test_a_question_knows_the_end_before_a_block_has_come():
    world = made_world()
    world.do("university", Fund(PROGRAM, 100, PAID))
    world.do("university", earn("holder-a", 30))
    world.time_ms += 60 * DAY_MS
    assert row_of(world).status == "open"
    told = world.say("reward.statement", holder=named("holder-a"))
    assert (told.status, told.balance, told.expired) == ("ended", 0, 30)
    assert world.say("reward.liabilities", program=PROGRAM).outstanding == 0


def test_no_operation_moves_points_from_holder_to_holder():
    """Whoever adds one meets this test: a body names one holder at most."""
    for operation in reward.OPERATIONS:
        fields = [name for name in operation.body.__dataclass_fields__ if "holder" in name]
        assert len([name for name in fields if name != "holder_max"]) <= 1


def test_one_transaction_cannot_use_one_slot_twice():
    world = made_world()
    world.do("university", Fund(PROGRAM, 100, PAID))
    twice = (earn("holder-a", 10, 3), earn("holder-b", 10, 3))
    assert world.do("university", *twice) == "reward-evidence-used"
    assert row_of(world).outstanding == 0
    assert world.do("university", twice[0]) == "applied"


def test_every_refusal_of_the_family_is_met_in_its_story():
    told = codes_told((STORIES / "reward.story").read_text(encoding="utf-8"))
    assert {result.code for result in reward.RESULTS} - told == set()


BAD_BODIES = (
    ("program is 32 bytes", lambda: program(program=b"")),
    ("currency must be", lambda: program(currency="eur")),
    ("currency must be", lambda: program(currency="PTS")),
    ("unit_minor must be", lambda: program(unit_minor=0)),
    ("budget must be", lambda: program(budget=1 << 41)),
    ("ascend from 1", lambda: program(award_max=0)),
    ("ascend from 1", lambda: program(award_max=HOLDER_MAX + 1)),
    ("ascend from 1", lambda: program(holder_max=BUDGET + 1)),
    ("evidence must be", lambda: program(evidence=("good.deed",))),
    ("evidence is named", lambda: program(evidence=())),
    ("evidence is named", lambda: program(evidence=deeds.KINDS[::-1])),
    ("merchants are 1 to 32", lambda: program(merchants=())),
    ("merchants are unique", lambda: program(merchants=("cafe", "cafe"))),
    ("merchants must match", lambda: program(merchants=("The Cafe",))),
    ("lifetime_ms is above 0", lambda: program(lifetime_ms=0)),
    ("about is 32 bytes", lambda: program(about=b"asthma")),
    ("points must be", lambda: Fund(PROGRAM, 0, PAID)),
    ("points must be", lambda: earn("holder-a", (1 << 40) + 1)),
    ("slot is below", lambda: earn("holder-a", 1, 1 << 32)),
    ("receipt is 32 bytes", lambda: Redeem(PROGRAM, PAID, 1, b"one coffee")),
    ("reason must be", lambda: Clawback(PROGRAM, PAID, 0, 1, "she moved away")),
    ("holder is 32 bytes", lambda: Expire(PROGRAM, b"anna")),
    ("program is 32 bytes", lambda: Close(b"")),
)


@pytest.mark.parametrize(("say", "make"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_what_is_out_of_bounds_is_no_body(say, make):
    with pytest.raises(ValueError, match=say):
        make()
