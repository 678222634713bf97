"""How the rooms of one node are wired: the only place that calls their constructors.

Order follows the flow: what is on disk, what the engine restores from it, the rooms between,
the members' network, the face to clients.  Nothing here runs yet; ``node.daemon`` does that.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.driver import Driver
from consensus.engine import Dialect, Engine
from consensus.guard import PREFIX as GUARD_PREFIX
from consensus.guard import SignGuard
from consensus.pbft.dialect import PbftDialect
from consensus.pbft.engine import PbftConfig, PbftEngine
from consensus.raft.config import RaftConfig
from consensus.raft.dialect import DIALECT as RAFT
from consensus.raft.engine import RaftEngine
from consensus.types import Committee, NodeId
from node.blocksync import BlockSync
from node.bodies import Bodies, Body
from node.book import Book
from node.config import Config
from node.diskspace import DiskSpace
from node.gossip.protocol import Gossip, GossipLimits
from node.handover import Handover
from node.intake import Answer, Intake
from node.keys import NodeKeys, read_seed
from node.ledger import block as blocks
from node.ledger import crypto, transaction
from node.ledger.genesis import Genesis
from node.ledger.transaction import Op
from node.looplag import LoopLag
from node.members import committee_of
from node.mempool import Mempool, MempoolLimits
from node.net.limits import NetLimits
from node.net.peers import Peers
from node.observe import Metrics, NodeCollector
from node.publish import Publisher, policy_of
from node.queries import Queries
from node.reads import LinearReads
from node.replica import Replica
from node.reporting import Reporter
from node.service import Progress, Service
from node.supply import Supply
from node.switchboard import Switchboard
from storage.mark import SignMark
from storage.store import Store


@dataclass(slots=True)
class Parts:
    """Everything of a running node that its interfaces and tests may look at."""

    service: Service
    replica: Replica
    peers: Peers
    switchboard: Switchboard
    reporter: Reporter
    loop_lag: LoopLag
    metrics: Metrics

    def quiet(self) -> bool:
        """Return whether nothing waits to be ordered or applied."""
        return not len(self.switchboard.mempool) and not self.replica.backlog()


def body_loader(store: Store) -> Callable[[bytes], Body | None]:
    """Return a reader of stored bodies.  What our own disk holds was verified before."""

    def load(digest: bytes) -> Body | None:
        raw = store.body(digest)
        if raw is None:
            return None
        header, raws = blocks.decode_body(raw, size_max=len(raw))
        return Body(header, tuple(tx for tx, _ in transaction.open_all(raws)), raw)

    return load


def build_engine(
    config: Config, genesis: Genesis, store: Store, book: Book
) -> tuple[Engine, Dialect]:
    """Return the engine that genesis names, restored from what the store holds."""
    parameters, committee = genesis.parameters, committee_of(genesis)
    node_id, window = config.node.id, config.consensus.window
    rng = random.Random()  # noqa: S311 - spreads timeouts, protects nothing
    now_ms = time.monotonic_ns() // 1_000_000
    pairs, applied = store.consensus_pairs(), book.applied()
    if genesis.engine == "raft":
        raft = RaftConfig(
            self_id=NodeId(node_id),
            committee=committee,
            election_ms_min=parameters.election_ms,
            election_ms_spread=parameters.election_ms,
            heartbeat_ms=parameters.heartbeat_ms,
            window=window,
        )
        return RaftEngine(raft, pairs=pairs, applied=applied, rng=rng, now_ms=now_ms), RAFT
    pbft = PbftConfig(
        self_id=NodeId(node_id),
        committee=committee,
        network=genesis.network,
        request_ms=parameters.request_ms,
        view_change_ms=parameters.view_change_ms,
        resend_ms=parameters.resend_ms,
        window=window,
        rotation_blocks=parameters.rotation_blocks,
    )
    engine = PbftEngine(pbft, pairs=pairs, applied=applied, rng=rng, now_ms=now_ms)
    return engine, PbftDialect(parameters.rotation_blocks)


def build_driver(
    config: Config, genesis: Genesis, keys: NodeKeys, store: Store, book: Book, mark: SignMark
) -> Driver:
    """Return engine, guard and key under the driver's order, restored from the store."""
    engine, dialect = build_engine(config, genesis, store, book)
    guard_end = GUARD_PREFIX[:-1] + bytes((GUARD_PREFIX[-1] + 1,))
    pairs = (pair for pair in store.consensus_pairs() if GUARD_PREFIX <= pair[0] < guard_end)
    guard = SignGuard(pairs)
    network, sign = genesis.network, keys.consensus.sign
    return Driver(engine, dialect, guard, marked=mark, network=network, sign=sign)


def build_peers(config: Config, genesis: Genesis, keys: NodeKeys, board: Switchboard) -> Peers:
    """Return the members' network; every validator of genesis may connect."""
    node_id = config.node.id
    return Peers(
        self_id=node_id,
        network=genesis.network,
        members={m.id: m.identity_key for m in genesis.validators},
        addresses={
            peer: (at.host, at.port) for peer, at in config.peers.items() if peer != node_id
        },
        listen=(config.p2p.listen.host, config.p2p.listen.port),
        signer=keys.identity.sign,
        verify=crypto.verify,
        on_frame=board.on_frame,
        limits=NetLimits(),
        rng=random.Random(),  # noqa: S311 - spreads re-dials
        clock_ms=_monotonic_ms,
        on_up=board.peer_up,
        on_down=board.peer_down,
    )


def build_sync(
    replica: Replica,
    board: Switchboard,
    driver: Driver,
    committee: Committee,
    store: Store,
    book: Book,
    bodies: Bodies,
    intake: Intake,
) -> BlockSync:
    """Return the catch-up, which feeds the replica and is asked by it."""
    sync = BlockSync(
        book=book,
        store=store,
        bodies=bodies,
        intake=intake,
        dialect=driver.dialect,
        committee=committee,
        ask=board.ask_blocks,
        give=replica.synced,
        backlog=replica.backlog,
    )
    replica.sync = sync
    return sync


def gossip_limits(genesis: Genesis) -> GossipLimits:
    """Return gossip's bounds: announce late, but before anybody begins to suspect the primary.

    Announcements only make good a push that was lost.  After 200 ms, the gossip's own default,
    they were half of all frames among sixteen busy members.
    """
    after_ms = max(200, min(1_000, genesis.parameters.request_ms // 2))
    return GossipLimits(announce_after_ms=after_ms)


def build_pool(config: Config) -> Mempool:
    """Return the pool within this node's own limits."""
    limits = config.limits
    return Mempool(
        MempoolLimits(
            transactions_max=limits.mempool_transactions_max,
            bytes_max=limits.mempool_bytes_max,
        )
    )


def build_book(config: Config, genesis: Genesis, store: Store) -> Book:
    """Return the applied ledger, with as much history as this node keeps."""
    return Book(store, genesis, history_blocks=config.storage.state_history_blocks)


def build_service(
    config: Config,
    genesis: Genesis,
    keys: NodeKeys,
    store: Store,
    book: Book,
    intake: Intake,
    driver: Driver,
    board: Switchboard,
) -> Service:
    """Return the face that interfaces see."""
    spare = config.keystore.signing_key_file
    return Service(
        node_id=config.node.id,
        genesis=genesis,
        store=store,
        book=book,
        mempool=board.mempool,
        intake=intake,
        queries=Queries(store, book),
        publisher=board.publisher,
        signer=keys.identity,
        spare=None if spare is None else crypto.Signer(read_seed(spare)),
        engine_status=driver.engine.status,
        peers_connected=board.connected,
        admitted=board.admitted,
        disk=DiskSpace(config.node.data_dir, min_free_bytes=config.storage.min_free_bytes),
        reads=LinearReads(executed=lambda: book.tip.height),
    )


def build_reporter(service: Service, committee: Committee) -> Reporter:
    """Return who brings contradictions to the ledger, under this institution's name."""

    async def submit(ops: Sequence[Op]) -> Answer:
        (answer,) = await service.submit([service.sign(ops)])
        return answer

    return Reporter(
        self_id=service.node_id,
        members=committee.ids,
        read=service.book.read,
        submit=submit,
        now_s=time.monotonic,
    )


def build_handover(
    genesis: Genesis, replica: Replica, board: Switchboard, self_id: str
) -> Handover:
    """Return who hands leadership over; patience as long as the engine tries."""
    return Handover(
        self_id=NodeId(self_id),
        engine=replica.driver.engine,
        ask=replica.ask,
        connected=board.connected,
        newest=board.publisher.newest_of,
        patience_s=2 * genesis.parameters.election_ms / 1000,
    )


def build_metrics(
    service: Service,
    replica: Replica,
    intake: Intake,
    board: Switchboard,
    peers: Peers,
    reporter: Reporter,
    lag: LoopLag,
) -> Metrics:
    """Return what the metrics page shows."""
    return Metrics(
        NodeCollector(service, replica, intake, peers.statistics, board.tally, reporter, lag)
    )


def build(
    config: Config, genesis: Genesis, keys: NodeKeys, store: Store, mark: SignMark
) -> Parts:
    """Wire the rooms of one node; ``mark`` is level with ``store``."""
    node_id, committee = config.node.id, committee_of(genesis)
    book, bodies = build_book(config, genesis, store), Bodies(body_loader(store))
    pool = build_pool(config)
    intake = Intake(book, store, pool, now_ms=_monotonic_ms)
    publisher = Publisher(policy_of(genesis), self_id=node_id, signer=keys.cosigner)
    board = Switchboard(mempool=pool, publisher=publisher, store=store)
    driver = build_driver(config, genesis, keys, store, book, mark)
    supply = Supply(
        bodies,
        book,
        intake,
        pool,
        members=committee.ids,
        ask=board.ask_body,
        peers=board.connected,
    )
    service = build_service(config, genesis, keys, store, book, intake, driver, board)
    reporter = build_reporter(service, committee)
    replica = Replica(
        self_id=NodeId(node_id),
        committee=committee,
        driver=driver,
        store=store,
        mark=mark,
        book=book,
        bodies=bodies,
        mempool=pool,
        supply=supply,
        reads=service.reads,
        send=board.send,
        committed=[board.applied, service.committed, reporter.applied],
        expired=service.expired,
        contradicted=reporter.votes,
    )
    sync = build_sync(replica, board, driver, committee, store, book, bodies, intake)
    peers = build_peers(config, genesis, keys, board)
    service.handover = build_handover(genesis, replica, board, node_id)
    service.progress = lambda: Progress(
        replica.counters.low_watermark,
        config.consensus.window,
        replica.in_flight(),
        sum(map(reporter.recorded, reporter.members)),
    )
    gossip = Gossip(node_id, committee.ids, gossip_limits(genesis))
    board.wire(
        peers=peers,
        replica=replica,
        supply=supply,
        sync=sync,
        intake=intake,
        gossip=gossip,
        reporter=reporter,
    )
    lag = LoopLag(time.monotonic)
    metrics = build_metrics(service, replica, intake, board, peers, reporter, lag)
    return Parts(service, replica, peers, board, reporter, lag, metrics)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
