"""What a leader believes of a peer: windows, stale answers, and match that never falls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.raft.progress import Inflights, Progress, ProgressState


def progress(match: int = 0, next_index: int = 1, **options: int) -> Progress:
    limits = {"messages_max": 2, "bytes_max": 100} | options
    return Progress(next_index, Inflights(**limits), match=match)


def test_a_probe_pauses_after_one_append() -> None:
    peer = progress(next_index=5)
    peer.sent_entries(2, 10)
    assert (peer.next, peer.is_paused) == (5, True)


def test_replication_runs_ahead_until_the_window_is_full_of_messages() -> None:
    peer = progress()
    peer.become_replicate()
    peer.sent_entries(1, 1)
    peer.sent_entries(1, 1)
    assert peer.inflights.is_full
    assert peer.next == 3
    peer.maybe_update(1)
    peer.inflights.free_to(1)
    assert not peer.inflights.is_full


def test_replication_runs_ahead_until_the_window_is_full_of_bytes() -> None:
    peer = progress(messages_max=50)
    peer.become_replicate()
    peer.sent_entries(1, 100)
    assert peer.inflights.is_full
    peer.inflights.free_to(1)
    assert (peer.inflights.bytes_total, peer.inflights.is_full) == (0, False)


def test_with_a_full_window_nothing_leaves_until_a_sign_of_life_and_then_one_empty_append() -> (
    None
):
    peer = progress(messages_max=1)
    peer.become_replicate()
    peer.sent_entries(1, 9)
    assert peer.is_paused
    peer.flow_paused = False  # a heartbeat answer
    peer.sent_entries(0, 0)
    assert peer.is_paused


def test_a_window_is_not_filled_beyond_its_end() -> None:
    window = Inflights(1)
    window.add(3, 10)
    with pytest.raises(ValueError, match="full"):
        window.add(4, 1)
    window = Inflights(2)
    window.add(3, 10)
    with pytest.raises(ValueError, match="append to 2 after 3"):
        window.add(2, 1)


def test_a_stale_refusal_changes_nothing_while_replicating() -> None:
    peer = progress(match=5, next_index=6)
    peer.become_replicate()
    peer.sent_entries(3, 1)
    assert not peer.maybe_decrement(5, 2)
    assert not peer.maybe_decrement(3, 0)
    assert (peer.match, peer.next, peer.state) == (5, 9, ProgressState.REPLICATE)
    assert peer.maybe_decrement(8, 2)
    assert (peer.match, peer.next) == (5, 6)


def test_a_refusal_of_another_probe_changes_nothing() -> None:
    peer = progress(match=1, next_index=9)
    assert not peer.maybe_decrement(7, 3)
    assert peer.maybe_decrement(8, 3)
    assert peer.next == 4


def test_a_commit_index_is_told_once_and_only_when_it_can_move_something() -> None:
    peer = progress(match=4, next_index=6)
    assert peer.can_bump_commit(4)
    peer.note_commit(4)
    assert not peer.can_bump_commit(4)
    assert peer.can_bump_commit(9)
    peer.note_commit(9)
    assert not peer.can_bump_commit(10)  # covers all that was sent


def test_a_snapshot_that_failed_is_not_probed_from() -> None:
    peer = progress(match=2, next_index=3)
    peer.become_snapshot(40)
    assert (peer.next, peer.is_paused) == (41, True)
    peer.become_probe()
    assert peer.next == 41
    peer.become_snapshot(50)
    peer.pending_snapshot = 0
    peer.become_probe()
    assert (peer.next, peer.sent_commit) == (3, 2)


answers = st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 12), st.booleans())


@given(st.lists(answers, max_size=40))
def test_match_never_falls_and_stays_below_next(
    steps: list[tuple[bool, int, int, bool]],
) -> None:
    peer = progress(next_index=10)
    for success, index, hint, send in steps:
        before = peer.match
        if success:
            peer.maybe_update(index)
            if peer.state is ProgressState.PROBE:
                peer.become_replicate()
        elif peer.maybe_decrement(index, hint) and peer.state is ProgressState.REPLICATE:
            peer.become_probe()
        if send and peer.state is not ProgressState.SNAPSHOT and not peer.inflights.is_full:
            peer.sent_entries(1, 1)
        if index == 11:
            peer.become_snapshot(max(hint, peer.match))
        assert peer.match >= before
        peer.check_invariants()
