"""One member's part in the committee: who it is, and how long it waits.

Owns the limits that an operator may set and their bounds.  ``window``, ``rotation_blocks`` and
``checkpoint_lag_max`` belong to the network: members that disagree about ``rotation_blocks``
take one another's proposals for forgeries.  The other two may differ for a while, as during an
upgrade: each member then works within its own.
"""

from dataclasses import dataclass

from consensus.pbft.messages import WINDOW_MAX
from consensus.types import Committee, NodeId


@dataclass(frozen=True, slots=True)
class PbftConfig:
    """Times in milliseconds, heights in blocks.

    ``committee``: who votes on the block after the ledger's last one.  ``self_id`` need not be
    in it: such a node observes.  ``window``: heights in flight.  ``rotation_blocks``: so many
    heights and the next member proposes, inside one view; 0 keeps one primary per view.
    ``checkpoint_lag_max``: so far new proposals may run ahead of the last state that a quorum
    cosigned; 0 is no limit.  4096 blocks are some seconds of the fastest network measured and
    hours of a quiet one: enough for any pause of cosigning that is not an outage.
    ``patience_ms``: how long the oldest transaction may wait although blocks are delivered;
    0 stands for ten times ``request_ms``.
    """

    self_id: NodeId
    committee: Committee
    network: bytes
    request_ms: int = 2000
    view_change_ms: int = 2000
    resend_ms: int = 1000
    status_ms: int = 500
    window: int = 1
    rotation_blocks: int = 0
    checkpoint_lag_max: int = 4096
    patience_ms: int = 0

    def __post_init__(self) -> None:
        if len(self.network) != 32:
            raise ValueError("the network digest is 32 bytes")
        times = (self.request_ms, self.view_change_ms, self.resend_ms, self.status_ms)
        if min(times) < 1:
            raise ValueError("timeouts are at least one millisecond")
        if not 1 <= self.window <= WINDOW_MAX:
            raise ValueError(f"the window is 1 to {WINDOW_MAX} blocks")
        if min(self.rotation_blocks, self.checkpoint_lag_max, self.patience_ms) < 0:
            raise ValueError("rotation, checkpoint lag and patience are not negative")
        if 0 < self.checkpoint_lag_max < self.window:
            raise ValueError("the checkpoint lag has room for one window at least")

    @property
    def censorship_ms(self) -> int:
        """How long a transaction waits while others pass before we suspect the primary."""
        return self.patience_ms or 10 * self.request_ms

    @property
    def quorum(self) -> int:
        return self.committee.byzantine_quorum

    @property
    def weak_quorum(self) -> int:
        """Votes of which at least one is honest."""
        return self.committee.faults_max + 1


_DOUBLINGS_MAX = 5  # 32 times the base
_TIMEOUT_MS_MAX = 60_000


def backoff_ms(base_ms: int, failed: int) -> int:
    """Return ``base_ms`` doubled per failed view, at most 32 times or 60 s."""
    return max(base_ms, min(base_ms << min(failed, _DOUBLINGS_MAX), _TIMEOUT_MS_MAX))
