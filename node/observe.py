"""Metrics: read from the parts at each scrape, so that the hot path pays nothing.

Names have the prefix ``chartseal_``, base units, ``_total`` on counters; labels are bounded
(members, closed sets of codes), never transactions or people.  Every name stands in
``deploy/docs/metrics.md``; a test holds the two together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from node.intake import Intake
from node.ledger import accel
from node.life_metrics import life_metrics
from node.looplag import LoopLag
from node.net.statistics import Statistics
from node.replica import Replica
from node.reporting import Reporter
from node.roster import ROLES
from node.service import Service


@dataclass(slots=True)
class Tally:
    """Counts that no part keeps for itself."""

    blocks: int = 0
    transactions: int = 0
    refused: int = 0
    commitments: int = 0
    certified_height: int = 0
    cosignatures_refused: int = 0


class NodeCollector(Collector):
    def __init__(
        self,
        service: Service,
        replica: Replica,
        intake: Intake,
        statistics: Statistics,
        tally: Tally,
        reporter: Reporter,
        loop_lag: LoopLag,
    ) -> None:
        self._service = service
        self._replica = replica
        self._intake = intake
        self._statistics = statistics
        self._tally = tally
        self._reporter = reporter
        self._loop_lag = loop_lag

    def collect(self) -> Iterator[Metric]:
        yield from self._ledger()
        yield from self._members()
        yield from self._consensus()
        yield from self._evidence()
        yield from self._pool()
        yield from self._upkeep()
        yield from self._network()
        yield from self._loop()
        yield from life_metrics(self._service)
        yield from self._snapshots()

    def _ledger(self) -> Iterator[Metric]:
        build = GaugeMetricFamily(
            "chartseal_build_info", "Always 1.", labels=["version", "crypto", "engine"]
        )
        engine = self._service.roster.now.era.engine
        build.add_metric([version("chartseal"), accel.backend(), engine], 1)
        yield build
        backend = GaugeMetricFamily(
            "chartseal_accel_info",
            "Always 1; who verifies signatures and hashes: `native` or `pure`.",
            labels=["backend"],
        )
        backend.add_metric([accel.backend()], 1)
        yield backend
        tip, tally = self._service.book.tip, self._tally
        yield _gauge("ledger_height", "Newest applied block.", tip.height)
        yield _gauge("ledger_block_time_seconds", "Its time, Unix seconds.", tip.time_ms / 1000)
        yield _gauge("ledger_log_leaves", "Leaves of the Merkle log.", tip.log_size)
        yield _gauge(
            "ledger_certified_height",
            "Newest height with a certified checkpoint.",
            tally.certified_height,
        )
        yield _counter("ledger_blocks", "Blocks applied since start.", tally.blocks)
        results = CounterMetricFamily(
            "chartseal_ledger_transactions", "Applied since start.", labels=["result"]
        )
        results.add_metric(["applied"], tally.transactions - tally.refused)
        results.add_metric(["refused"], tally.refused)
        yield results
        yield _counter(
            "ledger_commitments", "Record commitments anchored since start.", tally.commitments
        )
        sizes = self._service.store.sizes()
        disk = GaugeMetricFamily("chartseal_store_bytes", "Bytes on disk.", labels=["kind"])
        disk.add_metric(["kv"], sizes["kv_bytes"])
        disk.add_metric(["segments"], sizes["segment_bytes"])
        yield disk
        known = sizes["keys_known"]
        yield _gauge("store_keys_known", "1: new keys are known for new without a look.", known)
        yield _gauge("store_keys_bytes", "Memory that this takes.", sizes["keys_bytes"])
        syncs = {**self._service.store.syncs(), "mark": self._replica.counters.marks}
        yield _labelled(
            "store_syncs", "Times that the disk was waited for, by file.", "kind", syncs
        )
        yield _gauge("disk_free_bytes", "Free space.", self._service.disk.free_bytes)

    def _members(self) -> Iterator[Metric]:
        roster = self._service.roster
        era = roster.now.era
        yield _gauge("epoch", "How often voters, their keys or the engine changed.", era.epoch)
        yield _gauge("era_from_height", "First height of the era in force.", era.from_height)
        yield _gauge("voters", "Voting members of the era in force.", len(roster.voters))
        yield _gauge("observers", "Members that follow without voting.", len(roster.observers))
        role = GaugeMetricFamily("chartseal_role", "1 for what this node is.", labels=["role"])
        for name in ROLES:
            role.add_metric([name], roster.role == name)
        yield role

    def _consensus(self) -> Iterator[Metric]:
        status, counters = self._service.engine_status(), self._replica.counters
        leads = status.role in ("leader", "primary")
        yield _gauge("consensus_has_leader", "1 if one is known.", status.leader is not None)
        yield _gauge("consensus_is_leader", "1 when this node leads.", leads)
        yield _gauge("consensus_round", "Term (Raft) or view (PBFT).", status.round)
        yield _gauge("consensus_members", "Voting members.", status.members)
        yield _gauge("consensus_quorum", "Votes needed.", status.quorum)
        yield _gauge("consensus_final_height", "Highest final height known.", status.committed)
        yield _gauge(
            "consensus_low_watermark",
            "Newest cosigned height that the engine knows.",
            counters.low_watermark,
        )
        yield _gauge(
            "consensus_window", "Blocks that may be in flight.", self._service.progress().window
        )
        yield _gauge(
            "consensus_in_flight", "Blocks at hand, not executed.", self._replica.in_flight()
        )
        yield _counter("consensus_turns", "Turns of the engine.", counters.turns)
        yield _counter("consensus_syncs", "Synced writes of records.", counters.syncs)
        yield _counter("consensus_proposals", "Blocks proposed here.", counters.proposals)
        yield _labelled(
            "consensus_messages", "Messages taken, by kind.", "kind", counters.messages_in
        )
        yield _labelled(
            "consensus_dropped", "Messages refused, by reason.", "reason", counters.dropped
        )
        reads = self._service.reads
        yield _gauge("reads_waiting", "Linearizable reads that wait.", reads.waiting)
        outcomes = {"served": reads.served, "refused": reads.refused}
        yield _labelled("reads", "Linearizable reads since start.", "result", outcomes)
        handover = self._service.handover
        yield _labelled(
            "leader_transfers",
            "Leadership handed over from here, by what came of it.",
            "result",
            {} if handover is None else handover.results,
        )
        yield _counter(
            "cosignatures_refused",
            "Cosignatures that did not verify.",
            self._tally.cosignatures_refused,
        )

    def _evidence(self) -> Iterator[Metric]:
        yield _labelled(
            "evidence_found",
            "Contradictions of members that this node noticed.",
            "kind",
            self._reporter.found,
        )
        recorded = GaugeMetricFamily(
            "chartseal_evidence_recorded",
            "Contradictions that the ledger has, by accused member.",
            labels=["member"],
        )
        for member in self._reporter.members:
            recorded.add_metric([member], self._reporter.recorded(member))
        yield recorded

    def _pool(self) -> Iterator[Metric]:
        pool = self._service.mempool
        yield _gauge("mempool_transactions", "Waiting transactions.", len(pool))
        yield _gauge("mempool_bytes", "Their bytes.", pool.bytes)
        yield _counter("signatures_verified", "Transaction signatures.", self._intake.verified)
        yield _counter("intake_refused", "Refused at intake.", self._intake.refused)

    def _upkeep(self) -> Iterator[Metric]:
        upkeep, scrub = self._service.upkeep, self._service.scrub
        if upkeep is None or scrub is None:
            return
        acts = {f"{what}-done": count for what, count in upkeep.done.items()}
        acts |= {f"{what}-failed": count for what, count in upkeep.failed.items()}
        yield _labelled("upkeep", "Backups, archive steps, prunings, by end.", "act", acts)
        made = GaugeMetricFamily(
            "chartseal_backup_time_seconds", "When the newest backup was made, 0: never."
        )
        made.add_metric([], upkeep.backup_ms / 1000)
        yield made
        yield _gauge("backup_height", "Height of the newest backup.", upkeep.backup_height)
        lowest = self._service.store.lowest_body()
        yield _gauge("store_lowest_body", "Lowest height whose body is kept.", lowest)
        yield _counter("scrub_read_bytes", "Bytes read again.", scrub.bytes_read)
        yield _counter("scrub_rounds", "Times everything was read again.", scrub.rounds)
        yield _labelled("scrub_damage", "Damage found on disk.", "kind", scrub.found)
        yield _labelled("scrub_mended", "Damage mended.", "kind", scrub.mended)

    def _loop(self) -> Iterator[Metric]:
        lag = self._loop_lag
        family = HistogramMetricFamily(
            "chartseal_loop_lag_seconds", "How late timers of the event loop fire."
        )
        family.add_metric([], lag.buckets(), lag.sum_s)
        yield family

    def _snapshots(self) -> Iterator[Metric]:
        yield _gauge(
            "ledger_lowest_height",
            "Lowest block that this node has.",
            self._service.store.lowest(),
        )
        rooms = self._service.snapshots
        faults = CounterMetricFamily(
            "chartseal_snapshot_peer_faults",
            "Snapshots or parts of them that a member did not give as it should.",
            labels=["peer", "why"],
        )
        if rooms is None:
            return
        shelf, sync = rooms.shelf, rooms.sync.counters
        yield _gauge("snapshot_height", "Newest snapshot of this node.", shelf.newest() or 0)
        results = {"made": shelf.made, "failed": shelf.failed}
        yield _labelled("snapshots", "Snapshots made since start.", "result", results)
        yield _counter("snapshot_chunks_taken", "Chunks taken from others.", sync.chunks)
        yield _counter("snapshot_bytes_taken", "Their bytes.", sync.bytes)
        yield _gauge(
            "snapshot_chunks_left", "Chunks missing of what is being taken.", sync.chunks_left
        )
        for (peer, why), count in sync.faults.items():
            faults.add_metric([peer, why], count)
        yield faults

    def _network(self) -> Iterator[Metric]:
        stats = self._statistics
        peers = GaugeMetricFamily(
            "chartseal_net_peers", "Members connected.", labels=["direction"]
        )
        peers.add_metric(["out"], len(stats.sending_to))
        peers.add_metric(["in"], len(stats.receiving_from))
        yield peers
        rtt = GaugeMetricFamily(
            "chartseal_net_rtt_seconds", "Last ping, handling included.", labels=["peer"]
        )
        for peer, micros in stats.rtt_us.items():
            rtt.add_metric([peer], micros / 1e6)
        yield rtt
        for name, say, counts in (
            ("net_frames_in", "Frames received.", stats.frames_in),
            ("net_frames_out", "Frames sent.", stats.frames_out),
            ("net_bytes_in", "Bytes received.", stats.bytes_in),
            ("net_bytes_out", "Bytes sent.", stats.bytes_out),
        ):
            by_name = {kind.name.lower(): count for kind, count in counts.items()}
            yield _labelled(name, say, "type", by_name)
        yield _labelled("net_dropped", "Frames never sent.", "reason", stats.dropped)
        yield _labelled("net_handshake_failures", "By code.", "code", stats.handshake_failures)
        yield _labelled("net_peer_faults", "Protocol faults.", "peer", stats.peer_faults)


def _gauge(name: str, say: str, value: float) -> Metric:
    return GaugeMetricFamily(f"chartseal_{name}", say, value=value)


def _counter(name: str, say: str, value: float) -> Metric:
    return CounterMetricFamily(f"chartseal_{name}", say, value=value)


def _labelled(name: str, say: str, label: str, counts: object) -> Metric:
    family = CounterMetricFamily(f"chartseal_{name}", say, labels=[label])
    assert isinstance(counts, dict)
    for key, count in counts.items():
        family.add_metric([str(key)], count)
    return family


class Metrics:
    """The node's registry; ``render`` is what ``/metrics`` answers."""

    def __init__(self, collector: NodeCollector) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(collector)

    def render(self) -> bytes:
        return generate_latest(self._registry)
