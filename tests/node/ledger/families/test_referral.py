"""Referrals: counts and lists agree whatever is tried, reports in batches, bounds of bodies."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consensus import wire
from node.ledger import merkle, registry
from node.ledger.facts.custody import ItemProof
from node.ledger.families import referral
from node.ledger.families.record import Anchor, Batch
from node.ledger.families.referral import Accept, Cancel, Complete, Decline, Open
from node.ledger.transaction import Op
from tests.support.story import Rules, founded, named

DAY_MS = 86_400_000
REPORT = named("report")


def world() -> Rules:
    made = Rules()
    made.found(founded(["gp:author", "ward:author"]))
    return made


def act(rules: Rules, org: str, body: object) -> str:
    (kind,) = [item.kind for item in registry.OPERATIONS.values() if item.body is type(body)]
    return rules.act(org, Op(kind, wire.to_value(body)), [])


def opened(rules: Rules, name: str, *, days: int = 7) -> bytes:
    deadline = rules.time_ms + 1000 + days * DAY_MS
    act(rules, "gp", Open(named(name), "ward", named("request"), deadline))
    return named(name)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "accept", "decline", "complete", "cancel", "later"]),
        st.integers(0, 3),
        st.sampled_from(["gp", "ward"]),
    ),
    max_size=40,
)


@given(_STEPS)
@settings(max_examples=40, deadline=None)
def test_counts_lists_and_rows_tell_the_same(steps: list[tuple[str, int, str]]) -> None:
    rules, tried = world(), 0
    for what, number, org in steps:
        handle = named(f"referral-{number}")
        if what == "later":
            rules.later(3 * DAY_MS)
            continue
        if what == "open":
            opened(rules, f"referral-{number}")
            continue
        tried += 1
        report = named(f"report-{tried}")
        act(rules, org, Anchor(report, bytes(16), 2))
        body: object = {
            "accept": Accept(handle),
            "decline": Decline(handle, "capacity"),
            "complete": Complete(handle, report),
            "cancel": Cancel(handle, "duplicate"),
        }[what]
        act(rules, org, body)
    for side, org in (("sent", "gp"), ("received", "ward")):
        everything = {"org": org, "side": side, "which": "all"}
        rows = rules.ask("referral.worklist", everything)["referrals"]
        pending = [row for row in rows if row["status"] in ("open", "accepted")]
        listed = rules.ask("referral.worklist", {"org": org, "side": side})
        assert listed["open"] == len(pending)
        assert sorted(row["referral"] for row in listed["referrals"]) == sorted(
            row["referral"] for row in pending
        )
        counts = rules.ask("referral.closure", {"org": org})[side]
        ends = ("declined", "completed", "cancelled")
        assert counts["opened"] == len(rows)
        for end in ends:
            assert counts[end] == sum(row["status"] == end for row in rows)
        assert counts["overdue"] == sum(row["overdue_ms"] is not None for row in rows)
        late = [
            row for row in rows if (row["closed_ms"] or rules.time_ms) >= row["deadline_ms"]
        ]
        assert counts["overdue"] == len(late)


def test_a_report_may_be_an_item_of_a_batch() -> None:
    rules = world()
    leaves = [merkle.leaf_hash(item) for item in (REPORT, named("other"))]
    root = merkle.root(leaves)
    handle = opened(rules, "referral")
    assert act(rules, "ward", Batch(root, 2, b"")) == "applied"
    path = tuple(merkle.inclusion_path(leaves, 0))
    wrong = Complete(handle, REPORT, ItemProof(root, 1, path))
    assert act(rules, "ward", wrong) == "record-proof-invalid"
    right = Complete(handle, REPORT, ItemProof(root, 0, path))
    assert act(rules, "ward", right) == "applied"
    row = rules.ask("referral.story", {"referral": handle.hex()})["referral"]
    assert (row["record"], row["root"]) == (REPORT.hex(), root.hex())


def test_closing_in_the_block_of_the_deadline_is_late() -> None:
    rules = world()
    handle = opened(rules, "referral")
    rules.time_ms += 7 * DAY_MS - 1000
    assert act(rules, "ward", Decline(handle, "capacity")) == "applied"
    story = rules.ask("referral.story", {"referral": handle.hex()})
    assert [event["what"] for event in story["events"]] == ["open", "overdue", "declined"]
    assert story["overdue"]


def test_what_is_overdue_shows_before_a_block_says_so() -> None:
    rules = world()
    opened(rules, "referral")
    rules.time_ms += 8 * DAY_MS  # time passes and nobody makes a block
    overdue = rules.ask("referral.worklist", {"org": "ward", "which": "overdue"})
    assert [row["overdue_ms"] for row in overdue["referrals"]] == [None]


ONE = bytes(32)
REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: Open(bytes(31), "ward", ONE, 0), "referral"),
    (lambda: Open(ONE, "ward", bytes(31), 0), "request"),
    (lambda: Open(ONE, "ward", ONE, 0, "yesterday"), "priority"),
    (lambda: Accept(bytes(31)), "referral"),
    (lambda: Decline(ONE, "because"), "reason"),
    (lambda: Cancel(ONE, "because"), "reason"),
    (lambda: Complete(ONE, bytes(31)), "record"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_bodies_refuse_what_their_format_does_not_allow(case: int) -> None:
    make, word = REFUSED[case]
    with pytest.raises(ValueError, match=word):
        make()


def test_the_story_tells_of_every_refusal() -> None:
    story = Path(__file__).resolve().parents[3] / "stories" / "referral.story"
    text = story.read_text(encoding="utf-8")
    assert [item.code for item in referral.RESULTS if f"\n{item.code}\n" not in text] == []
