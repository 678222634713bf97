"""Family membership: every refusal, who votes after each step, eras, keys, features."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from consensus import quorum, wire
from consensus.codec import Malformed
from node.ledger import transaction
from node.ledger.eras import OBSERVERS_MAX, Era, Observers
from node.ledger.execute import SoftwareTooOld
from node.ledger.facts import features, membership
from node.ledger.facts import governance as facts
from node.ledger.facts import keys as key_facts
from node.ledger.facts.features import FEATURES, OPEN_OF_ONE_MAX
from node.ledger.facts.governance_bodies import ACTIONS, Propose
from node.ledger.facts.membership import RESULTS, quorum_of
from node.ledger.facts.membership_bodies import Admit, Feature, ReplaceKeys
from node.ledger.families.membership import READY_BLOCKS_MAX, Knows, Nothing, Ready, Rotate
from node.ledger.genesis import Genesis, Voter
from node.ledger.policies import TOPICS, Policy
from node.ledger.transaction import Op, Payload
from tests.support.seats import (
    DAY_MS,
    Seats,
    codes_of,
    key,
    newcomer,
    node_keys,
    proof,
    rotation,
)
from tests.support.story import APPLIED, Rules, founded, named, person

MORE = "more-proposals"


@pytest.fixture
def seats() -> Seats:
    return Seats("alder", "birch", "cedar")


def test_every_refusal_is_reached(seats: Seats, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seats.decide(admit=Admit("alder")) == "membership-voter-already"
    assert seats.ready("alder") == "membership-voter-already"
    assert seats.decide(demote="nobody") == "governance-institution-unknown"
    assert seats.decide(engine="raft") == "membership-engine-same"
    assert seats.decide(register=newcomer("dogwood")) == APPLIED
    assert seats.decide(demote="dogwood") == "membership-not-member"
    assert seats.decide(remove="dogwood") == "membership-not-member"
    assert seats.ready("dogwood") == "membership-not-learner"
    assert seats.rotate("dogwood", "2") == "membership-not-member"
    assert seats.leave("dogwood") == "membership-not-member"
    assert seats.decide(admit=Admit("dogwood")) == APPLIED
    assert seats.decide(admit=Admit("dogwood")) == "membership-seated-already"
    assert seats.ready("dogwood", back=0) == "membership-ready-old"
    while seats.world.height <= READY_BLOCKS_MAX:
        seats.world.later(1)
    assert seats.ready("dogwood", back=READY_BLOCKS_MAX + 1) == "membership-ready-old"
    monkeypatch.setattr(membership, "VOTERS_MAX", 3)
    assert seats.ready("dogwood") == "membership-voters-full"
    monkeypatch.undo()
    assert seats.ready("dogwood", back=READY_BLOCKS_MAX) == APPLIED
    assert seats.decide(demote="dogwood") == APPLIED
    assert seats.decide(demote="dogwood") == "membership-seated-already"
    monkeypatch.setattr(membership, "OBSERVERS_MAX", 1)
    assert seats.decide(demote="cedar") == "membership-observers-full"
    monkeypatch.undo()
    assert OBSERVERS_MAX > 1
    network = seats.world.network
    other = rotation(network, "birch", "2")
    assert seats.act("alder", other) == "membership-key-unproven"
    assert seats.rotate("alder", "2") == APPLIED
    assert seats.rotate("alder", "2") == "membership-key-taken"
    assert seats.rotate("alder", "") == "membership-key-taken"
    feature = Feature(MORE)
    assert seats.decide(feature=feature) == "membership-feature-unknown"
    for org in ("alder", "birch", "cedar"):
        assert seats.act(org, Knows((MORE,))) == APPLIED
    assert seats.act("alder", Knows((MORE,))) == "membership-supports-same"
    monkeypatch.setattr(features, "FEATURES_MAX", 0)
    assert seats.decide(feature=feature) == "membership-features-full"
    monkeypatch.undo()
    assert seats.decide(feature=feature) == APPLIED
    assert seats.decide(feature=feature) == "membership-feature-set"
    assert seats.decide(admit=Admit("dogwood")) == APPLIED
    assert seats.ready("dogwood") == "membership-feature-missing"
    assert seats.leave("cedar") == APPLIED
    assert seats.leave("birch") == APPLIED
    assert seats.leave("alder") == "membership-last-voter"
    assert seats.decide(remove="alder") == "membership-last-voter"
    assert codes_of(RESULTS) - seats.seen == {"membership-deadlock"}
    assert {item.number for item in RESULTS} <= set(range(640, 680))


def test_who_is_left_must_be_able_to_decide() -> None:
    seats = Seats("alder", "birch", "cedar", "dogwood", "elder", "fir")
    assert seats.decide(suspend="elder") == APPLIED
    assert seats.decide(suspend="fir") == APPLIED
    assert seats.leave("alder") == "membership-deadlock"
    assert seats.decide(demote="alder") == "membership-deadlock"
    assert seats.decide(remove="fir") == APPLIED, "one that is suspended can be removed"
    assert seats.leave("alder") == APPLIED


def test_a_member_from_invitation_to_removal(seats: Seats) -> None:
    world = seats.world
    founders = seats.era
    assert founders == Era(0, "raft", 1, founders.members)
    assert seats.decide(register=newcomer("dogwood")) == APPLIED
    assert seats.decide(admit=Admit("dogwood")) == APPLIED
    assert seats.era == founders, "a learner changes no era"
    asked = world.ask("membership.standing", {"org": "dogwood"})
    assert (asked["standing"], asked["orders"], asked["may_vote"]) == ("learner", False, False)
    assert seats.ready("dogwood") == APPLIED
    assert seats.voters == ("alder", "birch", "cedar", "dogwood")
    assert (seats.era.epoch, seats.era.from_height) == (1, world.height + 1)
    asked = world.ask("membership.standing", {"org": "dogwood"})
    assert (asked["standing"], asked["orders"], asked["may_vote"]) == ("voter", True, True)
    assert world.ask("network.member", {"org": "dogwood"})["institution"]["validator"] is True
    assert seats.decide(demote="dogwood") == APPLIED
    assert seats.voters == ("alder", "birch", "cedar")
    assert [item["org"] for item in world.ask("network.observers", {})["observers"]] == [
        "dogwood"
    ]
    assert seats.decide(remove="dogwood") == APPLIED
    assert world.ask("network.observers", {})["observers"] == []
    assert world.ask("membership.standing", {"org": "dogwood"})["standing"] == "none"
    assert seats.propose("later", org="dogwood", expires_heights_max=500) == APPLIED


def test_eras_say_who_ordered_which_block(seats: Seats) -> None:
    world = seats.world
    assert seats.join("dogwood") == APPLIED
    joined = seats.era.from_height
    assert seats.decide(engine="pbft") == APPLIED
    switched = seats.era.from_height
    eras = world.ask("network.eras", {})["eras"]
    assert [(item["epoch"], item["engine"], len(item["voters"])) for item in eras] == [
        (0, "raft", 3), (1, "raft", 4), (2, "pbft", 4),
    ]  # fmt: skip
    assert [(item["from_height"], item["to_height"]) for item in eras] == [
        (1, joined - 1), (joined, switched - 1), (switched, None),
    ]  # fmt: skip
    for height in range(1, switched + 3):
        found = world.ask("network.era", {"at_height": height})["era"]
        expected = (height >= joined) + (height >= switched)
        assert found["epoch"] == expected
    assert world.ask("network.era", {})["era"]["engine"] == "pbft"
    assert world.ask("network.era", {"at_height": 0})["era"] is None
    assert world.ask("network.eras", {"start": 1, "limit": 1})["next"] == 2


def test_one_block_begins_one_era_whatever_it_holds(seats: Seats) -> None:
    world, before = seats.world, seats.era
    bodies = [rotation(world.network, org, "2") for org in ("alder", "birch")]
    bodies.append(rotation(world.network, "alder", "3"))
    signed = []
    for number, (org, body) in enumerate(zip(("alder", "birch", "alder"), bodies, strict=True)):
        op = Op("membership.rotate", wire.to_value(body))
        payload = Payload(world.network, org, 900, bytes([number] * 8), (op,))
        signed.append(transaction.parse(transaction.sign(payload, person(f"{org}/identity"))))
    leave = Op("membership.leave", wire.to_value(Nothing()))
    payload = Payload(world.network, "cedar", 900, bytes(8), (leave,))
    signed.append(transaction.parse(transaction.sign(payload, person("cedar/identity"))))
    assert world.block(signed) == [APPLIED] * 4
    era = seats.era
    assert (era.epoch, era.from_height) == (before.epoch + 1, world.height + 1)
    assert era.members == (
        Voter("alder", key("alder/vote3"), key("alder/head3")),
        Voter("birch", key("birch/vote2"), key("birch/head2")),
    )
    never = node_keys(world)[key("alder/vote2")]
    assert never.from_height == never.until_height, "a key that was replaced at once"


def test_a_rotated_key_is_never_anybodys_again(seats: Seats) -> None:
    assert seats.rotate("alder", "2") == APPLIED
    row = node_keys(seats.world)[key("alder/vote")]
    assert row == key_facts.NodeKey("alder", "consensus", 0, seats.era.from_height)
    stolen = dataclasses.replace(newcomer("dogwood"), consensus_key=key("alder/vote"))
    assert seats.decide(register=stolen) == "governance-key-taken"
    old = ReplaceKeys("birch", key("birch/identity2"), consensus_key=key("alder/head"))
    assert seats.decide(replace_keys=old, signers=("birch/identity2",)) == (
        "membership-key-taken"
    )
    add = Op("identity.key.add", [key("alder/vote")])
    signer = [person("alder/vote")]
    assert seats.world.act("alder", add, signer) == "identity-key-known"


def test_an_observer_rotates_without_a_new_era(seats: Seats) -> None:
    assert seats.join("dogwood", votes=False) == APPLIED
    before = seats.era
    assert seats.rotate("dogwood", "2") == APPLIED
    assert seats.era == before
    assert seats.decide(admit=Admit("dogwood")) == APPLIED
    assert seats.ready("dogwood") == APPLIED
    assert seats.era.members[-1] == Voter("dogwood", key("dogwood/vote2"), key("dogwood/head2"))


def test_a_suspended_voter_rotates_nothing(seats: Seats) -> None:
    assert seats.decide(suspend="cedar") == APPLIED
    assert seats.rotate("cedar", "2") == "unknown-signer"
    assert seats.leave("cedar") == "unknown-signer"
    assert seats.decide(admit=Admit("cedar")) == "governance-suspended"


def test_a_proof_binds_the_network_the_institution_and_the_task(seats: Seats) -> None:
    good = rotation(seats.world.network, "alder", "2")
    vote = person("alder/vote2")
    for network, org, role in (
        (bytes(32), "alder", "consensus"),
        (seats.world.network, "birch", "consensus"),
        (seats.world.network, "alder", "cosigner"),
    ):
        bad = dataclasses.replace(good, consensus_proof=proof(network, org, role, vote))
        assert seats.act("alder", bad) == "membership-key-unproven"
    assert seats.act("alder", good) == APPLIED


def test_lost_keys_are_replaced_by_the_members(seats: Seats) -> None:
    world = seats.world
    assert seats.decide(suspend="cedar") == APPLIED
    new = seats.replaced("cedar", "2", compromised_since_ms=world.time_ms - DAY_MS)
    assert seats.decide(replace_keys=new) == "membership-key-unproven"
    assert seats.decide(replace_keys=new, signers=("cedar/identity2",)) == APPLIED
    changed = world.height
    assert seats.era.members[-1] == Voter("cedar", key("cedar/vote2"), key("cedar/head2"))
    assert seats.decide(resume="cedar") == APPLIED
    assert seats.propose("old", org="cedar", expires_heights_max=400) == "unknown-signer"
    seats.identity["cedar"] = "cedar/identity2"
    assert seats.propose("new", org="cedar", expires_heights_max=400) == APPLIED
    old = key_facts.key_row(world.get, key("cedar/identity"))
    assert old is not None
    assert (old.status, old.until_height) == ("revoked", changed)
    assert old.compromised_since_ms == new.compromised_since_ms
    speak = world.ask("identity.key.of", {"org": "cedar"})["keys"]
    assert [item["key"] for item in speak] == [
        key("cedar/identity2").hex(),
        key("cedar/seal2").hex(),
    ]
    assert len(world.ask("identity.key.history", {"org": "cedar"})["keys"]) == 4


def test_a_key_lost_while_its_owner_acts_on(seats: Seats) -> None:
    before = seats.era
    only = ReplaceKeys("birch", key("birch/identity2"))
    assert seats.decide(replace_keys=only, signers=("birch/identity2",)) == APPLIED
    assert seats.era == before, "the keys that vote on blocks stay"
    ahead = ReplaceKeys("birch", key("birch/identity3"), compromised_since_ms=1 << 60)
    code = seats.decide(replace_keys=ahead, signers=("birch/identity3",), by="alder")
    assert code == "identity-key-future"


def test_a_feature_changes_a_rule_from_its_height_on(seats: Seats) -> None:
    for org in seats.voters:
        assert seats.act(org, Knows(FEATURES)) == APPLIED
    height = seats.world.height + 30
    assert seats.decide(feature=Feature(MORE, height)) == APPLIED
    assert not features.feature_active(seats.world.get, MORE, height - 1)
    assert features.feature_active(seats.world.get, MORE, height)
    for number in range(OPEN_OF_ONE_MAX):
        assert seats.propose(f"n{number}", expires_heights_max=1000 + number) == APPLIED
    assert seats.propose("nine", expires_heights_max=999) == "governance-proposals-full"
    assert seats.world.ask("network.features", {})["features"][0]["active"] is False
    while seats.world.height + 1 < height:
        seats.world.later(1)
    assert seats.propose("nine", expires_heights_max=999) == APPLIED
    shown = seats.world.ask("network.features", {})
    assert shown["features"][0]["active"] is True
    assert [item["features"] for item in shown["voters"]] == [[MORE]] * 3
    assert features.unsupported(seats.world.get, height) is None


def test_a_feature_is_in_force_at_the_earliest_after_its_decision() -> None:
    # Three quarters of three are three, and one of them is suspended.
    easy = Policy("features", 5_000, 0, 30 * DAY_MS, 30 * DAY_MS)
    seats = Seats("alder", "birch", "cedar", policies=(easy,))
    assert seats.decide(suspend="cedar") == APPLIED
    for org in ("alder", "birch"):
        assert seats.act(org, Knows(FEATURES)) == APPLIED
    assert seats.decide(feature=Feature(MORE)) == APPLIED, "a suspended voter says nothing"
    row = features.feature(seats.world.get, MORE)
    assert row is not None
    assert row.from_height == seats.world.height + 1


def test_a_node_says_once_what_its_software_knows(seats: Seats) -> None:
    read = seats.world.get
    assert features.to_declare(read, "alder", seats.voters) is None, "nobody needs it"
    assert seats.act("birch", Knows(FEATURES)) == APPLIED
    assert features.to_declare(read, "birch", seats.voters) is None
    assert features.to_declare(read, "alder", seats.voters) == FEATURES
    assert seats.act("alder", Knows(FEATURES)) == APPLIED
    assert features.to_declare(read, "alder", seats.voters) is None


def test_a_feature_that_waits_can_be_moved(seats: Seats) -> None:
    for org in seats.voters:
        seats.act(org, Knows(("from-the-future",)))
    far = seats.world.height + 1000
    assert seats.decide(feature=Feature("from-the-future", far)) == APPLIED
    assert seats.decide(feature=Feature("from-the-future", far)) == "membership-feature-set"
    assert seats.decide(feature=Feature("from-the-future", far + 1)) == APPLIED
    read = seats.world.get
    assert features.unsupported(read, far) is None
    assert features.unsupported(read, far + 1) == "from-the-future", "this node must stop"
    before = dict(seats.world.state)
    seats.world.height = far - 1
    assert seats.world.block([]) == []
    with pytest.raises(SoftwareTooOld, match="from-the-future") as stopped:
        seats.world.block([])
    assert stopped.value.code == "feature-unsupported"
    assert seats.world.state == before, "nothing was changed"
    assert list(FEATURES) == sorted(set(FEATURES))
    assert len(features.all_features(read)) == 1


def test_open_proposals_are_counted_again_when_voters_change() -> None:
    seats = Seats("alder", "birch", "cedar", "dogwood")
    for name in ("reached", "hopeless", "doubtful"):
        number = 200 + len(name)
        assert seats.propose(name, expires_heights_max=number) == APPLIED
    for org in ("alder", "birch"):
        assert seats.vote("reached", org) == APPLIED
        assert seats.vote("hopeless", org, yes=False) == APPLIED
    row = facts.proposal(seats.world.get, named("reached"))
    assert row is not None
    assert row.reached_ms is None, "three of four are needed"
    assert seats.vote("doubtful", "cedar", yes=False) == APPLIED
    shown = seats.world.ask("governance.proposals", {"open_only": False})["proposals"]
    assert [item["status"] for item in shown] == ["open", "rejected", "open"]
    assert seats.leave("dogwood") == APPLIED
    row = facts.proposal(seats.world.get, named("reached"))
    assert row is not None
    assert row.reached_ms == seats.world.time_ms, "two of three are"


def test_a_newcomer_brings_a_reached_proposal_back_to_voting() -> None:
    seats = Seats("alder", "birch", "cedar")
    assert seats.decide(register=newcomer("dogwood")) == APPLIED
    assert seats.decide(admit=Admit("dogwood")) == APPLIED
    assert seats.propose("p", expires_heights_max=200) == APPLIED
    assert seats.vote("p", "alder") == APPLIED
    assert seats.vote("p", "birch") == APPLIED
    assert seats.ready("dogwood") == APPLIED
    seats.world.later(2 * DAY_MS)
    assert seats.execute("p") == "governance-threshold-missing"
    assert seats.vote("p", "dogwood") == APPLIED, "a new voter votes on what is open"
    assert seats.execute("p") == "governance-waiting", "time runs from the vote that decided"
    seats.world.later(DAY_MS)
    assert seats.execute("p") == APPLIED


def test_after_the_time_for_votes_a_change_of_voters_undoes_nothing() -> None:
    seats = Seats("alder", "birch", "cedar")
    assert seats.decide(register=newcomer("dogwood")) == APPLIED
    assert seats.decide(admit=Admit("dogwood")) == APPLIED
    assert seats.propose("p", expires_heights_max=200) == APPLIED
    assert seats.vote("p", "alder") == APPLIED
    assert seats.vote("p", "birch") == APPLIED
    seats.world.later(15 * DAY_MS)
    assert seats.ready("dogwood") == APPLIED
    assert seats.execute("p") == "governance-threshold-missing", "three of four now"
    assert seats.vote("p", "dogwood") == "governance-vote-late"
    assert seats.leave("dogwood") == APPLIED
    assert seats.execute("p") == APPLIED, "two of three again, and it has waited"


def test_a_suspension_that_is_lifted_costs_no_second_waiting_time() -> None:
    seats = Seats("alder", "birch", "cedar")
    assert seats.propose("p", expires_heights_max=200) == APPLIED
    assert seats.vote("p", "alder") == APPLIED
    assert seats.vote("p", "birch") == APPLIED
    for name, action in (("stop", {"suspend": "birch"}), ("back", {"resume": "birch"})):
        assert seats.propose(name, **action) == APPLIED
        assert seats.vote(name, "alder") == APPLIED
        assert seats.vote(name, "cedar") == APPLIED
        seats.world.later(DAY_MS)
        assert seats.execute(name) == APPLIED
    assert seats.execute("p") == APPLIED


def test_the_vote_of_one_that_left_does_not_count() -> None:
    seats = Seats("alder", "birch", "cedar", "dogwood")
    assert seats.propose("p", expires_heights_max=200) == APPLIED
    for org in ("alder", "birch", "dogwood"):
        assert seats.vote("p", org) == APPLIED
    assert seats.leave("alder") == APPLIED
    assert seats.leave("birch") == APPLIED
    seats.world.later(2 * DAY_MS)
    assert seats.execute("p", "cedar") == "governance-threshold-missing"
    assert seats.vote("p", "alder") == "governance-not-voter"


@pytest.mark.parametrize("voters", range(1, 65))
def test_the_quorum_shown_is_the_one_that_orders(voters: int) -> None:
    raft, pbft = quorum_of("raft", voters), quorum_of("pbft", voters)
    assert raft.quorum == quorum.majority(voters)
    assert pbft.quorum == quorum.byzantine_quorum(voters)
    assert pbft.may_lie == quorum.byzantine_faults_max(voters)
    assert (raft.may_lie, raft.may_stop) == (0, voters - raft.quorum)
    assert pbft.warning == ("pbft-below-four" if voters < 4 else None)
    assert raft.warning == ("nobody-may-stop" if voters < 3 else None)


def test_the_quorum_before_and_after_a_proposal(seats: Seats) -> None:
    assert seats.decide(register=newcomer("dogwood")) == APPLIED
    cases: list[tuple[dict[str, Any], tuple[str, int, int]]] = [
        ({"admit": Admit("dogwood")}, ("raft", 4, 3)),
        ({"admit": Admit("dogwood", votes=False)}, ("raft", 3, 2)),
        ({"demote": "cedar"}, ("raft", 2, 2)),
        ({"remove": "cedar"}, ("raft", 2, 2)),
        ({"engine": "pbft"}, ("pbft", 3, 2)),
    ]
    for number, (action, expected) in enumerate(cases):
        assert seats.propose(f"p{number}", org=seats.voters[number % 3], **action) == APPLIED
        handle = named(f"p{number}").hex()
        shown = seats.world.ask("network.quorum", {"proposal": handle})
        before, after = shown["before"], shown["after"]
        assert (before["engine"], before["voters"], before["quorum"]) == ("raft", 3, 2)
        assert (after["engine"], after["voters"], after["quorum"]) == expected
    assert shown["after"]["warning"] == "pbft-below-four"
    assert seats.world.ask("network.quorum", {})["after"] is None
    assert seats.world.ask("network.quorum", {"proposal": "00"})["after"] is None


def test_an_unknown_institution_has_no_standing(seats: Seats) -> None:
    assert seats.world.ask("membership.standing", {"org": "nobody"})["known"] is False
    assert seats.world.ask("membership.standing", {"org": "alder"})["standing"] == "voter"


def test_founders_say_how_topics_are_decided() -> None:
    plain = founded(["alder:author", "birch:author"])
    quick = Policy("membership", 5_000, 0, DAY_MS, DAY_MS)
    quickly = dataclasses.replace(plain, policies=(quick,))
    assert Genesis.decode(quickly.encode()) == quickly
    assert Genesis.decode(plain.encode()) == plain
    assert plain.encode().startswith(b"\x96"), "without policies the bytes are as before"
    with pytest.raises(ValueError, match="ascending by topic"):
        dataclasses.replace(plain, policies=(quick, quick))
    world = Rules()
    world.found(quickly)
    assert facts.policy(world.get, "membership").wait_ms == 0
    assert facts.policy(world.get, "engine") == facts.DEFAULT_POLICIES["engine"]
    assert set(facts.DEFAULT_POLICIES) == set(TOPICS)


def test_a_proposal_of_the_first_version_keeps_its_bytes() -> None:
    old = wire.to_value(Propose(named("p"), suspend="alder"))
    assert len(old) == 9
    assert len(wire.to_value(Propose(named("p"), engine="pbft"))) == 13
    assert wire.from_value(Propose, old).suspend == "alder"
    with pytest.raises(Malformed, match="shortest"):
        wire.from_value(Propose, [*old, None])
    assert list(ACTIONS) == [
        item.name for item in dataclasses.fields(Propose) if item.name != "proposal"
    ]


BAD: list[Callable[[], object]] = [
    lambda: Admit("No Org"),
    lambda: Propose(named("p"), demote="No Org"),
    lambda: Propose(named("p"), engine="paxos"),
    lambda: Propose(named("p"), engine="raft", demote="alder"),
    lambda: Feature("No Name"),
    lambda: Feature("x" * 49),
    lambda: Feature("fine", 1 << 49),
    lambda: ReplaceKeys("alder", b"short"),
    lambda: ReplaceKeys("alder", bytes(32), bytes(32)),
    lambda: Ready(0, bytes(32)),
    lambda: Ready(1, b"short"),
    lambda: Rotate(bytes(32), bytes(32), bytes(64), bytes(64)),
    lambda: Rotate(bytes(32), b"1" * 32, bytes(63), bytes(64)),
    lambda: Knows(("b", "a")),
    lambda: Knows(tuple(f"a{number:03}" for number in range(257))),
    lambda: Policy("novel", 5_000, 0, DAY_MS, DAY_MS),
    lambda: Era(0, "paxos", 1, (Voter("a", bytes(32), bytes(32)),)),
    lambda: Era(0, "raft", 1, ()),
    lambda: Era(0, "raft", 0, (Voter("a", bytes(32), bytes(32)),)),
    lambda: Observers(("b", "a")),
    lambda: Observers(tuple(f"a{number:03}" for number in range(OBSERVERS_MAX + 1))),
]


@pytest.mark.parametrize("at", range(len(BAD)))
def test_bodies_out_of_bounds_are_refused(at: int) -> None:
    with pytest.raises(ValueError, match=r"."):
        BAD[at]()
