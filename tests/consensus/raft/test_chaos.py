"""Random schedules over a small log: loss, duplication, reordering, crashes between every step.

A failing seed is in the test's id.  Safety is checked after every move, progress after the
faults stop.
"""

import random

import pytest

from consensus.raft.core import Role
from tests.consensus.raft.harness import Cluster, Node, block, role

MOVES = 900


def _crash_in_turn(cluster: Cluster, node: Node, rng: random.Random) -> None:
    """Stop a member inside a turn: before the write, after it, or before the ledger."""
    turn = node.driver.turn()
    if turn is None:
        cluster.crash(node.id)
        return
    for envelope in turn.send_now:
        if rng.random() < 0.5:
            cluster.send(node.id, envelope.to, envelope.message)
    stage = rng.randrange(0, 3)
    if stage >= 1:
        node.write(turn)
    if stage == 2 and turn.must_sync:
        for envelope in node.driver.durable(turn).send:
            if rng.random() < 0.5:
                cluster.send(node.id, envelope.to, envelope.message)
    cluster.crash(node.id)


def _move_message(cluster: Cluster, rng: random.Random) -> None:
    if not cluster.wire:
        return
    at = rng.randrange(0, min(len(cluster.wire), 4))
    message = cluster.wire.pop(at)
    fate = rng.random()
    if fate < 0.08:
        return
    if fate < 0.16:
        cluster.wire.append(message)
    cluster.wire.insert(0, message)
    cluster.deliver_one()


def _propose(node: Node) -> None:
    wanted = node.engine.want()
    if wanted is not None:
        flavour = f"{node.id} {node.engine._core.term}"
        node.engine.propose(block(wanted.height, wanted.parent, flavour=flavour))


def _ask(cluster: Cluster, node: Node, rng: random.Random) -> None:
    """What an operator or a client may ask, or a transport report, at any moment."""
    engine, other = node.engine, rng.choice(cluster.committee.ids)
    match rng.randrange(0, 8):
        case 0:
            engine.transfer(other)
        case 1:
            engine.forget_leader()
        case 2:
            engine.unreachable(other)
        case _:
            # Whatever anybody has executed by now must lie at or below the answer.
            floor = max(n.heights for n in cluster.nodes.values())
            token = len(node.floors)
            node.floors[token] = floor
            engine.read(token)


def check_reads(cluster: Cluster) -> int:
    """Assert that no answered read is stale; return how many were answered."""
    answered = 0
    for node in cluster.nodes.values():
        for ready in node.reads:
            if ready.height is not None:
                answered += 1
                assert ready.height >= node.floors[ready.token], "a stale read"
    return answered


def move(cluster: Cluster, rng: random.Random) -> None:
    node = cluster.nodes[rng.choice(cluster.committee.ids)]
    choice = rng.random()
    if not node.up:
        if choice < 0.2:
            cluster.restart(node.id)
    elif choice < 0.45:
        cluster.turn(node)
    elif choice < 0.50:
        cluster.serve_fetch(node)
    elif choice < 0.60:
        _propose(node)
    elif choice < 0.605:
        _crash_in_turn(cluster, node, rng)
    elif choice < 0.61:
        node.execute = not node.execute
        node.run_ledger()
    elif choice < 0.613:
        cluster.isolate(node.id)
    elif choice < 0.617:
        cluster.heal()
    elif choice < 0.64:
        _ask(cluster, node, rng)
    if rng.random() < 0.3:
        cluster.now_ms += rng.randrange(1, 40)
        for other in cluster.nodes.values():
            if other.up:
                other.engine.tick(cluster.now_ms)
    for _ in range(3):
        _move_message(cluster, rng)
    terms = [n.engine._core.term for n in cluster.nodes.values() if role(n) is Role.LEADER]
    assert len(terms) == len(set(terms)), "two leaders in one term"


@pytest.mark.parametrize("seed", range(24))
def test_ledgers_agree_whatever_happens_and_grow_afterwards(seed: int) -> None:
    rng = random.Random(seed)
    cluster = Cluster(
        rng.choice([1, 2, 3, 3, 4, 5]),
        seed=seed,
        election_ms_min=200,
        election_ms_spread=200,
        heartbeat_ms=20,
        log_keep_entries=rng.choice([2, 4, 8, 64]),
        inflight_messages_max=rng.choice([1, 2, 16]),
        message_entries_max=rng.choice([1, 3, 64]),
        window=rng.choice([1, 1, 3]),
    )
    for _ in range(MOVES):
        move(cluster, rng)
        cluster.check()
    check_reads(cluster)
    cluster.heal()
    for node in cluster.nodes.values():
        node.execute = True
        if node.up:
            node.run_ledger()
        else:
            cluster.restart(node.id)
    cluster.run(3_000)
    before = max(node.heights for node in cluster.nodes.values())
    cluster.order(2)
    cluster.run(1_000)
    assert {node.heights for node in cluster.nodes.values()} >= {before + 2}
    assert len({node.heights for node in cluster.nodes.values()}) == 1
