"""Quorum arithmetic: the only place where vote counts are computed.

Crash faults (Raft): two majorities of n share a member.  Byzantine faults (PBFT): two quorums
must share an *honest* member, that is 2q - n > f, and a quorum must be reachable with f
members silent, that is q <= n - f.  With f = (n - 1) // 3 both hold for
q = (n + f) // 2 + 1; the textbook 2f + 1 does only for n = 3f + 1 (with n = 6, two quorums
of 3 can be disjoint).

While voters change, a Raft decision needs a majority of the old set *and* a majority of the
new one (joint consensus, thesis section 4.3), never a majority of their union.  An empty half
decides nothing and so never blocks the other: it has committed everything and won every vote.
"""

from collections.abc import Collection, Hashable, Mapping
from enum import Enum
from typing import Final, TypeVar

_Id = TypeVar("_Id", bound=Hashable)

COMMITTED_ALL: Final = (1 << 64) - 1


class VoteResult(Enum):
    """What the votes heard so far say about an election."""

    PENDING = "pending"
    LOST = "lost"
    WON = "won"


def majority(members: int) -> int:
    """Votes that make a Raft quorum among ``members``."""
    return members // 2 + 1


def byzantine_faults_max(members: int) -> int:
    """How many of ``members`` may lie without breaking agreement."""
    return (members - 1) // 3


def byzantine_quorum(members: int) -> int:
    """Votes that make a PBFT quorum among ``members``."""
    return (members + byzantine_faults_max(members)) // 2 + 1


def weak_quorum(members: int) -> int:
    """Votes of which at least one is honest: f + 1."""
    return byzantine_faults_max(members) + 1


def committed_index(voters: Collection[_Id], acked: Mapping[_Id, int | None]) -> int:
    """Return the highest index that a majority of ``voters`` has acknowledged.

    A voter without an entry, or with None, has acknowledged nothing yet.  Ids in ``acked``
    that do not vote are ignored.  No voters: ``COMMITTED_ALL``.
    """
    if not voters:
        return COMMITTED_ALL
    indexes = sorted((acked.get(voter) or 0 for voter in voters), reverse=True)
    return indexes[majority(len(voters)) - 1]


def joint_committed_index(
    incoming: Collection[_Id], outgoing: Collection[_Id], acked: Mapping[_Id, int | None]
) -> int:
    """Return the highest index that majorities of both halves have acknowledged."""
    return min(committed_index(incoming, acked), committed_index(outgoing, acked))


def vote_result(voters: Collection[_Id], votes: Mapping[_Id, bool]) -> VoteResult:
    """Judge an election: ``votes`` holds True for granted, False for refused.

    Lost means that the members not heard from could not turn it any more.
    """
    if not voters:
        return VoteResult.WON
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    needed = majority(len(voters))
    if granted >= needed:
        return VoteResult.WON
    if len(voters) - refused < needed:
        return VoteResult.LOST
    return VoteResult.PENDING


def joint_vote_result(
    incoming: Collection[_Id], outgoing: Collection[_Id], votes: Mapping[_Id, bool]
) -> VoteResult:
    """Judge an election in which both halves must grant: one lost half loses it."""
    results = {vote_result(incoming, votes), vote_result(outgoing, votes)}
    for decided in (VoteResult.LOST, VoteResult.PENDING):
        if decided in results:
            return decided
    return VoteResult.WON
