"""From a contradiction that a node sees to a record on every member's ledger."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from consensus import wire
from consensus.pbft.dialect import signed_bytes
from consensus.pbft.messages import Commit
from node import reporting
from node.intake import Answer
from node.ledger.checkpoint import Checkpoint, cosign, cosigner_name
from node.ledger.families import evidence
from node.ledger.families.evidence import CountRow, Place
from node.ledger.state import genesis_state
from node.ledger.transaction import Op
from node.net.frame import FrameType
from node.publish import HeadsConflict, encode_shares
from node.reporting import RANKS_MAX, STAGGER_S, TRIES_MAX, Reporter
from tests.node.ledger.families.test_evidence import PBFT, contradiction, note
from tests.support.hostile import keys_of
from tests.support.nodes import Node, running, until


class Desk:
    """A reporter of one member with a clock moved by hand; submissions go nowhere."""

    def __init__(self, me: str = "alder") -> None:
        self.state: dict[bytes, bytes] = dict(genesis_state(PBFT))
        self.now = 0.0
        self.sent: list[Op] = []
        self.reporter = Reporter(
            self_id=me,
            members=[item.id for item in PBFT.validators],
            read=self.state.get,
            submit=self._submit,
            now_s=lambda: self.now,
        )

    async def _submit(self, ops: Sequence[Op]) -> Answer:
        self.sent.extend(ops)
        return Answer(None, "accepted")

    async def at(self, now: float) -> int:
        """Return how many were ever submitted when what is due at ``now`` has been."""
        self.now = now
        for place, item in list(self.reporter._pending.items()):
            if item.due <= now:
                await self.reporter._report(place)
        return len(self.sent)


async def test_members_report_in_turn_and_never_the_accused() -> None:
    seen = contradiction(member="birch")
    for me, turn in (("alder", 0), ("cedar", 1), ("dogwood", 2), ("birch", RANKS_MAX)):
        desk = Desk(me)
        desk.reporter.votes(seen)
        assert await desk.at(turn * STAGGER_S - 0.01) == 0
        assert await desk.at(turn * STAGGER_S) == 1
        assert desk.sent[0].kind == "evidence.votes"


async def test_what_another_has_brought_meanwhile_is_not_brought_again() -> None:
    desk = Desk("cedar")
    desk.reporter.votes(contradiction(member="birch"))
    desk.state[evidence.evidence_key(Place("birch", "prepare", 0, 3, 7))] = b"a row"
    assert await desk.at(STAGGER_S) == 0
    assert not desk.reporter._pending


async def test_it_is_tried_again_until_it_is_there_but_not_for_ever() -> None:
    desk = Desk()
    desk.reporter.votes(contradiction())
    for tries in range(1, TRIES_MAX + 1):
        assert await desk.at(tries * 100) == tries
    assert await desk.at(10_000) == TRIES_MAX
    assert not desk.reporter._pending


async def test_enough_about_one_member_is_enough() -> None:
    desk = Desk()
    desk.reporter.votes(contradiction())
    count = CountRow(evidence.OF_ONE_MEMBER_MAX)
    desk.state[evidence.count_key("birch")] = wire.encode(count)
    assert await desk.at(1) == 0


async def test_the_same_contradiction_is_noticed_once() -> None:
    desk = Desk()
    for _ in range(3):
        desk.reporter.votes(contradiction())
    assert desk.reporter.found == {"prepare": 1}
    assert await desk.at(1) == 1


async def test_heads_are_reported_as_heads() -> None:
    desk = Desk()
    head, against = note("wrong", "birch"), note("right", "alder", "cedar", "dogwood")
    desk.reporter.heads(HeadsConflict("birch", 0, 9, head, against))
    assert await desk.at(1) == 1
    assert desk.sent[0].kind == "evidence.heads"
    assert desk.reporter.found == {"checkpoint": 1}


async def test_what_fits_no_transaction_is_counted_and_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(evidence, "_PROOF_BYTES_MAX", 16)
    desk = Desk()
    desk.reporter.votes(contradiction())
    assert desk.reporter.found == {"prepare": 1}
    assert await desk.at(100) == 0


async def test_one_liar_neither_fills_memory_nor_hides_another() -> None:
    desk = Desk()
    for view in range(2 * reporting.KNOWN_MAX):
        desk.reporter.votes(contradiction(view=view, member="birch"))
    assert len(desk.reporter._pending) == reporting.PENDING_MAX
    assert desk.reporter.found == {"prepare": reporting.KNOWN_MAX}
    desk.reporter.votes(contradiction(member="cedar"))
    assert {place.member for place in desk.reporter._pending} == {"birch", "cedar"}
    desk.reporter.votes(contradiction(member="nobody"))
    assert len(desk.reporter._pending) == reporting.PENDING_MAX + 1


# --- whole nodes ---------------------------------------------------------------------------


def another_commit(liar: Node, height: int) -> bytes:
    """Return a commit of the liar for a block that is not the one at ``height``."""
    genesis = liar.network.genesis
    digest = bytes(32)
    message = signed_bytes(
        "commit", genesis.network, epoch=0, view=0, height=height, digest=digest
    )
    engine = liar.parts.replica.driver
    signature = engine._sign(message)
    return engine.dialect.encode(Commit(0, 0, height, digest, liar.id, signature))


async def test_a_member_that_signs_twice_is_on_every_members_ledger_in_the_end(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "net", members=4, engine="pbft") as nodes:
        liar = nodes[3]
        height = (await nodes[0].commit()).height
        assert height is not None
        await until(lambda: all(node.height >= height for node in nodes.nodes))
        liar.parts.peers.broadcast(FrameType.CONSENSUS, another_commit(liar, height))
        place = Place(liar.id, "commit", 0, 0, height)

        def recorded() -> bool:
            books = [node.parts.service.book for node in nodes.nodes]
            return all(book.read(evidence.evidence_key(place)) is not None for book in books)

        await until(recorded)
        rows, _ = nodes[3].parts.service.queries.evidence(0, 10)
        assert [(row.member, row.kind) for row in rows] == [(liar.id, "commit")]
        assert rows[0].reporter == nodes[0].id  # the first in turn; the others saw it there
        await nodes[1].commit()  # nothing follows from it: four members go on
        assert b"chartseal_evidence_found_total" in nodes[0].parts.metrics.render()
        text = nodes[0].parts.metrics.render().decode()
        assert f'chartseal_evidence_recorded{{member="{liar.id}"}} 1.0' in text


async def test_a_member_that_cosigns_another_head_is_on_the_ledger_too(tmp_path: Path) -> None:
    async with running(tmp_path / "net", members=3, engine="raft") as nodes:
        liar = nodes[2]
        height = (await nodes[0].commit()).height
        await until(lambda: all(node.certified == height for node in nodes.nodes))
        mine = liar.parts.service.publisher.mine
        assert mine is not None
        policy, keys = liar.parts.service.publisher.policy, keys_of(nodes.cluster, 2)
        head = Checkpoint(policy.origin, mine.size, bytes(32))
        name = cosigner_name(policy.origin, liar.id)
        made = cosign(head, name=name, signer=keys.cosigner, time_s=7)
        share = replace(mine, root=head.root, time_s=7, signature=made.signature)
        liar.parts.peers.broadcast(FrameType.COSIGNATURES, encode_shares([share]))
        key = evidence.evidence_key(Place(liar.id, "checkpoint", 0, 0, mine.size))
        books = [node.parts.service.book for node in nodes.nodes]
        await until(lambda: all(book.read(key) is not None for book in books))
