"""Configuration, progress and votes together: who counts, who is kept, who is met anew."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.quorum import VoteResult
from consensus.raft.membership import (
    ADD_LEARNER,
    ADD_VOTER,
    REMOVE,
    UPDATE,
    ChangeRefused,
    Members,
    Reason,
    Step,
    enter_joint,
    leave_joint,
)
from consensus.raft.progress import ProgressState
from consensus.raft.tracker import Tally, Tracker

JOINT = Members(
    voters=("a", "b", "c"),
    voters_outgoing=("c", "d", "e"),
    learners=("f",),
    learners_next=("d",),
)


def tracker(members: Members, **matches: int) -> Tracker:
    made = Tracker(inflight_messages_max=4)
    made.restore(members, last_index=10)
    for node, match in matches.items():
        made.progress[node].maybe_update(match)
    made.check_invariants()
    return made


def test_a_newcomer_is_probed_at_our_end_and_counts_as_alive_at_first():
    group = tracker(Members(voters=("a",)))
    group.adopt(Members(voters=("a", "b"), learners=("c",)), last_index=17)
    fresh = group.progress["b"]
    assert (fresh.match, fresh.next, fresh.recent_active) == (0, 17, True)
    assert group.progress["c"].is_learner
    assert group.progress["a"].next == 10
    assert group.ids == ("a", "b", "c")


def test_an_empty_log_is_probed_at_its_first_entry():
    group = Tracker(inflight_messages_max=1)
    group.restore(Members(voters=("a",)), last_index=0)
    assert group.progress["a"].next == 1


def test_who_leaves_is_forgotten_and_who_changes_role_is_not():
    group = tracker(Members(voters=("a", "b", "c")), b=7, c=8)
    group.adopt(Members(voters=("a",), learners=("b",)), last_index=20)
    assert group.ids == ("a", "b")
    assert (group.progress["b"].match, group.progress["b"].is_learner) == (7, True)
    group.adopt(Members(voters=("a", "b", "c")), last_index=20)
    assert (group.progress["b"].match, group.progress["b"].is_learner) == (7, False)
    assert group.progress["c"].match == 0


def test_a_term_begins_knowing_only_our_own_log():
    group = tracker(JOINT, a=3, b=4)
    group.record_vote("b", granted=True)
    group.progress["b"].become_replicate()
    group.reset(self_id="a", last_index=12)
    group.check_invariants()
    assert [(node, item.match, item.next) for node, item in group.visit()] == [
        ("a", 12, 13),
        *[(node, 0, 13) for node in "bcdef"],
    ]
    assert all(item.state is ProgressState.PROBE for _, item in group.visit())
    assert not any(item.recent_active for _, item in group.visit())
    assert group.progress["f"].is_learner
    assert group.tally() == Tally(0, 0, VoteResult.PENDING)


def test_both_halves_must_hold_an_entry_and_learners_never_help():
    assert tracker(JOINT, a=9, b=9, f=9).committed() == 0
    assert tracker(JOINT, a=9, b=9, d=5).committed() == 0
    assert tracker(JOINT, a=9, b=9, d=5, e=4).committed() == 4
    assert tracker(JOINT, a=9, c=8, e=7, f=99).committed() == 7


def test_a_quorum_is_active_when_both_halves_were_heard_of():
    group = tracker(JOINT)
    assert group.quorum_active()
    for item in group.progress.values():
        item.recent_active = False
    assert not group.quorum_active()
    for node in "abf":
        group.progress[node].recent_active = True
    assert not group.quorum_active()
    group.progress["c"].recent_active = group.progress["d"].recent_active = True
    assert group.quorum_active()


def test_the_first_vote_of_a_member_counts_and_votes_of_others_do_not():
    group = tracker(Members(voters=("a", "b", "c"), learners=("f",)))
    group.record_vote("a", granted=True)
    group.record_vote("a", granted=False)
    group.record_vote("f", granted=True)
    group.record_vote("x", granted=True)
    assert group.tally() == Tally(1, 0, VoteResult.PENDING)
    group.record_vote("b", granted=False)
    group.record_vote("c", granted=False)
    assert group.tally() == Tally(1, 2, VoteResult.LOST)
    group.reset_votes()
    assert group.tally() == Tally(0, 0, VoteResult.PENDING)


def test_the_lists_are_ascending_and_say_who_is_what():
    group = tracker(JOINT)
    assert group.voters == ("a", "b", "c", "d", "e")
    assert group.learners == ("f",)
    assert group.conf_state() == JOINT
    assert not group.is_singleton
    assert tracker(Members(voters=("a",), learners=("b",))).is_singleton
    assert not tracker(Members(voters=("a",), voters_outgoing=("b",))).is_singleton


def test_restoring_forgets_everything():
    group = tracker(Members(voters=("a", "b")), b=7)
    group.record_vote("b", granted=True)
    group.restore(Members(voters=("a", "b")), last_index=30)
    assert (group.progress["b"].match, group.progress["b"].next) == (0, 30)
    assert group.votes == {}


@pytest.mark.parametrize("spoil", ["role", "stranger", "order"])
def test_broken_invariants_are_noticed(spoil):
    group = tracker(JOINT)
    if spoil == "role":
        group.progress["a"].is_learner = True
    elif spoil == "stranger":
        del group.progress["a"]
    else:
        group.progress["a"] = group.progress.pop("a")
    with pytest.raises(AssertionError):
        group.check_invariants()


nodes = st.sampled_from("abcdef")
kinds = st.sampled_from([ADD_VOTER, ADD_LEARNER, REMOVE, UPDATE])


@given(st.sets(nodes, min_size=1), st.lists(st.builds(Step, kinds, nodes), max_size=6))
def test_a_joint_change_ends_where_its_steps_one_by_one_would(first, steps):
    start = Members(voters=tuple(sorted(first)))
    roles = dict.fromkeys(first, ADD_VOTER)
    for step in steps:
        if step.kind == REMOVE:
            roles.pop(step.node, None)
        elif step.kind != UPDATE:
            roles[step.node] = step.kind
    if ADD_VOTER not in roles.values():
        with pytest.raises(ChangeRefused) as caught:
            enter_joint(start, steps, auto_leave=True)
        assert caught.value.reason is Reason.NO_VOTERS_LEFT
        return
    reached = leave_joint(enter_joint(start, steps, auto_leave=True))
    assert set(reached.voters) == {node for node, role in roles.items() if role == ADD_VOTER}
    assert set(reached.learners) == {n for n, role in roles.items() if role == ADD_LEARNER}
