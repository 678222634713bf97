"""Counters of the members' network, and what was last seen of each member.

Only the event loop writes them; readers take what is there.  Labels are our own closed sets
(frame types, fault codes, member ids), never text that a stranger sent.  Traces are kept of
members only: one each.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from node.net.frame import FrameType


@dataclass(slots=True)
class Last:
    """What happened last, by its code, and when (monotonic milliseconds)."""

    code: str
    at_ms: int


@dataclass(slots=True)
class Trace:
    """One member as it was seen last; times are monotonic milliseconds."""

    heard_ms: int | None = None  # its last frame or its last answer to a ping
    kinds: dict[FrameType, int] = field(default_factory=dict)  # last frame of each kind
    linked_ms: int | None = None  # when our connection to it last came up
    parted_ms: int | None = None  # when it last ended
    dial: Last | None = None  # why the last attempt to reach it failed; None once it holds
    refused: Last | None = None  # why who claimed its name was last turned away
    fault: Last | None = None  # how it last broke the protocol
    faults: int = 0
    paused_until_ms: int = 0


@dataclass(slots=True)
class Statistics:
    frames_in: Counter[FrameType] = field(default_factory=Counter)
    bytes_in: Counter[FrameType] = field(default_factory=Counter)
    frames_out: Counter[FrameType] = field(default_factory=Counter)
    bytes_out: Counter[FrameType] = field(default_factory=Counter)
    # Frames that will never leave, by reason: full, stale, unknown-peer, too-new.
    dropped: Counter[str] = field(default_factory=Counter)
    # By code, both roles: a wrong key, a full house, a TLS error, ...
    handshake_failures: Counter[str] = field(default_factory=Counter)
    connections_lost: Counter[str] = field(default_factory=Counter)  # by code
    dial_failures: Counter[str] = field(default_factory=Counter)  # by member
    peer_faults: Counter[str] = field(default_factory=Counter)  # by member
    pauses: Counter[str] = field(default_factory=Counter)  # by member
    sending_to: set[str] = field(default_factory=set)  # members our frames reach now
    receiving_from: set[str] = field(default_factory=set)  # members whose frames reach us now
    unproven_connections: int = 0
    rtt_us: dict[str, int] = field(default_factory=dict)  # last ping, handling included
    # What members speak and run: version of the wire, name of the software (may be empty).
    spoken: dict[str, tuple[int, str]] = field(default_factory=dict)
    # Members' wall clocks against our monotonic one, which never jumps; milliseconds, and how
    # exact that is.
    clock_from_ms: dict[str, tuple[float, float]] = field(default_factory=dict)
    skipped_frames: Counter[str] = field(default_factory=Counter)  # of unknown type, by member
    traces: dict[str, Trace] = field(default_factory=dict)  # by member

    def clock_ahead_ms(self) -> dict[str, tuple[float, float]]:
        """Return how far members' clocks are ahead of our wall clock as it stands now."""
        ours = (time.time_ns() - time.monotonic_ns()) / 1e6
        return {peer: (at - ours, exact) for peer, (at, exact) in self.clock_from_ms.items()}

    def trace(self, member: str) -> Trace:
        """Return the trace of ``member``, whom the caller knows to be one."""
        return self.traces.setdefault(member, Trace())
