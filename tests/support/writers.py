"""Writers over nodes of this process, and what must hold of what they were promised.

An acknowledged commit is a promise: it stands once, on every node, however eras change.
"""

import asyncio
import os
from types import TracebackType
from typing import Self

from consensus import wire
from node.book import TxRow
from node.check import check_ledger
from node.ledger.families import record
from node.ledger.families.record import Anchor
from node.ledger.transaction import Op, txid_of
from tests.support.nodes import Node, Nodes, until


class Writers:
    """``count`` writers that commit through nodes that are up and voting, one after another."""

    def __init__(self, nodes: Nodes, *, count: int = 3) -> None:
        self.nodes = nodes
        self.acknowledged: dict[bytes, bytes] = {}  # txid -> commitment
        self._count = count
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._write(at)) for at in range(self._count)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        await asyncio.gather(*self._tasks)

    async def more(self, count: int, *, timeout_s: float = 30) -> None:
        """Return once ``count`` more commits were acknowledged."""
        goal = len(self.acknowledged) + count
        await until(lambda: len(self.acknowledged) >= goal, timeout_s=timeout_s)

    async def _write(self, at: int) -> None:
        while not self._stop.is_set():
            up = [node for node in self.nodes.up if node.parts.roster.role == "voter"]
            at += 1
            await self._one(up[at % len(up)])

    async def _one(self, node: Node) -> None:
        commitment = os.urandom(32)
        op = Op("record.anchor", wire.to_value(Anchor(commitment, os.urandom(16), 2)))
        service = node.parts.service
        raw = service.sign([op])
        (answer,) = await service.submit([raw])
        if not answer.taken:
            await asyncio.sleep(0.05)
            return
        # A node that ends meanwhile never answers: that promises nothing.
        status = await service.wait(txid_of(raw), timeout_s=5)
        if status.state == "committed":
            self.acknowledged[txid_of(raw)] = commitment


async def meet(nodes: Nodes, *, timeout_s: float = 30) -> int:
    """Return the height at which all nodes that are up stand together, roots equal."""

    def together() -> bool:
        return len({node.height for node in nodes.up}) == 1 and not any(
            len(node.parts.switchboard.mempool) for node in nodes.up
        )

    await until(together, timeout_s=timeout_s)
    tips = [node.parts.service.book.tip for node in nodes.up]
    assert len({(tip.height, tip.log_root, tip.state_root) for tip in tips}) == 1
    return tips[0].height


def keep_promises(node: Node, acknowledged: dict[bytes, bytes]) -> None:
    """Assert that what was acknowledged stands on ``node``, once."""
    for txid, commitment in acknowledged.items():
        raw = node.store.tx_row(txid)
        assert raw is not None, f"acknowledged {txid.hex()} is lost on {node.id}"
        assert wire.decode(TxRow, raw, size_max=256).code == 0
        prefix = record.commitment_prefix(commitment)
        places = list(node.store.index_scan(prefix, prefix + b"\xff"))
        assert len(places) == 1, f"{commitment.hex()} stands {len(places)} times on {node.id}"


def check_clean(nodes: Nodes, *nodes_at: int) -> None:
    """Assert that everything applied again gives what is on disk; the nodes are down."""
    for at in nodes_at or range(len(nodes)):
        report = check_ledger(nodes.cluster.node_dir(at) / "data", nodes.genesis)
        assert report.clean, list(report.findings)
