"""What a leader knows about one follower's log, and when it may send to it.

Owns the indexes match and next, the three states of replication, and the window of appends
in flight.  Decides nothing about terms or commits.  A follower that answers nothing costs at
most one append per heartbeat, and never more memory than the window.

Invariant: 0 <= match < next.  ``match`` is a fact the follower acknowledged and only grows
within a leader's term; ``next`` is a guess that may be taken back.

Source: Ongaro's thesis, sections 3.5 and 10.2; flow control as etcd's Raft does it.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum


class Inflights:
    """Appends sent and not yet acknowledged: (last index, payload bytes), oldest first.

    ``messages_max`` limits their number; ``bytes_max`` their sum of bytes, 0 for no limit.
    The append that crosses the byte limit is still admitted, so that one large entry can
    always be sent.
    """

    def __init__(self, messages_max: int, bytes_max: int = 0) -> None:
        if messages_max < 1 or bytes_max < 0:
            raise ValueError("a window holds at least one message and no negative bytes")
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self._sent: deque[tuple[int, int]] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sent)

    @property
    def bytes_total(self) -> int:
        return self._bytes

    @property
    def is_full(self) -> bool:
        return len(self._sent) >= self.messages_max or (
            self.bytes_max > 0 and self._bytes >= self.bytes_max
        )

    def add(self, index: int, payload_bytes: int) -> None:
        """Note an append whose last entry is ``index``; indexes never go back."""
        if self.is_full:
            raise ValueError("the window is full")
        if self._sent and index < self._sent[-1][0]:
            raise ValueError(f"append to {index} after {self._sent[-1][0]}")
        self._sent.append((index, payload_bytes))
        self._bytes += payload_bytes

    def free_to(self, index: int) -> None:
        """Forget every append whose last entry is at or below ``index``."""
        while self._sent and self._sent[0][0] <= index:
            self._bytes -= self._sent.popleft()[1]

    def clear(self) -> None:
        self._sent.clear()
        self._bytes = 0


class ProgressState(Enum):
    PROBE = "probe"  # the follower's end is a guess: one append per heartbeat
    REPLICATE = "replicate"  # the guess held: appends stream ahead of their answers
    SNAPSHOT = "snapshot"  # the log no longer reaches back far enough: appends wait


@dataclass(slots=True)
class Progress:
    """One follower as its leader sees it.

    ``flow_paused`` stops appends until the follower is heard from: any heartbeat answer
    clears it.  ``sent_commit`` is the highest commit index told to the follower.
    ``recent_active`` is set by any message from it and cleared by the quorum check.
    ``pending_snapshot`` is the index of the snapshot on its way, 0 outside SNAPSHOT.
    """

    next: int
    inflights: Inflights
    match: int = 0
    state: ProgressState = ProgressState.PROBE
    pending_snapshot: int = 0
    recent_active: bool = False
    flow_paused: bool = False
    sent_commit: int = 0
    is_learner: bool = False

    def check_invariants(self) -> None:
        """Raise AssertionError when an invariant is broken: then our own code is wrong."""
        assert 0 <= self.match < self.next, "match must stay below next"
        assert self.sent_commit >= 0, "commit indexes are not negative"
        in_snapshot = self.state is ProgressState.SNAPSHOT
        assert in_snapshot or self.pending_snapshot == 0, "a snapshot is pending unasked"
        streaming = self.state is ProgressState.REPLICATE
        assert streaming or len(self.inflights) == 0, "only a stream has appends in flight"

    def become_probe(self) -> None:
        """Go back to one append at a time, from what is known or what a snapshot brought."""
        # A snapshot that was reported as delivered is believed: probing starts behind it.
        self.next = max(self.match, self.pending_snapshot) + 1
        self._enter(ProgressState.PROBE)
        self.sent_commit = min(self.sent_commit, self.next - 1)

    def become_replicate(self) -> None:
        """Stream: the follower's log is known to meet ours at ``match``."""
        self._enter(ProgressState.REPLICATE)
        self.next = self.match + 1

    def become_snapshot(self, index: int) -> None:
        """Wait until the follower has the snapshot at ``index``."""
        self._enter(ProgressState.SNAPSHOT)
        self.pending_snapshot = index
        # A snapshot carries only what is committed, up to its very index.
        self.next = index + 1
        self.sent_commit = index
        self.check_invariants()

    def _enter(self, state: ProgressState) -> None:
        self.flow_paused = False
        self.pending_snapshot = 0
        self.state = state
        self.inflights.clear()

    def sent_entries(self, entries: int, payload_bytes: int) -> None:
        """Note an append of ``entries`` entries that starts at ``next``.

        Streaming moves ``next`` past them at once, without waiting for the answer.
        """
        match self.state:
            case ProgressState.REPLICATE:
                if entries:
                    self.next += entries
                    self.inflights.add(self.next - 1, payload_bytes)
                # With the window full this append serves as a probe: nothing follows it
                # before a sign of life, yet a lost window is found out by the next one.
                self.flow_paused = self.inflights.is_full
            case ProgressState.PROBE:
                if entries:
                    self.flow_paused = True
            case ProgressState.SNAPSHOT:
                raise AssertionError("appends wait while a snapshot is on its way")

    def can_bump_commit(self, index: int) -> bool:
        """Return whether telling ``index`` may move the follower's commit index.

        Not when it was told already, and not when what it was told covers all that was sent
        to it: a follower commits no further than the entries it has.
        """
        return index > self.sent_commit and self.sent_commit < self.next - 1

    def note_commit(self, index: int) -> None:
        """Note that ``index`` was told to the follower as the commit index."""
        self.sent_commit = index

    def maybe_update(self, index: int) -> bool:
        """Take an acknowledgement up to ``index``; False when it says nothing new."""
        if index <= self.match:
            return False
        self.match = index
        self.next = max(self.next, index + 1)
        self.flow_paused = False
        return True

    def maybe_decrement(self, rejected: int, hint: int) -> bool:
        """Take a refusal of the append that followed ``rejected``; False when it is stale.

        ``hint`` is the highest index at which the logs may still agree.
        """
        if self.state is ProgressState.REPLICATE:
            # Refusals overtaken by an acknowledgement of the same place are old news.
            if rejected <= self.match:
                return False
            self.next = self.match + 1
            self.sent_commit = min(self.sent_commit, self.next - 1)
            return True
        # A probe is one append: only the refusal of exactly that one is fresh.
        if self.next - 1 != rejected:
            return False
        self.next = max(min(rejected, hint + 1), self.match + 1)
        self.sent_commit = min(self.sent_commit, self.next - 1)
        self.flow_paused = False
        return True

    @property
    def is_paused(self) -> bool:
        """Whether entries must wait; an empty append may still leave (see the engine)."""
        return self.state is ProgressState.SNAPSHOT or self.flow_paused
