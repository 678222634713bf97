"""Queries: what is answered can be verified by somebody with nothing but the policy."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.ledger import block as blocks
from node.ledger import merkle
from node.ledger.facts import records
from node.ledger.families import record
from node.ledger.receipt import Reason, ReceiptInvalid, verify_receipt, verify_state_at
from node.ledger.transaction import Op
from node.publish import policy_of
from node.queries import Queries, ReceiptPending
from tests.support.ledger import Chain, amend, anchor, batch, digest, genesis, retract

ITEMS = ["i0", "i1", "i2"]


@pytest.fixture(params=["raft", "pbft"])
def chain(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Chain]:
    with Chain(tmp_path, genesis(request.param)) as made:
        yield made


def asked(chain: Chain) -> Queries:
    return Queries(chain.store, chain.book)


def test_receipts_verify_for_applied_and_failed_transactions(chain: Chain) -> None:
    good, failed, last = chain.tx(anchor("a")), chain.tx(anchor("a")), chain.tx(anchor("b"))
    chain.commit(good, failed)
    chain.commit(last)
    chain.commit()
    chain.certify()
    policy = policy_of(chain.genesis)
    for tx, code, height in ((good, 0, 1), (failed, record.EXISTS.number, 1), (last, 0, 2)):
        receipt = asked(chain).receipt(tx.txid)
        assert receipt is not None
        proven = verify_receipt(receipt, policy)
        assert (proven.txid, proven.code, proven.height) == (tx.txid, code, height)
        assert proven.checkpoint_size == chain.book.tip.log_size
        with pytest.raises(ReceiptInvalid) as refused:
            verify_receipt(replace(receipt, code=code + 1), policy)
        assert refused.value.reason is Reason.RESULT_MISMATCH


def test_receipts_verify_for_every_item_of_a_batch(chain: Chain) -> None:
    tx = chain.tx(anchor("a"), batch(["other"]), batch(ITEMS))
    chain.commit(tx)
    chain.certify()
    for name in ITEMS:
        receipt = asked(chain).receipt(tx.txid, commitment=digest(name))
        assert receipt is not None
        proven = verify_receipt(receipt, policy_of(chain.genesis))
        assert proven.commitment == digest(name)
    assert asked(chain).receipt(tx.txid, commitment=digest("elsewhere")) is None


def test_no_item_receipt_from_a_batch_that_failed_for_its_items(chain: Chain) -> None:
    lying = batch(ITEMS)
    lying.body[0] = digest("another root")
    tx = chain.tx(lying)
    malformed = chain.tx(Op("record.batch", [digest("root"), 2]))
    assert chain.commit(tx, malformed).codes == (record.BATCH_MISMATCH.number, 4)
    chain.certify()
    for item in (tx, malformed):
        assert asked(chain).receipt(item.txid, commitment=digest("i0")) is None
        plain = asked(chain).receipt(item.txid)
        assert plain is not None
        assert verify_receipt(plain, policy_of(chain.genesis)).code != 0


def test_a_receipt_waits_for_a_checkpoint_over_its_block(chain: Chain) -> None:
    first, second = chain.tx(), chain.tx()
    chain.commit(first)
    with pytest.raises(ReceiptPending):
        asked(chain).receipt(first.txid)
    chain.certify()
    chain.commit(second)
    assert asked(chain).receipt(first.txid) is not None
    with pytest.raises(ReceiptPending, match="height 2"):
        asked(chain).receipt(second.txid)
    assert asked(chain).receipt(digest("never sent")) is None


def test_state_proofs_verify_for_present_and_absent_keys(chain: Chain) -> None:
    assert asked(chain).state(b"any") is None
    chain.commit(chain.tx(anchor("a")))
    data = chain.store.seal(1)
    assert data is not None
    seal = blocks.decode_seal(data)
    present, absent = (records.record_key(digest(name)) for name in ("a", "b"))
    for key, there in ((present, True), (absent, False)):
        answer = asked(chain).state(key)
        assert answer is not None
        assert (answer.value is not None) == there
        assert (answer.height, answer.state_root) == (1, seal.state_root)
        assert verify_state_at(seal, key, answer.value, answer.proof)
        assert not verify_state_at(seal, key, b"forged", answer.proof)
    known = asked(chain).state(present)
    assert known is not None
    assert not verify_state_at(seal, present, None, known.proof)


def test_consistency_proofs_verify_between_any_two_sizes(chain: Chain) -> None:
    roots = {}
    for _ in range(3):
        tip = chain.commit(chain.tx(), chain.tx()).tip
        roots[tip.log_size] = tip.log_root
    for old, old_root in roots.items():
        for new, new_root in roots.items():
            path = asked(chain).consistency(old, new)
            if old > new:
                assert path is None
                continue
            assert path is not None
            assert merkle.verify_consistency(
                old_size=old, new_size=new, old_root=old_root, new_root=new_root, path=path
            )
    assert asked(chain).consistency(0, 3) is None
    assert asked(chain).consistency(1, 10) is None


def test_blocks_and_transactions_are_shown_as_applied(chain: Chain) -> None:
    good, failed = chain.tx(anchor("a")), chain.tx(anchor("a"))
    chain.commit(good)
    done = chain.commit(good, failed)
    view = asked(chain).block(2)
    assert view is not None
    assert (view.txids, view.results, view.count) == (done.txids, (100,), 1)
    assert (view.log_size, view.log_root) == (done.tip.log_size, done.tip.log_root)
    assert (view.digest, view.proposer, view.time_ms) == (
        done.tip.digest,
        "alder",
        done.tip.time_ms,
    )
    assert asked(chain).block(3) is None
    found = asked(chain).transaction(failed.txid)
    assert found is not None
    where, tx = found
    assert (where.height, where.position, where.leaf_index, where.code) == (2, 1, 2, 100)
    assert tx == failed
    assert asked(chain).transaction(digest("never sent")) is None
    assert asked(chain).txid_at(2) == failed.txid
    assert asked(chain).txid_at(1) is None  # a seal


def test_a_records_whole_history_is_one_answer(chain: Chain) -> None:
    chain.commit(chain.tx(batch(ITEMS)))
    chain.commit(chain.tx(anchor("a")), chain.tx(amend("a", "b")), chain.tx(retract("b")))
    item, first, second = (asked(chain).record(digest(name)) for name in ("i1", "a", "b"))
    assert item is not None
    assert (item.status, item.version, item.occurrences[0].item_index) == ("live", 1, 1)
    assert first is not None
    assert (first.status, first.successor) == ("amended", digest("b"))
    assert second is not None
    assert (second.status, second.version, second.previous) == ("retracted", 2, digest("a"))
    assert [place.kind for place in second.occurrences] == ["amend", "retract"]
    assert asked(chain).record(digest("never")) is None


def test_events_can_be_resumed_at_any_point(chain: Chain) -> None:
    chain.commit(chain.tx(anchor("a")), chain.tx(anchor("a")))
    whole = list(asked(chain).events(1, -1))
    assert [event["cursor"] for event in whole] == ["1.0", "1.1", "1.2"]
    assert [event.get("code") for event in whole] == [None, 0, 100]
    for after in range(-1, 3):
        assert list(asked(chain).events(1, after)) == whole[after + 1 :]
