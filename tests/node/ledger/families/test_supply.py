"""Family supply: bounds, business days, and what holds however goods are moved about."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger.facts import sets, workdays
from node.ledger.facts.supply import (
    CLEAR,
    DISPENSED,
    SHIPPED,
    HolderRow,
    ItemRow,
    gtin,
    holder_key,
    item_row,
    recall_in_force,
)
from node.ledger.facts.supply_bodies import (
    Aggregate,
    Clear,
    ColdChain,
    Commission,
    Destroy,
    Disaggregate,
    Dispense,
    Doubt,
    Lift,
    Recall,
    Receive,
    Return,
    Ship,
    Void,
)
from node.ledger.families import supply, supply_cases, supply_safety
from node.ledger.families.supply_cases import Answer, Open
from node.ledger.state import Overlay, load_from
from tests.support.acting import Acting, codes_told
from tests.support.story import START_MS, named

STORIES = Path(__file__).parents[3] / "stories"
PRODUCT = "09506000134352"
LOT, EVENT = named("lot"), named("event")
CHAIN = "maker:manufacturer wholesale:supplier pharmacy:dispenser"
MEMBERS = ("maker", "pharmacy", "wholesale")


def pens(count: int, start: int = 0) -> tuple[bytes, ...]:
    return tuple(named(f"pen-{number}") for number in range(start, start + count))


@pytest.fixture
def world() -> Acting:
    made = Acting(CHAIN)
    assert made.do("maker", Commission(PRODUCT, LOT, pens(128), EVENT)) == "applied"
    return made


# --- refusals that need more than a story has room for ---------------------------------------


def too_many_in_one(world: Acting) -> str:
    world.do("maker", Aggregate(named("case"), pens(128), EVENT))
    world.do("maker", Commission(PRODUCT, LOT, pens(1, 128), EVENT))
    return world.do("maker", Aggregate(named("case"), pens(1, 128), EVENT))


def too_many_within(world: Acting) -> str:
    world.do("maker", Commission(PRODUCT, LOT, pens(128, 128), EVENT))
    world.do("maker", Aggregate(named("case-1"), pens(128), EVENT))
    world.do("maker", Aggregate(named("case-2"), pens(128, 128), EVENT))
    cases = (named("case-1"), named("case-2"))
    return world.do("maker", Aggregate(named("pallet"), cases, EVENT))


def too_deep(world: Acting) -> str:
    inner = pens(1)[0]
    for level in range(3):
        outer = named(f"level-{level}")
        assert world.do("maker", Aggregate(outer, (inner,), EVENT)) == "applied"
        inner = outer
    return world.do("maker", Aggregate(named("level-3"), (inner,), EVENT))


def too_many_owners(world: Acting) -> str:
    code, (holder, other) = "applied", ("maker", "wholesale")
    while code == "applied":
        code = world.do(holder, Ship(pens(1), other, EVENT))
        if code == "applied":
            world.do(other, Receive(pens(1), holder, EVENT))
            holder, other = other, holder
    row = item_row(world.get, pens(1)[0])
    assert row is not None
    assert len(row.route) == 16
    return code


def voided_at_once(world: Acting) -> str:
    return world.do("maker", Ship(pens(1), "wholesale", EVENT), Void(pens(1), EVENT))


def read_twice_in_a_block(world: Acting) -> str:
    read = ColdChain(pens(1)[0], named("root"), 1, 0, 1, breach=False, event=EVENT)
    return world.do("maker", read, read)


HARD = {
    "supply-container-full": (too_many_in_one, too_many_within),
    "supply-container-deep": (too_deep,),
    "supply-route-full": (too_many_owners,),
    "supply-void-early": (voided_at_once,),
    "supply-cold-again": (read_twice_in_a_block,),
}


@pytest.mark.parametrize(
    ("code", "attempt"), [(code, item) for code, items in HARD.items() for item in items]
)
def test_a_bound_of_the_chain_has_a_code_of_its_own(world, code, attempt):
    assert attempt(world) == code


def test_every_refusal_of_the_family_is_met_in_a_story_or_here():
    told = set(HARD)
    for path in STORIES.glob("supply*.story"):
        told |= codes_told(path.read_text(encoding="utf-8"))
    results = (*supply.RESULTS, *supply_cases.RESULTS, *supply_safety.RESULTS)
    assert {result.code for result in results} - told == set()


# --- form ------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["", "9506000134352", "09506000134353", "0950600013435x"])
def test_a_product_is_a_gtin_with_its_check_digit(code):
    with pytest.raises(ValueError, match="product"):
        gtin(code)


BAD_BODIES = (
    ("items are 1 to 128", lambda: Commission(PRODUCT, LOT, (), EVENT)),
    ("items are 1 to 128", lambda: Commission(PRODUCT, LOT, pens(129), EVENT)),
    ("lot is 32 bytes", lambda: Commission(PRODUCT, b"lot", pens(1), EVENT)),
    ("items are 32 bytes", lambda: Commission(PRODUCT, LOT, (b"serial 4711",), EVENT)),
    ("items are named once", lambda: Commission(PRODUCT, LOT, pens(1) * 2, EVENT)),
    ("not in itself", lambda: Aggregate(named("a"), (named("a"),), EVENT)),
    ("event is 32 bytes", lambda: Disaggregate(named("a"), b"", ())),
    ("items are 1 to 64", lambda: Ship(pens(65), "wholesale", EVENT)),
    ("to must match", lambda: Ship(pens(1), "Whole Sale", EVENT)),
    ("reason must be", lambda: Return(pens(1), "maker", "because Mrs Smith died", EVENT)),
    ("reason must be", lambda: Destroy(pens(1), "because", EVENT)),
    ("reason must be", lambda: Doubt(pens(1), "odd", EVENT)),
    ("level is 1, 2 or 3", lambda: Recall(PRODUCT, 4, "potency", 0, EVENT)),
    ("count must be", lambda: ColdChain(named("a"), named("r"), 0, 0, 1, False, EVENT)),
    ("from_ms must lie", lambda: ColdChain(named("a"), named("r"), 1, 1, 1, False, EVENT)),
    ("reason is for items", lambda: Answer(named("q"), verified=True, reason="suspect")),
    ("reason is for items", lambda: Answer(named("q"), verified=False)),
    ("quantity must be", lambda: Open(named("q"), "damaged", "wholesale", EVENT, 0)),
)


@pytest.mark.parametrize(("say", "make"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_what_is_out_of_bounds_is_no_body(say, make):
    with pytest.raises(ValueError, match=say):
        make()


# --- business days ---------------------------------------------------------------------------


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


@pytest.mark.parametrize(
    ("opened", "due"),
    [
        ("2026-01-05T00:00", "2026-01-08T00:00"),  # Monday to the end of Wednesday
        ("2026-01-06T10:30", "2026-01-09T10:30"),  # Tuesday to Friday
        ("2026-01-07T00:00", "2026-01-10T00:00"),  # Wednesday to the end of Friday
        ("2026-01-07T10:30", "2026-01-12T10:30"),  # Wednesday to Monday
        ("2026-01-09T23:00", "2026-01-14T23:00"),  # Friday to Wednesday
        ("2026-01-10T12:00", "2026-01-15T00:00"),  # Saturday counts from Monday
        ("2026-01-11T23:59", "2026-01-15T00:00"),  # Sunday too
    ],
)
def test_three_business_days_leave_the_weekend_out(opened, due):
    assert workdays.business_deadline(_ms(opened), 3) == _ms(due)


@given(st.integers(_ms("1970-01-05T00:00"), _ms("2100-01-01T00:00")), st.integers(1, 30))
def test_a_term_has_as_many_business_hours_as_it_says(start, days):
    due = workdays.business_deadline(start, days)
    hours, worked = workdays.HOUR_MS, 0
    at = start
    while at < due:
        after = min(due, at - at % hours + hours)
        if datetime.fromtimestamp(at / 1000, UTC).weekday() < 5:
            worked += after - at
        at = after
    assert worked == days * workdays.DAY_MS


# --- what holds whatever happens -------------------------------------------------------------

ITEM = st.integers(0, 3)  # the last one is the case
ORG = st.sampled_from(MEMBERS)
WHAT = (
    *("ship", "ship", "receive", "receive", "return", "void", "dispense", "dispense"),
    *("destroy", "pack", "unpack", "suspect", "suspect", "clear", "recall", "lift"),
)
# A third of the moves is made by anybody, the others by who may make them.
ANYBODY = st.sampled_from((None, None, None, None, None, None, *MEMBERS))
MOVES = st.tuples(st.sampled_from(WHAT), ANYBODY, ITEM, ORG)
CASE = named("case")


def body_of(what: str, number: int, other: str) -> object:
    item = (CASE,) if number == 3 else pens(1, number)
    return {
        "ship": Ship(item, other, EVENT),
        "receive": Receive(item, other, EVENT),
        "return": Return(item, other, "unwanted", EVENT),
        "void": Void(item, EVENT),
        "dispense": Dispense(item, EVENT),
        "destroy": Destroy(item, "damaged", EVENT),
        "pack": Aggregate(CASE, pens(1, number % 3), EVENT),
        "unpack": Disaggregate(CASE, EVENT),
        "suspect": Doubt(item, "tampered", EVENT),
        "clear": Clear(item, EVENT),
        "recall": Recall(PRODUCT, 1, "potency", START_MS, EVENT, lot=LOT),
        "lift": Lift(PRODUCT, EVENT, lot=LOT),
    }[what]


def actors(world: Acting, what: str, number: int, other: str) -> tuple[str, str]:
    """Return who may make a move, and the other one that it names."""
    row = item_row(world.get, CASE if number == 3 else pens(1, number)[0])
    if what in ("recall", "lift") or row is None:
        return "maker", other
    if what == "receive":
        return row.to or other, row.owner
    return row.raised_by if what == "clear" and row.raised_by else row.owner, other


def three_pens() -> Acting:
    """Return a chain with a pen at the pharmacy, one on its way there, and one at the maker."""
    world = Acting(CHAIN)
    world.do("maker", Commission(PRODUCT, LOT, pens(3), EVENT))
    world.do("maker", Ship(pens(2), "pharmacy", EVENT))
    world.do("pharmacy", Receive(pens(1), "maker", EVENT))
    return world


def rows(world: Acting) -> list[ItemRow]:
    found = (item_row(world.get, item) for item in (*pens(3), CASE))
    return [row for row in found if row is not None]


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVES, min_size=10, max_size=40))
def test_an_item_has_one_owner_and_every_item_of_a_lot_is_counted_once(moves):
    world = three_pens()
    ended: set[bytes] = set()
    for what, anybody, number, named_one in moves:
        org, other = actors(world, what, number, named_one)
        org = anybody or org
        before = {row.item: row for row in rows(world)}
        stopped = recall_in_force(world.get, PRODUCT, LOT) is not None
        world.do(org, body_of(what, number, other))
        for row in rows(world):
            was = before.get(row.item)
            if was is not None and row.owner != was.owner:
                assert (was.to, what, org) == (row.owner, "receive", row.owner)
            if was is not None and was.status != row.status in (SHIPPED, DISPENSED):
                assert was.quarantine == CLEAR
                assert not (stopped and row.product)
            if row.item in ended:
                assert was is not None
                assert (row.status, row.owner, row.route) == (was.status, was.owner, was.route)
            if row.status in ("dispensed", "destroyed"):
                ended.add(row.item)
            assert row.route[-1] == row.owner
            assert (row.to is not None) == (row.status in ("shipped", "returning"))
            check_packing(world, row)
        check_counts(world)


def check_packing(world: Acting, row: ItemRow) -> None:
    """A container's contents share its owner and status; its size is what is in it."""
    inside = [item_row(world.get, item) for item in row.children]
    assert all(child is not None and child.parent == row.item for child in inside)
    assert all(
        child and (child.owner, child.status) == (row.owner, row.status) for child in inside
    )
    assert row.size == 1 + sum(child.size for child in inside if child)


def check_counts(world: Acting) -> None:
    held = dict.fromkeys(MEMBERS, 0)
    for row in rows(world):
        if row.product and row.status not in ("dispensed", "destroyed"):
            held[row.owner] += 1
    total = 0
    for org in MEMBERS:
        counted = load_from(world.get, HolderRow, holder_key(PRODUCT, LOT, org))
        if counted is not None:
            assert counted.held == held[org]
            total += counted.held + counted.dispensed + counted.destroyed
    assert total == 3


def test_one_history_makes_one_state():
    def play() -> dict[bytes, bytes]:
        world = Acting(CHAIN)
        world.do("maker", Commission(PRODUCT, LOT, pens(4), EVENT))
        world.do("maker", Aggregate(CASE, pens(3), EVENT))
        world.do("maker", Ship((CASE,), "wholesale", EVENT))
        return world.state

    assert play() == play()


# --- sets of what is open --------------------------------------------------------------------


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5))))
def test_a_set_in_state_holds_what_entered_and_did_not_leave(moves):
    view, wanted = Overlay(lambda _key: None), set()
    for enters, number in moves:
        item = bytes([number])
        (sets.enter if enters else sets.leave)(view, b"x", item)
        (wanted.add if enters else wanted.discard)(item)
        found, after = sets.members(view.get, b"x", start=0, limit=100)
        assert (sorted(found), after) == (sorted(wanted), None)
