"""Raft with crash faults: one leader, a replicated log, majorities of members that change.

Pure like every engine: no clock, disk, network or randomness of its own.  The arithmetic
stands apart from the protocol so that each can be tested alone: ``membership`` (who votes,
and how that may change), ``progress`` (what the leader knows of one follower) and ``tracker``
(both together, and what follows for commits and elections).

Source: Ongaro, "Consensus: bridging theory and practice" (2014), and the behaviour that the
etcd project's data-driven test files record.
"""
