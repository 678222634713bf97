"""How the rooms of one node are wired: with ``node.wiring_members`` the only place that calls
their constructors.

Order follows the flow: what is on disk, what the engine restores from it, the rooms between,
the members' network, the face to clients.  Nothing here runs yet; ``node.daemon`` does that.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from consensus.driver import Driver
from consensus.types import NodeId
from node.blocksync import BlockSync
from node.bodies import Bodies, Body
from node.book import Book
from node.committing import Committer
from node.config import Config
from node.diskspace import DiskSpace
from node.engines import build_driver, dialects, engine_in_force
from node.gossip.protocol import Gossip, GossipLimits
from node.handover import Handover
from node.intake import Intake
from node.joining import Joining
from node.keys import NodeKeys
from node.ledger import block as blocks
from node.ledger import transaction
from node.ledger.genesis import Genesis
from node.life import Life
from node.lineage_desk import LineageDesk, build_desk
from node.looplag import LoopLag
from node.mempool import Mempool, MempoolLimits
from node.net.peers import Peers
from node.observe import Metrics, NodeCollector
from node.publish import Publisher
from node.queries import Queries
from node.queues import Rooms
from node.reads import LinearReads
from node.replica import Replica
from node.reporting import Reporter
from node.ring import Ring
from node.roster import Roster
from node.scrub import Scrub
from node.service import Progress, Service
from node.snapshot_rooms import SnapshotRooms
from node.snapshot_wiring import build_snapshots
from node.supply import Supply
from node.switchboard import Switchboard
from node.why.explainer import Explainer
from node.wiring_life import build_life
from node.wiring_members import (
    build_belonging,
    build_joining,
    build_peers,
    build_reporter,
    check_keys,
    monotonic_ms,
    spare_of,
)
from node.wiring_upkeep import build_upkeep
from storage.errors import Corrupt
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
    roster: Roster
    ring: Ring
    joining: Joining
    snapshots: SnapshotRooms
    scrub: Scrub
    explainer: Explainer

    @property
    def life(self) -> Life:
        """What looks after disk, clock, certificates and drain."""
        assert self.service.life is not None, "wired"
        return self.service.life

    def quiet(self) -> bool:
        """Return whether nothing waits to be ordered or applied."""
        return not len(self.switchboard.mempool) and not self.replica.backlog()


def body_loader(store: Store) -> Callable[[bytes], Body | None]:
    """Return a reader of stored bodies.  What our own disk holds was verified before."""

    def load(digest: bytes) -> Body | None:
        try:
            raw = store.body(digest)
        except Corrupt:
            raw = None  # others have it; the scrub mends the record
        if raw is None:
            return None
        header, raws = blocks.decode_body(raw, size_max=len(raw))
        return Body(header, tuple(tx for tx, _ in transaction.open_all(raws)), raw)

    return load


def build_replica(
    service: Service,
    board: Switchboard,
    driver: Driver,
    supply: Supply,
    bodies: Bodies,
    mark: SignMark,
    ring: Ring,
    *,
    reporter: Reporter,
) -> Replica:
    """Return the loop that drives the engine, with the committer beside it."""
    node_id = service.node_id
    assert service.snapshots is not None, "made before"
    committer = Committer(
        store=service.store,
        book=service.book,
        bodies=bodies,
        mempool=service.mempool,
        roster=board.roster,
        supply=supply,
        committed=[
            board.applied,
            service.committed,
            reporter.applied,
            service.snapshots.shelf.applied,
        ],
        expired=service.expired,
    )
    return Replica(
        self_id=NodeId(node_id),
        rules=board.roster.now,
        committer=committer,
        entered=lambda rules: ring.enter(rules.voter(node_id)),
        driver=driver,
        store=service.store,
        mark=mark,
        book=service.book,
        bodies=bodies,
        mempool=service.mempool,
        supply=supply,
        reads=service.reads,
        send=board.send,
        contradicted=reporter.votes,
    )


def build_sync(
    replica: Replica,
    board: Switchboard,
    genesis: Genesis,
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
        dialects=dialects(genesis),
        rules=board.roster,
        barrier=replica.barrier,
        settled=replica.settled,
        ask=board.ask_blocks,
        give=replica.synced,
        backlog=replica.backlog,
    )
    replica.sync = sync
    return sync


def build_lineage(
    service: Service, sync: BlockSync, replica: Replica, board: Switchboard
) -> LineageDesk:
    """Return who keeps, serves and learns how the members came to be members."""
    desk = build_desk(
        service.genesis,
        service.store,
        service.book,
        sync,
        self_id=service.node_id,
        send=board.send_frame,
        peers=board.connected,
    )
    service.lineage, service.trust = desk.keeper.text, lambda: desk.keeper.trust
    replica.heard_of = desk.expect
    return desk


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
        spare=spare_of(config),
        roster=board.roster,
        engine_status=driver.engine.status,
        peers_connected=board.connected,
        admitted=board.admitted,
        disk=DiskSpace(
            config.node.data_dir,
            min_free_bytes=config.storage.min_free_bytes,
            reserve_bytes=config.storage.reserve_bytes,
        ),
        reads=LinearReads(executed=lambda: book.tip.height),
    )


def build_handover(
    genesis: Genesis, replica: Replica, board: Switchboard, self_id: str
) -> Handover:
    """Return who hands leadership over; patience as long as the engine tries."""
    return Handover(
        self_id=NodeId(self_id),
        engine=lambda: engine_in_force(replica.driver),
        ask=replica.ask,
        connected=board.connected,
        newest=board.publisher.newest_of,
        patience_s=2 * genesis.parameters.election_ms / 1000,
    )


def wire_rooms(
    config: Config, genesis: Genesis, rooms: Rooms, sync: BlockSync, board: Switchboard
) -> None:
    """Introduce the rooms to one another that could not be made in one order."""
    service, replica, peers = rooms.service, rooms.replica, rooms.peers
    service.handover = build_handover(genesis, replica, board, service.node_id)
    service.progress = lambda: Progress(
        replica.counters.low_watermark,
        config.consensus.window,
        replica.in_flight(),
        sum(map(rooms.reporter.recorded, rooms.reporter.members)),
    )
    board.wire(
        peers=peers,
        replica=replica,
        supply=rooms.supply,
        sync=sync,
        intake=rooms.intake,
        gossip=rooms.gossip,
        reporter=rooms.reporter,
        belonging=build_belonging(config, board.roster, board, peers, service.store),
        lineage=build_lineage(service, sync, replica, board),
    )
    service.life = build_life(config, rooms)


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


def build_explainer(
    config: Config,
    service: Service,
    replica: Replica,
    peers: Peers,
    reporter: Reporter,
    lag: LoopLag,
    ring: Ring,
) -> Explainer:
    """Return who says what is wrong, for interfaces and the log."""
    assert replica.sync is not None, "wired"
    explainer = Explainer(config, service, replica, peers, reporter, lag, replica.sync, ring)
    service.explain, service.observe = explainer.explain, explainer.observe
    return explainer


def build(
    config: Config,
    genesis: Genesis,
    keys: NodeKeys,
    store: Store,
    mark: SignMark,
    *,
    following: Sequence[NodeKeys] = (),
) -> Parts:
    """Wire the rooms of one node; ``mark`` is level with ``store``.

    ``following``: keys that the ledger is to name in place of those of ``keys``, oldest first.
    Raises ``ChartsealError`` (keystore-mismatch) for keys that are not this institution's.
    """
    node_id = config.node.id
    book, bodies = build_book(config, genesis, store), Bodies(body_loader(store))
    roster, ring = Roster(genesis, book, node_id), Ring(keys, *following)
    check_keys(roster, keys)
    pool = build_pool(config)
    intake = Intake(book, store, pool, now_ms=monotonic_ms)
    publisher = Publisher(roster, self_id=node_id, signer=ring.cosigner)
    board = Switchboard(mempool=pool, publisher=publisher, store=store, roster=roster)
    driver = build_driver(config, genesis, store, book, mark, roster, ring)
    supply = Supply(
        bodies, book, intake, pool, rules=roster, ask=board.ask_body, peers=board.connected
    )
    service = build_service(config, genesis, keys, store, book, intake, driver, board)
    reporter = build_reporter(service, roster)
    snapshots = service.snapshots = build_snapshots(
        config, genesis, store, book, board, service.disk
    )
    replica = build_replica(
        service, board, driver, supply, bodies, mark, ring, reporter=reporter
    )
    sync = build_sync(replica, board, genesis, store, book, bodies, intake)
    peers = build_peers(config, genesis, keys, board, roster)
    gossips = gossip_limits(genesis)
    gossip = Gossip(node_id, roster.identities(), gossips)
    rooms = Rooms(service, replica, peers, supply, intake, gossip, reporter, gossips)
    wire_rooms(config, genesis, rooms, sync, board)
    scrub = build_upkeep(config, genesis, keys, service, sync, board)
    lag = LoopLag(time.monotonic)
    metrics = build_metrics(service, replica, intake, board, peers, reporter, lag)
    explainer = build_explainer(config, service, replica, peers, reporter, lag, ring)
    joining = build_joining(service, roster, ring)
    return Parts(
        service,
        replica,
        peers,
        board,
        reporter,
        lag,
        metrics,
        roster,
        ring,
        joining,
        snapshots,
        scrub,
        explainer,
    )
