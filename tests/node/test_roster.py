"""Who belongs, by which rules, at which height: read from state, moved by blocks."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from consensus import wire
from node.book import Book, Committed
from node.ledger.block import decode_seal
from node.ledger.eras import era_digest, era_key, era_of
from node.ledger.families.membership import Nothing
from node.ledger.genesis import members_digest
from node.ledger.transaction import Op
from node.ring import Ring
from node.roster import Roster, StoredRules, Unchanging, era_at, founding_rules, quorum
from storage import keys
from storage.errors import Corrupt
from tests.support.ledger import Chain, genesis, key

LEAVE = Op("membership.leave", wire.to_value(Nothing()))


@pytest.fixture(params=[1, 5])
def chain(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Chain]:
    with Chain(tmp_path, genesis("pbft", state_root_every=request.param)) as made:
        yield made


def commit(chain: Chain, epoch: int, *ops: Op, org: str = "alder") -> Committed:
    made = chain.tx(*ops, org=org)
    return chain.apply(chain.body(made, epoch=epoch))


@pytest.mark.parametrize(
    ("engine", "members", "needed"),
    [("pbft", 4, 3), ("pbft", 3, 2), ("raft", 4, 3), ("raft", 3, 2), ("raft", 1, 1)],
)
def test_how_many_decide_follows_the_engine(engine: str, members: int, needed: int) -> None:
    assert quorum(engine, members) == needed


def test_a_member_that_leaves_ends_an_era_and_its_barrier_commits_to_the_next(
    chain: Chain,
) -> None:
    roster = Roster(chain.genesis, chain.book, "alder")
    plain = commit(chain, 0)
    assert (plain.next_era, plain.belonging) == (None, True), "genesis was written"
    assert decode_seal(chain.store.seal(1) or b"").members_digest == members_digest(
        0, chain.genesis.validators
    )
    done = commit(chain, 0, LEAVE, org="dogwood")
    assert done.codes == (0,)
    assert done.next_era is not None
    assert (done.next_era.epoch, done.next_era.from_height) == (1, 3)
    assert done.next_era == chain.book.era == era_of(chain.book.read, 1)
    seal = decode_seal(chain.store.seal(2) or b"")
    assert seal.members_digest == era_digest(done.next_era)
    assert (seal.state_height, done.tip.state_height) == (2, 2), "a fresh root at a barrier"
    for result in (plain, done):
        roster.follow(result)
    assert roster.voters == ("alder", "birch", "cedar")
    assert [roster.at(height).era.epoch for height in (1, 2, 3, 9)] == [0, 0, 1, 1]
    assert (roster.at(2).policy.quorum, roster.now.policy.quorum) == (3, 2)
    assert roster.leaving(2) == ("dogwood",)
    assert (roster.role, roster.role_of("dogwood")) == ("voter", "removed")
    assert (roster.role_of("payer"), roster.role_of("nobody")) == ("stranger", "stranger")
    assert sorted(roster.identities()) == ["alder", "birch", "cedar"]
    assert "dogwood" in roster.identities(("dogwood", "nobody"))


def test_a_restart_reads_the_same_roster(chain: Chain) -> None:
    commit(chain, 0)
    for epoch, org in enumerate(("dogwood", "cedar")):
        assert commit(chain, epoch, LEAVE, org=org).codes == (0,)
    book = Book(chain.store, chain.genesis)
    assert book.era == chain.book.era
    roster = Roster(chain.genesis, book, "dogwood")
    assert roster.voters == ("alder", "birch")
    assert [roster.at(height).era.epoch for height in range(1, 6)] == [0, 0, 1, 2, 2]
    assert [era_at(book.read, height).epoch for height in range(1, 6)] == [0, 0, 1, 2, 2]
    assert roster.role == "removed"


def test_a_ledger_at_rest_tells_the_rules_of_every_height(chain: Chain) -> None:
    commit(chain, 0)
    for epoch, org in enumerate(("dogwood", "cedar")):
        commit(chain, epoch, LEAVE, org=org)
    rules = StoredRules(chain.genesis, chain.store)
    assert [rules.at(height).era.epoch for height in range(1, 6)] == [0, 0, 1, 2, 2]
    assert [rules.at(height).policy.quorum for height in (2, 3, 4)] == [3, 2, 2]


def test_damage_in_the_row_of_an_era_is_named(chain: Chain) -> None:
    commit(chain, 0)
    commit(chain, 0, LEAVE, org="dogwood")
    row = keys.STATE + era_key(1)
    chain.store.mend([(row, (chain.store.raw_value(row) or b"")[:-1])])
    with pytest.raises(Corrupt, match="epoch 1"):
        StoredRules(chain.genesis, chain.store).at(1)


def test_rules_without_a_ledger_are_the_founders() -> None:
    rules = founding_rules(genesis())
    assert rules.era.epoch == 0
    assert Unchanging(rules).at(10**9) is rules
    assert rules.ordering(("payer",)).observers == ("payer",)
    assert rules.voter("payer") is None


def test_a_ring_without_the_keys_of_an_era_votes_in_none() -> None:
    voter = founding_rules(genesis()).voter("alder")
    ring = Ring()
    ring.enter(voter)
    assert (ring.consensus(voter), ring.cosigner(voter), ring.consensus(None)) == (None,) * 3
    with pytest.raises(AssertionError, match="does not vote"):
        ring.sign(b"vote")
    assert key("alder consensus").public_key == (voter and voter.consensus_key)
