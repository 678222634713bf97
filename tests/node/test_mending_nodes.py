"""Whole nodes with damaged disks: they start, they go on, their files become what they were."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import pytest

from node.check import check_ledger
from storage.layout import DAMAGED_NAME
from tests.support.nodes import Node, Nodes, running, until

SLOW = (("storage.scrub_mib_per_second", "1024"), ("storage.segment_bytes_max", "1MiB"))


def segment(node: Node) -> Path:
    return node.store.segments.path(1)


def flip(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 0x20
    path.write_bytes(raw)


async def grown(nodes: Nodes, blocks: int) -> None:
    for _ in range(blocks):
        await nodes[0].commit()
    await until(lambda: len({node.height for node in nodes.nodes}) == 1)


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_a_running_node_mends_its_bodies_from_its_peers(
    tmp_path: Path, engine: str
) -> None:
    async with running(tmp_path / "net", members=4, engine=engine, flags=SLOW) as nodes:
        await grown(nodes, 6)
        hurt = nodes[1]
        sound = segment(hurt).read_bytes()
        for at in (5, len(sound) // 2, len(sound) - 2):
            flip(segment(hurt), at)
        scrub = hurt.parts.scrub
        await scrub.segments()
        assert scrub.mended["segment"] >= 2
        assert segment(hurt).read_bytes() == sound
        await grown(nodes, 1)
        assert hurt.store.failure is None
        directory = segment(hurt).parent.parent
    assert list((directory / DAMAGED_NAME).iterdir()) != []
    assert check_ledger(directory, nodes.genesis).clean


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_a_node_starts_on_damaged_bodies_and_mends_them(
    tmp_path: Path, engine: str
) -> None:
    async with running(tmp_path / "net", members=4, engine=engine, flags=SLOW) as nodes:
        await grown(nodes, 4)
        hurt = nodes[2]
        await hurt.stop()
        path = segment(hurt)
        sound = path.read_bytes()
        flip(path, len(sound) - 2)  # the last record: the only one that a start looks at
        flip(path, 40)
        await nodes[0].commit()
        await hurt.start(*SLOW)
        await until(lambda: hurt.height == nodes[0].height)
        await until(lambda: len(hurt.parts.switchboard.connected()) == 3)
        await hurt.parts.scrub.segments()
        assert path.read_bytes()[: len(sound)] == sound
        await nodes[0].commit()
        await until(lambda: hurt.height == nodes[0].height)
        directory = path.parent.parent
    assert check_ledger(directory, nodes.genesis).clean


async def test_the_scrub_runs_by_itself_and_ends_with_the_node(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft", flags=SLOW) as nodes:
        await until(lambda: all(node.parts.scrub.rounds for node in nodes.nodes))
        assert "scrub" in {task.get_name() for task in asyncio.all_tasks()}
    assert not {"scrub", "upkeep"} & {task.get_name() for task in asyncio.all_tasks()}


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_who_was_away_gets_what_its_leader_pruned_from_another_member(
    tmp_path: Path, engine: str
) -> None:
    async with running(tmp_path / "net", members=4, engine=engine) as nodes:
        await grown(nodes, 1)
        leader = nodes.leader()
        (away, *_rest) = [node for node in nodes.nodes if node is not leader]
        await away.stop()
        others = [node for node in nodes.nodes if node is not away]
        for _ in range(5):
            await leader.commit()
        await until(lambda: len({node.height for node in others}) == 1)
        for node in others[:-1]:
            close_segment(node)
        for _ in range(2):
            await leader.commit()
        pruned = [node for node in others[:-1] if node.store.prune(node.height) is not None]
        assert leader in pruned or others[-1] is leader
        assert all(node.store.lowest_body() > 5 for node in pruned)
        await away.start()
        await until(lambda: away.height == leader.height, timeout_s=60)
        assert away.store.lowest_body() == 1
        directory = segment(away).parent.parent
    assert check_ledger(directory, nodes.genesis).clean


def close_segment(node: Node) -> None:
    """Let the next body begin a new file.  Nothing may be under way."""
    segments = node.store.segments
    tail, usual = segments.tail(), segments._bytes_max
    assert tail is not None, "there is a block"
    segments._bytes_max = tail.end
    segments.append(b"begins a file")
    segments._bytes_max = usual


@pytest.mark.parametrize(("short", "told"), [(1, True), (0, False)])
async def test_a_running_node_wants_twice_the_room_at_which_clients_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, short: int, told: bool
) -> None:
    off = ("storage.scrub_mib_per_second", "0")  # rounds by themselves, that is
    least = ("storage.min_free_bytes", "1MiB")
    disk = SimpleNamespace(disk_usage=lambda _path: SimpleNamespace(free=(2 << 20) - short))
    async with running(tmp_path / "net", members=3, engine="raft", flags=(off, least)) as nodes:
        await grown(nodes, 1)
        with patch("node.scrub.shutil", disk):
            await nodes[0].parts.scrub.derived()
        assert ("scrub.postponed" in caplog.text) is told
