"""The lineage on disk: written once and for ever, healed after a crash, learned from others."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from node.book import Book
from node.ledger import lineage
from node.ledger import receipt as receipts
from node.ledger.lineage import LineageInvalid, Reason
from node.lineage_keeping import LineageKeeper, link_from, links_for
from node.queries import Queries
from node.trust import quorum, trust_in
from storage import keys
from storage.backup import LETTERS
from storage.errors import Corrupt
from storage.store import Store
from tests.support.eras import Eras, founded, voter

FOUR = ("alder", "birch", "cedar", "dogwood")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Eras]:
    genesis = founded()
    store = Store.open(tmp_path / "node", network=genesis.network, create=True)
    yield Eras(genesis, store=store)
    store.close()


def keeper_of(made: Eras) -> LineageKeeper:
    assert made.store is not None
    store = made.store
    origin = dict(_origin(made))

    def read(key: bytes) -> bytes | None:
        return origin.get(key) if store.applied() is None else store.state_get(key)

    return LineageKeeper(store, made.genesis, read)


def _origin(made: Eras) -> dict[bytes, bytes]:
    from node.ledger.state import genesis_state

    return genesis_state(made.genesis)


def test_the_link_is_kept_when_the_barriers_checkpoint_is_certified(made: Eras) -> None:
    keeper = keeper_of(made)
    made.block()
    made.certify()
    assert not keeper.certified()
    assert (keeper.epoch, keeper.missing(), keeper.links()) == (0, 0, ())
    link = made.barrier(FOUR)
    assert keeper.missing() == 1
    assert not keeper.certified(), "nobody has certified it yet"
    made.certify()
    assert keeper.certified()
    assert (keeper.epoch, keeper.missing()) == (1, 0)
    assert keeper.links() == (link,)
    assert keeper.trust.policy_at(made.size + 1) == made.policy(1)
    made.block()
    made.certify()
    assert not keeper.certified()


def test_links_survive_a_restart_and_are_read_back_as_proven(made: Eras) -> None:
    keeper = keeper_of(made)
    for members in (FOUR, FOUR[1:], FOUR):
        made.barrier(members)
        made.certify()
        assert keeper.certified()
    again = keeper_of(made)
    assert again.links() == tuple(made.links)
    assert again.links(2) == tuple(made.links[2:])
    assert again.trust.steps == keeper.trust.steps
    assert lineage.from_json(again.text()).links == tuple(made.links)
    assert again.text() is again.text()


def test_a_crash_between_certificate_and_link_is_healed_at_the_next_start(made: Eras) -> None:
    made.barrier(FOUR)
    made.certify()
    made.block()
    made.barrier(FOUR, "pbft")
    made.certify()
    keeper = keeper_of(made)
    assert (keeper.epoch, keeper.missing()) == (0, 2)
    assert keeper.heal() == 2
    assert keeper.links() == tuple(made.links)
    assert keeper.heal() == 0


def test_a_link_is_not_made_of_a_checkpoint_with_too_few_names(made: Eras) -> None:
    link = made.barrier(FOUR)
    made.certify(made.note(epoch=0, signers=1))
    keeper = keeper_of(made)
    assert keeper.heal() == 0
    assert keeper.missing() == 1
    assert keeper.adopt((link,), after=0) == 1


def test_what_holds_is_adopted_and_what_is_known_is_not_written_twice(made: Eras) -> None:
    other = Eras(made.genesis)
    for members in (FOUR, FOUR[1:], FOUR):
        other.barrier(members)
    keeper = keeper_of(made)
    assert keeper.adopt(other.links[:2], after=0) == 2
    assert keeper.adopt(other.links, after=0) == 1
    assert keeper.adopt(other.links[1:], after=1) == 0
    assert keeper.adopt(other.links[2:], after=2) == 0
    assert keeper.adopt((), after=3) == 0
    assert keeper.adopt(other.links[2:], after=5) == 0, "beyond a gap nothing can be judged"
    assert keeper_of(made).links() == tuple(other.links)
    assert keeper.missing() == 0, "this ledger itself is still in its first era"


def test_links_that_do_not_hold_are_refused_and_nothing_is_kept(made: Eras) -> None:
    other = Eras(made.genesis)
    first, second = other.barrier(FOUR), other.barrier(FOUR[1:])
    keeper = keeper_of(made)
    forged = replace(
        second, era=replace(second.era, members=(*second.era.members, voter("oak")))
    )
    with pytest.raises(LineageInvalid) as caught:
        keeper.adopt((first, forged), after=0)
    assert caught.value.reason is Reason.ERA_MISMATCH
    assert keeper_of(made).links() == ()
    assert keeper.adopt((first,), after=0) == 1
    contradicting = Eras(made.genesis)
    with pytest.raises(LineageInvalid, match="conflict"):
        keeper.adopt((contradicting.barrier(FOUR[1:]),), after=0)
    assert keeper.links() == (first,)


def test_a_proven_era_that_this_ledger_does_not_have_is_a_contradiction(made: Eras) -> None:
    """Founders who signed two futures: what this node executed stands."""
    made.barrier(FOUR)
    other = Eras(made.genesis)
    keeper = keeper_of(made)
    with pytest.raises(LineageInvalid, match="this ledger has another era"):
        keeper.adopt((other.barrier(FOUR[1:]),), after=0)


def test_rows_that_were_changed_on_disk_are_noticed(made: Eras) -> None:
    keeper = keeper_of(made)
    made.barrier(FOUR)
    made.certify()
    assert keeper.certified()
    assert made.store is not None
    raw = made.store.link(1)
    assert raw is not None
    made.store.save_links([(1, raw[:-1])])
    with pytest.raises(Corrupt, match="lineage of epoch 1"):
        keeper_of(made)
    spoiled = bytearray(raw)
    spoiled[-2] ^= 1
    made.store.save_links([(1, bytes(spoiled))])
    with pytest.raises(Corrupt, match="epoch 1"):
        keeper_of(made)


def test_a_receipt_from_a_node_carries_what_its_verifier_needs(made: Eras) -> None:
    assert made.store is not None
    keeper, founders = keeper_of(made), trust_in(made.policy(0))
    heights = [made.block()]
    early = made.certify()
    queries = Queries(made.store, Book(made.store, made.genesis))
    txid = made.bodies[0].transactions[0].txid
    first = queries.receipt(txid)
    assert first is not None
    assert first.lineage == (), "the founders certified it: version 1 as ever"
    for members, engine in ((FOUR, "raft"), (FOUR, "pbft"), (FOUR[1:], "raft")):
        made.barrier(members, engine)
        made.certify()
        assert keeper.certified()
        heights.append(made.block())
        made.certify()
    for height in heights:
        receipt = queries.receipt(made.bodies[height - 1].transactions[0].txid)
        assert receipt is not None
        assert receipt.lineage == tuple(made.links)
        proven = receipts.verify_receipt(receipt, founders)
        assert (proven.height, proven.epoch) == (height, 3)
    assert links_for(made.store, early) == ()
    assert links_for(made.store, made.note(epoch=3)) == tuple(made.links)
    assert links_for(made.store, made.links[1].note) == tuple(made.links[:1])


def test_a_lineage_too_long_for_a_receipt_travels_apart(
    made: Eras, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = keeper_of(made)
    for members in (FOUR, FOUR[1:]):
        made.barrier(members)
        made.certify()
        assert keeper.certified()
    made.block()
    note = made.certify()
    assert made.store is not None
    assert len(links_for(made.store, note)) == 2
    monkeypatch.setattr("node.lineage_keeping.LINEAGE_BYTES_MAX", 1500)
    assert links_for(made.store, note) == ()


def test_the_rows_have_a_letter_of_their_own_that_backups_hold(made: Eras) -> None:
    """No block writes or deletes them, and history has no say."""
    keeper = keeper_of(made)
    made.barrier(FOUR)
    made.certify()
    assert keeper.certified()
    assert made.store is not None
    rows = [key for key, _ in made.store.scan_all() if key[:1] == keys.LINEAGE]
    assert rows == [keys.link(1)] == [b"y" + bytes(7) + b"\1"]
    assert keys.LINEAGE in LETTERS
    assert link_from(made.store, 1) == made.links[0]
    assert quorum("pbft", 4) == 3
