"""Plans of rehearsals: the same everywhere, and with every kind in them."""

import pytest

from node.chaos.faults import FAULTS
from node.chaos.judge import history
from node.chaos.linear import READ, Operation, cas, write
from node.chaos.meeting import MEETINGS
from node.chaos.plan import NAMES, draw
from node.chaos.runner import Rehearsal


def test_a_seed_gives_the_same_rounds_again() -> None:
    assert draw(7, 50) == draw(7, 50)
    assert draw(7, 50) != draw(8, 50)


@pytest.mark.parametrize("seed", range(20))
def test_every_kind_comes_once_before_any_comes_twice(seed: int) -> None:
    first = [item.kind for item in draw(seed, 100)][: len(NAMES)]
    assert sorted(first) == sorted(NAMES)


def test_every_kind_that_can_be_drawn_can_be_done() -> None:
    assert set(NAMES) == set(FAULTS) | set(MEETINGS)


def test_a_fault_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="no such fault: meteor"):
        Rehearsal(1, 1, "pbft", 4, kinds=("kill", "meteor"))


def op(call: int, end: int | None, asked: tuple[object, ...], output: object) -> Operation:
    return Operation(0, 0, call, end, asked, output)


SEEN = [
    op(0, 1, write("a"), None),
    op(2, 3, cas("a", "b"), True),
    op(4, 5, READ, "b"),
]


def test_a_history_in_order_passes() -> None:
    verdict = history(0, SEEN)
    assert verdict.held
    assert verdict.looked_at == "chapter 0: 3 operations, 1 reads, 0 unknown"


def test_an_answer_that_was_old_already_is_a_verdict_against_the_network() -> None:
    verdict = history(3, [*SEEN, op(6, 7, READ, "a")])
    assert not verdict.held
    assert "not linearizable" in verdict.detail


@pytest.mark.parametrize("kept", [[], SEEN[:2], SEEN[2:]])
def test_a_history_without_reads_or_without_changes_shows_nothing(kept) -> None:
    assert not history(0, kept).held
