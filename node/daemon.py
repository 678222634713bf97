"""The daemon: opens everything in the order of trust, runs it until told to stop.

Configuration, genesis, keys, disk, then network and interfaces.  Whatever escapes a task stops
the node: a ledger that limps is worse than one that is down.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from node import eventloop
from node import keys as keystore
from node.config import Config
from node.diskspace import room_to_start
from node.errors import ChartsealError
from node.http.api import Runner, build_api, build_ops
from node.keys import NodeKeys
from node.learning import learn
from node.ledger import accel
from node.ledger.genesis import GENESIS_BYTES_MAX, Genesis, GenesisInvalid
from node.life import Life
from node.log import event
from node.notify import Notifier
from node.rejoin import may_rejoin, open_node, start_over
from node.settings import Address
from node.wiring import Parts, build
from node.wiring_members import check_founders
from storage.errors import Corrupt, StorageFailure

STARTS_OVER_MAX: Final = 3  # in one process: a disk that goes on rotting needs a person

OnReload = Callable[[Callable[[], None]], None]


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


async def run(
    config: Config,
    *,
    passphrase: bytes,
    stop: asyncio.Event,
    on_reload: OnReload = lambda _reload: None,
) -> None:
    """Run the node until ``stop`` is set or something fails.

    ``on_reload`` is handed what to call when certificates should be read again (SIGHUP).
    Raises ``ChartsealError`` or a library error with a stable ``code``; the caller turns it
    into an exit code.
    """
    genesis = load_genesis(config.network.genesis)
    keys = keystore.load(config.keystore.path, passphrase)
    check_founders(config, genesis, keys)
    notifier = Notifier()
    notifier.begin()
    try:
        room_to_start(config.node.data_dir)
        await _sessions(config, genesis, keys, passphrase, stop, notifier, on_reload)
    finally:
        notifier.begun()


async def _sessions(
    config: Config,
    genesis: Genesis,
    keys: NodeKeys,
    passphrase: bytes,
    stop: asyncio.Event,
    notifier: Notifier,
    on_reload: OnReload,
) -> None:
    """Run on one store after the other, until told to stop."""
    overs = 0
    while True:
        try:
            again = await _session(config, genesis, keys, passphrase, stop, notifier, on_reload)
        except StorageFailure as failure:
            damage = _damage(failure)
            overs += 1
            if damage is None or overs > STARTS_OVER_MAX or not may_rejoin(config, genesis):
                raise
            start_over(config, damage)
            again = True
        if not again:
            return
        event("node.reopen", node=config.node.id)
        keys = keystore.load(config.keystore.path, passphrase)  # a fence may have renewed them


def _damage(failure: StorageFailure) -> Corrupt | None:
    """Return the damage behind a failure: the first read notices it, the next write stops."""
    found: BaseException | None = failure
    while found is not None and not isinstance(found, Corrupt):
        found = found.__cause__
    return found


async def _session(
    config: Config,
    genesis: Genesis,
    keys: NodeKeys,
    passphrase: bytes,
    stop: asyncio.Event,
    notifier: Notifier,
    on_reload: OnReload,
) -> bool:
    """Run on one store; True when another is to take its place and the node to go on."""
    async with AsyncExitStack() as closing:
        opened = open_node(config, genesis, keys, passphrase)
        keys, store, mark = opened.keys, opened.store, opened.mark
        closing.callback(store.close)
        async with AsyncExitStack() as stack:
            stack.callback(mark.close)
            parts = build(config, genesis, keys, store, mark)
            parts.life.notifier = notifier
            on_reload(partial(_reload, parts.life))
            event(
                "node.start",
                node=config.node.id,
                network=genesis.network.hex()[:16],
                engine=parts.roster.now.era.engine,
                epoch=parts.roster.now.era.epoch,
                role=parts.roster.role,
                height=parts.service.book.tip.height,
                torn_bytes=store.torn_bytes,
                accel=accel.backend(),
                loop=type(asyncio.get_running_loop()).__module__.partition(".")[0],
            )
            await _serve_all(stack, parts, config)
            parts.switchboard.resume(parts.service.book.tip)
            notifier.begun()
            await supervise(parts, stop)
            event("node.stop", height=parts.service.book.tip.height)
        # All rooms are closed: nothing writes to the store any more.
        parts.snapshots.installer.switch(store)
    return parts.snapshots.installer.ready and not stop.is_set()


async def _serve_all(stack: AsyncExitStack, parts: Parts, config: Config) -> None:
    """Open the three ports."""
    try:
        await parts.peers.start()
    except OSError as error:
        raise ChartsealError("port-in-use", f"p2p.listen {config.p2p.listen}") from error
    stack.push_async_callback(parts.peers.close)
    render = parts.metrics.render
    api = build_api(parts.service, config=config, metrics=render)
    await _serve(stack, api, config.api.listen, "api", parts.life.certificates.context)
    # Last: /readyz must not say yes while clients are still refused a connection.
    await _serve(stack, build_ops(parts.service, metrics=render), config.ops.listen, "ops")


def _reload(life: Life) -> None:
    with suppress(ChartsealError):  # said in an event; the old files stay in force
        life.reload()


async def _serve(
    stack: AsyncExitStack,
    app: web.Application,
    listen: Address,
    section: str,
    context: ssl.SSLContext | None = None,
) -> None:
    runner = Runner(app, shutdown_timeout=2.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, listen.host, listen.port, ssl_context=context)
    try:
        await site.start()
    except OSError as error:
        raise ChartsealError("port-in-use", f"{section}.listen {listen}") from error


async def supervise(parts: Parts, stop: asyncio.Event) -> None:
    """Run the tasks; return on ``stop``, raise what any of them raises.

    A node that leads hands that over first, so that the others need not miss it; and what it
    accepted is finished, within its patience.
    """

    async def until_stopped() -> None:
        await stop.wait()
        await parts.life.before_stop()
        parts.service.stop()

    assert parts.service.upkeep is not None, "wired"
    tasks = [
        asyncio.create_task(parts.service.upkeep.run(), name="upkeep"),
        asyncio.create_task(parts.replica.run(), name="replica"),
        asyncio.create_task(parts.switchboard.run_gossip(), name="gossip"),
        asyncio.create_task(parts.switchboard.run_cosigning(), name="cosigning"),
        asyncio.create_task(parts.switchboard.lineage.run(), name="lineage"),
        asyncio.create_task(parts.reporter.run(), name="reporting"),
        asyncio.create_task(parts.joining.run(), name="joining"),
        asyncio.create_task(parts.loop_lag.run(), name="loop-lag"),
        asyncio.create_task(parts.snapshots.shelf.run(), name="snapshots"),
        asyncio.create_task(parts.snapshots.take(), name="state-sync"),
        asyncio.create_task(parts.scrub.run(), name="scrub"),
        asyncio.create_task(learn(parts.service.store), name="learning"),
        asyncio.create_task(parts.explainer.run(), name="why"),
        asyncio.create_task(eventloop.collect_when_quiet(parts.quiet), name="collector"),
        asyncio.create_task(parts.life.run(), name="life"),
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
