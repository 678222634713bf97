"""Cosignatures between real nodes: certification lives through loss and load, and is told."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from consensus.effects import Decided
from consensus.pbft.engine import PbftConfig
from consensus.types import NodeId, Proposal
from node import engines, switchboard
from node.book import Committed
from node.net.frame import FrameType
from node.publish import COSIGN_EVERY, COSIGN_SLOT_MS, Divergence, encode_shares
from node.wiring import Parts
from tests.support.nodes import running, until

LAG = 3  # blocks above the last certified one, in place of thousands
BUSY = Decided(Proposal(1, bytes(32), bytes(32), b"", b""), b"", 0)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switchboard, "ASK_AGAIN_S", 0.05)


def watch(parts: Parts, heights: list[int]) -> None:
    """Note in ``heights`` what the engine of a node is told to be stable from now on."""
    engine: Any = parts.replica.driver.engine
    original = engine.stable

    def stable(height: int) -> None:
        heights.append(height)
        original(height)

    engine.stable = stable


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_a_certified_checkpoint_reaches_the_engine(tmp_path: Path, engine: str) -> None:
    async with running(tmp_path / "net", members=3, engine=engine) as nodes:
        heights: list[int] = []
        watch(nodes[1].parts, heights)
        for _ in range(2):
            height = (await nodes[0].commit()).height
            await until(lambda: nodes[1].certified == height)  # noqa: B023
        await until(lambda: heights[-1:] == [height])
        assert heights == sorted(set(heights))


async def test_the_engine_learns_at_start_what_was_certified_before(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        height = (await nodes[0].commit()).height
        await until(lambda: nodes[2].certified == height)
        await nodes[2].stop()
        for other in (0, 1):  # nobody cosigns with it again
            nodes[other].lost.add(FrameType.COSIGNATURES)
        heights: list[int] = []
        await nodes[2].start(watch=lambda parts: watch(parts, heights))
        assert nodes[2].certified == height
        await until(lambda: heights == [height])


async def test_lost_cosignatures_are_asked_for_until_the_head_is_certified(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        for node in nodes.nodes:
            node.lost.add(FrameType.COSIGNATURES)
        status = await nodes[0].commit()
        await until(lambda: all(node.height == status.height for node in nodes.nodes))
        assert [node.certified for node in nodes.nodes] == [0, 0, 0]
        for node in nodes.nodes:
            node.lost.clear()
        # No further block comes: only asking again can bring them.
        await until(lambda: all(node.certified >= status.height for node in nodes.nodes))
        assert [node.parts.switchboard.tally.cosignatures_refused for node in nodes.nodes] == [
            0
        ] * 3


async def test_ordering_that_waits_for_cosignatures_goes_on_once_they_can_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the window full there is no next block to carry news: only asking again helps."""
    monkeypatch.setattr(engines, "PbftConfig", partial(PbftConfig, checkpoint_lag_max=LAG))
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        for node in nodes.nodes:
            node.lost.add(FrameType.COSIGNATURES)
        for _ in range(LAG):
            await nodes[0].commit()
        stuck = asyncio.create_task(nodes[0].commit(timeout_s=30))
        done, _ = await asyncio.wait({stuck}, timeout=1)
        assert not done, "nothing is cosigned, so nothing more is proposed"
        for node in nodes.nodes:
            node.lost.clear()
        height = (await stuck).height
        assert height is not None
        assert height > LAG
        await until(lambda: all(node.certified >= LAG for node in nodes.nodes))


async def test_an_answer_is_not_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switchboard, "ASK_AGAIN_S", 60)
    async with running(tmp_path / "net", members=2, engine="raft") as nodes:
        first = (await nodes[0].commit()).height
        await until(lambda: all(node.certified == first for node in nodes.nodes))
        parts = nodes[0].parts
        share = parts.service.publisher.mine
        assert share is not None
        received = parts.peers.statistics.frames_in
        before = received[FrameType.COSIGNATURES]
        parts.peers.broadcast(FrameType.COSIGNATURES, encode_shares([share], ask=True))
        await until(lambda: received[FrameType.COSIGNATURES] == before + 1)
        second = (await nodes[0].commit()).height
        await until(lambda: all(node.certified == second for node in nodes.nodes))
        # One answer and one cosignature of the new block: nobody went on talking.
        assert received[FrameType.COSIGNATURES] == before + 2


async def test_a_busy_member_cosigns_the_heights_that_all_cosign(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=1, engine="raft") as nodes:
        parts = nodes[0].parts
        tip, waiting = parts.service.book.tip, parts.replica._decided
        slot_ms = (tip.time_ms // COSIGN_SLOT_MS + 7) * COSIGN_SLOT_MS
        signed = []
        for height in range(1, 2 * COSIGN_EVERY + 2):
            waiting.put_nowait(BUSY)  # more decided blocks wait to be applied
            time_ms = slot_ms + (COSIGN_SLOT_MS - 1 if height < 13 else COSIGN_SLOT_MS)
            at = replace(tip, height=height, log_size=height, time_ms=time_ms)
            parts.switchboard.applied(Committed(at, (), (), 0))
            mine = parts.service.publisher.mine
            assert mine is not None
            signed.append(mine.height)
        while parts.replica.backlog():
            waiting.get_nowait()
        # The first of each slot of the ledger's time, wherever that is, and every eighth.
        assert sorted(set(signed)) == [1, COSIGN_EVERY, 13, 2 * COSIGN_EVERY]


async def test_where_the_ledger_rests_is_cosigned_and_not_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path / "net", members=1, engine="raft") as nodes:
        parts = nodes[0].parts
        board, tip, loop = parts.switchboard, parts.service.book.tip, asyncio.get_running_loop()
        cosigned: list[int] = []
        monkeypatch.setattr(board, "cosign", lambda at, **_: cosigned.append(at.height))
        monkeypatch.setattr(board, "_cosign_slot", tip.time_ms // COSIGN_SLOT_MS)
        for height in range(1, 6):
            board.applied(Committed(replace(tip, height=height), (), (), 0))
            monkeypatch.setattr(board, "_rests_s", loop.time() + 3600)  # another one follows
            board._nudge.set()  # as the timer of an earlier block does
            await until(lambda: not board._nudge.is_set())
            assert not cosigned
        monkeypatch.setattr(board, "_rests_s", loop.time())
        board._nudge.set()
        await until(lambda: cosigned[:1] == [5])


async def test_a_quorum_against_our_root_stops_the_node_loudly(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        height = (await nodes[0].commit()).height
        await until(lambda: nodes[2].height == height)
        tip = nodes[2].parts.service.book.tip
        wrong = replace(tip, log_size=tip.log_size + 5, log_root=bytes(32))
        for node in (nodes[0], nodes[1]):
            made = node.parts.service.publisher.applied(wrong, 7)
            assert made is not None
            frame = encode_shares([made])
            node.parts.peers.enqueue(NodeId(nodes[2].id), FrameType.COSIGNATURES, frame)
        right = replace(wrong, log_root=bytes(range(32)))
        nodes[2].parts.switchboard.cosign(right)
        with pytest.raises(Divergence):
            await nodes[2].ended()
