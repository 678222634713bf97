"""Several blocks in flight: made on parents that are not executed, agreed on by real nodes."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus.effects import WantPayload
from consensus.types import Proposal
from node.book import Tip
from tests.support.nodes import FAST, Nodes, running, until

WINDOW = 4
MANY = 60


async def crowd(nodes: Nodes) -> list[int]:
    """Anchor ``MANY`` records through all members at once; return their heights."""
    jobs = [nodes[at % len(nodes)].commit(timeout_s=40) for at in range(MANY)]
    return [status.height or 0 for status in await asyncio.gather(*jobs)]


@pytest.mark.parametrize("engine", ["pbft", "raft"])
async def test_four_nodes_order_blocks_on_top_of_unexecuted_ones(
    tmp_path: Path, engine: str
) -> None:
    small = replace(FAST, block_transactions_max=3)
    async with running(
        tmp_path / "net",
        members=4,
        engine=engine,
        params=small,
        flags=(("consensus.window", str(WINDOW)),),
    ) as nodes:
        await nodes[0].commit()
        seen: list[int] = []
        for node in nodes.nodes:
            _watch(node.parts.replica, seen)
        heights = await crowd(nodes)
        top = max(heights)
        await until(lambda: all(node.height >= top for node in nodes.nodes))
        assert max(seen) > 1, "never more than one block in flight"
        # Raft counts its window from what is committed, at most one above the executed.
        assert max(seen) <= WINDOW + (engine == "raft")
        _same_chain(nodes, top)


def _watch(replica: Any, seen: list[int]) -> None:
    """Note how far above the executed height each proposal of ``replica`` stands."""
    proposer = replica._proposer
    original = proposer.make

    def make(want: WantPayload, *, settled: Tip, **more: Any) -> Proposal | None:
        made: Proposal | None = original(want, settled=settled, **more)
        if made is not None:
            seen.append(made.height - settled.height)
        return made

    proposer.make = make


def _same_chain(nodes: Nodes, top: int) -> None:
    """Every member has the same blocks, times rise, and no transaction stands twice."""
    queries = [node.parts.service.queries for node in nodes.nodes]
    before_ms, held = 0, set[bytes]()
    for height in range(1, top + 1):
        views = [query.block(height) for query in queries]
        assert views[0] is not None
        assert all(view == views[0] for view in views[1:])
        assert views[0].time_ms > before_ms
        assert not held.intersection(views[0].txids), "ordered twice"
        before_ms, held = views[0].time_ms, held.union(views[0].txids)
    assert len(held) == MANY + 1


async def test_proposers_take_turns_when_the_founding_document_says_so(tmp_path: Path) -> None:
    rules = replace(FAST, rotation_blocks=2)
    async with running(tmp_path / "net", members=4, engine="pbft", params=rules) as nodes:
        for at in range(9):
            await nodes[at % 4].commit()
        blocks = [nodes[0].parts.service.queries.block(height) for height in range(1, 10)]
        proposers = [view.proposer for view in blocks if view is not None]
        assert nodes[0].parts.service.engine_status().round == 0, "without a view change"
        assert proposers == [nodes[height // 2 % 4].id for height in range(1, 10)]
