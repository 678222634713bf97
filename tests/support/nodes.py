"""Several whole nodes in one process and one event loop, over real disks, TCP and TLS.

The cluster tests run real processes; these stand where a test
must reach inside: lose frames of one kind, look at an engine, watch what it is told.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from consensus import wire
from consensus.types import NodeId
from node import config
from node.cli.layout import CONFIG_NAME
from node.daemon import supervise
from node.keys import NodeKeys
from node.ledger.families.record import Anchor
from node.ledger.genesis import Genesis, Parameters
from node.ledger.transaction import Op, txid_of
from node.net.frame import FrameType
from node.net.peers import Peers
from node.service import TxStatus
from node.signing import open_mark, open_store
from node.wiring import Parts, build
from storage.mark import SignMark
from storage.store import Store
from tests.support.hostile import genesis_of, keys_of
from tests.support.votes import Hands, late_founding

FAST = Parameters(
    request_ms=1500, view_change_ms=800, resend_ms=150, election_ms=300, heartbeat_ms=50
)


class Node:
    """One member; what it sends of ``lost`` kinds, or to ``cut`` members, never leaves it,
    though it believes that it does."""

    def __init__(self, network: "Nodes", at: int) -> None:
        self.network = network
        self.at = at
        self.id = network.cluster.members[at].id
        self.lost: set[FrameType] = set()
        self.cut: set[str] = set()
        self.parts: Parts
        self.store: Store
        self.mark: SignMark
        self.following: list[NodeKeys] = []  # voting keys that the ledger is to take
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        return self._task is not None

    async def start(
        self, *flags: tuple[str, str], watch: Callable[[Parts], None] | None = None
    ) -> None:
        """Open and run it; ``watch`` sees its rooms before anything moves in them."""
        await self._open(dict(flags), watch)
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._live(dict(flags), watch), name=self.id)

    async def _open(self, flags: dict[str, str], watch: Callable[[Parts], None] | None) -> None:
        cluster = self.network.cluster
        path = cluster.node_dir(self.at) / CONFIG_NAME
        settings = config.load(path, environment={}, flags=flags)
        genesis, keys = self.network.genesis, keys_of(cluster, self.at)
        self.store = open_store(settings, genesis, keys)
        self.mark = open_mark(settings, genesis, keys, self.store)
        self.parts = build(
            settings, genesis, keys, self.store, self.mark, following=self.following
        )
        self._lose(self.parts.peers)
        if watch is not None:
            watch(self.parts)
        await self.parts.peers.start()
        self.parts.switchboard.resume(self.parts.service.book.tip)

    async def _live(self, flags: dict[str, str], watch: Callable[[Parts], None] | None) -> None:
        """Run as the daemon does: on another store when one is ready to take over."""
        while True:
            await supervise(self.parts, self._stop)
            installer = self.parts.snapshots.installer
            if not installer.ready or self._stop.is_set():
                return
            await self.parts.peers.close()
            self.mark.close()
            installer.switch(self.store)
            self.store.close()
            await self._open(flags, watch)

    def _lose(self, peers: Peers) -> None:
        enqueue, broadcast = peers.enqueue, peers.broadcast
        others = [m.id for m in self.network.cluster.members if m.id != self.id]

        def one(peer: Any, kind: FrameType, payload: bytes) -> Any:
            lost = kind in self.lost or peer in self.cut
            return None if lost else enqueue(peer, kind, payload)

        def all_(kind: FrameType, payload: bytes) -> Any:
            if kind in self.lost:
                return
            if not self.cut:
                broadcast(kind, payload)
                return
            for peer in others:
                one(NodeId(peer), kind, payload)

        peers.enqueue, peers.broadcast = one, all_  # type: ignore[method-assign]

    async def stop(self) -> None:
        """End it as the daemon ends: an orderly stop.  Raises what the node ended with."""
        if self._task is None:
            return
        self._stop.set()
        task, self._task = self._task, None
        try:
            await task
        finally:
            await self._close()

    async def _close(self) -> None:
        await self.parts.peers.close()
        self.mark.close()
        self.store.close()

    async def kill(self) -> None:
        """End it without a word: nothing is handed over, what was not written is lost."""
        assert self._task is not None
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self._close()

    async def ended(self) -> None:
        """Return when it ended by itself; raises what it ended with."""
        assert self._task is not None
        task, self._task = self._task, None
        try:
            async with asyncio.timeout(20):
                await task
        finally:
            await self._close()

    @property
    def height(self) -> int:
        return self.parts.service.book.tip.height

    @property
    def certified(self) -> int:
        return self.parts.switchboard.tally.certified_height

    async def submit(self, raw: bytes, *, timeout_s: float = 20) -> str:
        """Put signed bytes on the ledger through this member; return the result's code."""
        (answer,) = await self.parts.service.submit([raw])
        if not answer.taken:
            return answer.code
        status = await self.parts.service.wait(txid_of(raw), timeout_s=timeout_s)
        return status.code

    async def commit(self, *, timeout_s: float = 20) -> TxStatus:
        """Anchor a record through this member; return its outcome."""
        body = Anchor(os.urandom(32), os.urandom(16), 2)
        raw = self.parts.service.sign([Op("record.anchor", wire.to_value(body))])
        (answer,) = await self.parts.service.submit([raw])
        assert answer.taken, answer
        status = await self.parts.service.wait(txid_of(raw), timeout_s=timeout_s)
        assert status.state == "committed", status
        return status


class Nodes:
    """A network of ``members``; index it for a node."""

    def __init__(
        self,
        directory: Path,
        *,
        members: int,
        engine: str,
        params: Parameters = FAST,
        founders: int | None = None,
    ) -> None:
        """``founders``: so many of ``members`` are in genesis, the others join later."""
        count = members if founders is None else founders
        self.cluster = late_founding(
            directory, members=members, founders=count, engine=engine, params=params
        )
        self.founders = count
        self.genesis: Genesis = genesis_of(self.cluster)
        self.nodes = [Node(self, at) for at in range(members)]

    def __getitem__(self, at: int) -> Node:
        return self.nodes[at]

    def __len__(self) -> int:
        return len(self.nodes)

    async def connected(self) -> None:
        """Return once all that are up are connected with one another."""
        up = self.up
        await until(
            lambda: all(len(node.parts.switchboard.connected()) >= len(up) - 1 for node in up)
        )

    @property
    def up(self) -> list[Node]:
        return [node for node in self.nodes if node.up]

    def hands(self) -> Hands:
        """Return what acts for the institutions, through nodes that are up."""

        async def submit(at: int, raw: bytes) -> str:
            node = self.nodes[at] if self.nodes[at].up else self.up[0]
            return await node.submit(raw)

        return Hands(self.cluster, submit)

    def part(self, alone: Node) -> None:
        """Lose whatever goes between ``alone`` and the others, either way."""
        for node in self.nodes:
            node.cut = {alone.id} if node is not alone else {n.id for n in self.nodes}

    def heal(self) -> None:
        for node in self.nodes:
            node.cut = set()

    def leader(self) -> Node:
        """Return the one whom all of them follow."""
        named = {node.parts.service.engine_status().leader for node in self.nodes}
        assert len(named) == 1, named
        (found,) = [node for node in self.nodes if node.id in named]
        return found


@asynccontextmanager
async def running(
    directory: Path,
    *,
    members: int,
    engine: str,
    params: Parameters = FAST,
    flags: tuple[tuple[str, str], ...] = (),
    founders: int | None = None,
) -> AsyncIterator[Nodes]:
    """A network whose founders are up and connected; all end with the block."""
    nodes = Nodes(directory, members=members, engine=engine, params=params, founders=founders)
    try:
        for node in nodes.nodes[: nodes.founders]:
            await node.start(*flags)
        await nodes.connected()
        yield nodes
    finally:
        for node in nodes.nodes:
            await node.stop()


async def until(
    condition: Callable[[], bool] | Callable[[], Awaitable[bool]], *, timeout_s: float = 20
) -> None:
    """Return once ``condition`` holds; it is looked at a hundred times a second."""
    async with asyncio.timeout(timeout_s):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.01)
