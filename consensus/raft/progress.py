"""What a leader knows of one peer's log, and how much it may have under way to it.

Owns: match, next, the three states and the window of unacknowledged appends.  Refuses: deciding
what to send (replication.py does).
Invariant: 0 <= match < next, and match never falls within a term, whatever arrives late.

  PROBE      the common point is being searched: one append per heartbeat interval
  REPLICATE  found: next runs ahead of match, bounded in messages and bytes
  SNAPSHOT   the peer needs blocks that the log no longer has: no appends until it has them
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum


class ProgressState(Enum):
    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


@dataclass(slots=True)
class Inflights:
    """Appends sent and not yet acknowledged: (last index, bytes), oldest first."""

    messages_max: int
    bytes_max: int
    bytes_held: int = 0
    sent: deque[tuple[int, int]] = field(default_factory=deque)

    @property
    def full(self) -> bool:
        return len(self.sent) >= self.messages_max or self.bytes_held >= self.bytes_max

    def add(self, last_index: int, size_bytes: int) -> None:
        assert not self.full, "the window is full"
        self.sent.append((last_index, size_bytes))
        self.bytes_held += size_bytes

    def free_to(self, index: int) -> None:
        while self.sent and self.sent[0][0] <= index:
            self.bytes_held -= self.sent.popleft()[1]

    def clear(self) -> None:
        self.sent.clear()
        self.bytes_held = 0


@dataclass(slots=True)
class Progress:
    match: int
    next: int
    inflights: Inflights
    state: ProgressState = ProgressState.PROBE
    paused: bool = False  # until the next heartbeat response: a probe or an empty append is out
    heard_ms: int = -1  # when the peer last answered in this term; -1: not yet
    sent_commit: int = 0
    snapshot_sent_ms: int = 0

    def become_probe(self) -> None:
        self.state, self.next, self.paused = ProgressState.PROBE, self.match + 1, False
        # What was told together with lost appends may not have arrived either.
        self.sent_commit = min(self.sent_commit, self.match)
        self.inflights.clear()

    def become_replicate(self) -> None:
        self.become_probe()
        self.state = ProgressState.REPLICATE

    def become_snapshot(self, index: int, now_ms: int) -> None:
        self.state, self.next, self.paused = ProgressState.SNAPSHOT, index + 1, False
        self.snapshot_sent_ms = now_ms
        self.inflights.clear()

    def acknowledged(self, index: int) -> bool:
        """Raise match to ``index``; return False when that is old news."""
        self.next = max(self.next, index + 1)
        if index <= self.match:
            return False
        self.match, self.paused = index, False
        return True

    def refused(self, index: int, hint: int) -> bool:
        """Move next back after a refusal at ``index``; False when the refusal is stale.

        A stale refusal answers a message sent before the peer acknowledged more; obeying it
        would resend for nothing, and lowering match for it would lose committed entries.
        """
        if self.state is ProgressState.REPLICATE:
            if index <= self.match:
                return False
            self.become_probe()
            return True
        if self.state is ProgressState.SNAPSHOT or index != self.next - 1:
            return False
        self.next = max(min(index, hint + 1), self.match + 1)
        self.paused = False
        return True

    def sent(self, *, last_index: int, size_bytes: int, commit: int) -> None:
        """Note an append that ends at ``last_index`` (``size_bytes`` 0: it was empty)."""
        assert self.state is not ProgressState.SNAPSHOT, "no appends while blocks are fetched"
        self.sent_commit = max(self.sent_commit, commit)
        if self.state is ProgressState.PROBE:
            self.paused = True
            return
        if size_bytes:
            self.next = last_index + 1
            self.inflights.add(last_index, size_bytes)
        else:
            self.paused = self.inflights.full

    def check_invariants(self) -> None:
        assert 0 <= self.match < self.next, f"match {self.match}, next {self.next}"
        assert len(self.inflights.sent) <= self.inflights.messages_max
        assert self.state is ProgressState.REPLICATE or not self.inflights.sent
