"""Changing who votes: the examples people argue about, then overlap of quorums by force."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus import wire
from consensus.quorum import VoteResult, joint_vote_result
from consensus.raft.membership import (
    ADD_LEARNER,
    ADD_VOTER,
    AUTO,
    EXPLICIT,
    IMPLICIT,
    REMOVE,
    UPDATE,
    Change,
    ChangeRefused,
    Members,
    Reason,
    Step,
    apply_change,
    enter_joint,
    leave_joint,
    simple,
)
from consensus.raft.tracker import Tracker
from consensus.types import NodeId

NAMES = [NodeId(name) for name in "abcde"]


def ids(text: str) -> tuple[NodeId, ...]:
    return tuple(NodeId(name) for name in text)


def steps(text: str) -> tuple[Step, ...]:
    kinds = {"+": ADD_VOTER, "~": ADD_LEARNER, "-": REMOVE, "=": UPDATE}
    return tuple(Step(kinds[word[0]], NodeId(word[1:])) for word in text.split())


def test_one_voter_at_a_time_needs_no_joint_configuration() -> None:
    before = Members(voters=ids("abc"))
    assert simple(before, steps("+d")) == Members(voters=ids("abcd"))
    assert simple(before, steps("-a")) == Members(voters=ids("bc"))
    assert simple(before, steps("~d ~e")) == Members(voters=ids("abc"), learners=ids("de"))
    with pytest.raises(ChangeRefused, match="more than one voter"):
        simple(before, steps("+d -a"))


def test_a_learner_is_promoted_and_a_voter_demoted() -> None:
    before = Members(voters=ids("abc"), learners=ids("d"))
    assert simple(before, steps("+d")) == Members(voters=ids("abcd"))
    assert simple(before, steps("~a")) == Members(voters=ids("bc"), learners=ids("ad"))


def test_a_voter_that_is_demoted_in_a_joint_configuration_votes_until_it_is_left() -> None:
    joint = enter_joint(Members(voters=ids("abc")), steps("~a +d"), auto_leave=True)
    assert (joint.voters, joint.voters_outgoing) == (ids("bcd"), ids("abc"))
    assert (joint.learners, joint.learners_next) == ((), ids("a"))
    assert joint.all_voters == ids("abcd")
    assert leave_joint(joint) == Members(voters=ids("bcd"), learners=ids("a"))


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (lambda m: simple(m, steps("-a -b -c")), Reason.NO_VOTERS_LEFT),
        (lambda m: leave_joint(m), Reason.NOT_JOINT),
        (lambda m: enter_joint(Members(), steps("+a"), auto_leave=False), Reason.NO_VOTERS_YET),
    ],
)
def test_what_would_leave_nobody_or_nothing_is_refused(act: object, reason: Reason) -> None:
    with pytest.raises(ChangeRefused) as refused:
        act(Members(voters=ids("abc")))  # type: ignore[operator]
    assert refused.value.reason is reason


def test_a_joint_configuration_is_left_before_the_next_change() -> None:
    joint = enter_joint(Members(voters=ids("abc")), steps("+d"), auto_leave=False)
    for text in ("+e", "-a"):
        with pytest.raises(ChangeRefused, match="left before"):
            simple(joint, steps(text))
    with pytest.raises(ChangeRefused, match="joint already"):
        enter_joint(joint, steps("+e"), auto_leave=False)


@pytest.mark.parametrize(
    ("transition", "text", "joint", "leaves"),
    [
        (AUTO, "+d", False, False),
        (AUTO, "+d +e", True, True),
        (IMPLICIT, "+d", True, True),
        (EXPLICIT, "+d", True, False),
    ],
)
def test_how_a_change_travels(transition: int, text: str, joint: bool, leaves: bool) -> None:
    after = apply_change(Members(voters=ids("abc")), Change(transition, steps(text)))
    assert (after.is_joint, after.auto_leave) == (joint, leaves)


def test_a_vetoed_step_does_nothing() -> None:
    before = Members(voters=ids("abc"))
    assert apply_change(before, Change(AUTO, (Step(ADD_VOTER, None),))) == before
    assert simple(before, steps("=a")) == before


@pytest.mark.parametrize(
    "parts",
    [
        {"voters": ids("ba")},
        {"voters": ids("aa")},
        {"voters": ids("ab"), "learners": ids("a")},
        {"voters": ids("ab"), "learners_next": ids("c")},
        {"voters": ids("ab"), "auto_leave": True},
        {"learners": ids("a")},
    ],
)
def test_parts_that_contradict_one_another_are_no_configuration(
    parts: dict[str, object],
) -> None:
    with pytest.raises(ChangeRefused, match="contradict"):
        Members(**parts)  # type: ignore[arg-type]


def test_a_configuration_and_a_change_come_back_from_their_bytes() -> None:
    joint = enter_joint(Members(voters=ids("abc")), steps("~a +d"), auto_leave=True)
    change = Change(EXPLICIT, (*steps("+a -b"), Step(REMOVE, None)))
    assert wire.decode(Members, wire.encode(joint), size_max=1 << 10) == joint
    assert wire.decode(Change, wire.encode(change), size_max=1 << 10) == change
    assert len(wire.encode(change)) <= change.size_bytes + 8


step_lists = st.lists(
    st.builds(Step, st.sampled_from([ADD_VOTER, ADD_LEARNER, REMOVE]), st.sampled_from(NAMES)),
    max_size=3,
)
changes = st.builds(Change, st.sampled_from([AUTO, IMPLICIT, EXPLICIT]), step_lists.map(tuple))


def wins(members: Members, for_it: tuple[NodeId, ...]) -> bool:
    votes = {node: node in for_it for node in NAMES}
    result = joint_vote_result(members.voters, members.voters_outgoing, votes)
    return result is VoteResult.WON


@given(st.lists(changes, max_size=8))
def test_no_two_configurations_in_a_row_have_disjoint_quorums(story: list[Change]) -> None:
    members = Members(voters=ids("abc"))
    parties = [party for size in range(6) for party in combinations(NAMES, size)]
    for change in story:
        try:
            after = apply_change(members, change)
        except ChangeRefused:
            continue
        for party in parties:
            others = tuple(node for node in NAMES if node not in party)
            assert not (wins(members, party) and wins(after, others))
        members = after


@given(st.lists(changes, max_size=8))
def test_a_tracker_follows_whoever_belongs_and_keeps_who_stays(story: list[Change]) -> None:
    tracker = Tracker(inflight_messages_max=4)
    members = Members(voters=ids("abc"))
    tracker.restore(members, last_index=9)
    tracker.progress[NAMES[0]].match = 5
    for change in story:
        try:
            members = apply_change(members, change)
        except ChangeRefused:
            continue
        stayed = {node: tracker.progress.get(node) for node in members.everybody}
        tracker.adopt(members, last_index=9)
        tracker.check_invariants()
        for node, progress in stayed.items():
            assert progress is None or tracker.progress[node] is progress


def test_only_voters_of_both_halves_decide() -> None:
    tracker = Tracker(inflight_messages_max=4)
    joint = enter_joint(Members(voters=ids("abc")), steps("-b -c +d +e"), auto_leave=False)
    tracker.restore(joint, last_index=9)
    for name, match in zip("abcde", (9, 3, 4, 9, 9), strict=True):
        tracker.progress[NodeId(name)].match = match
    assert tracker.committed() == 4
    for name in "ade":
        tracker.record_vote(NodeId(name), granted=True)
    assert tracker.tally().result is VoteResult.PENDING
    tracker.record_vote(NodeId("b"), granted=False)
    tracker.record_vote(NodeId("b"), granted=True)  # the first vote counts
    assert tracker.tally().refused == 1
    tracker.record_vote(NodeId("c"), granted=False)
    assert tracker.tally().result is VoteResult.LOST
