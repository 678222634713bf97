"""The publisher: a quorum certifies, a quorum against us stops us, nobody exhausts us."""

from dataclasses import replace
from pathlib import Path

import pytest

from consensus import codec, wire
from consensus.codec import Malformed
from node.book import Tip
from node.ledger import checkpoint as checkpoints
from node.ledger.checkpoint import TIME_S_MAX, Checkpoint
from node.ledger.eras import Era
from node.ledger.genesis import Genesis, Voter
from node.publish import (
    COSIGNATURES_PER_FRAME_MAX,
    WINDOW,
    Divergence,
    Publisher,
    Share,
    decode_shares,
    encode_shares,
    policy_of,
)
from node.roster import Rules, Unchanging, founding_rules
from tests.support.ledger import Chain, digest, genesis, key

PBFT = genesis("pbft")
RAFT = genesis("raft")


def publisher(founded: Genesis = PBFT, *, me: str = "alder", signs: bool = True) -> Publisher:
    signer = key(f"{me} cosigner") if signs else None
    rules = Unchanging(founding_rules(founded))
    return Publisher(rules, self_id=me, signer=lambda _: signer)


def tip(size: int, *, root: str = "root", height: int | None = None) -> Tip:
    return Tip(height or size, bytes(32), 0, 0, size, digest(root), 0, bytes(32), bytes(32))


def share(
    member: str,
    size: int,
    *,
    root: str = "root",
    time_s: int = 9,
    founded: Genesis = PBFT,
    signer: str | None = None,
) -> Share:
    policy = policy_of(founded)
    head = Checkpoint(policy.origin, size, digest(root))
    name = checkpoints.cosigner_name(policy.origin, member)
    made = checkpoints.cosign(
        head, name=name, signer=key(signer or f"{member} cosigner"), time_s=time_s
    )
    return Share(member, size, size, digest(root), time_s, made.signature)


@pytest.mark.parametrize(("founded", "quorum"), [(PBFT, 3), (RAFT, 3)])
def test_the_policy_is_what_genesis_says(founded: Genesis, quorum: int) -> None:
    policy = policy_of(founded)
    assert (policy.origin, policy.network, policy.quorum) == (
        founded.origin,
        founded.network,
        quorum,
    )
    assert [(m, v.key) for m, v in policy.members] == [
        (item.id, item.cosigner_key) for item in founded.validators
    ]


@pytest.mark.parametrize(
    ("engine", "members", "quorum"),
    [("pbft", 1, 1), ("pbft", 3, 2), ("pbft", 4, 3), ("raft", 2, 2), ("raft", 3, 2)],
)
def test_the_quorum_follows_the_engine(engine: str, members: int, quorum: int) -> None:
    founded = genesis(engine)
    few = replace(founded, institutions=founded.institutions[:members])
    assert policy_of(few).quorum == quorum


def test_a_quorum_certifies_once_and_anyone_can_verify_it() -> None:
    made = publisher()
    own = made.applied(tip(5, height=2), 7)
    assert own is not None
    assert (own.member, own.size, made.mine) == ("alder", 5, own)
    assert made.certify(5) is None
    assert made.received("birch", share("birch", 5))
    assert made.certify(5) is None
    assert made.received("cedar", share("cedar", 5))
    certified = made.certify(5)
    assert certified is not None
    height, note = certified
    assert height == 2
    assert checkpoints.count_valid(note, made.policy) == {"alder", "birch", "cedar"}
    assert checkpoints.parse_note(note)[0] == Checkpoint(made.policy.origin, 5, digest("root"))
    assert made.certify(5) is None


def test_shares_may_come_before_our_own_block() -> None:
    made = publisher(signs=False)
    for member in ("birch", "cedar", "dogwood"):
        assert made.received(member, share(member, 5))
    assert made.certify(5) is None
    assert made.applied(tip(5), 7) is None
    assert made.mine is None
    assert made.certify(5) is not None


@pytest.mark.parametrize(
    ("sender", "taken"),
    [
        ("birch", share("cedar", 5)),  # another's, passed on
        ("birch", share("birch", 5, signer="cedar cosigner")),
        ("birch", replace(share("birch", 5), time_s=10)),
        ("birch", replace(share("birch", 5), size=6)),
        ("birch", replace(share("birch", 5), root=digest("other"))),
        ("birch", share("birch", 5, founded=RAFT)),  # of another network
        ("payer", share("payer", 5)),  # no validator
    ],
)
def test_a_share_that_is_not_the_senders_is_refused(sender: str, taken: Share) -> None:
    made = publisher()
    made.applied(tip(5), 7)
    assert not made.received(sender, taken)
    assert made._shares[5].keys() == {"alder"}


def test_a_repeated_share_counts_once() -> None:
    made = publisher()
    made.applied(tip(5), 7)
    for _ in range(3):
        assert made.received("birch", share("birch", 5))
    assert made.certify(5) is None


def test_a_quorum_with_another_root_is_divergence_either_way_round() -> None:
    against = [share(member, 5, root="other") for member in ("birch", "cedar", "dogwood")]
    late = publisher()
    late.applied(tip(5), 7)
    late.received("birch", against[0])
    late.received("cedar", against[1])
    with pytest.raises(Divergence, match="log size 5: 3 members"):
        late.received("dogwood", against[2])
    early = publisher()
    for item in against:
        early.received(item.member, item)
    with pytest.raises(Divergence):
        early.applied(tip(5), 7)


def test_fewer_than_a_quorum_against_us_only_withholds_the_certificate() -> None:
    made = publisher()
    made.applied(tip(5), 7)
    made.received("birch", share("birch", 5, root="other"))
    made.received("cedar", share("cedar", 5, root="another"))
    made.received("dogwood", share("dogwood", 5, root="other"))
    assert made.certify(5) is None


def test_two_roots_of_our_own_at_one_size_stop_the_node() -> None:
    made = publisher()
    made.applied(tip(5), 7)
    made.applied(tip(5), 8)
    with pytest.raises(AssertionError, match="two roots"):
        made.applied(tip(5, root="other"), 9)


def test_memory_is_bounded_whatever_one_member_sends() -> None:
    made = publisher()
    made.applied(tip(5), 7)
    for size in range(100, 100 + 2 * WINDOW + 20):
        assert made.received("birch", share("birch", size))
    assert sum("birch" in held for held in made._shares.values()) == 2 * WINDOW
    # The flood costs the flooder its own voice and nobody else's.
    made.received("cedar", share("cedar", 5))
    made.received("dogwood", share("dogwood", 5))
    assert made.certify(5) is not None


def test_whoever_has_not_answered_is_named_until_the_newest_head_is_certified() -> None:
    made = publisher()
    assert made.silent() == []
    own = made.applied(tip(5), 7)
    assert own is not None
    assert made.own(5) == own
    assert made.own(6) is None
    assert made.silent() == [(own, ["birch", "cedar", "dogwood"])]
    made.received("cedar", share("cedar", 5))
    assert made.silent() == [(own, ["birch", "dogwood"])]
    made.received("birch", share("birch", 5))
    assert made.certify(5) is not None
    assert made.silent() == []
    newer = made.applied(tip(6), 7)
    assert newer is not None
    assert made.silent() == [(newer, ["birch", "cedar", "dogwood"])]


def heads_of(made: Publisher) -> list[tuple[str, int, set[str], set[str]]]:
    """Return member, size, cosigners of the head and of what it is against, as noticed."""
    return [
        (
            item.member,
            item.size,
            checkpoints.count_valid(item.head, made.policy),
            checkpoints.count_valid(item.against, made.policy),
        )
        for item in made.conflicts()
    ]


@pytest.mark.parametrize("late", [False, True])
def test_another_root_at_a_certified_size_is_noticed_before_or_after(late: bool) -> None:
    made = publisher()
    made.applied(tip(5), 7)
    wrong = share("dogwood", 5, root="other")
    shares = [share("birch", 5), share("cedar", 5)]
    for item in [*shares, wrong] if late else [wrong, *shares]:
        assert made.received(item.member, item)
        made.certify(5)
    quorum = {"alder", "birch", "cedar"}
    assert heads_of(made) == [("dogwood", 5, {"dogwood"}, quorum)]
    assert made.conflicts() == []


def test_two_roots_of_one_member_are_noticed_without_any_quorum() -> None:
    made = publisher()
    assert made.received("birch", share("birch", 5))
    assert made.received("birch", share("birch", 5, time_s=10))  # the same root again
    assert made.conflicts() == []
    assert made.received("birch", share("birch", 5, root="other"))
    assert heads_of(made) == [("birch", 5, {"birch"}, {"birch"})]
    forged = share("birch", 5, root="third", signer="cedar cosigner")
    assert not made.received("birch", forged)
    assert made.conflicts() == []


# --- eras ----------------------------------------------------------------------------------


class TwoEras:
    """Heights up to ``barrier`` are the founders'; above, dogwood is gone and birch has new
    keys.  ``known``: whether we have applied the barrier."""

    def __init__(self, barrier: int) -> None:
        self.barrier, self.known = barrier, False
        self.old = founding_rules(PBFT)
        era = self.old.era
        fresh = Voter("birch", era.members[1].consensus_key, key("birch new").public_key)
        members = (era.members[0], fresh, era.members[2])
        later = Era(1, "pbft", barrier + 1, members)
        self.new = Rules.of(later, origin=PBFT.origin, network=PBFT.network)

    @property
    def now(self) -> Rules:
        return self.new if self.known else self.old

    def at(self, height: int) -> Rules:
        return self.new if self.known and height > self.barrier else self.old


def with_two_eras() -> tuple[TwoEras, Publisher]:
    rules = TwoEras(5)
    return rules, Publisher(rules, self_id="alder", signer=lambda _: key("alder cosigner"))


def test_a_barrier_is_certified_by_the_era_that_it_ends() -> None:
    rules, made = with_two_eras()
    rules.known = True
    own = made.applied(tip(5), 7, barrier=True)
    assert own is not None
    later = made.applied(tip(6), 7)
    assert later is not None
    names = ["birch", "cedar", "dogwood"]
    assert made.silent() == [(own, names), (later, names[:2])], "also who is removed by it"
    assert made.received("dogwood", share("dogwood", 5))
    assert made.received("birch", share("birch", 5)), "its old key"
    certified = made.certify(5)
    assert certified is not None
    assert checkpoints.count_valid(certified[1], rules.old.policy) >= {"birch", "dogwood"}
    assert made.received("birch", share("birch", 6, signer="birch new"))
    assert made.certify(6) is not None, "two of three"
    assert made.silent() == []


def test_who_left_or_uses_its_old_key_does_not_count_above_the_barrier() -> None:
    rules, made = with_two_eras()
    rules.known = True
    made.applied(tip(6), 7)
    assert not made.received("dogwood", share("dogwood", 6))
    assert not made.received("birch", share("birch", 6))
    assert made.certify(6) is None


def test_what_comes_before_we_know_its_era_is_neither_blamed_nor_counted() -> None:
    rules, made = with_two_eras()
    made.applied(tip(4), 7)
    assert made.received("birch", share("birch", 6, signer="birch new"))  # not verifiable yet
    assert made.received("dogwood", share("dogwood", 6))  # as if it still voted
    assert made.received("cedar", share("cedar", 6))
    made.applied(tip(5), 7, barrier=True)
    rules.known = True
    made.applied(tip(6), 7)
    assert made._shares[6].keys() == {"alder", "cedar"}
    assert made.certify(6) is not None
    assert made.claimed_by_quorum() == 6


def test_a_barrier_is_asked_for_however_many_heads_follow() -> None:
    rules, made = with_two_eras()
    rules.known = True
    own = made.applied(tip(5), 7, barrier=True)
    for size in range(6, WINDOW + 20):
        made.applied(tip(size), 7)
    assert made.silent()[0] == (own, ["birch", "cedar", "dogwood"])
    for member in ("birch", "cedar"):
        made.received(member, share(member, 5))
    certified = made.certify(5)
    assert certified is not None
    assert made.own_of_note(5, certified[1]) == own
    assert made.own_of_note(6, certified[1]) is not None, "the same key in both eras"


def test_old_sizes_are_forgotten() -> None:
    made = publisher()
    for size in range(1, WINDOW + 11):
        made.applied(tip(size), 7)
    assert len(made._own) == WINDOW
    assert min(made._own) == min(made._shares) == 11
    made.applied(tip(100_000), 7)
    assert made.received("birch", share("birch", 20))
    assert "birch" not in made._shares[20]  # too far behind to matter


def test_shares_travel_in_frames() -> None:
    shares = [share("birch", 5), share("cedar", 6)]
    for ask in (False, True):
        assert decode_shares(encode_shares(shares, ask=ask)) == (ask, shares)
    with pytest.raises(Malformed):
        decode_shares(encode_shares(shares * 40))
    assert len(decode_shares(encode_shares(shares * 32))[1]) == COSIGNATURES_PER_FRAME_MAX
    broken = (codec.encode([1]), codec.encode([1, []]), codec.encode([True, 1]))
    for raw in (b"", b"\xc0", *broken, encode_shares(shares)[:-1]):
        with pytest.raises(Malformed):
            decode_shares(raw)


@pytest.mark.parametrize("at", [3, 4, 5])
def test_a_share_with_a_field_out_of_range_is_malformed(at: int) -> None:
    fields = wire.to_value(share("birch", 5))
    fields[at] = {3: bytes(31), 4: TIME_S_MAX + 1, 5: bytes(63)}[at]
    with pytest.raises(Malformed):
        decode_shares(codec.encode([False, [fields]]))


def test_the_books_own_tip_is_certified(tmp_path: Path) -> None:
    with Chain(tmp_path, PBFT) as chain:
        done = chain.commit()
        made = publisher()
        made.applied(done.tip, 7)
        assert checkpoints.count_valid(chain.certify(), made.policy) == {
            "alder",
            "birch",
            "cedar",
            "dogwood",
        }
