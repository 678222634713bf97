"""Keys change on a node that runs: intake and the next block go by the new ones."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus import wire
from node.intake import Intake
from node.ledger import registry, transaction
from node.ledger.crypto import Signer
from node.ledger.families.identity_key import Add, Recover, Revoke, Rotate
from node.ledger.families.identity_key import Name as Guardians
from node.ledger.state import Overlay, institution
from node.ledger.transaction import Op
from node.mempool import Mempool, MempoolLimits
from tests.support import ledger_fixture
from tests.support.ledger import Chain, genesis, key
from tests.support.ledger_fixture import Ledger

pytestmark = pytest.mark.usefixtures("each_backend")
OLD, NEW = key("alder identity"), key("alder second")


class Node:
    """A book and an intake over one store, and transactions signed by whichever key."""

    def __init__(self, directory: Path) -> None:
        self.chain = Chain(directory, genesis(expires_heights_max=5000))
        pool = Mempool(MempoolLimits())
        self.intake = Intake(self.chain.book, self.chain.store, pool, now_ms=lambda: 42)

    def raw(self, author: Signer, *ops: Op, by: tuple[Signer, ...] = ()) -> bytes:
        return transaction.sign(self.chain.payload(*ops), author, *by)

    def commit(self, *raws: bytes) -> list[str]:
        done = self.chain.commit(*[transaction.parse(raw) for raw in raws])
        return [registry.result_of(code).code for code in done.codes]

    async def offered(self, author: Signer) -> str:
        """Return what intake says to a record that ``author`` signs."""
        answers, _ = await self.intake.submit([self.raw(author)])
        return answers[0].code

    def works(self, author: Signer) -> str:
        """Return what the next block says to a record that ``author`` signs."""
        return self.commit(self.raw(author))[0]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path)
    yield made
    made.chain.close()


def op(kind: str, body: object) -> Op:
    return Op(f"identity.key.{kind}", wire.to_value(body))


def rotate() -> Op:
    return op("rotate", Rotate(OLD.public_key, NEW.public_key))


async def test_a_rotation_holds_from_the_next_transaction_on(node: Node) -> None:
    assert await node.offered(OLD) == "accepted"  # and its row is remembered now
    assert await node.offered(NEW) == "unknown-signer"
    late = node.raw(OLD)
    codes = node.commit(node.raw(OLD, rotate(), by=(NEW,)), late, node.raw(NEW))
    assert codes == ["applied", "unknown-signer", "applied"]
    assert await node.offered(OLD) == "unknown-signer"
    assert await node.offered(NEW) == "accepted"
    assert (node.works(OLD), node.works(NEW)) == ("unknown-signer", "applied")
    row = institution(Overlay(node.chain.book.read), "alder")
    assert row is not None
    assert row.identity_key == NEW.public_key


async def test_a_revocation_holds_from_the_next_block_on(node: Node) -> None:
    node.commit(node.raw(OLD, op("add", Add(NEW.public_key)), by=(NEW,)))
    assert await node.offered(NEW) == "accepted"
    assert node.works(NEW) == "applied"
    waiting = node.raw(OLD)  # in somebody's pool before the key is revoked
    assert node.commit(node.raw(NEW, op("revoke", Revoke(OLD.public_key)))) == ["applied"]
    assert await node.offered(OLD) == "unknown-signer"
    assert node.commit(waiting) == ["unknown-signer"]
    assert node.works(NEW) == "applied"


async def test_a_rotation_that_is_refused_changes_nothing(node: Node) -> None:
    assert node.commit(node.raw(OLD, rotate())) == ["identity-key-unsigned"]
    assert await node.offered(OLD) == "accepted"
    assert await node.offered(NEW) == "unknown-signer"


async def test_an_overlap_ends_in_the_first_block_of_its_time(node: Node) -> None:
    body = Rotate(OLD.public_key, NEW.public_key, 2500)  # blocks are a second apart
    assert node.commit(node.raw(OLD, op("rotate", body), by=(NEW,))) == ["applied"]
    assert [node.works(OLD) for _ in range(3)] == ["applied", "applied", "unknown-signer"]
    assert await node.offered(OLD) == "unknown-signer"
    assert await node.offered(NEW) == "accepted"


async def test_guardians_bring_a_lost_institution_back(node: Node) -> None:
    named = op("guard", Guardians(("birch", "cedar"), 2))
    assert node.commit(node.raw(OLD, named)) == ["applied"]
    body = op("recover", Recover("alder", NEW.public_key))
    payload = node.chain.payload(body, org="birch")
    raw = transaction.sign(payload, key("birch identity"), key("cedar identity"), NEW)
    assert node.commit(raw) == ["applied"]
    assert await node.offered(OLD) == "unknown-signer"
    assert await node.offered(NEW) == "accepted"


async def test_a_restart_remembers_who_may_sign(tmp_path: Path) -> None:
    first = Node(tmp_path)
    first.commit(first.raw(OLD, rotate(), by=(NEW,)))
    first.chain.close()
    second = Node(tmp_path)
    assert await second.offered(OLD) == "unknown-signer"
    assert await second.offered(NEW) == "accepted"
    second.chain.close()


async def test_a_node_signs_with_its_new_key_as_soon_as_the_ledger_takes_it(
    tmp_path: Path,
) -> None:
    """Without a restart, and not before: until then the old key speaks for its institution."""
    ledger, spare = Ledger(tmp_path), ledger_fixture.key("alder spare")
    try:
        service = ledger.service
        service._signers = (*service._signers, spare)
        old = service.identity
        assert transaction.parse(service.sign((ledger.anchor(),))).keys == (old,)
        op = Op("identity.key.rotate", wire.to_value(Rotate(old, spare.public_key)))
        payload = transaction.encode_payload(service.payload((op,)))
        message = transaction.signed_message(payload, [old, spare.public_key])
        raw = service.countersign(payload, [(spare.public_key, spare.sign(message))])
        ledger.commit(raw)
        assert service.status(transaction.txid_of(raw)).code == "applied"
        assert service.identity == spare.public_key
        signed = service.sign((ledger.anchor(),))
        ledger.commit(signed)
        assert service.status(transaction.txid_of(signed)).code == "applied"
    finally:
        ledger.close()
