"""The desk: what is kept before anything leaves, and what a repetition leads to."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from node.errors import ChartsealError
from node.fhir_desk import Desk, Item
from node.ledger import transaction
from node.local_store import LocalStore
from node.patients import Patients
from tests.support.ledger_fixture import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(tmp_path / "ledger")
    yield made
    made.close()


def desk_of(ledger: Ledger) -> Desk:
    local = LocalStore(ledger.store, ledger.service.disk.path)
    return Desk(ledger.service, local, Patients(local))


def item(text: str, retry: bytes | None = None) -> Item:
    octets = b'{"resourceType":"Basic","id":"%s"}' % text.encode()
    return Item(octets=octets, type="Basic", retry=retry)


async def test_an_expired_transaction_is_signed_anew_over_the_same_commitments(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        soon = partial(ledger.service.sign, expires_in=1)
        patched.setattr(ledger.service, "sign", soon)
        (placed,) = desk_of(ledger).place([item("a", b"name")])
    for _block in range(2):
        ledger.commit(ledger.sign())
    desk = desk_of(ledger)
    (again,) = desk.place([item("a", b"name")])
    assert (again.commitment, again.job, again.repeated) == (
        placed.commitment,
        placed.job,
        True,
    )
    assert (await desk.follow(placed.job, timeout_s=0)).state == "pending"
    ledger.commit()
    status = await desk.follow(placed.job, timeout_s=0)
    assert status.state == "committed"
    found = ledger.service.queries.transaction(status.txid)
    assert found is not None
    assert found[1].payload.ops[0].body[0] == placed.commitment


async def test_one_item_known_and_one_new_go_their_own_ways(ledger: Ledger) -> None:
    desk = desk_of(ledger)
    (first,) = desk.place([item("a", b"name")])
    old, new = desk.place([item("a", b"name"), item("b")])
    assert (old.job, old.repeated) == (first.job, True)
    assert new.job != first.job
    with pytest.raises(ChartsealError, match="idempotency-key-reused"):
        desk.place([item("c"), item("b", b"name")])


def test_what_is_refused_leaves_nothing_behind(ledger: Ledger) -> None:
    desk = desk_of(ledger)
    desk.held(bytes(32))  # the secret and its mark are made
    before = ledger.disk()
    for items in (
        [item("a"), Item(octets=b'{"a":1,"a":2}', type="Basic")],
        [item(str(number)) for number in range(transaction.OPS_MAX + 1)],
    ):
        with pytest.raises(ChartsealError):
            desk.place(items)
    assert ledger.disk() == before


async def test_a_rule_that_refuses_ends_in_its_code(ledger: Ledger) -> None:
    desk = desk_of(ledger)
    (placed,) = desk.place([item("a")])
    ledger.commit(ledger.sign(ledger.anchor(placed.commitment)))  # somebody was faster
    assert (await desk.follow(placed.job, timeout_s=0)).state == "pending"
    ledger.commit()
    with pytest.raises(ChartsealError, match="record-exists"):
        await desk.follow(placed.job, timeout_s=0)
