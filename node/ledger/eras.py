"""Eras: who orders blocks, by which engine, from which height on.

An era is one committee under one engine.  It ends with the block that changes either of them
(the barrier) and the next begins at the height after it; the barrier is ordered and cosigned
by the era that it ends.  Epochs count eras from 0.  Observers follow the chain and vote on
nothing: learners on their way in, members that were demoted.

State: ``epoch``, ``engine`` and ``voters/<epoch be64>`` (``node.ledger.state``) as ever; from
the first change on ``era/<epoch be64>`` -> ``Era`` for every epoch, the founders' included;
``observers`` -> ``Observers``, absent while there are none.

Owns: these rows, the digest that a seal carries.  Refuses: the rules of change
(``families.membership``).
Invariant: within one block at most one era begins, whatever the block holds.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from consensus import wire
from node.ledger.block import MEMBERS_TAG
from node.ledger.genesis import ENGINES, Voter, Voters
from node.ledger.state import ENGINE_KEY, Read, epoch_from, load_from, voters_key

ERA_PREFIX: Final = b"era/"
OBSERVERS_KEY: Final = b"observers"
ERA_TAG: Final = b"chartseal/era/v1\x00"
VOTERS_MAX: Final = 64  # what one certified checkpoint holds signatures of
OBSERVERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class Era:
    """``members`` vote from block ``from_height`` on; ascending by id."""

    epoch: int
    engine: str
    from_height: int
    members: tuple[Voter, ...]

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise ValueError("engine must be pbft or raft")
        ids = [item.id for item in self.members]
        if not 1 <= len(ids) <= VOTERS_MAX or ids != sorted(set(ids)):
            raise ValueError(f"1 to {VOTERS_MAX} members, unique and ascending by id")
        if self.from_height < 1:
            raise ValueError("heights begin at 1")


@dataclass(frozen=True, slots=True)
class Observers:
    """Ids of institutions that follow without voting, ascending."""

    members: tuple[str, ...]

    def __post_init__(self) -> None:
        if list(self.members) != sorted(set(self.members)):
            raise ValueError("observers are unique and ascending")
        if len(self.members) > OBSERVERS_MAX:
            raise ValueError(f"at most {OBSERVERS_MAX} observers")


def era_key(epoch: int) -> bytes:
    return ERA_PREFIX + epoch.to_bytes(8, "big")


def era_from(read: Read) -> Era:
    """Return the era that orders the next block."""
    era = era_of(read, epoch_from(read))
    assert era is not None, "the epoch in force has its era"
    return era


def era_of(read: Read, epoch: int) -> Era | None:
    """Return the era of ``epoch``; None for one that has not begun."""
    found = load_from(read, Era, era_key(epoch))
    if found is not None or epoch != 0:
        return found
    voters, engine = load_from(read, Voters, voters_key(0)), read(ENGINE_KEY)
    assert voters is not None, "every ledger starts with voters"
    assert engine is not None, "every ledger starts with an engine"
    return Era(0, engine.decode("ascii"), 1, voters.members)


def observers_from(read: Read) -> tuple[str, ...]:
    """Return who follows without voting."""
    found = load_from(read, Observers, OBSERVERS_KEY)
    return () if found is None else found.members


def era_digest(era: Era) -> bytes:
    """Return what a seal says of the era that follows its block.

    The founders' keeps the form that names voters only: the engine is in genesis.  Later ones
    commit to the engine too, because the quorum depends on it.
    """
    if era.epoch == 0:
        raw = wire.encode(Voters(0, era.members))
        return hashlib.sha256(MEMBERS_TAG + raw).digest()
    return hashlib.sha256(ERA_TAG + wire.encode(era)).digest()
