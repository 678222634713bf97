"""Members come, go, change keys and engine on real nodes; what was acknowledged stands."""

from pathlib import Path

import pytest

from node.keys import NodeKeys
from node.ledger import checkpoint as checkpoints
from tests.support.nodes import Node, Nodes, running, until
from tests.support.writers import Writers, check_clean, keep_promises, meet

pytestmark = pytest.mark.timeout(90)


def epoch_of(node: Node) -> int:
    return node.parts.roster.now.era.epoch


def engines_of(nodes: Nodes) -> set[str]:
    return {node.parts.service.engine_status().engine for node in nodes.up}


async def in_epoch(nodes: Nodes, epoch: int) -> None:
    """Return once every node that is up votes or follows in ``epoch``."""
    await until(lambda: all(epoch_of(node) == epoch for node in nodes.up))


async def test_a_fourth_institution_joins_catches_up_and_votes(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=4, founders=3, engine="raft") as nodes:
        hands, founders = nodes.hands(), [0, 1, 2]
        for _ in range(20):
            await nodes[0].commit()
        await hands.register(founders, 3)
        await hands.admit(founders, 3)
        await nodes[3].start()
        assert nodes[3].parts.roster.role == "stranger", "its own ledger is empty"
        await until(lambda: nodes[3].parts.roster.role == "voter")
        await in_epoch(nodes, 1)
        # The engine hears of it in its own turn.
        await until(lambda: nodes[3].parts.service.engine_status().members == 4)
        height = await meet(nodes)
        await until(lambda: all(node.certified == height for node in nodes.up))
        await nodes[1].stop()
        for node in (nodes[0], nodes[2], nodes[3]):
            await node.commit()
        await meet(nodes)
    check_clean(nodes, 0, 2, 3)


@pytest.mark.parametrize("first", ["raft", "pbft"])
async def test_the_engine_is_switched_under_load_and_back(tmp_path: Path, first: str) -> None:
    other = {"raft": "pbft", "pbft": "raft"}[first]
    async with running(tmp_path / "net", members=4, engine=first) as nodes:
        hands, everyone = nodes.hands(), [0, 1, 2, 3]
        async with Writers(nodes) as writers:
            await writers.more(10)
            for epoch, engine in enumerate((other, first, other), start=1):
                await hands.decide(everyone, engine=engine)
                await in_epoch(nodes, epoch)
                await writers.more(10)
                await until(lambda: engines_of(nodes) == {engine})  # noqa: B023
        height = await meet(nodes)
        await until(lambda: all(node.certified == height for node in nodes.up))
        for node in nodes.nodes:
            keep_promises(node, writers.acknowledged)
            assert not node.parts.peers.statistics.peer_faults, "nobody was blamed"
            for epoch in (1, 2, 3):
                barrier = node.parts.roster.at_epoch(epoch).era.from_height - 1
                assert node.store.checkpoint(barrier) is not None, "each barrier is certified"
    check_clean(nodes)


async def test_a_removed_member_is_cut_off_and_says_why(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        hands = nodes.hands()
        await nodes[0].commit()
        await hands.decide([0, 1, 2, 3], remove=nodes[3].id)
        await in_epoch(nodes, 1)
        gone = nodes[3]
        assert gone.parts.roster.role == "removed"
        others = [node for node in nodes.up if node is not gone]
        await until(
            lambda: all(gone.id not in node.parts.switchboard.connected() for node in others)
        )
        await until(lambda: not gone.parts.switchboard.connected())
        last = gone.height
        for node in others:
            await node.commit()
        assert gone.height == last
        assert not gone.parts.service.standing().ok
        assert "removed" in gone.parts.service.standing().say
        status = nodes[0].parts.service.engine_status()
        assert (status.members, status.quorum) == (3, 2)
    check_clean(nodes)


async def test_who_was_removed_comes_back_by_itself_when_it_is_admitted_again(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "net", members=4, engine="raft") as nodes:
        hands, gone = nodes.hands(), nodes[3]
        await hands.decide([0, 1, 2, 3], remove=gone.id)
        await until(lambda: gone.parts.roster.role == "removed")
        await until(lambda: not gone.parts.switchboard.connected())
        await hands.admit([0, 1, 2], 3)
        await until(lambda: gone.parts.roster.role == "voter")
        await in_epoch(nodes, 2)
        await gone.commit()
        await meet(nodes)
    check_clean(nodes)


async def test_a_barrier_is_certified_with_the_name_of_whom_it_removes(tmp_path: Path) -> None:
    """One member is down: without the one that is removed the old era has no quorum."""
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        hands, gone = nodes.hands(), nodes[3]
        await nodes[0].commit()
        await meet(nodes)
        await nodes[2].stop()
        await hands.decide([0, 1, 3], remove=gone.id)
        for node in nodes.nodes[:2]:
            await until(lambda: epoch_of(node) == 1)  # noqa: B023
            barrier = node.parts.roster.now.era.from_height - 1
            await until(lambda: node.store.checkpoint(barrier) is not None)  # noqa: B023
            note = node.store.checkpoint(barrier)
            policy = node.parts.roster.at_epoch(0).policy
            assert note is not None
            assert checkpoints.count_valid(note, policy) == {item.id for item in nodes.up}
        await nodes[0].commit()
        await until(lambda: gone.id not in nodes[0].parts.switchboard.connected())


async def test_a_demoted_member_follows_and_votes_on_nothing(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        hands, lesser = nodes.hands(), nodes[3]
        await hands.decide([0, 1, 2, 3], demote=lesser.id)
        await in_epoch(nodes, 1)
        assert lesser.parts.roster.role == "observer"
        await lesser.commit()  # its clients are served as before
        height = await meet(nodes)
        await until(lambda: all(node.certified == height for node in nodes.up))
        await nodes[2].stop()
        await nodes[0].commit()
        await meet(nodes)
        await lesser.stop()
        await lesser.start()
        await nodes[0].commit()
        await meet(nodes)
        faults = [node.parts.peers.statistics.peer_faults for node in nodes.up]
        assert not any(faults), "nobody was blamed"
    check_clean(nodes)


async def test_keys_of_all_members_rotate_under_load(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        async with Writers(nodes) as writers:
            for epoch, node in enumerate(nodes.nodes, start=1):
                fresh = NodeKeys.generate(node.id)
                node.following.append(fresh)
                node.parts.ring.add(fresh)  # the node asks the ledger by itself
                await in_epoch(nodes, epoch)
                voter = nodes[0].parts.roster.now.voter(node.id)
                assert voter is not None
                assert voter.consensus_key == fresh.public.consensus
                await writers.more(5)
        height = await meet(nodes)
        await until(lambda: all(node.certified == height for node in nodes.up))
        for node in nodes.nodes:
            keep_promises(node, writers.acknowledged)
            assert not node.parts.peers.statistics.peer_faults, "nobody was blamed"
    check_clean(nodes)


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_who_was_down_during_two_eras_comes_back_over_both_barriers(
    tmp_path: Path, engine: str
) -> None:
    other = {"raft": "pbft", "pbft": "raft"}[engine]
    async with running(tmp_path / "net", members=4, engine=engine) as nodes:
        hands, there = nodes.hands(), [0, 1, 2]
        await nodes[0].commit()
        await meet(nodes)
        await nodes[3].stop()
        for switched in (other, engine):
            await hands.decide(there, engine=switched)
            await nodes[1].commit()
        await nodes[3].start()
        await in_epoch(nodes, 2)
        await meet(nodes)
        await nodes[3].commit()
        height = await meet(nodes)
        await until(lambda: all(node.certified == height for node in nodes.up))
        assert not nodes[3].parts.peers.statistics.peer_faults, "nobody was blamed"
    check_clean(nodes)


@pytest.mark.parametrize("engine", ["raft", "pbft"])
async def test_every_node_ends_and_starts_right_after_a_barrier(
    tmp_path: Path, engine: str
) -> None:
    other = {"raft": "pbft", "pbft": "raft"}[engine]
    async with running(tmp_path / "net", members=4, engine=engine) as nodes:
        hands, everyone = nodes.hands(), [0, 1, 2, 3]
        await nodes[0].commit()
        for epoch, switched in enumerate((other, engine), start=1):
            await hands.decide(everyone, engine=switched)
            for node in nodes.nodes:
                await node.kill()
            for node in nodes.nodes:
                await node.start()
            await nodes.connected()
            await in_epoch(nodes, epoch)
            for node in nodes.nodes:
                await node.commit()
            height = await meet(nodes)
            await until(lambda: all(n.certified == height for n in nodes.up))  # noqa: B023
    check_clean(nodes)
