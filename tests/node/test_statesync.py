"""Whole nodes that come in, or come back, by a snapshot of the others."""

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from node.ledger.families.record import Anchor
from node.ledger.receipt import verify_receipt
from node.ledger.transaction import Op, txid_of
from node.net.frame import FrameType
from node.publish import policy_of
from node.wiring import Parts
from storage.mark import mark_path
from tests.support.nodes import Node, running, until

ENGINES = ("pbft", "raft")
EVERY = (("snapshots.every_blocks", "8"), ("recovery.snapshot_gap_blocks", "4"))

BLOCKS = {FrameType.SYNC_RESPONSE, FrameType.BODY_RESPONSE, FrameType.RANGE_RESPONSE}


def quick(parts: Parts) -> None:
    """Look at the others ten times a second."""
    sync = parts.snapshots.sync
    sync._patience = replace(sync._patience, look_s=0.1, look_max_s=0.1, answer_s=1.0)


def anchor(node: Node, **fields: Any) -> bytes:
    body = Anchor(os.urandom(32), os.urandom(16), 2)
    return node.parts.service.sign([Op("record.anchor", wire.to_value(body))], **fields)


async def submit(node: Node, raw: bytes) -> bytes:
    (answer,) = await node.parts.service.submit([raw])
    assert answer.taken, answer
    status = await node.parts.service.wait(txid_of(raw), timeout_s=20)
    assert status.state == "committed", status
    return raw


async def grow(node: Node, height: int) -> None:
    while node.height < height:
        await submit(node, anchor(node))


async def offered(nodes: list[Node], height: int) -> None:
    """Return once each of ``nodes`` has a snapshot of at least ``height``."""
    await until(lambda: all((n.parts.snapshots.shelf.newest() or 0) >= height for n in nodes))


def wipe(node: Node) -> None:
    """Lose the ledger, and what its key has signed with it."""
    cluster = node.network.cluster
    shutil.rmtree(cluster.node_dir(node.at) / "data")
    mark_path(cluster.node_dir(node.at) / "node.key").unlink()


def no_blocks(others: list[Node]) -> None:
    """A short chain is fetched block by block before anybody asks for a snapshot: not here."""
    for other in others:
        other.lost |= BLOCKS


async def joined(node: Node, others: list[Node]) -> None:
    await until(lambda: node.store.lowest() > 1, timeout_s=30)
    for other in others:
        other.lost -= BLOCKS
    top = max(other.height for other in others)
    await until(lambda: node.height >= top, timeout_s=30)


async def same_roots(nodes: list[Node]) -> None:
    def level() -> bool:
        return len({node.parts.service.book.tip for node in nodes}) == 1

    await until(level)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.timeout(90)
async def test_a_wiped_member_joins_by_snapshot_and_goes_on_like_the_others(
    tmp_path: Path, engine: str
) -> None:
    async with running(tmp_path, members=4, engine=engine, flags=EVERY) as nodes:
        await nodes[3].stop()
        # Else what they push meanwhile waits for it, and it needs no snapshot.
        for other in nodes.nodes[:3]:
            other.cut.add(nodes[3].id)
        old = await submit(nodes[0], anchor(nodes[0]))
        await grow(nodes[1], 9)
        await offered(nodes.nodes[:3], 8)
        await grow(nodes[1], 17)
        await offered(nodes.nodes[:3], 16)
        wipe(nodes[3])
        no_blocks(nodes.nodes[:3])
        for other in nodes.nodes[:3]:
            other.cut.discard(nodes[3].id)
        await nodes[3].start(*EVERY, watch=quick)
        await joined(nodes[3], nodes.nodes[:3])
        assert nodes[3].store.lowest() == 16
        # It validates: with it in the quorum and another one away, blocks go on.
        away = next(n for n in nodes.nodes[:3] if not _leads(n))
        await away.stop()
        present = [n for n in nodes.nodes if n is not away]
        new = await submit(nodes[3], anchor(nodes[3]))
        await same_roots(present)
        # Its receipts verify, an old transaction does not commit twice.
        await until(lambda: nodes[3].certified >= nodes[3].height)
        receipt = nodes[3].parts.service.queries.receipt(txid_of(new))
        assert receipt is not None
        verify_receipt(receipt, policy_of(nodes.genesis))
        (answer,) = await nodes[3].parts.service.submit([old])
        assert answer.code == "committed"
        await away.start(*EVERY)


def _leads(node: Node) -> bool:
    return node.parts.service.engine_status().role in ("leader", "primary")


@pytest.mark.parametrize("first", ENGINES)
@pytest.mark.timeout(120)
async def test_a_wiped_member_joins_in_a_later_era_by_its_lineage(
    tmp_path: Path, first: str
) -> None:
    """The engine was switched meanwhile: the links say who certifies, the records follow."""
    other = {"raft": "pbft", "pbft": "raft"}[first]
    async with running(tmp_path, members=4, engine=first, flags=EVERY) as nodes:
        await nodes.hands().decide([0, 1, 2, 3], engine=other)
        await until(lambda: all(n.parts.roster.now.era.epoch == 1 for n in nodes.nodes))
        await nodes[3].stop()
        barrier = nodes[0].parts.roster.now.era.from_height - 1
        await grow(nodes[0], barrier // 8 * 8 + 9)
        await offered(nodes.nodes[:3], barrier // 8 * 8 + 8)
        wipe(nodes[3])
        no_blocks(nodes.nodes[:3])
        await nodes[3].start(*EVERY, watch=quick)
        await joined(nodes[3], nodes.nodes[:3])
        assert nodes[3].parts.roster.now.era.engine == other
        away = next(n for n in nodes.nodes[:3] if not _leads(n))
        await away.stop()
        await submit(nodes[3], anchor(nodes[3]))
        await same_roots([n for n in nodes.nodes if n is not away])
        await away.start(*EVERY)


@pytest.mark.timeout(90)
async def test_snapshots_are_made_under_load_and_all_members_make_the_same(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, members=3, engine="raft", flags=EVERY) as nodes:
        load = [asyncio.create_task(_keep_on(node)) for node in nodes.nodes]
        await offered(nodes.nodes, 16)
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        await same_roots(nodes.nodes)
        shelves = [node.parts.snapshots.shelf for node in nodes.nodes]
        await until(lambda: len({tuple(s.snapshots.heights()) for s in shelves}) == 1)
        named = [dict(shelf._named()) for shelf in shelves]
        assert named[0] == named[1] == named[2]
        assert len(named[0]) <= 2
        assert all(height % 8 == 0 for height in named[0])


async def _keep_on(node: Node) -> None:
    while True:
        await submit(node, anchor(node))
