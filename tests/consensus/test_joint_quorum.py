"""Quorums while voters change: the rules of the empty half, then agreement with brute force."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consensus.quorum import (
    COMMITTED_ALL,
    VoteResult,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    majority,
    vote_result,
)

NODES = range(1, 8)
voters = st.frozensets(st.sampled_from(NODES), max_size=6)
some_voters = st.frozensets(st.sampled_from(NODES), min_size=1, max_size=6)
acks = st.dictionaries(st.sampled_from(NODES), st.none() | st.integers(0, 9))
ballots = st.dictionaries(st.sampled_from(NODES), st.booleans())


def is_quorum(members: set[int], incoming: frozenset[int], outgoing: frozenset[int]) -> bool:
    return all(
        len(members & half) >= majority(len(half)) for half in (incoming, outgoing) if half
    )


def reaches(index: int, acked: dict[int, int | None]) -> set[int]:
    return {node for node, at in acked.items() if at is not None and at >= index}


@given(some_voters, voters, acks)
def test_committed_is_the_highest_index_that_a_quorum_reached(incoming, outgoing, acked):
    index = joint_committed_index(incoming, outgoing, acked)
    assert index == 0 or is_quorum(reaches(index, acked), incoming, outgoing)
    assert not is_quorum(reaches(index + 1, acked), incoming, outgoing)


@given(some_voters, voters, ballots)
def test_an_election_is_decided_when_nobody_left_can_change_it(incoming, outgoing, votes):
    result = joint_vote_result(incoming, outgoing, votes)
    silent = sorted((incoming | outgoing) - set(votes))
    endings = {
        is_quorum(
            {node for node in incoming | outgoing if votes.get(node, node in late)},
            incoming,
            outgoing,
        )
        for size in range(len(silent) + 1)
        for late in map(set, combinations(silent, size))
    }
    wanted = VoteResult.PENDING
    if len(endings) == 1:
        wanted = VoteResult.WON if endings == {True} else VoteResult.LOST
    assert result is wanted


@given(voters, voters, acks, ballots)
def test_the_halves_of_a_joint_quorum_are_equals(one, other, acked, votes):
    assert joint_committed_index(one, other, acked) == joint_committed_index(other, one, acked)
    assert joint_vote_result(one, other, votes) is joint_vote_result(other, one, votes)


@given(voters, acks, ballots)
def test_an_empty_half_never_blocks(half, acked, votes):
    assert joint_committed_index(half, (), acked) == committed_index(half, acked)
    assert joint_vote_result(half, (), votes) is vote_result(half, votes)


def test_nobody_has_committed_everything_and_granted_every_vote():
    assert committed_index((), {1: 5}) == COMMITTED_ALL
    assert vote_result((), {1: False}) is VoteResult.WON


@pytest.mark.parametrize(
    ("acked", "index"),
    [
        ({}, 0),
        ({1: 9, 2: 9, 3: 9, 4: 1}, 1),  # a majority of the union is none of the halves
        ({1: 9, 2: 9, 3: 9, 4: 9}, 9),
        ({1: 9, 2: 9, 3: 9, 4: None}, 0),
        ({1: 5, 2: 6, 3: 7, 4: 8}, 5),
        ({9: 99, 1: 5, 2: 5, 3: 5, 4: 5}, 5),  # 9 does not vote
    ],
)
def test_both_halves_count_alone(acked, index):
    assert joint_committed_index((1, 2), (3, 4), acked) == index


def test_one_lost_half_loses_the_election_even_while_the_other_is_open():
    assert joint_vote_result((1, 2), (3,), {3: False}) is VoteResult.LOST
    assert joint_vote_result((1, 2), (3,), {3: True}) is VoteResult.PENDING
    assert joint_vote_result((1, 2), (3,), {1: True, 2: True}) is VoteResult.PENDING
    assert joint_vote_result((1, 2), (3,), {1: True, 2: True, 3: True}) is VoteResult.WON
