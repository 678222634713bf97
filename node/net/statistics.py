"""Counters of the members' network, read by the metrics page.

Only the event loop writes them; readers take what is there.  Labels are our own closed sets
(frame types, fault codes, member ids), never text that a stranger sent.
"""

from collections import Counter
from dataclasses import dataclass, field

from node.net.frame import FrameType


@dataclass(slots=True)
class Statistics:
    frames_in: Counter[FrameType] = field(default_factory=Counter)
    bytes_in: Counter[FrameType] = field(default_factory=Counter)
    frames_out: Counter[FrameType] = field(default_factory=Counter)
    bytes_out: Counter[FrameType] = field(default_factory=Counter)
    # Frames that will never leave, by reason: full, stale, unknown-peer.
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
