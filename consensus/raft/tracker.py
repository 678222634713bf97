"""A configuration together with what the leader knows of each member, and votes for us.

Owns the progress of everybody who receives the log and counts: which index is committed,
whether a quorum was heard of lately, how an election stands.  Counting follows the joint
rule of ``consensus.quorum``; learners receive and never count.

Invariant: exactly the members of the configuration have a progress, in ascending order of
id, and ``is_learner`` there says what the configuration says.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from consensus.quorum import VoteResult, joint_committed_index, joint_vote_result
from consensus.raft.membership import Members
from consensus.raft.progress import Inflights, Progress
from consensus.types import NodeId


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes of present voters, granted and refused, and what they decide."""

    granted: int
    refused: int
    result: VoteResult


class Tracker:
    """Progress and votes of the members of one configuration at a time; empty at first.

    The two limits bound each follower's window in flight (see ``Inflights``).
    """

    def __init__(self, *, inflight_messages_max: int, inflight_bytes_max: int = 0) -> None:
        self._messages_max = inflight_messages_max
        self._bytes_max = inflight_bytes_max
        self.members = Members()
        self.progress: dict[NodeId, Progress] = {}
        self.votes: dict[NodeId, bool] = {}

    def restore(self, members: Members, *, last_index: int) -> None:
        """Start over with ``members``, from disk or a snapshot: nobody's log is known.

        ``last_index`` is where the own log ends: members are probed there.
        """
        self.progress = {}
        self.reset_votes()
        self.adopt(members, last_index=last_index)

    def adopt(self, members: Members, *, last_index: int) -> None:
        """Continue with ``members``: newcomers are met, those who left are forgotten.

        Who stays keeps its progress, also when its role changes.
        """
        known = self.progress
        self.progress = {
            node: known[node] if node in known else self._newcomer(last_index)
            for node in members.everybody
        }
        learners = set(members.learners)
        for node, progress in self.progress.items():
            progress.is_learner = node in learners
        self.members = members

    def _newcomer(self, last_index: int) -> Progress:
        # Counted as active at first: the quorum check must not depose a leader because of a
        # member that had no chance to answer yet.
        return Progress(next=max(last_index, 1), inflights=self._window(), recent_active=True)

    def _window(self) -> Inflights:
        return Inflights(self._messages_max, self._bytes_max)

    def reset(self, *, self_id: NodeId, last_index: int) -> None:
        """Begin a term: no vote is counted, and nothing known of any log but our own.

        Ours ends at ``last_index``; the others are probed behind it.
        """
        self.progress = {
            node: Progress(
                next=last_index + 1,
                match=last_index if node == self_id else 0,
                inflights=self._window(),
                is_learner=old.is_learner,
            )
            for node, old in self.progress.items()
        }
        self.reset_votes()

    def committed(self) -> int:
        """Return the highest index that the voters have acknowledged, joint rule included."""
        acked = {node: progress.match for node, progress in self.progress.items()}
        return joint_committed_index(self.members.voters, self.members.voters_outgoing, acked)

    def quorum_active(self) -> bool:
        """Return whether voters enough to decide were heard of since the flags were cleared."""
        active = {
            node: progress.recent_active
            for node, progress in self.progress.items()
            if not progress.is_learner
        }
        return self._result(active) is VoteResult.WON

    def reset_votes(self) -> None:
        self.votes = {}

    def record_vote(self, node: NodeId, *, granted: bool) -> None:
        """Note a vote; a member's first one counts, whatever it says later."""
        self.votes.setdefault(node, granted)

    def tally(self) -> Tally:
        """Count the votes of those who are voters now."""
        counted = [self.votes[node] for node in self.members.all_voters if node in self.votes]
        return Tally(counted.count(True), counted.count(False), self._result(self.votes))

    def _result(self, votes: dict[NodeId, bool]) -> VoteResult:
        return joint_vote_result(self.members.voters, self.members.voters_outgoing, votes)

    def visit(self) -> Iterator[tuple[NodeId, Progress]]:
        """Yield (id, progress) in ascending order of id; the set must not change meanwhile."""
        return iter(self.progress.items())

    def conf_state(self) -> Members:
        """Return the configuration as snapshots carry it."""
        return self.members

    @property
    def ids(self) -> tuple[NodeId, ...]:
        """Everybody who receives the log, ascending."""
        return tuple(self.progress)

    @property
    def voters(self) -> tuple[NodeId, ...]:
        return self.members.all_voters

    @property
    def learners(self) -> tuple[NodeId, ...]:
        return self.members.learners

    @property
    def is_singleton(self) -> bool:
        """Whether one member decides alone."""
        return len(self.members.voters) == 1 and not self.members.is_joint

    def check_invariants(self) -> None:
        """Raise AssertionError when an invariant is broken."""
        assert tuple(self.progress) == self.members.everybody, "progress of the wrong members"
        for node, progress in self.progress.items():
            assert progress.is_learner == (node in self.members.learners), "roles disagree"
            progress.check_invariants()
