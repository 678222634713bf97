"""Quorum arithmetic: the numbers people know, then why they are safe, by brute force."""

from itertools import combinations

import pytest

from consensus.quorum import byzantine_faults_max, byzantine_quorum, majority, weak_quorum
from consensus.types import Committee, Member, NodeId


@pytest.mark.parametrize(
    ("members", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)]
)
def test_a_raft_quorum_is_more_than_half(members: int, needed: int) -> None:
    assert majority(members) == needed


@pytest.mark.parametrize(
    ("members", "faults", "quorum"),
    [
        (1, 0, 1),
        (2, 0, 2),
        (3, 0, 2),
        (4, 1, 3),
        (5, 1, 4),
        (6, 1, 4),
        (7, 2, 5),
        (8, 2, 6),
        (9, 2, 6),
        (10, 3, 7),
        (13, 4, 9),
    ],
)
def test_a_pbft_quorum_of(members: int, faults: int, quorum: int) -> None:
    assert byzantine_faults_max(members) == faults
    assert byzantine_quorum(members) == quorum
    assert weak_quorum(members) == faults + 1


@pytest.mark.parametrize("members", range(1, 10))
def test_two_raft_quorums_always_share_a_member(members: int) -> None:
    quorums = [set(chosen) for chosen in combinations(range(members), majority(members))]
    assert all(one & other for one in quorums for other in quorums)


@pytest.mark.parametrize("members", range(1, 10))
def test_one_vote_less_would_let_two_raft_quorums_miss_each_other(members: int) -> None:
    fewer = [set(chosen) for chosen in combinations(range(members), majority(members) - 1)]
    assert any(not one & other for one in fewer for other in fewer)


@pytest.mark.parametrize("members", range(1, 9))
def test_two_pbft_quorums_share_an_honest_member_whoever_lies(members: int) -> None:
    faults, quorum = byzantine_faults_max(members), byzantine_quorum(members)
    quorums = [set(chosen) for chosen in combinations(range(members), quorum)]
    for one in quorums:
        for other in quorums:
            # The liars may all sit in the overlap, so the overlap must be larger than they.
            assert len(one & other) > faults


@pytest.mark.parametrize("members", range(1, 60))
def test_a_pbft_quorum_is_reached_while_the_allowed_faults_are_silent(members: int) -> None:
    faults, quorum = byzantine_faults_max(members), byzantine_quorum(members)
    assert 3 * faults + 1 <= members
    assert quorum <= members - faults
    assert 2 * quorum - members > faults
    assert 2 * (quorum - 1) - members <= faults, "a smaller quorum would not be safe"


def test_the_textbook_quorum_would_split_six_members() -> None:
    textbook = 2 * byzantine_faults_max(6) + 1
    halves = {0, 1, 2}, {3, 4, 5}
    assert len(halves[0]) == len(halves[1]) == textbook
    assert byzantine_quorum(6) > textbook


def test_a_weak_quorum_always_holds_an_honest_member() -> None:
    for members in range(1, 60):
        assert weak_quorum(members) - byzantine_faults_max(members) == 1
        assert weak_quorum(members) <= byzantine_quorum(members)


def test_a_committee_counts_with_the_same_numbers() -> None:
    committee = Committee(1, tuple(Member(NodeId(f"m{i}"), bytes(32)) for i in range(6)))
    assert (committee.faults_max, committee.byzantine_quorum, committee.majority) == (1, 4, 4)
    assert committee.index("m4") == 4
    assert committee.index("m9") is None
    assert committee.key("m9") is None


@pytest.mark.parametrize("ids", [(), ("b", "a"), ("a", "a")])
def test_a_committee_is_neither_empty_nor_unsorted_nor_double(ids: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Committee(1, tuple(Member(NodeId(node), bytes(32)) for node in ids))
