"""Family access, local logs: what batches account for, against a naive list of intervals."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.ledger import merkle
from node.ledger.facts import audits
from node.ledger.families import access_audit
from node.ledger.families.access_audit import Audit, Cadence, Gap
from node.ledger.questions.access_audit import Gaps
from tests.support.accesses import Bench
from tests.support.story import START_MS, named

HOUR_MS = 3_600_000
EVENTS = [named(f"event-{at}") for at in range(40)]


def batch(old: int, count: int, from_ms: int, until_ms: int, **changes: object) -> Audit:
    root, path = audits.grow(EVENTS[: old + count], old)
    previous, _ = audits.grow(EVENTS[:old], 0)
    made = Audit(root, count, from_ms, until_ms, previous, path, 6 * HOUR_MS)
    return replace(made, **changes)


def test_a_chain_grows_by_proven_prefixes() -> None:
    bench = Bench()
    size = 0
    for count in (3, 0, 1, 7, 16):
        now_ms = bench.time_ms
        assert bench.do("north", batch(size, count, now_ms, now_ms)) == "applied"
        size += count
        row = audits.chain(bench.get, "north")
        assert row is not None
        assert (row.size, row.root) == (size, audits.grow(EVENTS[:size], 0)[0])


def test_the_first_batch_may_account_for_times_before_the_cadence_was_said() -> None:
    bench = Bench()
    bench.later(5 * HOUR_MS)
    assert bench.do("north", Cadence(6 * HOUR_MS)) == "applied"
    told = batch(0, 2, START_MS, bench.time_ms, cadence_ms=None)
    assert bench.do("north", told) == "applied"
    row = audits.chain(bench.get, "north")
    assert row is not None
    assert row.since_ms == START_MS


def test_a_batch_may_change_the_cadence_and_is_due_to_the_millisecond() -> None:
    bench = Bench()
    until_ms = bench.time_ms + 1000  # the block's own time has passed
    assert bench.do("north", batch(0, 1, START_MS, until_ms)) == "applied"
    told = batch(1, 1, until_ms, until_ms, cadence_ms=2 * HOUR_MS)
    assert bench.do("north", told) == "applied"
    row = audits.chain(bench.get, "north")
    assert row is not None
    assert (row.cadence_ms, row.due_ms) == (2 * HOUR_MS, bench.time_ms + 2 * HOUR_MS)
    bench.time_ms = row.due_ms
    assert not bench.ask("access.chain", org="north").late
    assert bench.ask("access.gaps", org="north").spans == ()
    bench.time_ms += 1
    assert bench.ask("access.chain", org="north").late
    (still_open,) = bench.ask("access.gaps", org="north").spans
    assert (still_open.kind, still_open.until_ms) == ("undeclared", bench.time_ms)


@pytest.mark.parametrize("flip", ["root", "previous", "path"])
def test_a_rewritten_log_cannot_go_on(flip: str) -> None:
    bench = Bench()
    assert bench.do("north", batch(0, 5, START_MS, START_MS)) == "applied"
    good = batch(5, 3, START_MS, START_MS)
    wrong = {"root": EVENTS[0], "previous": EVENTS[0], "path": good.path[:-1]}[flip]
    code = "access-audit-fork" if flip == "previous" else "access-audit-inconsistent"
    assert bench.do("north", replace(good, **{flip: wrong})) == code
    assert bench.do("north", good) == "applied"


def test_a_dropped_event_cannot_be_hidden() -> None:
    """The institution rewrites its log without its second event and tries to go on."""
    bench = Bench()
    assert bench.do("north", batch(0, 5, START_MS, START_MS)) == "applied"
    thinned = [EVENTS[0], *EVENTS[2:9]]
    leaves = [merkle.leaf_hash(item) for item in thinned]
    forged = Audit(
        merkle.root(leaves),
        3,
        START_MS,
        START_MS,
        audits.grow(EVENTS[:5], 0)[0],
        tuple(merkle.consistency_path(leaves, 5, 8)),
    )
    assert bench.do("north", forged) == "access-audit-inconsistent"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["batch", "gap"]),
        st.integers(0, 5),  # hours left out before it
        st.integers(0, 5),  # hours that it speaks about
        st.integers(0, 8),  # hours that pass before it is sent
    ),
    min_size=1,
    max_size=12,
)


@given(steps=STEPS, page=st.integers(1, 5))
def test_gaps_are_the_complement_of_what_was_accounted_for(
    steps: list[tuple[str, int, int, int]], page: int
) -> None:
    """Hour by hour: an hour is in a span exactly if no batch accounts for it."""
    bench = Bench()
    assert bench.do("north", batch(0, 0, START_MS, START_MS)) == "applied"
    end, accounted, declared = 0, set(), set()
    for kind, skip, span, wait in steps:
        first, last = end + skip, end + skip + span
        late_ms = START_MS + last * HOUR_MS - bench.time_ms
        bench.later(max(0, late_ms) + wait * HOUR_MS)
        bounds = (START_MS + first * HOUR_MS, START_MS + last * HOUR_MS)
        if kind == "gap" and span:
            assert bench.do("north", Gap(*bounds, "power")) == "applied"
            declared.update(range(first, last))
        else:
            assert bench.do("north", batch(0, 0, *bounds)) == "applied"
            accounted.update(range(first, last))
        end = last
    spans, start = [], 0
    while start is not None:
        answer = bench.ask("access.gaps", org="north", start=start, limit=page)
        assert isinstance(answer, Gaps)
        spans += answer.spans
        start = answer.next
    closed = [item for item in spans if item.before <= len(steps)]
    told: dict[str, set[int]] = {"declared": set(), "undeclared": set()}
    for item in closed:
        hours = (item.from_ms - START_MS) // HOUR_MS, (item.until_ms - START_MS) // HOUR_MS
        told[item.kind].update(range(*hours))
    assert told["declared"] == declared
    assert told["undeclared"] == set(range(end)) - accounted - declared
    row = audits.chain(bench.get, "north")
    assert row is not None
    still_open = [item for item in spans if item.before > len(steps)]
    assert bool(still_open) == (bench.time_ms > row.due_ms and bench.time_ms > row.covered_ms)


@pytest.mark.parametrize(
    ("make", "say"),
    [
        (lambda: batch(0, 1, 2, 1), "from_ms"),
        (lambda: replace(batch(0, 1, 1, 1), count=(1 << 20) + 1), "count"),
        (lambda: batch(0, 1, 1, 1, root=bytes(31)), "root is 32"),
        (lambda: batch(0, 1, 1, 1, previous=bytes(31)), "previous is 32"),
        (lambda: batch(0, 1, 1, 1, path=(bytes(32),) * 65), "path"),
        (lambda: batch(0, 1, 1, 1, cadence_ms=59_999), "cadence_ms"),
        (lambda: Cadence(31 * 24 * HOUR_MS + 1), "31 days"),
        (lambda: Gap(1, 1, "power"), "before"),
        (lambda: Gap(1, 2, "holiday"), "cause"),
    ],
)  # fmt: skip
def test_bodies_refuse_what_is_out_of_bounds(make, say: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=say):
        make()


def test_every_refusal_is_in_the_story() -> None:
    root = Path(__file__).resolve().parents[4]
    told = (root / "tests/stories/access_audit.story").read_text(encoding="utf-8")
    assert [item.code for item in access_audit.RESULTS if f"\n{item.code}\n" not in told] == []
