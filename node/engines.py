"""The engines of this node: one succession over all eras, restored from what the store holds.

Owns: how an era's engine is configured from genesis, local settings and the chain.  Refuses:
choosing eras (the ledger's) and voting without the key that the era names: such a node follows
its own committee as an observer until the ledger knows its keys.
"""

import random
import time
from collections.abc import Iterable
from typing import Final

from consensus.driver import Driver
from consensus.engine import Dialect, Engine
from consensus.guard import PREFIX as GUARD_PREFIX
from consensus.guard import SignGuard
from consensus.observer import Observer
from consensus.pbft.dialect import PbftDialect
from consensus.pbft.engine import PbftConfig, PbftEngine
from consensus.raft.config import RaftConfig
from consensus.raft.dialect import DIALECT as RAFT
from consensus.raft.engine import RaftEngine
from consensus.raft.founding import first_leader
from consensus.succession import Succession
from consensus.succession_dialect import InForce, SuccessionDialect
from consensus.types import Applied, Era, NodeId
from node.book import Book
from node.config import Config
from node.ledger import block as blocks
from node.ledger.genesis import Genesis
from node.ring import Ring
from node.roster import Roster
from storage.mark import SignMark
from storage.store import Store

PAUSE_MS: Final = 1000  # between two questions of who follows, and what a peer has to answer


class Engines:
    """Makes the engine of an era; see ``consensus.succession.Make``."""

    def __init__(
        self, config: Config, genesis: Genesis, store: Store, roster: Roster, ring: Ring
    ) -> None:
        self._config = config
        self._genesis = genesis
        self._store = store
        self._roster = roster
        self._ring = ring
        self._self_id = NodeId(config.node.id)

    def make(
        self, era: Era, pairs: Iterable[tuple[bytes, bytes]], applied: Applied, now_ms: int
    ) -> Engine:
        voter = self._roster.at(era.from_height).voter(self._self_id)
        if self._ring.consensus(voter) is None:
            return Observer(
                era, self_id=self._self_id, applied=applied, now_ms=now_ms, pause_ms=PAUSE_MS
            )
        rng = random.Random()  # noqa: S311 - spreads timeouts, protects nothing
        if era.engine == "raft":
            config = self._raft(era)
            return RaftEngine(config, pairs=pairs, applied=applied, rng=rng, now_ms=now_ms)
        return PbftEngine(self._pbft(era), pairs=pairs, applied=applied, rng=rng, now_ms=now_ms)

    def _raft(self, era: Era) -> RaftConfig:
        parameters = self._genesis.parameters
        return RaftConfig(
            self_id=self._self_id,
            committee=era.committee,
            election_ms_min=parameters.election_ms,
            election_ms_spread=parameters.election_ms,
            heartbeat_ms=parameters.heartbeat_ms,
            window=self._config.consensus.window,
            first_leader=self._first_leader(era),
        )

    def _first_leader(self, era: Era) -> NodeId | None:
        """Return who leads the log of ``era`` first; None: the founders' is elected."""
        if era.committee.epoch == 0:
            return None
        row = self._store.block(era.from_height - 1)
        # A ledger that began from a snapshot may not have the barrier; its log is not new.
        proposer = None if row is None else blocks.decode_header(row.header).proposer
        return first_leader(era, proposer)

    def _pbft(self, era: Era) -> PbftConfig:
        parameters = self._genesis.parameters
        return PbftConfig(
            self_id=self._self_id,
            committee=era.committee,
            network=self._genesis.network,
            request_ms=parameters.request_ms,
            view_change_ms=parameters.view_change_ms,
            resend_ms=parameters.resend_ms,
            window=self._config.consensus.window,
            rotation_blocks=parameters.rotation_blocks,
        )


def build_driver(
    config: Config,
    genesis: Genesis,
    store: Store,
    book: Book,
    mark: SignMark,
    roster: Roster,
    ring: Ring,
) -> Driver:
    """Return the succession, the guard and the keys under the driver's order."""
    in_force = InForce(roster.now.ordering(roster.observers))
    dialect = SuccessionDialect(
        in_force,
        founders=genesis.engine,
        rotation_blocks=genesis.parameters.rotation_blocks,
    )
    pairs = list(store.consensus_pairs())
    ring.enter(roster.now.voter(config.node.id))
    succession = Succession(
        Engines(config, genesis, store, roster, ring).make,
        in_force,
        self_id=NodeId(config.node.id),
        pairs=pairs,
        applied=book.applied(),
        now_ms=time.monotonic_ns() // 1_000_000,
        pause_ms=PAUSE_MS,
    )
    guard = SignGuard(pair for pair in pairs if pair[0].startswith(GUARD_PREFIX))
    network = genesis.network
    return Driver(succession, dialect, guard, marked=mark, network=network, sign=ring.sign)


def engine_in_force(driver: Driver) -> Engine:
    """Return the engine that orders now, for what only one kind of engine can do."""
    engine = driver.engine
    return engine.inner if isinstance(engine, Succession) else engine


def dialects(genesis: Genesis) -> dict[str, Dialect]:
    """Return what each engine's certificates say, for blocks of any era."""
    return {"raft": RAFT, "pbft": PbftDialect(genesis.parameters.rotation_blocks)}
