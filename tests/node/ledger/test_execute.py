"""Execution: atomic transactions, recorded refusals, one outcome for the same bytes."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger import execute, rules, transaction
from node.ledger.block import Header
from node.ledger.execute import Outcome, admissible
from node.ledger.facts import records
from node.ledger.families import record
from node.ledger.rules import Result
from node.ledger.state import Overlay, genesis_state, signer_key
from node.ledger.transaction import Op, Transaction
from tests.support.ledger import Chain, amend, anchor, batch, digest, genesis, key, retract

FOUNDED = genesis(expires_heights_max=100)
STATE = genesis_state(FOUNDED)
HEADER = Header(1, FOUNDED.network, 0, 10, bytes(32), 1000, "alder", bytes(32))


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """Make transactions only; its book is not used."""
    chain = Chain(tmp_path_factory.mktemp("maker"), FOUNDED)
    chain.close()
    return chain


def run(*transactions: Transaction) -> Outcome:
    return execute.execute(HEADER, transactions, STATE.get, first_index=5)


def near(maker: Chain, *ops: Op, org: str = "alder", expires_height: int = 50) -> Transaction:
    return maker.tx(*ops, org=org, expires_height=expires_height)


def test_an_applied_transaction_leaves_writes_and_index(maker: Chain) -> None:
    outcome = run(near(maker, anchor("a")))
    assert outcome.codes == [0]
    assert list(outcome.writes) == [records.record_key(digest("a"))]
    assert len(outcome.index) == 2


@pytest.mark.parametrize("bad_at", [0, 1, 2])
def test_operations_are_atomic_wherever_one_fails(maker: Chain, bad_at: int) -> None:
    ops = [anchor("a"), anchor("b")]
    ops.insert(bad_at, retract("nothing"))
    outcome = run(near(maker, *ops))
    assert outcome.codes == [record.UNKNOWN.number]
    assert (outcome.writes, outcome.index) == ({}, [])


def test_later_operations_and_transactions_see_earlier_ones(maker: Chain) -> None:
    outcome = run(
        near(maker, anchor("a"), amend("a", "b")),
        near(maker, amend("b", "c")),
        near(maker, anchor("c")),
    )
    assert outcome.codes == [0, 0, record.EXISTS.number]


def test_a_refused_transaction_does_not_disturb_its_neighbours(maker: Chain) -> None:
    outcome = run(
        near(maker, anchor("a")),
        near(maker, anchor("z"), anchor("a")),
        near(maker, anchor("b")),
    )
    assert outcome.codes == [0, record.EXISTS.number, 0]
    assert set(outcome.writes) == {records.record_key(digest(name)) for name in "ab"}
    leaves = {
        int.from_bytes(item[34:42], "big") for item, _ in outcome.index if item[:1] == b"c"
    }
    assert leaves == {5, 7}


def refusals(maker: Chain) -> list[tuple[Transaction, Result]]:
    unknown = transaction.parse(
        transaction.sign(maker.payload(expires_height=50), key("nobody"))
    )
    other = transaction.parse(
        transaction.sign(maker.payload(expires_height=50), key("birch identity"))
    )
    return [
        (near(maker, expires_height=9), rules.EXPIRED),
        (near(maker, expires_height=111), rules.EXPIRY_TOO_FAR),
        (unknown, rules.UNKNOWN_SIGNER),
        (other, rules.UNKNOWN_SIGNER),  # a real key, speaking for somebody else
        (near(maker, Op("no.such", [])), rules.OP_UNKNOWN),
        (near(maker, anchor("a"), Op("record.anchors", [])), rules.OP_UNKNOWN),
        (maker.tx(expires_height=50, network=digest("another")), rules.WRONG_NETWORK),
    ]


@pytest.mark.parametrize("row", range(7))
def test_the_envelope_is_refused_before_and_at_execution(maker: Chain, row: int) -> None:
    tx, expected = refusals(maker)[row]
    assert run(tx).codes == [expected.number]
    assert admissible(tx, Overlay(STATE.get), network=FOUNDED.network, height=10) == expected


def test_the_limits_of_expiry_are_inclusive(maker: Chain) -> None:
    edges = [near(maker, expires_height=10), near(maker, expires_height=110)]
    assert run(*edges).codes == [0, 0]
    for tx in edges:
        assert admissible(tx, Overlay(STATE.get), network=FOUNDED.network, height=10) is None


@pytest.mark.parametrize(
    "body",
    [
        [],
        [bytes(32)],
        [bytes(31), bytes(16), 2, None, None, None],
        [bytes(32), bytes(15), 2, None, None, None],
        [bytes(32), bytes(16), 3, None, None, None],
        [bytes(32), bytes(16), True, None, None, None],
        [bytes(32), bytes(16), 2, 256, None, None],
        [bytes(32), bytes(16), 2, -1, None, None],
        [bytes(32), bytes(16), 2, None, bytes(5), None],
        [bytes(32), bytes(16), 2, None, None, 65_536],
        ["text", bytes(16), 2, None, None, None],
    ],
)
def test_a_malformed_body_is_a_recorded_result(maker: Chain, body: list[object]) -> None:
    tx = near(maker, anchor("a"), Op("record.anchor", body))
    assert run(tx).codes == [rules.OP_MALFORMED.number]
    assert run(tx).writes == {}


def test_a_role_is_needed_and_checked_per_operation(maker: Chain) -> None:
    tx = near(maker, anchor("a"), org="payer")
    assert run(tx).codes == [rules.ROLE_MISSING.number]
    # Not an envelope rule: roles may change before the transaction is ordered.
    assert admissible(tx, Overlay(STATE.get), network=FOUNDED.network, height=10) is None


def test_a_signer_of_an_institution_that_is_gone_is_unknown(maker: Chain) -> None:
    tx = near(maker)
    kept = {k: v for k, v in STATE.items() if not k.startswith(b"institution/")}
    assert signer_key(tx.keys[0]) in kept
    outcome = execute.execute(HEADER, [tx], kept.get, first_index=0)
    assert outcome.codes == [rules.UNKNOWN_SIGNER.number]


def test_only_the_first_key_must_speak_for_the_institution(maker: Chain) -> None:
    payload = maker.payload(expires_height=50)
    cosigned = transaction.sign(payload, key("alder identity"), key("a doctor"))
    reversed_ = transaction.sign(payload, key("a doctor"), key("alder identity"))
    assert run(transaction.parse(cosigned)).codes == [0]
    assert run(transaction.parse(reversed_)).codes == [rules.UNKNOWN_SIGNER.number]


_OPS = st.sampled_from(
    [
        anchor("a"),
        anchor("b"),
        amend("a", "b"),
        amend("b", "c"),
        retract("a"),
        batch(["a", "d"]),
    ]
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(_OPS, min_size=1, max_size=3), min_size=1, max_size=6))
def test_the_same_bytes_give_the_same_outcome(maker: Chain, plan: list[list[Op]]) -> None:
    transactions = [near(maker, *ops) for ops in plan]
    first, second = run(*transactions), run(*transactions)
    again = run(*[transaction.parse(item.raw) for item in transactions])
    assert first == second == again
    assert len(first.codes) == len(transactions)


def test_two_stores_reach_identical_roots_and_seals(tmp_path: Path) -> None:
    with Chain(tmp_path / "a") as one, Chain(tmp_path / "b") as two:
        for names in (["a", "b"], ["c"], ["a"]):
            body = one.body(one.tx(*[anchor(name) for name in names]), one.tx(batch(names)))
            one.apply(body)
            two.apply(body)
            assert one.book.tip == two.book.tip
            height = one.book.tip.height
            assert one.store.seal(height) == two.store.seal(height) is not None
        rows = [list(chain.store.scan_all()) for chain in (one, two)]
        assert rows[0] == rows[1]


def test_a_replay_in_a_later_block_leaves_no_leaf(tmp_path: Path) -> None:
    with Chain(tmp_path) as chain:
        tx, failed = chain.tx(anchor("a")), chain.tx(anchor("a"))
        chain.commit(tx, failed)
        before = [chain.store.tx_row(item.txid) for item in (tx, failed)]
        done = chain.commit(tx, chain.tx(anchor("b")), failed)
        assert done.codes == (0,)
        assert len(done.txids) == 3
        assert chain.book.tip.log_size == 3 + 2
        assert [chain.store.tx_row(item.txid) for item in (tx, failed)] == before
        only = chain.commit(tx)
        assert (only.codes, chain.book.tip.log_size) == ((), 6)
