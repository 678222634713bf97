"""Who votes, who only listens, and how that may change.

Owns the configuration of a Raft group and the arithmetic of changing it: one voter at a time
(``simple``), or any number through a joint configuration in which old and new majorities
must both agree (``enter_joint``, ``leave_joint``; thesis chapter 4).  Refuses every change
that could leave two disjoint quorums or no voter at all.  Knows nothing of logs: when a
change takes effect, and that only one is under way, is the engine's business.  Ids only need
to be hashable and ordered among themselves.

Invariant of every ``Members`` that exists: no member is voter and learner at once;
``learners_next`` are voters of the outgoing half that the incoming half no longer has; a
configuration that is not joint has neither ``learners_next`` nor ``auto_leave``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from consensus.types import NodeId

STEP_BYTES_MAX: Final = 72  # encoded: a small integer and a member id


class Reason(Enum):
    """Why a change was refused."""

    ALREADY_JOINT = "the configuration is joint already"
    NOT_JOINT = "the configuration is not joint, so there is nothing to leave"
    NO_VOTERS_YET = "a configuration without voters cannot become joint"
    SIMPLE_WHILE_JOINT = "a joint configuration must be left before the next change"
    NO_VOTERS_LEFT = "the change would remove every voter"
    SEVERAL_VOTERS = "more than one voter changes, which needs a joint configuration"
    INCONSISTENT = "the parts of the configuration contradict one another"


class ChangeRefused(ValueError):
    """A configuration change that must not happen; ``reason`` says which rule it breaks."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Members:
    """A configuration; every tuple ascends without repeats, so equal sets are equal values.

    ``voters_outgoing`` is empty unless the configuration is joint.  ``learners_next`` are
    voters that become learners when the joint configuration is left: until then their votes
    count, so they cannot be listed as learners.  ``auto_leave`` asks the leader to leave the
    joint configuration by itself as soon as entering it is applied.

    This is also the form that snapshots and the store carry.  Raises ``ChangeRefused`` when
    the parts contradict one another.
    """

    voters: tuple[NodeId, ...] = ()
    voters_outgoing: tuple[NodeId, ...] = ()
    learners: tuple[NodeId, ...] = ()
    learners_next: tuple[NodeId, ...] = ()
    auto_leave: bool = False

    def __post_init__(self) -> None:
        parts = (self.voters, self.voters_outgoing, self.learners, self.learners_next)
        ascending = all(part == _ascending(part) for part in parts)
        incoming, outgoing = set(self.voters), set(self.voters_outgoing)
        learners, waiting = set(self.learners), set(self.learners_next)
        only_when_joint = bool(waiting) or self.auto_leave
        if not (
            ascending
            and not learners & (incoming | outgoing)
            and waiting <= outgoing - incoming
            and (outgoing or not only_when_joint)
            and (incoming or not (outgoing or learners))
        ):
            raise ChangeRefused(Reason.INCONSISTENT)

    @property
    def is_joint(self) -> bool:
        return bool(self.voters_outgoing)

    @property
    def all_voters(self) -> tuple[NodeId, ...]:
        """Voters of either half, ascending."""
        return _ascending((*self.voters, *self.voters_outgoing))

    @property
    def everybody(self) -> tuple[NodeId, ...]:
        """Everybody who receives the log, ascending."""
        return _ascending((*self.voters, *self.voters_outgoing, *self.learners))


ADD_VOTER: Final = 1  # adds a member, or promotes a learner
ADD_LEARNER: Final = 2  # adds a learner, or demotes a voter
REMOVE: Final = 3
UPDATE: Final = 4  # concerns something outside the configuration: changes nothing here


@dataclass(frozen=True, slots=True)
class Step:
    """One member's part in a change; ``node`` None is a step that was vetoed: it does nothing.

    ``kind`` is ADD_VOTER, ADD_LEARNER, REMOVE or UPDATE.
    """

    kind: int
    node: NodeId | None

    def __post_init__(self) -> None:
        if self.kind not in (ADD_VOTER, ADD_LEARNER, REMOVE, UPDATE):
            raise ValueError("unknown kind of step")


AUTO: Final = 0  # the simple way for a single step, else like IMPLICIT
IMPLICIT: Final = 1  # through a joint configuration, left without being asked
EXPLICIT: Final = 2  # through a joint configuration, left when somebody asks


@dataclass(frozen=True, slots=True)
class Change:
    """A change of members as it stands in a log entry.

    ``transition`` is AUTO, IMPLICIT or EXPLICIT.  AUTO without steps means: leave the joint
    configuration.
    """

    transition: int = AUTO
    steps: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if self.transition not in (AUTO, IMPLICIT, EXPLICIT):
            raise ValueError("unknown transition")

    @property
    def leaves_joint(self) -> bool:
        return self.transition == AUTO and not self.steps

    @property
    def enters_joint(self) -> bool:
        # Some changes of several steps would also be safe in the simple way, but which
        # depends on the configuration they meet; joint is right for all of them.
        return self.transition != AUTO or len(self.steps) > 1

    @property
    def auto_leave(self) -> bool:
        return self.enters_joint and self.transition != EXPLICIT

    @property
    def size_bytes(self) -> int:
        """An upper bound of the encoded size; 0 for leaving, which no limit may refuse."""
        return 0 if self.leaves_joint else 8 + STEP_BYTES_MAX * len(self.steps)


def apply_change(config: Members, change: Change) -> Members:
    """Return the configuration after ``change``; raises ``ChangeRefused``."""
    if change.leaves_joint:
        return leave_joint(config)
    if change.enters_joint:
        return enter_joint(config, change.steps, auto_leave=change.auto_leave)
    return simple(config, change.steps)


def simple(config: Members, steps: Iterable[Step]) -> Members:
    """Change at most one voter (and any number of learners) in one step.

    Every majority of n voters meets every majority of n + 1 of which they are a part, so no
    joint configuration is needed.  Raises ``ChangeRefused``.
    """
    if config.is_joint:
        raise ChangeRefused(Reason.SIMPLE_WHILE_JOINT)
    result = _changed(config, steps)
    if len(set(config.voters) ^ set(result.voters)) > 1:
        raise ChangeRefused(Reason.SEVERAL_VOTERS)
    return result


def enter_joint(config: Members, steps: Iterable[Step], *, auto_leave: bool) -> Members:
    """Return the joint configuration: the changed voters, and the present ones beside them.

    Raises ``ChangeRefused``.
    """
    if config.is_joint:
        raise ChangeRefused(Reason.ALREADY_JOINT)
    if not config.voters:
        raise ChangeRefused(Reason.NO_VOTERS_YET)
    both = replace(config, voters_outgoing=config.voters)
    return replace(_changed(both, steps), auto_leave=auto_leave)


def leave_joint(config: Members) -> Members:
    """Return the incoming half alone; voters that were to become learners now are.

    Raises ``ChangeRefused``.
    """
    if not config.is_joint:
        raise ChangeRefused(Reason.NOT_JOINT)
    return Members(
        voters=config.voters,
        learners=_ascending((*config.learners, *config.learners_next)),
    )


def restore(state: Members) -> Members:
    """Accept a configuration from a snapshot or from disk: it must have voters.

    Raises ``ChangeRefused`` otherwise; what else can be wrong, a value of this type excludes.
    """
    if not state.voters:
        raise ChangeRefused(Reason.NO_VOTERS_LEFT)
    return state


class _Draft:
    """A configuration while steps are applied to its incoming half."""

    def __init__(self, config: Members) -> None:
        self.voters = set(config.voters)
        self.outgoing = frozenset(config.voters_outgoing)
        self.learners = set(config.learners)
        self.waiting = set(config.learners_next)

    def add_voter(self, node: NodeId) -> None:
        self.remove(node)
        self.voters.add(node)

    def add_learner(self, node: NodeId) -> None:
        self.remove(node)
        # Still a voter of the outgoing half: a learner only once that half is gone.
        (self.waiting if node in self.outgoing else self.learners).add(node)

    def remove(self, node: NodeId) -> None:
        for part in (self.voters, self.learners, self.waiting):
            part.discard(node)


def _changed(config: Members, steps: Iterable[Step]) -> Members:
    draft = _Draft(config)
    for step in steps:
        if step.node is None:
            continue
        if step.kind == ADD_VOTER:
            draft.add_voter(step.node)
        elif step.kind == ADD_LEARNER:
            draft.add_learner(step.node)
        elif step.kind == REMOVE:
            draft.remove(step.node)
    if not draft.voters:
        raise ChangeRefused(Reason.NO_VOTERS_LEFT)
    return Members(
        voters=_ascending(draft.voters),
        voters_outgoing=config.voters_outgoing,
        learners=_ascending(draft.learners),
        learners_next=_ascending(draft.waiting),
        auto_leave=config.auto_leave,
    )


def _ascending(ids: Iterable[NodeId]) -> tuple[NodeId, ...]:
    return tuple(sorted(set(ids)))
