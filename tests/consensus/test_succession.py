"""From era to era: other members, another engine, and everybody comes along."""

import itertools
from dataclasses import replace

import pytest

from consensus.observer import Observer
from consensus.pbft.engine import PbftEngine
from consensus.pbft.footing import footing as pbft_footing
from consensus.raft.engine import RaftEngine
from consensus.raft.footing import footing as raft_footing
from consensus.raft.founding import first_leader
from consensus.standing import Foreign, Standing
from consensus.succession import LedgerBehind
from consensus.succession_records import ERA_KEY
from consensus.types import Applied, Committee, Member, NodeId
from tests.consensus.eras import Institution, World, era
from tests.consensus.pbft.harness import NETWORK, key_of

POINTS = ("before-write", "after-write", "after-apply")


def keys_of(node: Institution) -> set[bytes]:
    return {key.split(b"/")[0] for key in node.disk.pairs if not key.startswith(b"guard/")}


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product(("raft", "pbft"), repeat=2))
)
def test_any_engine_follows_any_other_at_the_barrier(before: str, after: str) -> None:
    world = World("abcd", era(0, before, "abcd"), era(1, after, "abcd", after=3))
    world.reach(8, of="abcd")
    kind = RaftEngine if after == "raft" else PbftEngine
    for node in world.nodes.values():
        assert isinstance(node.succession.inner, kind)
        assert node.epoch == node.succession.era.committee.epoch == 1
    assert not world.punished


def test_a_learner_follows_votes_from_the_next_era_on_and_a_removed_member_stops() -> None:
    world = World(
        "abcd",
        era(0, "raft", "abc", observers="d"),
        era(1, "raft", "abcd", after=4),
        era(2, "raft", "bcd", after=8),
    )
    world.reach(4, of="abcd")
    world.reach(8, of="abcd")
    assert isinstance(world.nodes[NodeId("d")].succession.inner, RaftEngine)
    world.reach(12, of="bcd")
    removed = world.nodes[NodeId("a")]
    assert isinstance(removed.succession.inner, Observer)
    assert removed.succession.status().role == "observer"
    assert removed.epoch == 2


def test_an_observer_votes_on_nothing_and_is_not_needed() -> None:
    world = World("abcd", era(0, "pbft", "abc", observers="d"))
    world.reach(3, of="abcd")
    kinds = {type(m).__name__ for source, _, m in world.sent if source == "d"}
    assert kinds == {"Standing"}
    world.crash("d")
    world.reach(6, of="abc")
    world.start("d")
    world.reach(6, of="d")


def test_founders_alone_speak_as_they_always_did() -> None:
    world = World("abc", era(0, "raft", "abc"))
    world.reach(4, of="abc")
    assert not [message for _, _, message in world.sent if isinstance(message, Standing)]
    node = world.nodes[NodeId("a")]
    assert all(node.dialect.encode(m)[0] == 0x92 for _, _, m in world.sent)
    assert ERA_KEY not in node.disk.pairs


def test_the_barriers_proposer_leads_a_raft_era_first_and_without_an_election() -> None:
    world = World("abc", era(0, "raft", "abc"), era(1, "raft", "abc", after=3))
    world.reach(3, of="abc")
    leader = world.proposer(3)
    world.reach(6, of="abc")
    status = world.nodes[NodeId("b")].succession.status()
    assert (status.round, status.leader) == (1, leader)


@pytest.mark.parametrize(("proposer", "leader"), [("b", "b"), ("z", "a"), (None, "a")])
def test_who_leads_first_follows_from_the_chain_alone(
    proposer: str | None, leader: str
) -> None:
    assert first_leader(era(1, "raft", "abc", after=3), proposer) == leader


def test_a_dead_first_leader_is_replaced_by_election() -> None:
    world = World("abc", era(0, "raft", "abc"), era(1, "raft", "abc", after=3))
    world.reach(2, of="abc")
    leader = world.nodes[NodeId("a")].succession.status().leader
    assert leader is not None
    others = [node for node in world.ids if node != leader]
    world.cuts[leader, "after-apply"] = 0
    world.reach(3, of="".join(others))
    assert world.proposer(3) == leader
    world.reach(6, of="".join(others))
    assert world.nodes[others[0]].succession.status().round > 1
    world.start(leader)
    world.reach(8, of="abc")


@pytest.mark.parametrize("engines", list(itertools.product(("raft", "pbft"), repeat=2)))
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("skipped", range(4))
@pytest.mark.parametrize("who", "ad")
def test_a_crash_at_any_step_of_the_change_is_survived(
    engines: tuple[str, str], point: str, skipped: int, who: str
) -> None:
    before, after = engines
    world = World(
        "abcd",
        era(0, before, "abcd"),
        era(1, after, "abcd", after=2),
        era(2, before, "abd", after=4),
    )
    world.reach(1, of="abcd")
    world.cuts[who, point] = skipped
    world.height_goal = 2
    world.run(300)
    world.cuts.clear()
    world.start(who)
    world.reach(7, of="abd")
    node = world.nodes[NodeId(who)]
    assert node.epoch == 2
    assert keys_of(node) == {before.encode(), b"succession"}


def test_all_members_crash_between_the_ledgers_batch_and_their_own() -> None:
    world = World("abc", era(0, "raft", "abc"), era(1, "raft", "abc", after=2))
    world.reach(1, of="abc")
    for node in world.ids:
        world.cuts[node, "after-apply"] = 0
    world.height_goal = 2
    world.run(1000, lambda: not world.nodes)
    assert [world.disks[node].applied.height for node in world.ids] == [2, 2, 2]
    for node in world.ids:
        world.start(node)
    world.reach(5, of="abc")
    ended = world.nodes[NodeId("b")].succession._standing(0).ended
    assert ended is not None
    assert ended.base.height == 2


@pytest.mark.parametrize("engines", list(itertools.product(("raft", "pbft"), repeat=2)))
def test_a_member_that_slept_over_several_eras_comes_back(engines: tuple[str, str]) -> None:
    before, after = engines
    world = World(
        "abcde",
        era(0, before, "abcde"),
        era(1, after, "abcd", after=3, observers="e"),
        era(2, before, "abcde", after=6),
        era(3, after, "bcde", after=9),
    )
    world.reach(1, of="abcde")
    world.crash("e")
    world.reach(12, of="bcd")
    world.start("e")
    world.reach(14, of="bcde")
    assert not world.punished


def test_members_left_behind_finish_the_old_era_when_those_ahead_are_gone() -> None:
    world = World("abc", era(0, "raft", "abc"), era(1, "raft", "abc", after=3))
    world.reach(2, of="abc")
    leader = world.nodes[NodeId("a")].succession.status().leader
    assert leader is not None
    others = "".join(node for node in world.ids if node != leader)
    world.slow_ledgers = {*others}
    # Nobody who stays hears that the barrier is final, or that the era is over.
    world.drop = lambda source, _target, message: (
        source == leader
        and (isinstance(message, Standing) or world.disks[leader].applied.height == 3)
    )
    world.reach(3, of=leader)
    world.crash(leader)
    world.drop = lambda *_: False
    world.slow_ledgers = set()
    world.reach(3, of=others)
    world.reach(6, of=others)
    world.start(leader)
    world.reach(8, of="abc")


def test_a_hint_makes_a_laggard_of_raft_fetch_and_leaves_it_its_vote() -> None:
    world = World("abc", era(0, "raft", "abc"), era(1, "pbft", "abc", after=3))
    world.reach(2, of="abc")
    leader = world.nodes[NodeId("a")].succession.status().leader
    lagging = NodeId(next(node for node in world.ids if node != leader))
    world.drop = lambda source, target, _message: lagging in (source, target)
    others = "".join(node for node in world.ids if node != lagging)
    world.reach(5, of=others)
    node = world.nodes[lagging]
    assert (node.epoch, node.height) == (0, 2)
    world.drop = lambda source, _target, message: (
        source != lagging and not isinstance(message, Standing)
    )
    assert world.run(
        500,
        lambda: (
            isinstance(node.succession.inner, RaftEngine)
            and (node.succession.inner._core.target is not None)
        ),
    )
    assert node.succession.inner._core.may_vote
    world.drop = lambda *_: False
    world.reach(7, of="abc")


def test_what_another_era_says_is_answered_once_per_pause_and_punished_never() -> None:
    world = World("abc", era(0, "pbft", "abc"), era(1, "pbft", "abc", after=2))
    world.reach(4, of="abc")
    world.sent.clear()
    node = world.nodes[NodeId("a")]
    for _ in range(50):
        node.succession.step(NodeId("b"), Foreign(0))
        node.succession.step(NodeId("b"), Foreign(9))
        node.succession.step(NodeId("b"), Standing(0, 1))
    node.pump()
    told = [message for source, target, message in world.sent if isinstance(message, Standing)]
    assert told == [Standing(1, 4)]


def test_reads_that_the_old_era_did_not_answer_are_answered_with_nothing() -> None:
    world = World("abc", era(0, "pbft", "abc"), era(1, "pbft", "abc", after=2))
    world.reach(1, of="abc")
    node = world.nodes[NodeId("a")]
    world.drop = lambda _source, _target, message: "Read" in type(message).__name__
    assert node.succession.read(77)
    world.reach(4, of="abc")
    assert [(answer.token, answer.height) for answer in node.reads] == [(77, None)]


@pytest.mark.parametrize(("ends", "answer"), [(True, None), (False, 3)])
@pytest.mark.parametrize("engine", ["raft", "pbft"])
def test_a_read_at_a_barrier_waits_for_the_ledger_to_say_whether_the_era_ended(
    engine: str, ends: bool, answer: int | None
) -> None:
    """The next era may have acknowledged more, which the old one cannot know."""
    world = World("abc", era(0, engine, "abc"), *[era(1, engine, "abc", after=3)] * ends)
    world.observing = {} if ends else {3: era(0, engine, "abc", observers="a")}
    world.reach(2, of="abc")
    leader = world.nodes[NodeId("a")].succession.status().leader
    assert leader is not None
    node = world.nodes[leader]
    world.slow_ledgers = {*world.ids}
    world.height_goal = 3
    assert world.run(500, lambda: all(each.waiting for each in world.nodes.values()))
    assert node.succession.read(77)
    world.run(30)
    assert node.reads == []
    world.slow_ledgers = set()
    world.reach(3, of="abc")
    world.run(5)
    assert [(each.token, each.height) for each in node.reads] == [(77, answer)]


def test_records_of_an_era_that_the_ledger_does_not_know_stop_the_start() -> None:
    world = World("abc", era(0, "pbft", "abc"), era(1, "pbft", "abc", after=2))
    world.reach(4, of="abc")
    world.crash("a")
    world.disks[NodeId("a")].chain = world.disks[NodeId("a")].chain[:1]
    with pytest.raises(LedgerBehind):
        world.start("a")


@pytest.mark.parametrize("engine", ["raft", "pbft"])
def test_a_member_without_its_key_observes_until_an_era_names_a_new_one(engine: str) -> None:
    renewed = era(1, engine, "abcd", after=5)
    others = renewed.committee.members[1:]
    committee = Committee(1, (Member(NodeId("a"), key_of("a anew")), *others))
    world = World("abcd", era(0, engine, "abcd"), replace(renewed, committee=committee))
    world.lost_keys = {key_of("a")}
    world.start("a")
    world.sent.clear()
    world.reach(4, of="abcd")
    assert {type(m).__name__ for source, _, m in world.sent if source == "a"} <= {"Standing"}
    assert world.nodes[NodeId("a")].succession.status().role == "observer"
    world.reach(8, of="abcd")
    assert not isinstance(world.nodes[NodeId("a")].succession.inner, Observer)
    world.crash("d")
    world.reach(10, of="abc")
    assert not world.punished


@pytest.mark.parametrize("engine", ["raft", "pbft"])
def test_a_ledger_that_jumps_ahead_within_its_era_keeps_its_member_a_voter(engine: str) -> None:
    world = World("abcd", era(0, engine, "abcd"))
    world.reach(3, of="abcd")
    world.crash("d")
    world.reach(9, of="abc")
    behind, ahead = world.disks[NodeId("d")], world.disks[NodeId("a")]
    behind.chain, behind.positions = ahead.chain[:8], ahead.positions[:8]
    certificate = behind.chain[-1][1]
    pairs = sorted(behind.pairs.items())
    if engine == "raft":
        behind.write(raft_footing(pairs, behind.applied, certificate))
    else:
        start = Applied(0, NETWORK, 0)
        behind.write(pbft_footing(0, start, behind.applied, certificate))
    world.start("d")
    world.reach(10, of="abcd")
    world.crash("b")
    world.reach(13, of="acd")


def test_other_observers_begin_no_era() -> None:
    world = World("abcd", era(0, "raft", "abc"))
    world.observing = {2: era(0, "raft", "abc", observers="d")}
    world.reach(4, of="abc")
    world.reach(4, of="d")
    node = world.nodes[NodeId("a")]
    assert node.succession.era.observers == ("d",)
    assert node.epoch == 0
