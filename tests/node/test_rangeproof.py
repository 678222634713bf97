"""Ranges of blocks with their proof: what holds, every lie, and their way between two nodes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus import wire
from consensus.effects import Fetch
from consensus.raft.dialect import DIALECT as RAFT
from consensus.types import NodeId, Proposal
from node.blocksync import BlockSync, SyncBlock, SyncRequest
from node.bodies import Bodies
from node.book import Book
from node.intake import Intake
from node.ledger import block as blocks
from node.ledger.block import decode_seal
from node.lineage_keeping import LineageKeeper
from node.mempool import Mempool, MempoolLimits
from node.rangeproof import (
    BLOCKS_MAX,
    Base,
    RangeInvalid,
    RangeProof,
    Reason,
    prove_range,
    verify_range,
)
from node.rangesync import RangeRequest, RangeResponse, RangeSync
from node.roster import Unchanging, founding_rules
from storage.store import Store
from tests.support.eras import Eras, founded, lived

LIVED = lived()
PEER = NodeId("birch")


def headers(made: Eras, lo: int, hi: int) -> list[bytes]:
    return [made.bodies[height - 1].header.encode() for height in range(lo, hi + 1)]


def proof(made: Eras, lo: int, hi: int, *, size: int | None = None, epoch: int) -> RangeProof:
    size = made.size_at(hi) if size is None else size
    index = made.size_at(hi) - 1
    seals = tuple(made.seals[lo - 1 : hi])
    return RangeProof(seals, made.note(size, epoch=epoch), made.path(index, size))


def base(made: Eras, height: int) -> Base:
    if height == 0:
        return Base(0, made.network, 0)
    digest = blocks.seal_digest(made.seals[height - 1])
    return Base(height, digest, made.size_at(height))


def verify(
    given: RangeProof,
    lo: int = 3,
    hi: int = 4,
    *,
    made: Eras = LIVED,
    epoch: int = 1,
    below: Base | None = None,
    said: list[bytes] | None = None,
) -> tuple[int, ...]:
    seals = verify_range(
        lo,
        headers(made, lo, hi) if said is None else said,
        given,
        origin=made.origin,
        policy_at=lambda _: made.policy(epoch),
        base=base(made, lo - 1) if below is None else below,
    )
    return tuple(seal.height for seal in seals)


def reason_of(given: RangeProof, **more: Any) -> Reason:
    with pytest.raises(RangeInvalid) as caught:
        verify(given, **more)
    assert str(caught.value).startswith(caught.value.reason.value)
    return caught.value.reason


GOOD = proof(LIVED, 3, 4, epoch=1)


def test_a_range_is_proven_by_a_head_at_its_end_or_above() -> None:
    assert verify(GOOD) == (3, 4)
    later = proof(LIVED, 3, 3, size=LIVED.size_at(4), epoch=1)
    assert verify(later, hi=3) == (3,)
    assert verify(proof(LIVED, 1, 2, epoch=0), lo=1, hi=2, epoch=0) == (1, 2)


def test_blocks_far_above_our_own_are_some_part_of_the_log() -> None:
    assert verify(GOOD, below=base(LIVED, 1)) == (3, 4)


def seal_with(at: int, **fields: object) -> RangeProof:
    seals = list(GOOD.seals)
    seals[at] = replace(decode_seal(seals[at]), **fields).encode()
    return replace(GOOD, seals=tuple(seals))


OTHER = Eras(founded(name="other"))
OTHER.block(2)
OTHER.block(1)
LIES: list[tuple[str, RangeProof, dict[str, Any], Reason]] = [
    ("a seal too few", replace(GOOD, seals=GOOD.seals[:1]), {}, Reason.COUNT),
    ("no seal", replace(GOOD, seals=(GOOD.seals[0], b"x")), {}, Reason.SEAL_MALFORMED),
    ("wrong order", replace(GOOD, seals=GOOD.seals[::-1]), {}, Reason.HEIGHT),
    ("another height", seal_with(1, height=5), {}, Reason.HEIGHT),
    ("another parent", seal_with(0, parent_seal=bytes(32)), {}, Reason.PARENT),
    ("another place", seal_with(0, first_index=9), {}, Reason.PARENT),
    (
        "our ledger differs",
        GOOD,
        {"below": Base(2, bytes(32), LIVED.size_at(2))},
        Reason.PARENT,
    ),
    ("chain broken", seal_with(1, parent_seal=bytes(32)), {}, Reason.CHAIN),
    ("a gap in the log", seal_with(1, first_index=9), {}, Reason.CHAIN),
    ("an earlier seal changed", seal_with(0, state_root=b"s" * 32), {}, Reason.CHAIN),
    ("the last seal changed", seal_with(1, state_root=b"s" * 32), {}, Reason.SEAL_MISMATCH),
    ("another block", GOOD, {"said": headers(LIVED, 4, 5)}, Reason.BODY),
    ("no note", replace(GOOD, note=b"x"), {}, Reason.NOTE_MALFORMED),
    ("another log", replace(GOOD, note=OTHER.note()), {}, Reason.WRONG_LOG),
    (
        "a head below",
        replace(GOOD, note=LIVED.note(LIVED.size_at(3), epoch=1)),
        {},
        Reason.NOT_COVERED,
    ),
    ("no path", replace(GOOD, path=()), {}, Reason.SEAL_MISMATCH),
    (
        "too few names",
        replace(GOOD, note=LIVED.note(LIVED.size_at(4), epoch=1, signers=2)),
        {},
        Reason.QUORUM_MISSING,
    ),
    (
        "names of strangers",
        replace(GOOD, note=LIVED.note(LIVED.size_at(4), epoch=5)),
        {},
        Reason.QUORUM_MISSING,
    ),
]


@pytest.mark.parametrize(
    ("given", "more", "reason"), [item[1:] for item in LIES], ids=[item[0] for item in LIES]
)
def test_a_range_with_any_lie_in_it_is_refused_whole(
    given: RangeProof, more: dict[str, Any], reason: Reason
) -> None:
    assert reason_of(given, **more) is reason


def test_no_flipped_bit_of_a_proof_is_both_read_and_believed() -> None:
    """Except where it silences one cosigner and a quorum is left.  Every third bit."""
    given = proof(LIVED, 3, 4, epoch=1)
    raw = wire.encode(given)
    believed = 0
    for at in range(0, len(raw) * 8, 3):
        flipped = bytearray(raw)
        flipped[at // 8] ^= 1 << at % 8
        try:
            read = wire.decode(RangeProof, bytes(flipped), size_max=len(raw))
            verify(read)
        except (wire.Malformed, RangeInvalid):
            continue
        believed += 1
        assert replace(read, note=given.note) == given
    assert 0 < believed < 8 * len(given.note)


def test_sizes_are_bounded() -> None:
    for fields in (
        {"seals": ()},
        {"seals": GOOD.seals * BLOCKS_MAX},
        {"seals": (bytes(2_000),)},
        {"note": bytes(20_000)},
        {"path": (bytes(31),)},
        {"path": (bytes(32),) * 64},
    ):
        with pytest.raises(ValueError, match=r"seal|checkpoint|path"):
            replace(GOOD, **fields)


# --- between two nodes --------------------------------------------------------------------


class Node:
    """A node with the blocks that ``live`` makes, behind a range sync that lands in lists."""

    def __init__(self, directory: Path, live: Callable[[Eras], None] | None = None) -> None:
        genesis = founded()
        self.store = Store.open(directory, network=genesis.network, create=True)
        self.made = Eras(genesis, store=self.store)
        if live is not None:
            live(self.made)
        self.book = Book(self.store, genesis)
        self.given: list[Proposal] = []
        self.sent: list[tuple[str, RangeRequest]] = []
        self.sync = BlockSync(
            book=self.book,
            store=self.store,
            bodies=Bodies(lambda _: None),
            intake=Intake(self.book, self.store, Mempool(MempoolLimits()), now_ms=lambda: 0),
            dialects={"raft": RAFT},
            rules=Unchanging(founding_rules(genesis)),
            barrier=lambda: 0,
            settled=lambda: self.book.tip.height,
            ask=lambda peer, request: self.ranges.ask(peer, request),
            give=lambda proposal, _certificate: self.given.append(proposal),
            backlog=lambda: 0,
        )
        self.ranges = RangeSync(
            self.sync,
            self.store,
            origin=genesis.origin,
            base=lambda: Base(
                self.book.tip.height, self.book.tip.seal_digest, self.book.tip.log_size
            ),
            policy_at=lambda _: self.made.policy(0),
            needed=lambda: True,
            send=lambda peer, request: self.sent.append((peer, request)),
        )

    async def take(self, response: RangeResponse) -> bool:
        self.sync.fetch(Fetch(PEER, response.lo, response.lo + 9))
        sent = wire.decode(RangeResponse, wire.encode(response), size_max=4 << 20)
        return await self.ranges.received(PEER, sent)


def live(made: Eras) -> None:
    """Blocks 1 to 5 certified at 2 and 4, a barrier at 6, two blocks of the era after it."""
    for height in range(1, 6):
        made.block(1)
        if height % 2 == 0:
            made.certify()
    made.barrier(("alder", "birch", "dogwood"))
    made.certify()
    made.block(1)
    made.block(1)
    made.certify()


@pytest.fixture
def ahead(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "ahead", live)
    yield node
    node.store.close()


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path / "behind")
    yield node
    node.store.close()


async def test_certified_blocks_are_served_judged_and_handed_on_in_order(
    ahead: Node, behind: Node
) -> None:
    answer = ahead.ranges.serve(RangeRequest(1, 4))
    assert await behind.take(answer)
    assert [item.height for item in behind.given] == [1, 2, 3, 4]
    assert behind.sent == [("birch", RangeRequest(1, 10))]
    assert behind.ranges.liars == {}


def test_a_range_ends_where_its_era_does_and_where_certificates_do(
    ahead: Node, behind: Node
) -> None:
    store = ahead.store

    def spans(lo: int, hi: int) -> tuple[int, int] | None:
        found = prove_range(store, lo, hi)
        if found is None:
            return None
        heights = [decode_seal(seal).height for seal in found.seals]
        epoch = 0 if heights[-1] <= 6 else 1
        verify(found, heights[0], heights[-1], made=ahead.made, epoch=epoch)
        return heights[0], heights[-1]

    assert spans(1, 9) == (1, 6), "the barrier is the last that the founders certify"
    assert spans(6, 6) == (6, 6)
    assert spans(7, 99) == (7, 8)
    assert spans(3, 3) == (3, 3)
    assert spans(9, 12) is None
    assert prove_range(behind.store, 1, 9) is None


async def test_at_a_barrier_the_kept_link_serves_when_the_checkpoint_is_lost(
    ahead: Node,
) -> None:
    keeper = LineageKeeper(ahead.store, ahead.made.genesis, ahead.store.state_get)
    assert keeper.heal() == 1
    found = prove_range(ahead.store, 5, 6)
    assert found is not None
    assert found.note == ahead.made.links[0].note


async def test_a_peer_without_certificates_is_no_liar(behind: Node) -> None:
    assert await behind.take(RangeResponse(1, (), None))
    assert behind.given == []
    assert behind.ranges.liars == {}


async def test_a_lie_is_named_and_none_of_its_blocks_is_used(ahead: Node, behind: Node) -> None:
    answer = ahead.ranges.serve(RangeRequest(1, 4))
    assert answer.proof is not None
    forged = list(answer.blocks)
    forged[1] = SyncBlock(forged[0].header, forged[1].certificate, forged[1].body)
    assert not await behind.take(replace(answer, blocks=tuple(forged)))
    assert list(behind.ranges.liars) == ["birch"]
    assert behind.ranges.liars["birch"].startswith("body: block 2")
    few = replace(answer.proof, note=ahead.made.note(ahead.made.size_at(4), epoch=0, signers=1))
    behind.sync._asked.clear()
    assert not await behind.take(replace(answer, proof=few))
    assert behind.ranges.liars["birch"].startswith("quorum-missing")
    assert behind.given == []


async def test_what_was_not_asked_for_is_passed_over(ahead: Node, behind: Node) -> None:
    answer = ahead.ranges.serve(RangeRequest(1, 4))
    assert await behind.ranges.received(PEER, answer)
    behind.ranges.ask(PEER, SyncRequest(2, 4))
    assert await behind.ranges.received(PEER, answer)
    assert behind.given == []


def test_frames_beyond_their_limits_are_refused(ahead: Node) -> None:
    answer = ahead.ranges.serve(RangeRequest(1, 4))
    for wrong in (
        lambda: RangeRequest(0, 4),
        lambda: RangeRequest(4, 3),
        lambda: RangeResponse(1, answer.blocks, None),
        lambda: RangeResponse(1, (), answer.proof),
        lambda: RangeResponse(1, answer.blocks * 20, answer.proof),
    ):
        with pytest.raises(ValueError, match=r"range|blocks"):
            wrong()


def test_a_frame_that_holds_fewer_blocks_brings_the_proof_of_those(
    ahead: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.blocksync.RESPONSE_BYTES_MAX", 3_000)
    answer = ahead.ranges.serve(RangeRequest(1, 6))
    assert answer.proof is not None
    assert 0 < len(answer.blocks) == len(answer.proof.seals) < 6
    verify(answer.proof, 1, len(answer.blocks), made=ahead.made, epoch=0)
