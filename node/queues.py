"""Every queue of the daemon: how full it is, what it holds at most, what it turned away.

Owns: the list; the manual's page of limits and the metrics are made from it, and a test holds
them together.  Refuses: queues of its own.
Invariant: ``limit`` is what the code enforces, not a wish; a queue without a bound has no place
in this node.
"""

from collections.abc import Iterator
from dataclasses import field

from consensus.frozen import dataclass
from node import service as services
from node.blocksync import BLOCKS_MAX
from node.gossip.protocol import Gossip, GossipLimits
from node.holding import HELD_PER_PEER_MAX
from node.http.limits import HttpLimits
from node.intake import Intake
from node.net.frame import Priority
from node.net.limits import NetLimits
from node.net.peers import Peers
from node.proposing import AHEAD_MAX
from node.reads import WAITING_MAX as READS_MAX
from node.replica import INBOX_MAX, Replica
from node.reporting import PENDING_MAX, Reporter
from node.service import Service
from node.supply import WAITING_MAX as BODIES_MAX
from node.supply import Supply


@dataclass(frozen=True, slots=True)
class Queue:
    """``dropped`` counts what found no room since the start."""

    name: str
    depth: int
    limit: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Rooms:
    """The parts whose queues are shown."""

    service: Service
    replica: Replica
    peers: Peers
    supply: Supply
    intake: Intake
    gossip: Gossip
    reporter: Reporter
    gossips: GossipLimits
    net: NetLimits = field(default_factory=NetLimits)

    def queues(self) -> Iterator[Queue]:
        """Yield every queue; reads counters only."""
        yield from self._of_consensus()
        yield from self._of_members()
        yield from self._of_clients()

    def _of_consensus(self) -> Iterator[Queue]:
        replica, others = self.replica, len(self.reporter.members)
        dropped = replica.counters.dropped
        yield Queue("inbox", len(replica.inbox), INBOX_MAX, dropped["inbox-full"])
        decided = 2 * BLOCKS_MAX + AHEAD_MAX
        yield Queue("decided", replica.backlog(), decided, 0)
        held = HELD_PER_PEER_MAX * others
        yield Queue("held-messages", replica.holding.held, held, dropped["held-full"])
        supply = self.supply
        yield Queue("body-fetches", supply.fetches, BODIES_MAX, supply.turned_away)
        evidence = self.reporter
        yield Queue("evidence", evidence.waiting, PENDING_MAX * others, evidence.turned_away)

    def _of_members(self) -> Iterator[Queue]:
        stats, others = self.peers.statistics, max(1, len(self.peers.queue_bytes()))
        frames = len(Priority) * self.net.queue_frames_max * others
        dropped = stats.dropped["full"] + stats.dropped["stale"]
        yield Queue("send-frames", self.peers.queue_frames(), frames, dropped)
        size = others * sum(self.net.queue_bytes_max(each) for each in Priority)
        yield Queue("send-bytes", sum(self.peers.queue_bytes().values()), size, dropped)
        strangers = self.net.unproven_connections_max
        refused = stats.handshake_failures["too-many"]
        yield Queue("unproven-connections", stats.unproven_connections, strangers, refused)
        gossip, most = self.gossip, self.gossips
        yield Queue("gossip-pending", gossip.pending_count, most.pending_ids_max, 0)
        yield Queue("gossip-wanted", gossip.wanted_count, most.wanted_ids_max, 0)

    def _of_clients(self) -> Iterator[Queue]:
        service = self.service
        pool = service.mempool
        yield Queue("mempool", len(pool), pool.transactions_max, pool.turned_away)
        requests, streams = service.rooms.get("requests"), service.rooms.get("streams")
        if requests is not None and streams is not None:
            yield Queue("requests", requests.count, requests.count_max, requests.refused)
            yield Queue("streams", streams.count, streams.count_max, streams.refused)
        # Everybody who may be waiting: a request, a stream, or a member, each with one call.
        callers = HttpLimits().in_flight_max + HttpLimits().streams_max
        most = callers + len(self.reporter.members)
        yield Queue("verifications", self.intake.waiting, most, 0)
        reads = service.reads
        yield Queue("reads", reads.waiting, READS_MAX, reads.refused)
        waiters = services.WAITERS_MAX
        yield Queue("outcome-waits", service.waiting, waiters, service.waiters_refused)
        yield Queue("outcomes-remembered", len(service.ended), services.REMEMBERED_MAX, 0)
