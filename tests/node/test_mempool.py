"""The pool: its limits hold whatever arrives, and nobody starves the others."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from node.ledger.transaction import Op, Payload, Transaction, TxId
from node.mempool import Admission, Mempool, MempoolLimits
from tests.support.ledger import digest

NETWORK = digest("network")


def tx(number: int, *, org: str = "alder", size: int = 100, expires: int = 100) -> Transaction:
    """Return a parsed transaction; the pool reads no signature, so none is made."""
    payload = Payload(NETWORK, org, expires, bytes(8), (Op("a.b", []),))
    txid = TxId(number.to_bytes(32, "big"))
    return Transaction(bytes(size), txid, payload, ())


def pool(**limits: int) -> Mempool:
    return Mempool(MempoolLimits(**limits))


def test_a_transaction_waits_once() -> None:
    made = pool()
    assert made.add(tx(1), 5) is Admission.ADDED
    assert made.room(tx(1)) is made.add(tx(1), 6) is Admission.KNOWN
    assert (len(made), made.bytes) == (1, 100)
    assert tx(1).txid in made
    assert made.get(tx(1).txid) == tx(1)
    assert made.get(tx(2).txid) is None
    assert made.oldest_ms == 5


def test_an_empty_pool_has_no_oldest() -> None:
    made = pool()
    assert pool().oldest_ms is None
    made.add(tx(1), 7)
    made.add(tx(2), 9)
    made.remove([tx(1).txid, digest("never here")])
    assert made.oldest_ms == 9
    made.remove([tx(2).txid])
    assert (made.bytes, len(made)) == (0, 0)


def test_the_pool_is_full_by_count_and_by_bytes() -> None:
    by_count = pool(transactions_max=2, org_share_percent=100)
    assert [by_count.add(tx(n), 0) for n in range(3)][2] is Admission.FULL
    by_bytes = pool(bytes_max=250, org_share_percent=100)
    assert [by_bytes.add(tx(n), 0) for n in range(3)][2] is Admission.FULL
    by_bytes.remove([tx(0).txid])
    assert by_bytes.add(tx(2), 0) is Admission.ADDED


@pytest.mark.parametrize("limits", [{"transactions_max": 10}, {"bytes_max": 1000}])
def test_one_institution_uses_its_share_and_leaves_room(limits: dict[str, int]) -> None:
    made = pool(org_share_percent=60, **limits)
    answers = [made.add(tx(n), 0) for n in range(8)]
    assert answers == [Admission.ADDED] * 6 + [Admission.SHARE_FULL] * 2
    others = [made.add(tx(n, org="birch"), 0) for n in range(10, 16)]
    assert others == [Admission.ADDED] * 4 + [Admission.FULL] * 2
    made.remove([tx(0).txid])
    assert made.add(tx(20), 0) is Admission.ADDED


def test_take_returns_the_oldest_that_fit_and_keeps_them() -> None:
    made = pool()
    for number in (5, 3, 9, 1):
        made.add(tx(number), number)
    taken = made.take(count_max=3, bytes_max=1 << 20)
    assert [int.from_bytes(item.txid, "big") for item in taken] == [5, 3, 9]
    assert len(made) == 4
    assert made.take(count_max=0, bytes_max=1 << 20) == []
    # Each costs its bytes and a length prefix of at most five.
    assert len(made.take(count_max=9, bytes_max=210)) == 2
    assert len(made.take(count_max=9, bytes_max=209)) == 1
    assert made.take(count_max=9, bytes_max=104) == []
    assert made.pending(2) == [tx(5).txid, tx(3).txid]
    assert len(made.pending(9)) == 4


def test_what_may_not_enter_the_next_block_expires() -> None:
    made = pool()
    for number, expires in enumerate((30, 10, 20)):
        made.add(tx(number, expires=expires), 0)
    assert made.expire(10) == []
    assert made.expire(11) == [tx(1).txid]
    assert made.expire(31) == [tx(2).txid, tx(0).txid]
    assert len(made) == 0


def test_the_expiry_queue_does_not_grow_with_traffic() -> None:
    made = pool()
    for number in range(5000):
        made.add(tx(number), 0)
        made.remove([tx(number).txid])
        made.expire(1)
    assert len(made._expiries) <= 1025
    made.add(tx(9999, expires=3), 0)
    assert made.expire(4) == [tx(9999).txid]


class PoolModel(RuleBasedStateMachine):
    """Random traffic against a plain dictionary."""

    LIMITS = MempoolLimits(transactions_max=8, bytes_max=1000, org_share_percent=60)

    def __init__(self) -> None:
        super().__init__()
        self.pool = Mempool(self.LIMITS)
        self.model: dict[bytes, Transaction] = {}

    @rule(
        number=st.integers(0, 20),
        org=st.sampled_from(["alder", "birch", "cedar"]),
        size=st.integers(1, 700),
        expires=st.integers(1, 9),
    )
    def add(self, number: int, org: str, size: int, expires: int) -> None:
        made = tx(number, org=org, size=size, expires=expires)
        foretold = self.pool.room(made)
        answer = self.pool.add(made, 0)
        assert answer is foretold
        assert (answer is Admission.KNOWN) == (made.txid in self.model)
        if answer is Admission.ADDED:
            self.model[made.txid] = made

    @rule(numbers=st.lists(st.integers(0, 20), max_size=5))
    def remove(self, numbers: list[int]) -> None:
        ids = [tx(number).txid for number in numbers]
        self.pool.remove(ids)
        for txid in ids:
            self.model.pop(txid, None)

    @rule(height=st.integers(1, 10))
    def expire(self, height: int) -> None:
        late = {k for k, v in self.model.items() if v.payload.expires_height < height}
        assert set(self.pool.expire(height)) == late
        for txid in late:
            del self.model[txid]

    @rule(count=st.integers(0, 9), size=st.integers(0, 1200))
    def take(self, count: int, size: int) -> None:
        taken = self.pool.take(count_max=count, bytes_max=size)
        assert taken == list(self.model.values())[: len(taken)]
        assert len(taken) <= count
        assert sum(len(item.raw) + 5 for item in taken) <= size

    @invariant()
    def limits_hold(self) -> None:
        assert self.pool.pending(99) == list(self.model)
        assert self.pool.bytes == sum(len(item.raw) for item in self.model.values())
        assert len(self.pool) <= self.LIMITS.transactions_max
        assert self.pool.bytes <= self.LIMITS.bytes_max
        for org in ("alder", "birch", "cedar"):
            mine = [v for v in self.model.values() if v.payload.org == org]
            assert sum(len(item.raw) for item in mine) * 100 <= 1000 * 60
            assert len(mine) <= 5  # the first count at or beyond 60 percent of 8


PoolModel.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPool = PoolModel.TestCase
