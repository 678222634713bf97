"""The composition root: opens everything, wires it, runs until told to stop.

The only place that calls constructors of rooms.  Order of opening is the order of trust:
configuration, genesis, keys, disk, then network and interfaces.  Whatever escapes a task stops
the node: a ledger that limps is worse than one that is down.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from consensus.pbft.engine import PbftConfig, PbftEngine

from consensus.driver import Driver
from consensus.engine import Dialect, Engine
from consensus.guard import PREFIX as GUARD_PREFIX
from consensus.guard import SignGuard
from consensus.pbft.dialect import DIALECT as PBFT
from consensus.raft.config import RaftConfig
from consensus.raft.dialect import DIALECT as RAFT
from consensus.raft.engine import RaftEngine
from consensus.types import Committee, Member, NodeId
from node import keys as keystore
from node.blocksync import BlockSync
from node.bodies import Bodies, Body
from node.book import Book, Committed
from node.config import Config
from node.diskspace import DiskSpace
from node.errors import ChartsealError
from node.gossip.protocol import Gossip
from node.http.api import Runner, build_api, build_ops, ssl_context
from node.intake import Intake
from node.keys import NodeKeys
from node.ledger import block as blocks
from node.ledger import crypto, transaction
from node.ledger.genesis import GENESIS_BYTES_MAX, Genesis, GenesisInvalid
from node.log import event
from node.mempool import Mempool, MempoolLimits
from node.net.limits import NetLimits
from node.net.peers import Peers
from node.observe import Metrics, NodeCollector
from node.publish import Publisher, policy_of
from node.queries import Queries
from node.replica import Replica
from node.service import Service
from node.settings import Address
from node.supply import Supply
from node.switchboard import Switchboard
from storage.store import Store


@dataclass(slots=True)
class Parts:
    """Everything of a running node that its interfaces and tests may look at."""

    service: Service
    replica: Replica
    peers: Peers
    switchboard: Switchboard
    metrics: Metrics


def load_genesis(path: Path) -> Genesis:
    """Return the founding document at ``path``; raises ``ChartsealError``."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ChartsealError("genesis-invalid", f"{path}: {error.strerror}") from error
    if len(raw) > GENESIS_BYTES_MAX:
        raise ChartsealError("genesis-invalid", f"{path}: {len(raw)} bytes")
    try:
        return Genesis.decode(raw)
    except GenesisInvalid as error:
        raise ChartsealError("genesis-invalid", f"{path}: {error}") from error


def check_keys(genesis: Genesis, node_id: str, keys: NodeKeys) -> None:
    """Refuse to run with keys that genesis does not know for this institution."""
    mine = next((item for item in genesis.institutions if item.id == node_id), None)
    if mine is None:
        raise ChartsealError("config-invalid", f"{node_id} is not an institution of genesis")
    if not mine.validator:
        raise ChartsealError("config-invalid", f"{node_id} is not a validator of genesis")
    public = keys.public
    if (public.identity, public.consensus, public.cosigner) != (
        mine.identity_key,
        mine.consensus_key,
        mine.cosigner_key,
    ):
        raise ChartsealError("keystore-mismatch", f"the keys are not those of {node_id}")


def committee_of(genesis: Genesis) -> Committee:
    members = tuple(Member(NodeId(m.id), m.consensus_key) for m in genesis.validators)
    return Committee(0, members)


def body_loader(store: Store) -> Callable[[bytes], Body | None]:
    """Return a reader of stored bodies.  What our own disk holds was verified before."""

    def load(digest: bytes) -> Body | None:
        raw = store.body(digest)
        if raw is None:
            return None
        header, raws = blocks.decode_body(raw, size_max=len(raw))
        return Body(header, tuple(transaction.parse(item) for item in raws), raw)

    return load


def build_engine(
    genesis: Genesis, node_id: str, store: Store, book: Book
) -> tuple[Engine, Dialect]:
    """Return the engine that genesis names, restored from what the store holds."""
    parameters, committee = genesis.parameters, committee_of(genesis)
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
        )
        return RaftEngine(raft, pairs=pairs, applied=applied, rng=rng, now_ms=now_ms), RAFT
    pbft = PbftConfig(
        self_id=NodeId(node_id),
        committee=committee,
        network=genesis.network,
        request_ms=parameters.request_ms,
        view_change_ms=parameters.view_change_ms,
        resend_ms=parameters.resend_ms,
    )
    return PbftEngine(pbft, pairs=pairs, applied=applied, rng=rng, now_ms=now_ms), PBFT


def build(config: Config, genesis: Genesis, keys: NodeKeys, store: Store) -> Parts:
    """Wire the rooms of one node."""
    node_id = config.node.id
    book = Book(store, genesis)
    bodies = Bodies(body_loader(store))
    pool = Mempool(
        MempoolLimits(
            transactions_max=config.limits.mempool_transactions_max,
            bytes_max=config.limits.mempool_bytes_max,
        )
    )
    intake = Intake(book, store, pool, now_ms=_monotonic_ms)
    publisher = Publisher(policy_of(genesis), self_id=node_id, signer=keys.cosigner)
    board = Switchboard(mempool=pool, publisher=publisher, store=store)
    engine, dialect = build_engine(genesis, node_id, store, book)
    guard_end = GUARD_PREFIX[:-1] + bytes((GUARD_PREFIX[-1] + 1,))
    pairs = (pair for pair in store.consensus_pairs() if GUARD_PREFIX <= pair[0] < guard_end)
    driver = Driver(
        engine,
        dialect,
        SignGuard(pairs),
        network=genesis.network,
        sign=keys.consensus.sign,
    )
    committee = committee_of(genesis)
    supply = Supply(
        bodies,
        book,
        intake,
        pool,
        members=committee.ids,
        ask=board.ask_body,
        peers=board.connected,
    )
    service = Service(
        node_id=node_id,
        genesis=genesis,
        store=store,
        book=book,
        mempool=pool,
        intake=intake,
        queries=Queries(store, book),
        publisher=publisher,
        signer=keys.identity,
        engine_status=engine.status,
        peers_connected=board.connected,
        admitted=board.admitted,
        disk=DiskSpace(config.node.data_dir, min_free_bytes=config.storage.min_free_bytes),
    )

    def committed(result: Committed) -> None:
        board.applied(result)
        service.committed(result)

    replica = Replica(
        self_id=NodeId(node_id),
        committee=committee,
        driver=driver,
        store=store,
        book=book,
        bodies=bodies,
        mempool=pool,
        supply=supply,
        send=board.send,
        committed=committed,
        expired=service.expired,
    )
    sync = BlockSync(
        book=book,
        store=store,
        bodies=bodies,
        intake=intake,
        dialect=dialect,
        committee=committee,
        ask=board.ask_blocks,
        give=replica.synced,
        backlog=replica.backlog,
    )
    replica.sync = sync
    peers = Peers(
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
    gossip = Gossip(node_id, [m.id for m in genesis.validators if m.id != node_id])
    board.wire(
        peers=peers, replica=replica, supply=supply, sync=sync, intake=intake, gossip=gossip
    )
    collector = NodeCollector(service, replica, intake, peers.statistics, board.tally)
    return Parts(service, replica, peers, board, Metrics(collector))


async def run(config: Config, *, passphrase: bytes, stop: asyncio.Event) -> None:
    """Run the node until ``stop`` is set or something fails.

    Raises ``ChartsealError`` or a library error with a stable ``code``; the caller turns it
    into an exit code.
    """
    genesis = load_genesis(config.network.genesis)
    keys = keystore.load(config.keystore.path, passphrase)
    check_keys(genesis, config.node.id, keys)
    async with AsyncExitStack() as stack:
        store = Store.open(
            config.node.data_dir,
            network=genesis.network,
            create=True,
            segment_bytes_max=config.storage.segment_bytes_max,
        )
        stack.callback(store.close)
        parts = build(config, genesis, keys, store)
        event(
            "node.start",
            node=config.node.id,
            network=genesis.network.hex()[:16],
            engine=genesis.engine,
            height=parts.service.book.tip.height,
            torn_bytes=store.torn_bytes,
        )
        try:
            await parts.peers.start()
        except OSError as error:
            raise ChartsealError("port-in-use", f"p2p.listen {config.p2p.listen}") from error
        stack.push_async_callback(parts.peers.close)
        render = parts.metrics.render
        await _serve(stack, build_ops(parts.service, metrics=render), config.ops.listen, "ops")
        api = build_api(parts.service, config=config, metrics=render)
        await _serve(stack, api, config.api.listen, "api", config=config)
        parts.switchboard.cosign(parts.service.book.tip)
        await _supervise(parts, stop)
        event("node.stop", height=parts.service.book.tip.height)


async def _serve(
    stack: AsyncExitStack,
    app: web.Application,
    listen: Address,
    section: str,
    *,
    config: Config | None = None,
) -> None:
    runner = Runner(app, shutdown_timeout=2.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    context = None if config is None else ssl_context(config)
    site = web.TCPSite(runner, listen.host, listen.port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        raise ChartsealError("port-in-use", f"{section}.listen {listen}") from error


async def _supervise(parts: Parts, stop: asyncio.Event) -> None:
    """Run the tasks; return on ``stop``, raise what any of them raises."""

    async def until_stopped() -> None:
        await stop.wait()

    tasks = [
        asyncio.create_task(parts.replica.run(), name="replica"),
        asyncio.create_task(parts.switchboard.run_gossip(), name="gossip"),
        asyncio.create_task(until_stopped(), name="stop"),
    ]
    ends: list[asyncio.Future[None]] = [*tasks, parts.peers.failure]
    try:
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for end in done:
            end.result()
    finally:
        parts.service.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
