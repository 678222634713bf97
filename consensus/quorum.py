"""Quorum arithmetic: the only place where vote counts are computed.

Crash faults (Raft): two majorities of n share a member.  Byzantine faults (PBFT): two quorums
must share an *honest* member, that is 2q - n > f, and a quorum must be reachable with f
members silent, that is q <= n - f.  With f = (n - 1) // 3 both hold for
q = (n + f) // 2 + 1; the textbook 2f + 1 does only for n = 3f + 1 (with n = 6, two quorums
of 3 can be disjoint).
"""


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
