"""Family research: bounds, a budget that only shrinks, and who is in which version."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger.facts.deeds import deed
from node.ledger.facts.records import BatchRow, batch_key
from node.ledger.facts.research import StudyRow, study_row
from node.ledger.facts.research_bodies import (
    Join,
    Leave,
    Publish,
    RecallDataset,
    Register,
    Use,
)
from node.ledger.families import research, research_data
from node.ledger.families.identity_patient import Bind
from tests.support.acting import Acting, codes_told
from tests.support.story import START_MS, head, named, person

STORIES = Path(__file__).parents[3] / "stories"
STUDY, TERMS, DATASET, SOURCE = (named(name) for name in ("study", "terms", "set", "source"))
NAMES = ("anna", "bert", "carla")
PURPOSES = ("HRESCH",)
YEAR_MS = 365 * 86_400_000


def study(budget_micro: int = 1000, **fields: object) -> Register:
    given = {
        "study": STUDY,
        "ethics": "board",
        "approval": named("approval"),
        "terms": TERMS,
        "purposes": PURPOSES,
        "until_ms": START_MS + YEAR_MS,
        "budget_micro": budget_micro,
    }
    return Register(**(given | fields))


def made_world() -> Acting:
    """Return a study with a source batch and three patients who might join."""
    world = Acting("university:research board:ethics hospital:author")
    for name in NAMES:
        seal = person(f"{name}/seal").public_key
        bound = Bind(named(name), person(name).public_key, seal, 2)
        assert world.do("hospital", bound, by=(person(name),)) == "applied"
    batch = BatchRow("hospital", named("tx"), 0, START_MS, 100)
    world.state[batch_key(SOURCE)] = wire.encode(batch)
    board = person("board/identity")
    assert world.do("university", study(), by=(board,)) == "applied"
    return world


def join(world: Acting, name: str) -> str:
    body = Join(STUDY, named(name), TERMS)
    return world.do("hospital", body, by=(person(name),))


def leave(world: Acting, name: str) -> str:
    return world.do("hospital", Leave(STUDY, named(name)), by=(person(name),))


def version(number: int, changes: str, **fields: object) -> Publish:
    """Return a version over a membership written as ``anna+bert+anna-``."""
    inside = set()
    for part in changes.replace("+", "+ ").replace("-", "- ").split():
        (inside.add if part[-1] == "+" else inside.discard)(part[:-1])
    given = {
        "study": STUDY,
        "dataset": DATASET,
        "version": number,
        "manifest": named("manifest"),
        "method": "aggregate",
        "k": 0,
        "epsilon_micro": 0,
        "sources": (SOURCE,),
        "upto": changes.count("+") + changes.count("-"),
        "members": len(inside),
        "head": bytes.fromhex(head(changes)),
    }
    return Publish(**(given | fields))


def row(world: Acting) -> StudyRow:
    found = study_row(world.get, STUDY)
    assert found is not None
    return found


def test_a_patient_joins_a_study_sixteen_times_at_most():
    world = made_world()
    for _ in range(16):
        assert join(world, "anna") == "applied"
        assert leave(world, "anna") == "applied"
    assert join(world, "anna") == "research-joins-full"


def test_every_refusal_of_the_family_is_met_in_a_story_or_here():
    told = codes_told((STORIES / "research.story").read_text(encoding="utf-8"))
    told.add("research-joins-full")
    results = (*research.RESULTS, *research_data.RESULTS)
    assert {result.code for result in results} - told == set()


def test_only_the_first_join_of_a_study_counts_as_a_deed():
    world = made_world()
    deeds = []
    for _ in range(2):
        signed = world.signed(
            "hospital", Join(STUDY, named("anna"), TERMS), by=(person("anna"),)
        )
        assert world.block([signed]) == ["applied"]
        deeds.append(deed(world.get, "research.join", signed.txid))
        leave(world, "anna")
    assert deeds[0] is not None
    assert (deeds[0].about, deeds[0].slots) == (STUDY, 1)
    assert deeds[1] is None


def test_a_use_is_a_deed_with_a_slot_for_everybody_in_the_version():
    world = made_world()
    join(world, "anna")
    join(world, "bert")
    assert world.do("university", version(1, "anna+bert+")) == "applied"
    used = Use(DATASET, 1, "HRESCH", named("q"), named("r"), 1)
    signed = world.signed("university", used, used)
    assert world.block([signed]) == ["applied"]
    found = deed(world.get, "research.use", signed.txid)
    assert found is not None
    assert found.slots == 4


def test_one_history_makes_one_state():
    def history() -> dict[bytes, bytes]:
        world = made_world()
        join(world, "anna")
        leave(world, "anna")
        assert world.do("university", version(1, "anna+anna-")) == "applied"
        used = Use(DATASET, 1, "HRESCH", named("q"), named("r"), 1)
        assert world.do("university", used) == "applied"
        return world.state

    assert history() == history()


def test_publishing_costs_of_the_same_budget_as_using():
    world = made_world()
    over = version(1, "", method="differential-privacy", epsilon_micro=1001)
    assert world.do("university", over) == "research-budget-spent"
    exact = version(1, "", method="differential-privacy", epsilon_micro=1000)
    assert world.do("university", exact) == "applied"
    used = Use(DATASET, 1, "HRESCH", named("q"), named("r"), 1)
    assert world.do("university", used) == "research-budget-spent"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=12))
def test_what_was_spent_grows_by_what_is_spent_and_stays_within_the_budget(costs):
    world = made_world()
    assert world.do("university", version(1, "")) == "applied"
    number = 1
    for cost, publishes in costs:
        before = row(world).spent_micro
        if publishes:
            body = version(number + 1, "", epsilon_micro=cost)
        else:
            body = Use(DATASET, number, "HRESCH", named("q"), named("r"), cost)
        code = world.do("university", body)
        fits = before + cost <= 1000
        assert code == ("applied" if fits else "research-budget-spent")
        number += publishes and fits
        assert row(world).spent_micro == before + (cost if fits else 0) <= 1000


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("join"), st.sampled_from(NAMES)),
        st.tuples(st.just("leave"), st.sampled_from(NAMES)),
        st.tuples(st.just("publish"), st.integers(0, 3)),
    ),
    max_size=24,
)


@settings(max_examples=30, deadline=None)
@given(MOVES)
def test_a_version_includes_those_who_were_in_and_nobody_who_had_left(moves):
    world, changes, inside, number = made_world(), [], set(), 0
    wanted: dict[str, set[int]] = {name: set() for name in NAMES}
    for what, which in moves:
        if what == "join" and join(world, which) == "applied":
            changes.append(f"{which}+")
            inside.add(which)
        elif what == "leave" and leave(world, which) == "applied":
            changes.append(f"{which}-")
            inside.discard(which)
        elif what == "publish":
            # as if the last ``which`` changes had not been heard of
            seen = changes[: len(changes) - which] if which else changes
            code = world.do("university", version(number + 1, "".join(seen)))
            missed = changes[len(seen) :]
            assert (code == "applied") == (not any(item[-1] == "-" for item in missed))
            if code == "applied":
                number += 1
                for name in inside - {item[:-1] for item in missed}:
                    wanted[name].add(number)
    for name in NAMES:
        answer = world.say("research.included", subject=named(name), study=STUDY)
        assert {item.version for item in answer.versions} == wanted[name]


BAD_BODIES = (
    ("purposes must be", lambda: study(purposes=("HRESCH", "TREAT"))),
    ("purposes are unique", lambda: study(purposes=("PUBHLTH", "HRESCH"))),
    ("hold HRESCH", lambda: study(purposes=("PUBHLTH",))),
    ("budget_micro must be", lambda: study(0)),
    ("budget_micro must be", lambda: study(10**9 + 1)),
    ("ethics must match", lambda: study(ethics="The Board")),
    ("study is 32 bytes", lambda: Join(b"", named("anna"), TERMS)),
    ("subject is 32 bytes", lambda: Leave(STUDY, b"patient 4711")),
    ("method must be", lambda: version(1, "", method="trust us")),
    ("k-anonymity has k", lambda: version(1, "", method="k-anonymity", k=1)),
    ("an epsilon above 0", lambda: version(1, "", method="differential-privacy")),
    ("k is at most", lambda: version(1, "", k=(1 << 20) + 1)),
    ("sources are 1 to 64", lambda: version(1, "", sources=())),
    ("sources are 32 bytes", lambda: version(1, "", sources=(b"x",))),
    ("sources are named once", lambda: version(1, "", sources=(SOURCE, SOURCE))),
    ("purpose must be", lambda: Use(DATASET, 1, "fun", named("q"), named("r"), 0)),
    ("query is 32 bytes", lambda: Use(DATASET, 1, "HRESCH", b"all", named("r"), 0)),
    ("epsilon_micro is", lambda: Use(DATASET, 1, "HRESCH", named("q"), named("r"), 1 << 60)),
    ("reason must be", lambda: RecallDataset(DATASET, 1, "she asked")),
)


@pytest.mark.parametrize(("say", "make"), BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_what_is_out_of_bounds_is_no_body(say, make):
    with pytest.raises(ValueError, match=say):
        make()
