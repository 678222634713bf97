"""What a key touched: complete between two times, page by page, and bounded."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consensus import wire
from node import touched as walks
from node.ledger import transaction
from node.ledger.families.identity_key import Add, Revoke
from node.ledger.transaction import Op
from node.queries import Queries
from node.touched import Touched, first_at
from tests.support.ledger import (
    CREATED_MS,
    Chain,
    amend,
    anchor,
    batch,
    batch_root,
    digest,
    key,
    retract,
)

ALDER = key("alder identity").public_key
BIRCH = key("birch identity").public_key
PATIENT = key("a patient")


def look(chain: Chain, signer: bytes = ALDER, **given: object) -> Touched:
    asked = {"from_ms": 0, "until_ms": None, "start": None, "limit": 500, **given}
    return Queries(chain.store, chain.book).touched(signer, **asked)


def pages(chain: Chain, signer: bytes = ALDER, **given: object) -> Iterator[Touched]:
    start = None
    while True:
        page = look(chain, signer, start=start, **given)
        yield page
        start = page.next
        if start is None:
            return


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with Chain(tmp_path) as made:
        yield made


def test_it_tells_what_each_transaction_names_and_what_became_of_it(chain: Chain) -> None:
    first = chain.tx(anchor("a"), batch(["i", "j"]))
    chain.commit(first, chain.tx(anchor("b"), org="birch"))
    second = chain.tx(amend("a", "c"))
    refused = chain.tx(retract("nothing"))
    chain.commit(second, refused, first)  # the last is a repetition: it has its place above
    page = look(chain)
    assert [item.txid for item in page.transactions] == [first.txid, second.txid, refused.txid]
    one, two, three = page.transactions
    assert one.kinds == ("record.anchor", "record.batch")
    assert set(one.commitments) == {digest("a"), digest("i"), digest("j")}
    assert one.ids == (batch_root(["i", "j"]),)
    assert (two.commitments, two.ids) == ((digest("c"),), (digest("a"),))
    assert (three.commitments, three.ids) == ((), (digest("nothing"),))
    assert (one.code, two.code, three.code > 0) == (0, 0, True)
    assert (one.height, one.position, two.height) == (1, 0, 2)
    assert {item.org for item in page.transactions} == {"alder"}
    assert (page.first, page.looked_to, page.next, page.as_of_height) == (1, 2, None, 2)
    assert len(look(chain, BIRCH).transactions) == 1


def test_a_co_signer_is_found_and_a_key_that_is_only_named_is_not(chain: Chain) -> None:
    signed = transaction.parse(
        transaction.sign(chain.payload(anchor("a")), key("alder identity"), PATIENT)
    )
    about = chain.tx(anchor("b"))
    named = chain.payload(retract("x"))
    named.ops[0].body[0] = PATIENT.public_key
    mention = transaction.parse(transaction.sign(named, key("alder identity")))
    chain.commit(signed, about, mention)
    (found,) = look(chain, PATIENT.public_key).transactions
    assert (found.txid, found.author) == (signed.txid, False)
    assert [item.author for item in look(chain).transactions] == [True, True, True]
    assert PATIENT.public_key in look(chain).transactions[2].ids
    assert look(chain, digest("a key of nobody")).transactions == ()


def test_times_choose_blocks_from_the_first_to_before_the_last(chain: Chain) -> None:
    for _ in range(9):
        chain.commit()
    for low in range(-1, 11):
        for high in range(low, 12):
            from_ms, until_ms = CREATED_MS + 1000 * low, CREATED_MS + 1000 * high
            page = look(chain, from_ms=from_ms, until_ms=until_ms)
            wanted = [at for at in range(1, 10) if low <= at < high]
            assert [item.height for item in page.transactions] == wanted
            assert page.next is None
            if wanted:
                assert (page.first, page.looked_to) == (wanted[0], wanted[-1])
            else:
                assert page.looked_to < page.first
    assert first_at(chain.store, CREATED_MS + 4001, 9) == 5
    assert first_at(chain.store, CREATED_MS + 99_000, 9) == 10


def test_before_the_first_block_nothing_was_touched(chain: Chain) -> None:
    assert look(chain) == Touched((), 1, 0, None, 0)


@given(
    sizes=st.lists(st.integers(0, 4), min_size=1, max_size=6),
    limit=st.integers(1, 5),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_join_to_the_whole_whatever_their_size(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int
) -> None:
    with Chain(tmp_path_factory.mktemp("chain")) as chain:
        wanted = []
        for size in sizes:
            mine = [chain.tx() for _ in range(size)]
            wanted += [item.txid for item in mine]
            chain.commit(chain.tx(org="birch"), *mine)
        found = list(pages(chain, limit=limit))
        assert [item.txid for page in found for item in page.transactions] == wanted
        assert all(len(page.transactions) <= limit for page in found)
        assert found[-1].looked_to == len(sizes)
        for page in found[:-1]:
            assert page.next is not None
            assert page.next[0] == page.looked_to + 1


@pytest.mark.parametrize("bound", ["BLOCKS_MAX", "BODY_BYTES_MAX", "IDS_MAX"])
def test_a_page_ends_at_each_bound_and_says_where_to_go_on(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    for _ in range(5):
        chain.commit(chain.tx(org="birch"), chain.tx())
    monkeypatch.setattr(walks, bound, 1 if bound != "BLOCKS_MAX" else 2)
    found = list(pages(chain))
    assert len(found) > 2
    assert [item.height for page in found for item in page.transactions] == [1, 2, 3, 4, 5]
    assert found[0].looked_to < 5


def test_a_body_without_the_key_is_not_decoded(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.commit(chain.tx(org="birch"))
    decoded: list[int] = []
    whole = walks.blocks.decode_body
    monkeypatch.setattr(
        walks.blocks,
        "decode_body",
        lambda raw, **named: (decoded.append(1), whole(raw, **named))[1],
    )
    assert look(chain).transactions == ()
    assert decoded == []
    assert len(look(chain, BIRCH).transactions) == 1
    assert decoded == [1]


def test_a_key_that_is_doubted_shows_from_when_on(chain: Chain) -> None:
    spare = key("alder spare")
    added = Op("identity.key.add", wire.to_value(Add(spare.public_key)))
    chain.commit(
        transaction.parse(transaction.sign(chain.payload(added), key("alder identity"), spare))
    )
    for name in ("before", "after"):
        payload = chain.payload(anchor(name))
        chain.commit(transaction.parse(transaction.sign(payload, spare)))
    assert look(chain, spare.public_key).compromised_since_ms is None
    stolen_ms = look(chain, spare.public_key).transactions[-1].time_ms
    body = wire.to_value(Revoke(spare.public_key, stolen_ms))
    done = chain.commit(chain.tx(Op("identity.key.revoke", body)))
    assert done.codes == (0,)
    page = look(chain, spare.public_key)
    assert page.compromised_since_ms == stolen_ms
    assert [item.time_ms >= stolen_ms for item in page.transactions] == [False, False, True]
