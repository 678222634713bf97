"""The daemon: opens everything in the order of trust, runs it until told to stop.

Configuration, genesis, keys, disk, then network and interfaces.  Whatever escapes a task stops
the node: a ledger that limps is worse than one that is down.
"""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from node import eventloop
from node import keys as keystore
from node.config import Config
from node.errors import ChartsealError
from node.http.api import Runner, build_api, build_ops, ssl_context
from node.keys import NodeKeys
from node.ledger import accel
from node.ledger.genesis import GENESIS_BYTES_MAX, Genesis, GenesisInvalid
from node.log import event
from node.settings import Address
from node.signing import open_mark, open_store
from node.wiring import Parts, build


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


async def run(config: Config, *, passphrase: bytes, stop: asyncio.Event) -> None:
    """Run the node until ``stop`` is set or something fails.

    Raises ``ChartsealError`` or a library error with a stable ``code``; the caller turns it
    into an exit code.
    """
    genesis = load_genesis(config.network.genesis)
    keys = keystore.load(config.keystore.path, passphrase)
    check_keys(genesis, config.node.id, keys)
    async with AsyncExitStack() as stack:
        store = open_store(config, genesis, keys)
        stack.callback(store.close)
        mark = open_mark(config, genesis, keys, store)
        stack.callback(mark.close)
        parts = build(config, genesis, keys, store, mark)
        event(
            "node.start",
            node=config.node.id,
            network=genesis.network.hex()[:16],
            engine=genesis.engine,
            height=parts.service.book.tip.height,
            torn_bytes=store.torn_bytes,
            accel=accel.backend(),
            loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
        )
        try:
            await parts.peers.start()
        except OSError as error:
            raise ChartsealError("port-in-use", f"p2p.listen {config.p2p.listen}") from error
        stack.push_async_callback(parts.peers.close)
        render = parts.metrics.render
        api = build_api(parts.service, config=config, metrics=render)
        await _serve(stack, api, config.api.listen, "api", config=config)
        # Last: /readyz must not say yes while clients are still refused a connection.
        await _serve(stack, build_ops(parts.service, metrics=render), config.ops.listen, "ops")
        parts.switchboard.resume(parts.service.book.tip)
        await supervise(parts, stop)
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


async def supervise(parts: Parts, stop: asyncio.Event) -> None:
    """Run the tasks; return on ``stop``, raise what any of them raises.

    A node that leads hands that over first, so that the others need not miss it.
    """

    async def until_stopped() -> None:
        await stop.wait()
        parts.service.stop()
        assert parts.service.handover is not None, "wired"
        await parts.service.handover.before_stop()

    tasks = [
        asyncio.create_task(parts.replica.run(), name="replica"),
        asyncio.create_task(parts.switchboard.run_gossip(), name="gossip"),
        asyncio.create_task(parts.switchboard.run_cosigning(), name="cosigning"),
        asyncio.create_task(parts.reporter.run(), name="reporting"),
        asyncio.create_task(parts.loop_lag.run(), name="loop-lag"),
        asyncio.create_task(eventloop.collect_when_quiet(parts.quiet), name="collector"),
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
