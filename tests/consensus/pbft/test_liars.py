"""f members lie with their real keys while messages get lost and honest members crash.

``World`` asserts agreement, offline validity of every certificate and that no honest member
contradicts itself; the guard raises by itself.  Progress must follow once the losses end, the
liars still lying.
"""

from dataclasses import replace
from random import Random
from typing import Any

import pytest

from consensus.certs import proposal_hash
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import (
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    Status,
    Suspect,
    ViewChange,
)
from consensus.types import NodeId
from tests.consensus.pbft.harness import World, block, signed

FAST = {"request_ms": 300, "view_change_ms": 300, "resend_ms": 100, "status_ms": 80}


def lie(message: Any, tip: bytes, rng: Random) -> Any:
    """Return a validly signed falsehood in place of ``message``."""
    note = rng.choice("ab")
    match message:
        case PrePrepare():
            other = block(message.proposal.height, message.proposal.parent, note)
            return signed(replace(message, proposal=other, signature=b""))
        case Prepare():
            content = proposal_hash(block(message.height, tip, note))
            return signed(replace(message, content=content, signature=b""))
        case Commit():
            digest = block(message.height, tip, note).digest
            return signed(replace(message, digest=digest, signature=b""))
        case ViewChange():
            return signed(replace(message, prepared=(), signature=b""))
        case NewView():
            return signed(replace(message, chosen=(), signature=b""))
        case Suspect():
            later = message.view + rng.randrange(3)
            return signed(replace(message, view=later, signature=b""))
        case Status():
            return replace(message, height=message.height + rng.randrange(100))
        case _:
            raise AssertionError(message)


@pytest.mark.parametrize("seed", range(8))
def test_liars_break_neither_agreement_nor_progress(seed: int) -> None:
    rng = Random(seed)
    window, rotation = (1, 2, 4, 8)[seed % 4], (0, 0, 1)[seed % 3]
    size = rng.choice([4, 5, 7])
    world = World(size, window=window, rotation_blocks=rotation, **FAST)
    liars = set(rng.sample(world.ids, world.committee.faults_max))
    world.liars |= liars
    loss = rng.choice([0.0, 0.1, 0.3])

    def interfere(source: str, target: str, message: Any) -> bool:
        own = isinstance(message, Status) or message.signer == source
        if source in liars and own and rng.random() < 0.7:
            tip = world.disks[NodeId(target)].applied.digest
            raw = DIALECT.encode(lie(message, tip, rng))
            world.wire.append((world.now_ms + 1, source, target, raw))
            return rng.random() < 0.5
        return rng.random() < loss

    world.drop = interfere
    world.height_goal = 30
    for _ in range(25):
        victim = rng.choice(world.ids)
        if victim not in world.nodes:
            world.start(victim)
        elif victim not in liars and rng.random() < 0.3:
            world.crash(victim)
        shuffled = list(world.wire)
        rng.shuffle(shuffled)
        world.wire.clear()
        world.wire.extend(shuffled)
        world.work()
        world.run(rng.randrange(5, 400))
    for node in world.ids:
        if node not in world.nodes:
            world.start(node)
    loss = 0.0
    goal = world.height_goal = max(world.heights().values()) + 2
    world.work()
    honest = [node for node in world.ids if node not in liars]
    world.run(900_000, lambda: all(world.heights()[node] >= goal for node in honest))
    assert all(world.heights()[node] >= goal for node in honest), world.heights()
