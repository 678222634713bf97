"""The publisher: a quorum certifies, a quorum against us stops us, nobody exhausts us."""

from dataclasses import replace
from pathlib import Path

import pytest

from consensus import codec, wire
from consensus.codec import Malformed
from node.book import Tip
from node.ledger import checkpoint as checkpoints
from node.ledger.checkpoint import TIME_S_MAX, Checkpoint
from node.ledger.genesis import Genesis
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
from tests.support.ledger import Chain, digest, genesis, key

PBFT = genesis("pbft")
RAFT = genesis("raft")


def publisher(founded: Genesis = PBFT, *, me: str = "alder", signs: bool = True) -> Publisher:
    signer = key(f"{me} cosigner") if signs else None
    return Publisher(policy_of(founded), self_id=me, signer=signer)


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
    assert made.silent() is None
    own = made.applied(tip(5), 7)
    assert own is not None
    assert made.own(5) == own
    assert made.own(6) is None
    assert made.silent() == (own, ["birch", "cedar", "dogwood"])
    made.received("cedar", share("cedar", 5))
    assert made.silent() == (own, ["birch", "dogwood"])
    made.received("birch", share("birch", 5))
    assert made.certify(5) is not None
    assert made.silent() is None
    newer = made.applied(tip(6), 7)
    assert newer is not None
    assert made.silent() == (newer, ["birch", "cedar", "dogwood"])


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
