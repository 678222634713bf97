"""Collects what a diagnosis looks at from the rooms of a running node, and remembers causes.

Owns: the one place that knows where each fact stands, and the news in the log when the first
cause changes.  Refuses: judging (``diagnose``), content of any record.
Costs a few hundred look-ups a time; asked by people and every ``LOOK_S`` seconds by itself.
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final

from node.blocksync import BlockSync
from node.config import Config
from node.ledger.eras import era_from, observers_from
from node.ledger.facts.governance import known_institution, suspended
from node.log import event
from node.looplag import LoopLag
from node.net.peers import Peers
from node.net.statistics import Last
from node.replica import Replica
from node.reporting import Reporter
from node.ring import Ring
from node.service import Service
from node.why import machine
from node.why.diagnose import diagnose
from node.why.lately import LATELY_S, Lasting, Memory
from node.why.observation import Evidence, Observation, PeerFacts

LOOK_S: Final = 2.0


def _ago(now_ms: int, at_ms: int | None) -> int | None:
    return None if at_ms is None else max(0, now_ms - at_ms)


def _span(now_s: float, at_s: float | None) -> int | None:
    return None if at_s is None else max(0, int((now_s - at_s) * 1000))


@dataclass(slots=True)
class Explainer:
    """Everything that is asked stands on the event loop's thread."""

    config: Config
    service: Service
    replica: Replica
    peers: Peers
    reporter: Reporter
    loop_lag: LoopLag
    sync: BlockSync
    ring: Ring
    began_s: float = field(default_factory=time.monotonic)
    _memory: Memory = field(default_factory=Memory)
    _first: tuple[str, str | None] | None = None
    _dropped: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=64))
    _certificates: machine.Certificates = field(init=False)

    def __post_init__(self) -> None:
        self._certificates = machine.Certificates(self.config)

    def explain(self) -> tuple[Lasting, ...]:
        """Return the causes at this moment, the first one first."""
        seen = self.observe()
        return self._memory.lasting(diagnose(seen), seen.now_ms)

    async def run(self) -> None:
        """Look by itself, until cancelled, so that each cause has its beginning."""
        while True:
            await asyncio.sleep(LOOK_S)
            found = self.explain()
            first = found[0].cause if found else None
            key = None if first is None else first.key
            if key != self._first:
                self._first = key
                event(
                    "why.changed",
                    level=logging.INFO if first is None else logging.WARNING,
                    cause="none" if first is None else first.id,
                    member=None if first is None else first.member,
                    severity=None if first is None else first.severity.word,
                )

    def observe(self) -> Observation:
        """Return this moment's facts."""
        now_s, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        return Observation(
            now_ms=now_ms,
            node=self.service.node_id,
            up_ms=int((now_s - self.began_s) * 1000),
            stopping=self.service.stopping,
            **self._ordering(now_s),
            **self._clients(now_s, now_ms),
            **self._machine(now_s),
        )

    def _ordering(self, now_s: float) -> dict[str, Any]:
        service, replica = self.service, self.replica
        status, mono_ms = service.engine_status(), int(now_s * 1000)
        read = service.book.read
        era, observers = era_from(read), observers_from(read)
        handover = service.handover
        latest = self.reporter.latest
        parameters = service.genesis.parameters
        return {
            "engine": status.engine,
            "role": status.role,
            "round": status.round,
            "round_ago_ms": _ago(mono_ms, status.last_round_change_ms or None),
            "leader": status.leader,
            "quorum": service.roster.now.policy.quorum,
            "voters": tuple(item.id for item in era.members),
            "institution": known_institution(read, service.node_id) is not None,
            "epoch": service.roster.now.era.epoch,
            "ledger_epoch": era.epoch,
            "keys_taken": self._keys_taken(),
            "observer": service.node_id in observers,
            "height": service.book.tip.height,
            "committed": status.committed,
            "certified": replica.counters.low_watermark,
            "window": self.config.consensus.window,
            "in_flight": replica.in_flight(),
            "backlog": replica.backlog(),
            "applied_ago_ms": _ago(mono_ms, replica.counters.applied_ms),
            "asked_blocks_ago_ms": _span(now_s, self.sync.asked_s),
            "got_blocks_ago_ms": _span(now_s, self.sync.got_s),
            "patience_ms": max(parameters.request_ms, parameters.election_ms),
            "transfer_to": None if handover is None else handover.pending,
            "peers": tuple(
                self._peer(item, mono_ms, voter=item in {v.id for v in era.members})
                for item in sorted({*(v.id for v in era.members), *observers})
                if item != service.node_id
            ),
            "evidence": None if latest is None else Evidence(
                member=latest[0].member,
                kind=latest[0].kind,
                height=latest[0].height,
                ago_ms=int((now_s - latest[1]) * 1000),
            ),
            "frames_dropped": self._dropped_lately(now_s),
        }  # fmt: skip

    def _keys_taken(self) -> bool:
        mine = self.service.roster.now.voter(self.service.node_id)
        return mine is None or self.ring.cosigner(mine) is not None

    def _peer(self, member: str, now_ms: int, *, voter: bool) -> PeerFacts:
        stats = self.peers.statistics
        trace, address = stats.trace(member), self.peers.addresses.get(member)
        rtt_us, ahead = stats.rtt_us.get(member), stats.clock_ahead_ms().get(member)

        def last(item: Last | None) -> tuple[str | None, int | None]:
            return (None, None) if item is None else (item.code, _ago(now_ms, item.at_ms))

        (dial, dial_ago), (refused, refused_ago) = last(trace.dial), last(trace.refused)
        fault, fault_ago = last(trace.fault)
        return PeerFacts(
            id=member,
            voter=voter,
            address=None if address is None else "{}:{}".format(*address),
            sending=member in stats.sending_to,
            receiving=member in stats.receiving_from,
            linked_ago_ms=_ago(now_ms, trace.linked_ms),
            parted_ago_ms=_ago(now_ms, trace.parted_ms),
            heard_ago_ms=_ago(now_ms, trace.heard_ms),
            kinds_ago_ms=tuple(
                (kind.name.lower(), max(0, now_ms - at)) for kind, at in trace.kinds.items()
            ),
            dial=dial,
            dial_ago_ms=dial_ago,
            refused=refused,
            refused_ago_ms=refused_ago,
            fault=fault,
            fault_ago_ms=fault_ago,
            faults=trace.faults,
            paused_left_ms=max(0, trace.paused_until_ms - now_ms),
            rtt_ms=None if rtt_us is None else rtt_us // 1000,
            clock_ahead_ms=None if ahead is None else round(ahead[0]),
            queued_bytes=self.peers.queue_bytes().get(member, 0),
            evidence=self.reporter.recorded(member),
        )

    def _dropped_lately(self, now_s: float) -> int:
        """Return how many frames found no room within a minute."""
        count = self.peers.statistics.dropped["full"]
        self._dropped.append((now_s, count))
        before = min((c for at, c in self._dropped if now_s - at <= LATELY_S), default=count)
        return count - before

    def _clients(self, now_s: float, now_ms: int) -> dict[str, Any]:
        service, limits = self.service, self.config.limits
        pool, read, tokens = service.mempool, service.book.read, service.tokens
        if tokens is not None:
            tokens.look(now_ms=now_ms)
        expired = None if tokens is None else tokens.expired_ms
        lately = expired is not None and now_ms - expired < LATELY_S * 1000
        return {
            "pool": len(pool),
            "pool_max": limits.mempool_transactions_max,
            "pool_bytes": pool.bytes,
            "pool_bytes_max": limits.mempool_bytes_max,
            "oldest_ms": _ago(int(now_s * 1000), pool.oldest_ms),
            "refused": service.refusals.lately(now_s),
            "suspended": suspended(read, service.node_id) is not None,
            "signer_known": service.signer_known,
            "certificates": self._certificates.left(now_ms),
            "token_expired_ago_ms": _ago(now_ms, expired) if lately else None,
            "tokens_unreadable": tokens is not None and tokens.failure is not None,
        }

    def _machine(self, now_s: float) -> dict[str, Any]:
        disk, failure = self.service.disk, self.service.store.failure
        since_ms = int((now_s - LATELY_S) * 1000)
        slow = [took for at, took in list(self.replica.counters.slow_writes) if at >= since_ms]
        stalls = [(late, at) for at, late in self.loop_lag.stalls if now_s - at <= LATELY_S]
        late_s, at_s = max(stalls, default=(0.0, None))
        (used, most), (resident, left) = machine.descriptors(), machine.memory()
        low = disk.low()
        return {
            "disk_free_bytes": disk.free_bytes,
            "disk_min_bytes": self.config.storage.min_free_bytes,
            "disk_low": low,
            "store_failure": None if failure is None else failure.code,
            "slow_write_ms": max(slow, default=0),
            "loop_late_ms": int(late_s * 1000),
            "loop_late_ago_ms": _span(now_s, at_s),
            "descriptors": used,
            "descriptors_max": most,
            "memory_bytes": resident,
            "memory_left_bytes": left,
        }
