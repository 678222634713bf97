"""Linearizable reads on whole networks: never stale, whichever member is asked."""

from pathlib import Path

import pytest

from node.reads import ReadRefused
from tests.support.nodes import Node, running, until

ENGINES = ("raft", "pbft")


async def read(node: Node) -> int:
    """Return the height that a linearizable read of ``node`` sees."""
    height = await node.parts.service.reads.wait()
    assert node.height >= height
    return height


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_network_of_one_answers(tmp_path: Path, engine: str) -> None:
    async with running(tmp_path / "net", members=1, engine=engine) as nodes:
        height = (await nodes[0].commit()).height
        assert await read(nodes[0]) == height


@pytest.mark.parametrize("engine", ENGINES)
async def test_every_member_shows_what_any_member_was_told(tmp_path: Path, engine: str) -> None:
    async with running(tmp_path / "net", members=4, engine=engine) as nodes:
        for at in range(8):
            told = (await nodes[at % 4].commit()).height
            assert told is not None
            assert await read(nodes[(at + 1) % 4]) >= told
            assert await read(nodes[(at + 2) % 4]) >= told


@pytest.mark.parametrize("engine", ENGINES)
async def test_a_member_that_is_cut_off_refuses_and_never_answers_stale(
    tmp_path: Path, engine: str
) -> None:
    async with running(tmp_path / "net", members=4, engine=engine) as nodes:
        old = (await nodes[0].commit()).height
        await until(lambda: all(node.height == old for node in nodes.nodes))
        alone = nodes.leader()
        others = [node for node in nodes.nodes if node is not alone]
        nodes.part(alone)
        told = (await others[0].commit()).height
        assert told is not None
        assert alone.height == old, "its own state is stale, and it may not know"
        with pytest.raises(ReadRefused):
            await alone.parts.service.reads.wait(timeout_s=2)
        assert await read(others[1]) >= told
        nodes.heal()

        async def answers() -> bool:
            try:
                return await read(alone) >= told
            except ReadRefused:
                return False

        await until(answers)
