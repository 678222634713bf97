"""Intake: bytes become pooled transactions or an answer; a signature is checked once."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from node import intake
from node.intake import CHUNK, THREAD_CHECKS_MIN, Answer, Intake
from node.ledger import accel, transaction
from node.ledger.frame import Check
from node.ledger.transaction import Op
from node.mempool import Mempool, MempoolLimits
from storage.errors import StorageFailure
from tests.support.ledger import Chain, anchor, digest, genesis, key

pytestmark = pytest.mark.usefixtures("each_backend")


class Room:
    """An intake with its real neighbours."""

    def __init__(self, directory: Path, **limits: int) -> None:
        self.chain = Chain(directory, genesis(expires_heights_max=5000))
        self.pool = Mempool(MempoolLimits(**limits))
        self.intake = Intake(self.chain.book, self.chain.store, self.pool, now_ms=lambda: 42)

    async def one(self, raw: bytes) -> Answer:
        answers, _ = await self.intake.submit([raw])
        (answer,) = answers
        return answer


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    made = Room(tmp_path)
    yield made
    made.chain.close()


def broken(raw: bytes) -> bytes:
    return raw[:-1] + bytes((raw[-1] ^ 1,))


async def test_a_good_transaction_is_pooled_and_handed_on(room: Room) -> None:
    raw = room.chain.raw()
    answers, new = await room.intake.submit([raw])
    assert answers == [Answer(transaction.txid_of(raw), "accepted")]
    assert [item.raw for item in new] == [raw]
    assert room.pool.oldest_ms == 42
    assert (room.intake.verified, room.intake.refused) == (1, 0)


async def test_a_body_that_no_family_reads_is_ordered_for_peers_but_not_for_own_clients(
    room: Room,
) -> None:
    raw = room.chain.raw(Op("record.anchor", ["Anna Example", b"1970-01-01"]))
    (answer,), new = await room.intake.submit([raw], typed=True)
    assert (answer.code, new, len(room.pool)) == ("op-malformed", [], 0)
    assert "Anna" not in answer.detail
    assert room.intake.verified == 0, "before a signature is checked"
    assert (await room.one(raw)).code == "accepted", "another member's node saw to it"


async def test_typed_and_untyped_transactions_in_one_batch_are_told_apart(room: Room) -> None:
    def made(number: int) -> bytes:
        return room.chain.raw(Op("record.anchor", ["Anna Example", number]))

    good = room.chain.raw()
    mine, peers = await asyncio.gather(
        room.intake.submit([made(0), good], typed=True), room.intake.submit([made(1)])
    )
    assert [item.code for item in mine[0]] == ["op-malformed", "accepted"]
    assert [item.code for item in peers[0]] == ["accepted"]


async def test_what_is_known_is_answered_without_a_check(room: Room) -> None:
    raw = room.chain.raw()
    assert (await room.one(raw)).code == "accepted"
    assert (await room.one(raw)).code == "known"
    room.chain.commit(transaction.parse(raw))
    room.pool.remove([transaction.txid_of(raw)])
    assert (await room.one(raw)).code == "committed"
    assert room.intake.verified == 1
    assert len(room.pool) == 0


async def test_the_same_bytes_twice_in_one_call_are_pooled_once(room: Room) -> None:
    raw = room.chain.raw()
    answers, new = await room.intake.submit([raw, raw])
    assert [item.code for item in answers] == ["accepted", "known"]
    assert all(item.taken for item in answers)
    assert len(new) == len(room.pool) == 1


async def test_every_refusal_has_its_code(room: Room) -> None:
    chain = room.chain
    codes = {
        "transaction-malformed": b"nonsense",
        "bad-signature": broken(chain.raw()),
        "wrong-network": chain.raw(network=digest("other")),
        "transaction-expired": chain.raw(expires_height=0),
        "expiry-too-far": chain.raw(expires_height=5002),
        "op-unknown": chain.raw(Op("no.such", [])),
        "unknown-signer": transaction.sign(chain.payload(), key("nobody")),
    }
    answers, new = await room.intake.submit(list(codes.values()))
    assert [item.code for item in answers] == list(codes)
    assert not any(item.taken for item in answers)
    assert (new, len(room.pool), room.intake.refused) == ([], 0, len(codes))
    assert answers[0].txid is None


async def test_one_bad_cosignature_refuses_the_transaction_alone(room: Room) -> None:
    chain = room.chain
    pair = (key("alder identity"), key("a doctor"))
    good, bad = (
        transaction.sign(chain.payload(), *pair),
        transaction.sign(chain.payload(), *pair),
    )
    answers, _ = await room.intake.submit([chain.raw(), broken(bad), good, chain.raw()])
    assert [item.code for item in answers] == [
        "accepted",
        "bad-signature",
        "accepted",
        "accepted",
    ]


async def test_answers_keep_their_order_across_chunks(room: Room) -> None:
    raws = [room.chain.raw() for _ in range(CHUNK * 2 + 3)]
    bad = {0, CHUNK - 1, CHUNK, CHUNK * 2 + 2}
    sent = [broken(raw) if at in bad else raw for at, raw in enumerate(raws)]
    answers, new = await room.intake.submit(sent)
    assert {at for at, item in enumerate(answers) if item.code == "bad-signature"} == bad
    assert [item.txid for item in answers] == [transaction.txid_of(raw) for raw in sent]
    assert len(new) == len(raws) - len(bad)


async def test_a_full_pool_refuses_before_the_signature(tmp_path: Path) -> None:
    room = Room(tmp_path, transactions_max=2, org_share_percent=50)
    assert (await room.one(room.chain.raw())).code == "accepted"
    assert (await room.one(broken(room.chain.raw()))).code == "mempool-full"  # its share
    assert (await room.one(room.chain.raw(org="birch"))).code == "accepted"
    assert (await room.one(room.chain.raw(org="cedar"))).code == "mempool-full"
    assert room.intake.verified == 2
    room.chain.close()


async def test_a_pool_that_fills_within_a_call_refuses_the_rest(tmp_path: Path) -> None:
    room = Room(tmp_path, transactions_max=2, org_share_percent=100)
    answers, new = await room.intake.submit([room.chain.raw() for _ in range(3)])
    assert [item.code for item in answers] == ["accepted", "accepted", "mempool-full"]
    assert len(new) == 2
    room.chain.close()


async def test_bodies_are_verified_except_for_what_the_pool_holds(room: Room) -> None:
    raws = [room.chain.raw() for _ in range(CHUNK + 2)]
    await room.intake.submit(raws[:2])
    assert room.intake.verified == 2
    found = await room.intake.verify_bodies(raws)
    assert found is not None
    assert [item.raw for item in found] == raws
    assert room.intake.verified == len(raws)
    assert found[0] is room.pool.get(transaction.txid_of(raws[0]))
    assert len(room.pool) == 2


async def test_what_came_with_a_proposal_is_known_when_it_arrives_by_itself(room: Room) -> None:
    """But a late proposal brings nothing into the pool that could enter no block."""
    good, late = room.chain.raw(), room.chain.raw(expires_height=1)
    room.chain.commit()
    found = await room.intake.verify_bodies([good, late])
    assert found is not None
    room.intake.keep(found)
    assert room.pool.pending(9) == [transaction.txid_of(good)]
    verified = room.intake.verified
    assert (await room.one(good)).code == "known"
    assert room.intake.verified == verified


@pytest.mark.parametrize("at", [0, CHUNK])
async def test_one_bad_transaction_spoils_a_body(room: Room, at: int) -> None:
    raws = [room.chain.raw(anchor(str(number))) for number in range(CHUNK + 1)]
    for bad in (broken(raws[at]), b"nonsense", b""):
        assert await room.intake.verify_bodies([*raws[:at], bad, *raws[at + 1 :]]) is None


async def test_what_a_block_took_meanwhile_does_not_wait_again(room: Room) -> None:
    raws = [room.chain.raw() for _ in range(THREAD_CHECKS_MIN)]
    submitted = asyncio.create_task(room.intake.submit(raws))
    for _ in range(2):  # turns: as far as the worker thread, or to the end without one
        await asyncio.sleep(0)
    room.chain.commit(transaction.parse(raws[0]))
    answers, new = await submitted
    beside = accel.releases_lock()
    assert answers[0].code == ("committed" if beside else "accepted")
    assert all(item.code == "accepted" for item in answers[1:])
    assert [item.raw for item in new] == raws[1 if beside else 0 :]


async def test_what_arrives_meanwhile_is_verified_together(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many bring transactions at once, each gets its own answers in its own order."""
    sizes: list[int] = []
    verify = accel.verify_batch

    def counted(checks: Sequence[Check]) -> list[bool]:
        sizes.append(len(checks))
        return verify(checks)

    monkeypatch.setattr(accel, "verify_batch", counted)
    raws = [room.chain.raw(anchor(str(number))) for number in range(11)]
    sent = [[raws[0]], [broken(raws[1]), raws[2]], [], raws[3:11]]
    outcomes = await asyncio.gather(*(room.intake.submit(part) for part in sent))
    assert sizes == [11]
    assert [[item.code for item in answers] for answers, _ in outcomes] == [
        ["accepted"],
        ["bad-signature", "accepted"],
        [],
        ["accepted"] * 8,
    ]
    assert [[tx.raw for tx in new] for _, new in outcomes] == [
        [raws[0]],
        [raws[2]],
        [],
        raws[3:11],
    ]


async def test_answers_keep_their_order_when_one_worker_overtakes_another(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With cores for two, a call may be cut in two batches, of which the second ends first."""
    monkeypatch.setattr(room.intake, "_workers_max", 2)
    monkeypatch.setattr(intake, "_batch", lambda: 2)
    second = asyncio.Event()
    batches: list[int] = []

    async def verified(checks: Sequence[Check]) -> list[bool]:
        batches.append(len(checks))
        if len(batches) == 1:
            await second.wait()
        else:
            second.set()
        return accel.verify_batch(checks)

    monkeypatch.setattr(intake, "_verified", verified)
    raws = [room.chain.raw(anchor(str(number))) for number in range(4)]
    sent = [raws[0], broken(raws[1]), raws[2], raws[3]]
    first = asyncio.ensure_future(room.intake.submit(sent))
    other = asyncio.ensure_future(room.intake.submit([room.chain.raw()]))
    answers, new = await first
    await other
    assert [item.txid for item in answers] == [transaction.txid_of(raw) for raw in sent]
    assert [item.taken for item in answers] == [True, False, True, True]
    assert {tx.raw for tx in new} == {raws[0], raws[2], raws[3]}


async def test_a_call_that_is_given_up_leaves_nothing_in_the_pool(room: Room) -> None:
    """Nobody would tell the other members of it, and they would be blamed for its wait."""
    many = [room.chain.raw() for _ in range(THREAD_CHECKS_MIN)]
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(room.intake.submit(many))
        await asyncio.sleep(0)  # it waits for its answers now
        given_up.cancel()
    kept = room.chain.raw()
    answers, _ = await room.intake.submit([kept])
    assert [item.code for item in answers] == ["accepted"]
    assert [bytes(txid) for txid in room.pool.pending(99)] == [transaction.txid_of(kept)]


async def test_a_failing_disk_is_told_to_everybody_who_waits(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_txid: bytes) -> None:
        raise StorageFailure("the disk is gone")

    monkeypatch.setattr(room.chain.store, "tx_row", failing)
    calls = [room.intake.submit([room.chain.raw()]) for _ in range(3)]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFailure] * 3
