"""Flow control to one follower: the window against a list, and which refusals are fresh."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consensus.raft.progress import Inflights, Progress, ProgressState

PROBE, REPLICATE, SNAPSHOT = ProgressState


def progress(state: ProgressState = PROBE, *, match: int = 3, end: int = 4) -> Progress:
    made = Progress(next=end, match=match, inflights=Inflights(2, 100))
    if state is REPLICATE:
        made.become_replicate()
        made.next = end
    elif state is SNAPSHOT:
        made.become_snapshot(end - 1)
    return made


class Window(RuleBasedStateMachine):
    """The window of appends in flight behaves like a list that is cut from the front."""

    def __init__(self) -> None:
        super().__init__()
        self.window = Inflights(4, 50)
        self.model: list[tuple[int, int]] = []
        self.index = 0

    @property
    def model_bytes(self) -> int:
        return sum(size for _, size in self.model)

    @precondition(lambda self: not self.window.is_full)
    @rule(ahead=st.integers(0, 3), size=st.integers(0, 60))
    def add(self, ahead: int, size: int) -> None:
        self.index += ahead
        self.window.add(self.index, size)
        self.model.append((self.index, size))

    @rule(behind=st.integers(-1, 6))
    def free(self, behind: int) -> None:
        self.window.free_to(self.index - behind)
        self.model = [sent for sent in self.model if sent[0] > self.index - behind]

    @rule()
    def clear(self) -> None:
        self.window.clear()
        self.model = []

    @invariant()
    def they_agree(self) -> None:
        assert len(self.window) == len(self.model)
        assert self.window.bytes_total == self.model_bytes
        assert self.window.is_full == (len(self.model) >= 4 or self.model_bytes >= 50)


TestWindow = Window.TestCase


def test_a_window_holds_something():
    with pytest.raises(ValueError, match="at least one"):
        Inflights(0)
    unlimited = Inflights(2)
    unlimited.add(5, 1_000_000_000)
    assert not unlimited.is_full


def test_an_acknowledgement_moves_match_and_frees_the_flow():
    probing = progress(PROBE)
    probing.sent_entries(1, 1)
    assert not probing.maybe_update(3)
    assert probing.is_paused  # nothing new, nothing freed
    assert probing.maybe_update(9)
    assert (probing.match, probing.next, probing.is_paused) == (9, 10, False)
    stream = progress(REPLICATE, match=3, end=20)
    assert stream.maybe_update(7)
    assert (stream.match, stream.next) == (7, 20)


@pytest.mark.parametrize(
    ("state", "end", "rejected", "hint", "fresh", "then"),
    [
        (REPLICATE, 10, 3, 3, False, 10),  # at or below match: old news
        (REPLICATE, 10, 4, 0, True, 4),
        (REPLICATE, 10, 9, 8, True, 4),  # the hint does not matter here
        (PROBE, 10, 8, 5, False, 10),  # not the append that is out
        (PROBE, 10, 10, 5, False, 10),
        (PROBE, 10, 9, 5, True, 6),
        (PROBE, 10, 9, 20, True, 9),  # a hint above brings nothing
        (PROBE, 10, 9, 0, True, 4),  # never below what is known
        (SNAPSHOT, 10, 9, 5, True, 6),
    ],
)
def test_a_refusal_counts_only_when_it_is_fresh(state, end, rejected, hint, fresh, then):
    refused = progress(state, match=3, end=end)
    refused.sent_commit = 9
    refused.flow_paused = True
    assert refused.maybe_decrement(rejected, hint) is fresh
    assert refused.next == then
    assert refused.sent_commit == (min(9, then - 1) if fresh else 9)
    assert refused.flow_paused is (not fresh or state is REPLICATE)


def test_a_commit_index_may_be_told_again_once_more_was_sent():
    stream = progress(REPLICATE, match=3, end=6)
    stream.note_commit(9)  # more than it has: covers all that was sent
    assert not stream.can_bump_commit(10)
    stream.sent_entries(5, 1)
    assert stream.can_bump_commit(10)


def test_a_snapshot_brings_the_follower_to_its_index():
    behind = progress(REPLICATE, match=3, end=6)
    behind.sent_entries(1, 1)
    behind.become_snapshot(20)
    assert (behind.match, behind.next, behind.sent_commit) == (3, 21, 20)
    assert len(behind.inflights) == 0
    with pytest.raises(AssertionError, match="snapshot"):
        behind.sent_entries(1, 1)
    behind.maybe_update(20)
    behind.become_replicate()
    assert (behind.next, behind.pending_snapshot) == (21, 0)


def test_a_stream_that_broke_is_probed_from_what_is_known():
    stream = progress(REPLICATE, match=3)
    stream.sent_entries(4, 10)
    stream.note_commit(7)
    stream.become_probe()
    assert (stream.next, stream.sent_commit, len(stream.inflights)) == (4, 3, 0)


@pytest.mark.parametrize(
    "broken",
    [
        Progress(next=3, match=3, inflights=Inflights(1)),
        Progress(next=4, inflights=Inflights(1), pending_snapshot=2),
        Progress(next=4, inflights=Inflights(1), sent_commit=-1),
    ],
)
def test_broken_invariants_are_noticed(broken):
    with pytest.raises(AssertionError):
        broken.check_invariants()
