"""Supply: a compact proposal becomes a verified body, or is refused, or is given up."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node import supply
from node.bodies import Bodies, BodyRefused, split_txids
from node.intake import Intake
from node.ledger.transaction import Transaction, txid_of
from node.mempool import Mempool, MempoolLimits
from node.roster import Unchanging, founding_rules
from node.supply import BodyRequest, BodyResponse, Supply
from tests.support.ledger import Chain, digest, proposal_of


class Room:
    """A supply whose questions land in a list, as soon as they are asked."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(directory)
        self.pool = Mempool(MempoolLimits())
        book = self.chain.book
        self.intake = Intake(book, self.chain.store, self.pool, now_ms=lambda: 0)
        self.bodies = Bodies(lambda _: None)
        self.asked: list[tuple[str, BodyRequest]] = []
        self._question = asyncio.Event()
        self.supply = Supply(
            self.bodies,
            book,
            self.intake,
            self.pool,
            rules=Unchanging(founding_rules(self.chain.genesis)),
            ask=self._ask,
            peers=lambda: ["birch", "cedar"],
        )

    def _ask(self, peer: str, request: BodyRequest) -> None:
        self.asked.append((peer, request))
        self._question.set()

    async def question(self) -> BodyRequest:
        await self._question.wait()
        self._question.clear()
        return self.asked[-1][1]


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.chain.close()


async def test_what_the_pool_holds_is_not_asked_for(room: Room) -> None:
    one, two = room.chain.tx(), room.chain.tx()
    for item in (one, two):
        room.pool.add(item, 0)
    body = room.chain.body(two, one)
    assert await room.supply.ensure(proposal_of(body), "birch")
    assert room.bodies.get(proposal_of(body).digest) == body
    assert (room.asked, room.intake.verified) == ([], 0)


def test_what_the_pool_holds_is_at_hand_without_waiting(room: Room) -> None:
    one, two = room.chain.tx(), room.chain.tx()
    room.pool.add(one, 0)
    body = room.chain.body(two, one)
    assert not room.supply.at_hand(proposal_of(body))
    assert room.bodies.get(proposal_of(body).digest) is None
    room.pool.add(two, 0)
    assert room.supply.at_hand(proposal_of(body))
    assert room.bodies.get(proposal_of(body).digest) == body
    elsewhere = replace(proposal_of(body), height=9)  # the digest is known, its place is a lie
    with pytest.raises(BodyRefused):
        room.supply.at_hand(elsewhere)


async def test_only_missing_transactions_are_asked_for(room: Room) -> None:
    held, missing = room.chain.tx(), room.chain.tx()
    room.pool.add(held, 0)
    body = room.chain.body(held, missing)
    proposal = proposal_of(body)
    first = asyncio.create_task(room.supply.ensure(proposal, "birch"))
    second = asyncio.create_task(room.supply.ensure(proposal, "cedar"))
    request = await room.question()
    assert request == BodyRequest(proposal.digest, missing.txid)
    assert await room.supply.received(BodyResponse(proposal.digest, (missing.raw,)))
    assert await first
    assert await second
    assert [peer for peer, _ in room.asked] == ["birch"]  # two waits, one question
    assert room.bodies.get(proposal.digest) == body


async def test_an_incomplete_answer_leads_to_a_question_to_the_next_peer(room: Room) -> None:
    one, two = room.chain.tx(), room.chain.tx()
    proposal = proposal_of(room.chain.body(one, two))
    task = asyncio.create_task(room.supply.ensure(proposal, "birch"))
    await room.question()
    stranger = room.chain.tx()
    await room.supply.received(BodyResponse(proposal.digest, (one.raw, stranger.raw)))
    assert (await room.question()).txids == two.txid
    await room.supply.received(BodyResponse(proposal.digest, (two.raw,)))
    assert await task
    assert [peer for peer, _ in room.asked] == ["birch", "cedar"]


async def test_a_transaction_with_a_bad_signature_is_a_fault_and_not_taken(room: Room) -> None:
    good = room.chain.tx()
    bad_raw = good.raw[:-1] + bytes((good.raw[-1] ^ 1,))
    bad = Transaction(bad_raw, digest("x"), good.payload, good.keys)  # type: ignore[arg-type]
    bad = replace(bad, txid=txid_of(bad_raw))
    proposal = proposal_of(room.chain.body(bad))
    task = asyncio.create_task(room.supply.ensure(proposal, "birch"))
    await room.question()
    assert not await room.supply.received(BodyResponse(proposal.digest, (bad_raw,)))
    assert room.bodies.get(proposal.digest) is None
    task.cancel()
    for running in list(room.supply._tasks.values()):
        running.cancel()


async def test_a_body_that_never_comes_is_given_up(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supply, "RETRY_S", 0.001)
    proposal = proposal_of(room.chain.body(room.chain.tx()))
    assert not await room.supply.ensure(proposal, "birch")
    assert len(room.asked) == supply.GIVE_UP_TRIES
    assert {peer for peer, _ in room.asked} == {"birch", "cedar"}
    await asyncio.sleep(0)
    assert (room.supply._waiting, room.supply._tasks) == ({}, {})
    assert await room.supply.received(BodyResponse(proposal.digest, ()))  # late: no fault


async def test_waits_are_bounded(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supply, "WAITING_MAX", 1)
    first = asyncio.create_task(
        room.supply.ensure(proposal_of(room.chain.body(room.chain.tx())), "birch")
    )
    await room.question()
    other = proposal_of(room.chain.body(room.chain.tx()))
    assert not await room.supply.ensure(other, "birch")
    assert len(room.asked) == 1
    first.cancel()
    for running in list(room.supply._tasks.values()):
        running.cancel()


async def test_a_proposal_that_breaks_a_rule_is_refused_even_when_its_body_is_here(
    room: Room,
) -> None:
    body = room.chain.body(room.chain.tx())
    proposal = proposal_of(body)
    room.bodies.put(proposal.digest, body)
    assert await room.supply.ensure(proposal, "birch")
    for lie in ({"height": 2}, {"parent": digest("other")}, {"txids": b""}):
        with pytest.raises(BodyRefused):
            await room.supply.ensure(replace(proposal, **lie), "birch")
    assert room.asked == []


async def test_serving_gives_what_pool_and_body_hold_within_a_frame(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled, inside, nowhere = (room.chain.tx() for _ in range(3))
    room.pool.add(pooled, 0)
    body = room.chain.body(inside)
    name = proposal_of(body).digest
    room.bodies.put(name, body)
    request = BodyRequest(name, pooled.txid + nowhere.txid + inside.txid)
    assert room.supply.serve(request) == BodyResponse(name, (pooled.raw, inside.raw))
    monkeypatch.setattr(supply, "RESPONSE_BYTES_MAX", len(pooled.raw) + 8)
    assert room.supply.serve(request).transactions == (pooled.raw,)


@pytest.mark.parametrize(
    ("name", "ids"), [(bytes(31), bytes(32)), (bytes(32), b""), (bytes(32), bytes(33))]
)
def test_a_request_names_a_digest_and_whole_ids(name: bytes, ids: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        BodyRequest(name, ids)
    assert split_txids(bytes(64)) == [bytes(32)] * 2


async def test_a_barrier_flag_that_the_body_does_not_bear_out_is_refused(room: Room) -> None:
    """Also when the body is here already, and when it comes while the lie waits for it."""
    item = room.chain.tx()
    proposal = proposal_of(room.chain.body(item))
    flagged = replace(proposal, barrier=True)
    room.pool.add(item, 0)
    with pytest.raises(BodyRefused, match="barrier"):
        await room.supply.ensure(flagged, "birch")
    assert await room.supply.ensure(proposal, "birch")
    with pytest.raises(BodyRefused, match="barrier"):
        await room.supply.ensure(flagged, "birch")
    with pytest.raises(BodyRefused, match="barrier"):
        room.supply.check(flagged)
