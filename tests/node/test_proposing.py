"""Our own blocks on parents in flight, and what a parent says about time."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus.effects import WantPayload
from consensus.types import NodeId, Proposal
from node.bodies import (
    Bodies,
    Body,
    BodyRefused,
    check_barrier,
    check_proposal,
    holds_barrier,
)
from node.ledger import block as blocks
from node.ledger.registry import BARRIERS
from node.mempool import Mempool, MempoolLimits
from node.proposing import AHEAD_MAX, Proposer, parent_time_ms
from tests.support.ledger import Chain, proposal_of


class Desk:
    """A proposer over a chain of one executed block, with a pool."""

    def __init__(self, chain: Chain) -> None:
        chain.commit()
        self.chain = chain
        self.pool = Mempool(MempoolLimits())
        self.bodies = Bodies(lambda _digest: None)
        self.proposer = Proposer(
            self_id=NodeId("alder"),
            network=chain.network,
            parameters=chain.book.parameters,
            mempool=self.pool,
            bodies=self.bodies,
        )

    def pool_up(self, count: int) -> list[bytes]:
        made = [self.chain.tx() for _ in range(count)]
        for item in made:
            self.pool.add(item, 0)
        return [item.txid for item in made]

    def make(self, height: int, parent: bytes, *, now_ms: int = 0) -> Proposal | None:
        want = WantPayload(height, parent)
        return self.proposer.make(want, settled=self.chain.book.tip, epoch=0, now_ms=now_ms)

    def body(self, proposal: Proposal) -> Body:
        body = self.bodies.get(proposal.digest)
        assert body is not None
        return body


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Chain(tmp_path) as chain:
        yield Desk(chain)


def test_a_block_on_an_unexecuted_one_leaves_out_what_is_in_flight(desk: Desk) -> None:
    tip = desk.chain.book.tip
    first_ids = desk.pool_up(3)
    first = desk.make(2, tip.digest, now_ms=tip.time_ms + 500)
    assert first is not None
    assert first.txids == b"".join(first_ids)
    assert desk.make(3, first.digest) is None, "nothing is left"
    second_ids = desk.pool_up(2)
    second = desk.make(3, first.digest)
    assert second is not None
    assert second.txids == b"".join(second_ids)
    third_ids = desk.pool_up(1)
    third = desk.make(4, second.digest)
    assert third is not None
    assert third.txids == b"".join(third_ids)


def test_times_rise_from_parent_to_child_whatever_the_clock_says(desk: Desk) -> None:
    tip = desk.chain.book.tip
    parent, times = tip.digest, [tip.time_ms]
    for height in (2, 3, 4):
        desk.pool_up(1)
        made = desk.make(height, parent, now_ms=tip.time_ms + 700 if height == 2 else 0)
        assert made is not None
        header = check_proposal(
            made,
            network=desk.chain.network,
            parameters=desk.chain.book.parameters,
            committee=desk.chain.committee,
        )
        times.append(header.time_ms)
        parent = made.digest
    assert times == [tip.time_ms + at for at in (0, 700, 701, 702)]


def test_after_execution_the_pool_has_forgotten_and_the_chain_goes_on(desk: Desk) -> None:
    tip = desk.chain.book.tip
    desk.pool_up(2)
    first = desk.make(2, tip.digest)
    assert first is not None
    later_ids = desk.pool_up(1)
    done = desk.chain.apply(desk.body(first))
    desk.pool.remove(done.txids)
    second = desk.make(3, first.digest)
    assert second is not None
    assert second.txids == b"".join(later_ids)


def test_no_block_is_made_where_the_chain_is_not_known(desk: Desk) -> None:
    tip = desk.chain.book.tip
    desk.pool_up(1)
    assert desk.make(3, bytes(32)) is None, "an unknown parent"
    assert desk.make(2, bytes(32)) is None, "another chain"
    assert desk.make(1, tip.digest) is None, "executed already"
    assert desk.make(tip.height + AHEAD_MAX + 1, tip.digest) is None
    first = desk.make(2, tip.digest)
    assert first is not None
    desk.pool_up(1)
    assert desk.make(4, first.digest) is None, "a height is missing"


# --- the parent's time ---------------------------------------------------------------------


def test_a_parent_is_known_when_executed_or_at_hand(desk: Desk) -> None:
    tip = desk.chain.book.tip
    desk.pool_up(1)
    first = desk.make(2, tip.digest, now_ms=tip.time_ms + 9)
    assert first is not None
    assert parent_time_ms(first, tip=tip, bodies=desk.bodies) == tip.time_ms
    body = desk.chain.body(desk.chain.tx(), height=3, parent=first.digest)
    child = proposal_of(body)
    assert parent_time_ms(child, tip=tip, bodies=desk.bodies) == tip.time_ms + 9
    assert parent_time_ms(child, tip=tip, bodies=Bodies(lambda _: None)) is None
    wrong = proposal_of(desk.chain.body(desk.chain.tx(), height=4, parent=first.digest))
    with pytest.raises(BodyRefused, match="another height"):
        parent_time_ms(wrong, tip=tip, bodies=desk.bodies)


# --- barriers ------------------------------------------------------------------------------


def test_only_acts_that_may_change_the_members_make_a_barrier(desk: Desk) -> None:
    assert "governance.execute" in BARRIERS
    desk.pool_up(1)
    made = desk.make(2, desk.chain.book.tip.digest)
    assert made is not None
    assert not made.barrier


def test_a_barrier_is_what_the_body_says(desk: Desk) -> None:
    body = desk.chain.body(desk.chain.tx())
    plain = proposal_of(body)
    flagged = Proposal(
        plain.height, plain.parent, plain.digest, plain.header, plain.txids, barrier=True
    )
    kinds = {"record.anchor"}  # as if anchoring changed the members
    check_barrier(plain, body.transactions)
    check_barrier(flagged, body.transactions, kinds)
    for proposal, barriers in ((flagged, frozenset[str]()), (plain, kinds)):
        with pytest.raises(BodyRefused, match="barrier"):
            check_barrier(proposal, body.transactions, barriers)
    assert holds_barrier(body.transactions, kinds)
    assert blocks.body_digest(plain.header) == flagged.digest, "the flag is not in the header"
