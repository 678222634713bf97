"""What a node asks of the ledger for itself: once, when it is due, and never in a loop."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from consensus import wire
from node import joining
from node.intake import Answer
from node.joining import AGAIN_BLOCKS, AGAIN_S, NEAR_BLOCKS, Joining
from node.keys import NodeKeys
from node.ledger import transaction
from node.ledger.facts import features
from node.ledger.families.membership import Knows, Ready, Rotate
from node.ledger.transaction import Op
from node.ring import Ring
from node.roster import Roster
from node.service import TxStatus
from tests.support.ledger import Chain, genesis, key

SEEDS = {use: key(f"alder {use}") for use in ("identity", "consensus", "cosigner")}


class Room:
    """Alder's node, whose ledger is moved by hand; ``said`` is what it asked for."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(directory, genesis())
        self.roster = Roster(self.chain.genesis, self.chain.book, "alder")
        self.keys = NodeKeys.generate("alder")
        self.ring = Ring(self.keys)
        self.cosigned, self.now_s, self.state = 0, 0.0, "pending"
        self.said: list[list[Op]] = []
        self.joining = Joining(
            self.roster,
            self.ring,
            network=self.chain.network,
            read=self.chain.book.read,
            tip=lambda: self.chain.book.tip,
            cosigned=lambda: self.cosigned,
            submit=self._submit,
            status=lambda txid: TxStatus(txid, self.state, "", ""),
            now_s=lambda: self.now_s,
        )

    async def _submit(self, ops: Sequence[Op]) -> Answer:
        self.said.append(list(ops))
        return Answer(bytes(32), "accepted")

    def move(self, blocks: int) -> None:
        for _ in range(blocks):
            self.roster.follow(self.chain.commit())
        self.cosigned = self.chain.book.tip.height


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.chain.close()


async def test_new_voting_keys_are_asked_for_with_a_proof_of_each(room: Room) -> None:
    room.move(1)
    await room.joining.look()
    (ops,) = room.said
    (op,) = ops
    assert op.kind == "membership.rotate"
    body = wire.from_value(Rotate, op.body)
    assert body.consensus_key == room.keys.public.consensus
    raw = transaction.sign(room.chain.payload(op), SEEDS["identity"])
    done = room.chain.commit(transaction.parse(raw))
    assert done.codes == (0,)
    assert done.next_era is not None
    room.roster.follow(done)
    room.cosigned = done.tip.height
    room.now_s = AGAIN_S + 1
    await room.joining.look()
    assert len(room.said) == 1, "the ledger names the keys that this node holds"
    voter = room.roster.now.voter("alder")
    assert room.ring.consensus(voter) is room.keys.consensus


async def test_nothing_is_asked_by_who_is_behind_or_hears_nobody(room: Room) -> None:
    await room.joining.look()
    room.move(1)
    room.cosigned = room.chain.book.tip.height + NEAR_BLOCKS + 1
    await room.joining.look()
    assert room.said == []
    room.cosigned -= 1
    await room.joining.look()
    assert len(room.said) == 1


async def test_what_was_lost_on_the_way_is_asked_again_after_a_while(room: Room) -> None:
    room.move(1)
    for at_s in (0.0, 1.0, AGAIN_S - 1, AGAIN_S, AGAIN_S + 1):
        room.now_s = at_s
        await room.joining.look()
    assert len(room.said) == 2


async def test_what_was_refused_is_asked_again_after_many_blocks_only(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "AGAIN_BLOCKS", 3)
    assert AGAIN_BLOCKS > 3
    room.move(1)
    await room.joining.look()
    room.state, room.now_s = "rejected", 10 * AGAIN_S
    for _ in range(2):
        room.move(1)
        await room.joining.look()
    assert len(room.said) == 1
    room.move(1)
    await room.joining.look()
    assert len(room.said) == 2


def rotation(room: Room) -> Op:
    """Return what puts this node's keys on the ledger."""
    named = room.roster.institution("alder")
    assert named is not None
    (op,) = room.joining._rotation(named)
    return op


async def test_a_node_says_nothing_of_features_while_nobody_asks(room: Room) -> None:
    done = room.chain.commit(
        transaction.parse(
            transaction.sign(room.chain.payload(rotation(room)), SEEDS["identity"])
        )
    )
    room.roster.follow(done)
    room.cosigned = done.tip.height
    await room.joining.look()
    assert room.said == []
    # Once it began to say so, it says what is missing.
    named = room.roster.institution("alder")
    assert named is not None
    (op,) = room.joining._supports(named)
    assert op == Op("membership.supports", wire.to_value(Knows(features.FEATURES)))
    raw = transaction.sign(room.chain.payload(op), SEEDS["identity"])
    assert room.chain.commit(transaction.parse(raw)).codes == (0,)
    assert room.joining._supports(named) == []


def test_what_says_that_a_learner_caught_up_names_its_newest_block() -> None:
    assert wire.to_value(Ready(3, bytes(32))) == [3, bytes(32)]
