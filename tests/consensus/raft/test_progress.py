"""What a leader believes of a peer: windows, stale answers, and match that never falls."""

from hypothesis import given
from hypothesis import strategies as st

from consensus.raft.progress import Inflights, Progress, ProgressState


def progress(match: int = 0, next_index: int = 1, **options: int) -> Progress:
    limits = {"messages_max": 2, "bytes_max": 100} | options
    return Progress(match, next_index, Inflights(**limits))


def test_a_probe_pauses_after_one_append() -> None:
    peer = progress(next_index=5)
    peer.sent(last_index=6, size_bytes=10, commit=0)
    assert (peer.next, peer.paused) == (5, True)


def test_replication_runs_ahead_until_the_window_is_full_of_messages() -> None:
    peer = progress()
    peer.become_replicate()
    peer.sent(last_index=1, size_bytes=1, commit=0)
    peer.sent(last_index=2, size_bytes=1, commit=0)
    assert peer.inflights.full
    assert peer.next == 3
    peer.acknowledged(1)
    peer.inflights.free_to(1)
    assert not peer.inflights.full


def test_replication_runs_ahead_until_the_window_is_full_of_bytes() -> None:
    peer = progress(messages_max=50)
    peer.become_replicate()
    peer.sent(last_index=1, size_bytes=100, commit=0)
    assert peer.inflights.full
    peer.inflights.free_to(1)
    assert (peer.inflights.bytes_held, peer.inflights.full) == (0, False)


def test_with_a_full_window_one_empty_append_leaves_and_then_none() -> None:
    peer = progress(messages_max=1)
    peer.become_replicate()
    peer.sent(last_index=1, size_bytes=9, commit=0)
    assert not peer.paused
    peer.sent(last_index=1, size_bytes=0, commit=1)
    assert peer.paused


def test_a_stale_refusal_changes_nothing_while_replicating() -> None:
    peer = progress(match=5, next_index=6)
    peer.become_replicate()
    peer.sent(last_index=8, size_bytes=1, commit=0)
    assert not peer.refused(5, 2)
    assert not peer.refused(3, 0)
    assert (peer.match, peer.next, peer.state) == (5, 9, ProgressState.REPLICATE)
    assert peer.refused(8, 2)
    assert (peer.match, peer.next, peer.state) == (5, 6, ProgressState.PROBE)


def test_a_refusal_of_another_probe_changes_nothing() -> None:
    peer = progress(match=1, next_index=9)
    assert not peer.refused(7, 3)
    assert peer.refused(8, 3)
    assert peer.next == 4


answers = st.tuples(st.booleans(), st.integers(0, 12), st.integers(0, 12), st.booleans())


@given(st.lists(answers, max_size=40))
def test_match_never_falls_and_stays_below_next(
    steps: list[tuple[bool, int, int, bool]],
) -> None:
    peer = progress(next_index=10)
    for success, index, hint, send in steps:
        before = peer.match
        if success:
            peer.acknowledged(index)
            if peer.state is ProgressState.PROBE:
                peer.become_replicate()
        else:
            peer.refused(index, hint)
        if send and peer.state is not ProgressState.SNAPSHOT and not peer.inflights.full:
            peer.sent(last_index=peer.next, size_bytes=1, commit=0)
        if index == 11:
            peer.become_snapshot(max(hint, peer.match), 0)
        assert peer.match >= before
        peer.check_invariants()
