"""The log against a plain list, and the search for the last common point by example."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.raft.blocks import BlockLog
from consensus.raft.log import Base, Entry, Restore
from consensus.raft.membership import Members
from tests.consensus.raft.harness import NETWORK, block

GENESIS = Base(0, 0, 0, NETWORK)


def entries(terms: list[int], *, blocks: bool = True) -> list[Entry]:
    made: list[Entry] = []
    height, parent = 0, NETWORK
    for index, term in enumerate(terms, start=1):
        proposal = None
        if blocks and index > 1 and terms[index - 2] == term:  # a term opens empty
            height += 1
            proposal = block(height, parent, flavour=str(term))
            parent = proposal.digest
        made.append(Entry(term, index, proposal))
    return made


def log_of(*terms: int) -> BlockLog:
    return BlockLog(GENESIS, entries(list(terms)))


@pytest.mark.parametrize(
    ("terms", "index", "term", "found"),
    [
        ([1, 1, 2, 2, 5], 5, 5, (5, 5)),
        ([1, 1, 2, 2, 5], 5, 4, (4, 2)),
        ([1, 1, 2, 2, 5], 3, 4, (3, 2)),
        ([1, 1, 2, 2, 5], 5, 1, (2, 1)),
        ([3, 3, 3], 3, 2, (0, 0)),
        ([1, 1], 9, 1, (9, 0)),  # nothing is known there
        ([], 0, 0, (0, 0)),
    ],
)
def test_the_last_possible_agreement_is_found_by_term(
    terms: list[int], index: int, term: int, found: tuple[int, int]
) -> None:
    assert log_of(*terms).find_conflict_by_term(index, term) == found


def test_below_a_compacted_base_agreement_cannot_be_found() -> None:
    log = log_of(2, 2, 2, 3, 3)
    log.compact(3)
    assert log.find_conflict_by_term(5, 1) == (2, 0)  # below the base: a snapshot must follow
    assert log.find_conflict_by_term(5, 2) == (3, 2)
    assert log.term_at(2) is None


@pytest.mark.parametrize(
    ("last_index", "last_term", "verdict"),
    [(3, 2, True), (4, 2, True), (1, 3, True), (2, 2, False), (9, 1, False)],
)
def test_up_to_date_compares_terms_first_and_then_lengths(
    last_index: int, last_term: int, verdict: bool
) -> None:
    log = log_of(1, 2, 2)
    assert log.is_up_to_date(last_index=last_index, last_term=last_term) is verdict


def test_a_slice_respects_both_limits_but_always_makes_progress() -> None:
    log = log_of(1, 1, 1, 1)
    one = log.entry(2).size_bytes
    assert [e.index for e in log.slice(2, entries_max=2, bytes_max=1 << 20)] == [2, 3]
    assert [e.index for e in log.slice(2, entries_max=9, bytes_max=2 * one)] == [2, 3]
    assert [e.index for e in log.slice(2, entries_max=9, bytes_max=1)] == [2]
    assert log.slice(5, entries_max=9, bytes_max=1) == ()


def test_entries_that_do_not_continue_the_log_are_our_bug() -> None:
    log = log_of(2, 2)
    with pytest.raises(AssertionError, match="no place for entry 4"):
        log.append([Entry(2, 4, None)])
    with pytest.raises(AssertionError, match="terms never decrease"):
        log.append([Entry(1, 3, None)])
    with pytest.raises(AssertionError, match="heights are consecutive"):
        log.append([Entry(2, 3, block(7, NETWORK))])
    with pytest.raises(AssertionError, match="blocks chain"):
        log.append([Entry(2, 3, block(2, NETWORK))])


term_lists = st.lists(st.integers(1, 4), max_size=12).map(sorted)
changes = st.lists(
    st.tuples(st.sampled_from(["append", "replace", "compact"]), st.integers(0, 14)),
    max_size=12,
)


@given(terms=term_lists, moves=changes)
def test_the_log_behaves_like_a_list(terms: list[int], moves: list[tuple[str, int]]) -> None:
    pool = entries(terms)
    log, model, base = BlockLog(GENESIS, pool), list(pool), 0
    for move, at in moves:
        if move == "append":
            entry = Entry(max(log.last_term, 1), log.last + 1, None)
            log.append([entry])
            model.append(entry)
        elif move == "replace" and base < at <= len(model):
            entry = Entry(max(log.last_term, 1), at, None)
            log.append([entry])
            model[at - 1 :] = [entry]
        elif move == "compact" and base < at <= len(model):
            log.compact(at)
            base = at
        log.check_invariants()
        assert (log.base.index, log.last, log.entries) == (
            base,
            len(model),
            tuple(model[base:]),
        )
        assert log.size_bytes == sum(entry.size_bytes for entry in model[base:])
        for index in range(base + 1, len(model) + 1):
            assert log.term_at(index) == model[index - 1].term
            blocks = [e.proposal for e in model[:index] if e.proposal is not None]
            tip = log.tip_at(index)
            assert tip.height == len(blocks)
            assert tip.digest == (blocks[-1].digest if blocks else NETWORK)
        if base:
            assert log.base.term == model[base - 1].term


@given(terms=term_lists, index=st.integers(0, 14), term=st.integers(0, 5))
def test_find_conflict_agrees_with_a_search_from_the_right(
    terms: list[int], index: int, term: int
) -> None:
    expected = index
    while len(terms) >= expected > 0 and terms[expected - 1] > term:
        expected -= 1
    found, its_term = BlockLog(GENESIS, entries(terms)).find_conflict_by_term(index, term)
    assert found == expected
    assert its_term == (terms[found - 1] if 0 < found <= len(terms) else 0)


@given(terms=term_lists, height=st.integers(0, 14))
def test_the_last_index_of_a_height_is_the_last_one_whose_tip_is_not_higher(
    terms: list[int], height: int
) -> None:
    log = BlockLog(GENESIS, entries(terms))
    indexes = [i for i in range(log.last + 1) if log.tip_at(i).height <= height]
    assert log.last_index_of_height(height) == max(indexes)


def test_what_is_handed_out_for_writing_is_handed_out_once() -> None:
    log = log_of(1)
    log.append([Entry(1, 2, None), Entry(1, 3, None)])
    assert [entry.index for entry in log.unwritten()] == [2, 3]
    log.note_in_progress()
    log.append([Entry(1, 4, None)])
    assert [entry.index for entry in log.unwritten()] == [4]
    assert log.has_unstable


def test_a_report_about_an_overwritten_entry_makes_nothing_durable() -> None:
    log = log_of(1)
    log.append([Entry(1, 2, None), Entry(1, 3, None)])
    log.note_in_progress()
    log.append([Entry(2, 2, None)])
    log.stable_to(3, 1)
    assert log.unstable_from == 2
    log.stable_to(2, 1)
    assert log.unstable_from == 2
    log.note_in_progress()
    log.stable_to(2, 2)
    assert (log.unstable_from, log.in_progress_to) == (3, 3)


def test_a_restored_log_starts_at_the_snapshot_until_that_is_written() -> None:
    log = log_of(1, 1, 1)
    base = Base(9, 2, 4, bytes(32))
    log.restore(Restore(base, Members()))
    assert (log.first, log.last, log.last_term, log.size_bytes) == (10, 9, 2, 0)
    assert log.unwritten_restore() is not None
    log.note_in_progress()
    assert log.unwritten_restore() is None
    log.stable_restore_to(8)
    assert log.restoring is not None
    log.stable_restore_to(9)
    assert log.restoring is None
