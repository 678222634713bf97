"""Leadership handed over between real nodes: by hand, before a stop, and where it cannot be."""

import asyncio
from pathlib import Path

import pytest

from node.errors import ChartsealError
from node.handover import Handover
from tests.support.nodes import Node, Nodes, running, until


def handover(node: Node) -> Handover:
    made = node.parts.service.handover
    assert made is not None
    return made


async def settled(nodes: Nodes) -> Node:
    """Return the leader once all follow it and it has ordered a block."""
    await nodes[0].commit()
    await until(lambda: len({_leader(node) for node in nodes.nodes} - {None}) == 1)
    await until(lambda: all(_leader(node) is not None for node in nodes.nodes))
    return nodes.leader()


def _leader(node: Node) -> str | None:
    return node.parts.service.engine_status().leader


@pytest.mark.parametrize("asked", ["the leader", "a follower"])
async def test_the_named_member_leads_afterwards_and_orders(tmp_path: Path, asked: str) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        old = await settled(nodes)
        others = [node for node in nodes.nodes if node is not old]
        target = others[0]
        at = old if asked == "the leader" else others[1]
        assert await handover(at).transfer(target.id) == target.id
        await until(lambda: all(_leader(node) == target.id for node in nodes.nodes))
        await old.commit()
        assert handover(at).results == {"done": 1}
        assert b'chartseal_leader_transfers_total{result="done"} 1.0' in (
            at.parts.metrics.render()
        )


async def test_without_a_name_another_member_is_chosen(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        old = await settled(nodes)
        chosen = await handover(old).transfer(None)
        assert chosen != old.id
        assert _leader(old) == chosen


async def test_a_leader_that_stops_has_handed_over_and_nobody_misses_it(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        old = await settled(nodes)
        others = [node for node in nodes.nodes if node is not old]
        terms = {node.parts.service.engine_status().round for node in others}
        await old.stop()
        led = [node for node in others if _leader(node) == node.id]
        assert len(led) == 1, "chosen before the old one was gone"
        # The third member learns it from the new leader's first word, a moment later.
        await until(lambda: {_leader(node) for node in others} == {led[0].id})
        rounds = {node.parts.service.engine_status().round for node in others}
        assert max(rounds) == max(terms) + 1, "one campaign, by request"
        await others[0].commit()


async def test_a_member_that_stops_alone_does_not_wait_for_anybody(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=1, engine="raft") as nodes:
        await nodes[0].commit()
        loop = asyncio.get_running_loop()
        before = loop.time()
        await nodes[0].stop()
        assert loop.time() - before < 1


@pytest.mark.parametrize("to", ["hosp9", "itself"])
async def test_members_that_cannot_lead_are_refused(tmp_path: Path, to: str) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        old = await settled(nodes)
        with pytest.raises(ChartsealError) as refused:
            await handover(old).transfer(old.id if to == "itself" else to)
        assert refused.value.code == "transfer-refused"
        assert handover(old).results == {"refused": 1}
        await nodes[0].commit()


async def test_a_member_that_is_gone_does_not_take_over(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        old = await settled(nodes)
        others = [node for node in nodes.nodes if node is not old]
        await others[0].stop()
        with pytest.raises(ChartsealError) as missed:
            await handover(old).transfer(others[0].id)
        assert missed.value.code == "transfer-incomplete"
        await others[1].commit()  # the old leader, or the next one, goes on


async def test_pbft_says_that_it_has_no_such_thing(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=1, engine="pbft") as nodes:
        with pytest.raises(ChartsealError) as refused:
            await handover(nodes[0]).transfer(None)
        assert refused.value.code == "transfer-unsupported"
