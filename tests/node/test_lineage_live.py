"""Lineage in running nodes: kept at barriers, learned by newcomers, proven to outsiders."""

import asyncio
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from consensus import wire
from node.archive.verify import verify
from node.archive.write import write
from node.blocksync import SyncBlock
from node.ledger import lineage as lineages
from node.ledger import receipt as receipts
from node.ledger.lineage import Trust
from node.lineage_asking import LineageRequest, LineageResponse
from node.net.frame import FrameType
from node.rangesync import RangeRequest, RangeResponse
from node.trust import trust_in
from tests.support.nodes import Node, Nodes, running, until
from tests.support.writers import check_clean, meet

pytestmark = pytest.mark.timeout(120)


def epoch_of(node: Node) -> int:
    return node.parts.roster.now.era.epoch


def proven(node: Node) -> int:
    return node.parts.switchboard.lineage.keeper.epoch


async def in_epoch(nodes: Nodes, epoch: int) -> None:
    await until(lambda: all(epoch_of(node) == epoch for node in nodes.up))


async def certified(nodes: Nodes) -> int:
    height = await meet(nodes)
    await until(lambda: all(node.certified == height for node in nodes.up))
    return height


async def test_after_five_eras_every_receipt_is_proven_by_genesis_alone(tmp_path: Path) -> None:
    """A member joins, PBFT comes and goes, a member leaves, another rotates its keys."""
    async with running(tmp_path / "net", members=4, founders=3, engine="raft") as nodes:
        hands = nodes.hands()
        ids = [(await nodes[0].commit()).txid]
        await hands.register([0, 1, 2], 3)
        await hands.admit([0, 1, 2], 3)
        await nodes[3].start()
        await in_epoch(nodes, 1)
        everyone = [0, 1, 2, 3]
        for epoch, engine in ((2, "pbft"), (3, "raft")):
            ids.append((await nodes[1].commit()).txid)
            await hands.decide(everyone, engine=engine)
            await in_epoch(nodes, epoch)
        ids.append((await nodes[2].commit()).txid)
        await hands.decide(everyone, remove=nodes[0].id)
        await until(lambda: all(epoch_of(node) == 4 for node in nodes.nodes[1:]))
        await nodes[0].stop()
        ids.append((await nodes[3].commit()).txid)
        await certified(nodes)
        await until(lambda: all(proven(node) == 4 for node in nodes.up))
        founders: Trust = trust_in(nodes.genesis)
        for node in nodes.up:
            told = lineages.from_json(node.parts.service.lineage())
            eras = [step.era for step in founders.extended(told.links).steps]
            assert [era and era.engine for era in eras] == [
                "raft",
                "raft",
                "pbft",
                "raft",
                "raft",
            ]
            assert eras[4] is not None
            assert [item.id for item in eras[4].members] == [n.id for n in nodes.nodes[1:]]
            for txid in ids:
                receipt = await asyncio.to_thread(node.parts.service.queries.receipt, txid)
                assert receipt is not None
                again = receipts.from_text(receipts.to_text(receipt))
                assert receipts.verify_receipt(again, founders).epoch == 4
        told = lineages.from_json(nodes[1].parts.service.lineage())
        trust, root = founders.extended(told.links), tmp_path / "archive"
        await asyncio.to_thread(write, nodes[1].store, nodes.genesis, root, up_to=None)
        judge = partial(verify, root, nodes.genesis)
        assert await asyncio.to_thread(judge, policy_at=trust.policy_after) == []
        assert await asyncio.to_thread(judge) == []  # the archive brings its own
        alone = await asyncio.to_thread(judge, policy_at=founders.policy_after)
        assert alone, "the founders alone do not vouch for it"
    check_clean(nodes, 1, 2, 3)


async def test_who_missed_the_certificates_learns_the_links_from_the_others(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        hands, there = nodes.hands(), [0, 1, 2]
        await nodes[0].commit()
        await meet(nodes)
        await nodes[3].stop()
        for epoch, engine in ((1, "raft"), (2, "pbft")):
            await hands.decide(there, engine=engine)
            await in_epoch(nodes, epoch)
            await nodes[0].commit()
        await certified(nodes)
        await nodes[3].start()
        await in_epoch(nodes, 2)
        await until(lambda: proven(nodes[3]) == 2)
        desk = nodes[3].parts.switchboard.lineage
        assert desk.keeper.trust.steps[2].era == nodes[0].parts.roster.now.era
        assert desk.asker.liars == {}
        for node in nodes.nodes:
            assert not node.parts.peers.statistics.peer_faults
    check_clean(nodes)


async def test_a_member_that_forges_the_lineage_is_named_and_the_others_are_believed(
    tmp_path: Path,
) -> None:
    def lie(node: Node) -> None:
        """Serve links whose notes have lost all names but one."""
        desk = node.parts.switchboard.lineage
        good = desk.on_frame

        async def on_frame(peer, kind, body):
            if kind is not FrameType.LINEAGE_REQUEST:
                await good(peer, kind, body)
                return
            asked = wire.decode(LineageRequest, body, size_max=64)
            links = [replace(link, note=few(link.note)) for link in desk.keeper.links()]
            page = LineageResponse(asked.after, tuple(links[asked.after :]))
            node.parts.switchboard.send_frame(
                peer, FrameType.LINEAGE_RESPONSE, wire.encode(page)
            )

        desk.on_frame = on_frame

    def few(note: bytes) -> bytes:
        text, _, lines = note.partition(b"\n\n")
        return text + b"\n\n" + lines.split(b"\n")[0] + b"\n"

    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        hands, there = nodes.hands(), [0, 1, 2]
        await nodes[3].stop()
        await hands.decide(there, engine="raft")
        await in_epoch(nodes, 1)
        await nodes[0].commit()
        await certified(nodes)
        liar = min(nodes.up, key=lambda node: node.id)  # asked first
        lie(liar)
        await nodes[3].start()
        await until(lambda: proven(nodes[3]) == 1)
        named = nodes[3].parts.switchboard.lineage.asker.liars
        assert set(named) <= {liar.id}
        if named:
            assert named[liar.id].startswith("quorum-missing: link to epoch 1")
        await nodes[3].commit()
        await meet(nodes)


async def test_a_lagging_raft_member_takes_proven_blocks_only(tmp_path: Path) -> None:
    """One of three peers serves blocks of its own making; the others are believed."""
    taken: list[tuple[str, bool]] = []

    def watch(node: Node) -> None:
        ranges = node.parts.switchboard.lineage.ranges
        judge = ranges.received

        async def received(peer, response):
            verdict = await judge(peer, response)
            if response.proof is not None:
                taken.append((peer, verdict))
            return verdict

        ranges.received = received

    def lie(node: Node) -> None:
        ranges = node.parts.switchboard.lineage.ranges
        honest = ranges.serve

        def serve(request: RangeRequest) -> RangeResponse:
            answer = honest(request)
            if len(answer.blocks) < 2:
                return answer
            first, *rest = answer.blocks
            made_up = SyncBlock(rest[0].header, first.certificate, rest[0].body)
            return replace(answer, blocks=(made_up, *rest))

        ranges.serve = serve

    async with running(tmp_path / "net", members=4, engine="raft") as nodes:
        hands, there = nodes.hands(), [0, 1, 2]
        await hands.decide([0, 1, 2, 3], engine="pbft")
        await in_epoch(nodes, 1)
        await hands.decide([0, 1, 2, 3], engine="raft")
        await in_epoch(nodes, 2)
        await nodes[3].stop()
        for at in range(20):
            await nodes[there[at % 3]].commit()
        await hands.decide(there, engine="pbft")  # what it missed lies below a barrier
        await until(lambda: all(epoch_of(nodes[at]) == 3 for at in there))
        await certified(nodes)
        lie(nodes[0])
        await nodes[3].start()
        watch(nodes[3])
        await until(lambda: nodes[3].height >= nodes[1].height, timeout_s=60)
        await in_epoch(nodes, 3)
        await nodes[3].commit()
        await meet(nodes)
        assert any(verdict for _, verdict in taken), "blocks came with proof"
        assert all(verdict == (peer != nodes[0].id) for peer, verdict in taken)
        ranges = nodes[3].parts.switchboard.lineage.ranges
        assert set(ranges.liars) <= {nodes[0].id}
    check_clean(nodes)
