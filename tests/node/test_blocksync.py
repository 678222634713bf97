"""Catch-up: final blocks arrive in order, checked; every lie is answered with False."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from consensus import codec, wire
from consensus.certs import CommitCert
from consensus.effects import Fetch
from consensus.pbft.dialect import DIALECT
from consensus.types import NodeId, Proposal
from node.blocksync import (
    BACKLOG_MAX,
    BLOCKS_MAX,
    BlockSync,
    SyncBlock,
    SyncRequest,
    SyncResponse,
)
from node.bodies import Bodies
from node.intake import Intake
from node.ledger.transaction import txid_of
from node.mempool import Mempool, MempoolLimits
from node.roster import Unchanging, founding_rules
from storage import keys
from storage.reader import Floor
from storage.segments import Pointer
from tests.support.ledger import Chain, anchor, genesis, proposal_of

PEER = NodeId("birch")


class Room:
    """A node with ``blocks`` applied, behind a sync whose asking and giving land in lists."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(directory, genesis("pbft"))
        pool = Mempool(MempoolLimits())
        self.asked: list[tuple[str, SyncRequest]] = []
        self.given: list[Proposal] = []
        self.waiting = 0
        self.barrier = 0
        self.bodies = Bodies(lambda _: None)
        self.sync = BlockSync(
            book=self.chain.book,
            store=self.chain.store,
            bodies=self.bodies,
            intake=Intake(self.chain.book, self.chain.store, pool, now_ms=lambda: 0),
            dialects={"pbft": DIALECT},
            rules=Unchanging(founding_rules(self.chain.genesis)),
            barrier=lambda: self.barrier,
            settled=lambda: self.chain.book.tip.height,
            ask=lambda peer, request: self.asked.append((peer, request)),
            give=lambda proposal, _certificate: self.given.append(proposal),
            backlog=lambda: self.waiting,
        )

    async def take(self, response: SyncResponse) -> bool:
        self.sync.fetch(Fetch(PEER, response.lo, response.lo + 9))
        return await self.sync.received(PEER, response)


@pytest.fixture
def ahead(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "ahead")
    for name in ("a", "b", "c"):
        made.chain.commit(made.chain.tx(anchor(name)))
    yield made
    made.chain.close()


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path / "behind")
    yield made
    made.chain.close()


async def test_blocks_are_served_checked_and_given_in_order(ahead: Room, behind: Room) -> None:
    response = ahead.sync.serve(SyncRequest(1, 9))
    assert len(response.blocks) == 3
    assert await behind.take(response)
    assert [item.height for item in behind.given] == [1, 2, 3]
    assert behind.sync.fetched == 3
    for proposal in behind.given:
        body = behind.bodies.get(proposal.digest)
        assert body is not None
        behind.chain.apply(body)
    assert behind.chain.book.tip == ahead.chain.book.tip
    assert await behind.take(response)  # what is applied already is passed over
    assert behind.sync.fetched == 3


async def test_a_full_range_is_taken_however_few_bodies_are_kept(
    ahead: Room, behind: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.bodies.RECENT_MAX", 1)
    assert await behind.take(ahead.sync.serve(SyncRequest(1, 9)))
    assert [item.height for item in behind.given] == [1, 2, 3]


async def test_what_checks_a_range_as_a_whole_may_refuse_it(ahead: Room, behind: Room) -> None:
    seen: list[tuple[str, list[int]]] = []

    async def refuse(peer: str, blocks: Sequence[Proposal]) -> bool:
        seen.append((peer, [item.height for item in blocks]))
        return False

    behind.sync.verify_range = refuse
    assert not await behind.take(ahead.sync.serve(SyncRequest(1, 9)))
    assert seen == [("birch", [1, 2, 3])]
    assert behind.given == []


async def test_nothing_is_taken_above_a_barrier_that_is_not_applied(
    ahead: Room, behind: Room
) -> None:
    behind.barrier = 2
    assert await behind.take(ahead.sync.serve(SyncRequest(1, 9)))
    assert [item.height for item in behind.given] == [1, 2]
    asked = len(behind.asked)
    behind.sync.fetch(Fetch(NodeId("cedar"), 3, 9))
    assert len(behind.asked) == asked
    for proposal in behind.given:
        body = behind.bodies.get(proposal.digest)
        assert body is not None
        behind.chain.apply(body)
    behind.sync.fetch(Fetch(NodeId("cedar"), 3, 9))
    assert len(behind.asked) == asked + 1


async def test_a_peer_is_asked_once_at_a_time_and_not_while_the_committer_lags(
    behind: Room,
) -> None:
    behind.sync.fetch(Fetch(PEER, 1, 500))
    behind.sync.fetch(Fetch(PEER, 1, 500))
    assert behind.asked == [("birch", SyncRequest(1, BLOCKS_MAX))]
    behind.waiting = BACKLOG_MAX + 1
    behind.sync.fetch(Fetch(NodeId("cedar"), 1, 5))
    assert len(behind.asked) == 1


async def test_what_was_not_asked_for_changes_nothing(ahead: Room, behind: Room) -> None:
    response = ahead.sync.serve(SyncRequest(1, 3))
    assert await behind.sync.received(PEER, response)
    behind.sync.fetch(Fetch(PEER, 2, 3))
    assert await behind.sync.received(PEER, response)
    assert behind.given == []


def forged(item: SyncBlock, flip: int) -> SyncBlock:
    raw = bytearray(item.certificate)
    raw[flip] ^= 1
    return replace(item, certificate=bytes(raw))


LIES: list[tuple[str, Callable[[SyncBlock, SyncBlock], SyncBlock]]] = [
    ("certificate of another block", lambda a, b: replace(a, certificate=b.certificate)),
    ("signature forged", lambda a, b: forged(a, -1)),
    ("no certificate", lambda a, b: replace(a, certificate=b"")),
    ("header of another block", lambda a, b: replace(a, header=b.header)),
    ("body of another block", lambda a, b: replace(a, body=b.body)),
    ("another block whole", lambda a, b: b),
    ("body cut", lambda a, b: replace(a, body=a.body[:-1])),
    ("body empty", lambda a, b: replace(a, body=b"")),
    ("header of other bytes", lambda a, b: replace(a, header=a.header + b"\x00")),
    ("body beyond the limit", lambda a, b: replace(a, body=bytes(1 << 21))),
]


@pytest.mark.parametrize(("what", "lie"), LIES, ids=[row[0] for row in LIES])
async def test_a_lie_is_refused_and_nothing_after_it_is_taken(
    ahead: Room,
    behind: Room,
    what: str,
    lie: Callable[[SyncBlock, SyncBlock], SyncBlock],
) -> None:
    one, two, three = ahead.sync.serve(SyncRequest(1, 3)).blocks
    assert not await behind.take(SyncResponse(1, (one, lie(two, three), three)))
    assert [item.height for item in behind.given] == [1]


async def test_a_certificate_without_a_quorum_is_refused(ahead: Room, behind: Room) -> None:
    (one,) = ahead.sync.serve(SyncRequest(1, 1)).blocks
    made = wire.decode(CommitCert, one.certificate, size_max=4096)
    two_of_four = replace(made, signers=b"\x03", signatures=made.signatures[:2])
    lie = replace(one, certificate=wire.encode(two_of_four))
    assert not await behind.take(SyncResponse(1, (lie,)))
    assert behind.given == []


async def test_a_certified_body_with_a_bad_signature_is_refused(behind: Room) -> None:
    """A quorum that certifies it is no excuse: each node checks for itself."""
    tx = behind.chain.tx()
    bad = replace(tx, raw=tx.raw[:-1] + bytes((tx.raw[-1] ^ 1,)))
    body = behind.chain.body(replace(bad, txid=txid_of(bad.raw)))
    proposal = proposal_of(body)
    certificate = behind.chain.certificate(1, proposal.digest)
    lie = SyncBlock(proposal.header, certificate, body.raw)
    assert not await behind.take(SyncResponse(1, (lie,)))
    assert behind.given == []


def test_serving_is_bounded_by_range_and_frame(
    ahead: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(ahead.sync.serve(SyncRequest(2, 2)).blocks) == 1
    assert ahead.sync.serve(SyncRequest(4, 9)).blocks == ()
    monkeypatch.setattr("node.blocksync.RESPONSE_BYTES_MAX", 1)
    assert len(ahead.sync.serve(SyncRequest(1, 3)).blocks) == 1
    monkeypatch.setattr("node.blocksync.BLOCKS_MAX", 2)
    monkeypatch.setattr("node.blocksync.RESPONSE_BYTES_MAX", 1 << 20)
    assert len(ahead.sync.serve(SyncRequest(1, 3)).blocks) == 2


def test_ranges_and_responses_have_limits() -> None:
    for lo, hi in ((0, 1), (2, 1)):
        with pytest.raises(ValueError, match="range"):
            SyncRequest(lo, hi)
    with pytest.raises(ValueError, match="too many"):
        SyncResponse(1, (SyncBlock(b"", b"", b""),) * (BLOCKS_MAX + 1))
    assert codec.encode([1, 3]) == wire.encode(SyncRequest(1, 3))


def test_what_is_pruned_is_answered_with_nothing(ahead: Room) -> None:
    ahead.chain.store.mend([(keys.PRUNED, Floor(3, 1).encode())])
    for height in (1, 2):
        row = ahead.chain.store.block(height)
        assert row is not None
        ahead.chain.store.mend([(keys.BODY + row.digest, None)])
    assert ahead.sync.serve(SyncRequest(1, 3)).blocks == ()
    assert len(ahead.sync.serve(SyncRequest(3, 3)).blocks) == 1


def test_a_damaged_body_ends_the_answer_and_nothing_else(ahead: Room) -> None:
    """A peer that asks for it must not stop the node, let alone make it give up its ledger."""
    row = ahead.chain.store.block(2)
    assert row is not None
    segments = ahead.chain.store.segments
    stored = ahead.chain.store.raw_value(keys.BODY + row.digest)
    assert stored is not None
    pointer = Pointer.decode(stored)
    with segments.path(pointer.segment).open("r+b") as file:
        file.seek(pointer.offset + pointer.length)
        (byte,) = file.read(1)
        file.seek(-1, 1)
        file.write(bytes((byte ^ 1,)))
    assert len(ahead.sync.serve(SyncRequest(1, 3)).blocks) == 1
    assert ahead.sync.serve(SyncRequest(2, 3)).blocks == ()
    assert len(ahead.sync.serve(SyncRequest(3, 3)).blocks) == 1
    assert ahead.chain.store.failure is None


async def test_a_member_that_has_nothing_sends_the_asker_to_another(behind: Room) -> None:
    behind.sync.others = lambda: ("birch", "cedar", "dogwood")
    whom = []
    for _ in range(5):
        behind.sync.fetch(Fetch(PEER, 1, 9))
        peer, request = behind.asked[-1]
        whom.append(peer)
        assert await behind.sync.received(NodeId(peer), SyncResponse(request.lo, ()))
    # After the last of them it begins again: one may have caught up meanwhile.
    assert whom == ["birch", "cedar", "dogwood", "birch", "cedar"]
    behind.sync.fetch(Fetch(PEER, 5, 9))
    assert behind.asked[-1][0] == "birch"  # later heights it may well have
