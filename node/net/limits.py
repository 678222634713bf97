"""Every bound of the members' network, unit last.  Local to a node; members need not agree.

Memory per member, at most: the four send queues, ``write_buffer_bytes_max`` twice (TLS and
socket), ``unread_bytes_max`` and two frames.
"""

from dataclasses import dataclass

from node.net.frame import FRAME_BYTES_MAX, Priority


@dataclass(frozen=True, slots=True, kw_only=True)
class NetLimits:
    # Sending, per member and priority.
    queue_frames_max: int = 8192
    consensus_queue_bytes_max: int = 16 << 20
    sync_queue_bytes_max: int = 16 << 20
    gossip_queue_bytes_max: int = 8 << 20
    bulk_queue_bytes_max: int = 16 << 20
    queue_stale_ms: int = 5_000  # older frames yield to newer ones and to a new connection
    write_bytes_max: int = 256 << 10  # frames joined into one write
    write_buffer_bytes_max: int = 256 << 10  # beyond it the sender waits for the peer to read
    write_stall_ms_max: int = 10_000
    # Receiving, per member.
    frame_bytes_max: int = FRAME_BYTES_MAX
    unread_bytes_max: int = 1 << 20  # beyond it we stop reading from the socket
    idle_ms_max: int = 30_000  # silence on an inbound connection; pings come more often
    # Connections.
    handshake_ms_max: int = 5_000  # TCP, TLS and proofs together
    tls_ms_max: int = 4_000  # of a connection that we dial, once TCP is there
    unproven_connections_max: int = 64
    unproven_per_address_max: int = 16  # members behind one gateway restart together
    ping_every_ms: int = 5_000
    ping_timeout_ms: int = 15_000  # answers queue behind the frames that the peer still handles
    redial_ms_min: int = 100
    redial_ms_max: int = 10_000
    # Faults of proven members.
    faults_max: int = 5
    fault_window_ms: int = 60_000
    pause_ms: int = 60_000

    def queue_bytes_max(self, priority: Priority) -> int:
        return {
            Priority.CONSENSUS: self.consensus_queue_bytes_max,
            Priority.SYNC: self.sync_queue_bytes_max,
            Priority.GOSSIP: self.gossip_queue_bytes_max,
            Priority.BULK: self.bulk_queue_bytes_max,
        }[priority]
