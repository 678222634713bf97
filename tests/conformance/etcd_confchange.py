"""Judge the etcd project's configuration-change scenarios with our membership arithmetic.

Three commands: ``simple`` and ``enter-joint`` take steps (``v1`` voter, ``l1`` learner, ``r1``
remove, ``u1`` update), ``leave-joint`` takes none.  Each prints the configuration and
everybody's progress, or why it was refused.  The log grows by one entry per command, so the
``next`` of a member tells when it was first met.
"""

from collections.abc import Iterable, Iterator

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
    simple,
)
from consensus.raft.progress import Progress, ProgressState
from consensus.raft.tracker import Tracker
from tests.conformance import datadriven
from tests.conformance.datadriven import Directive

COMMANDS = frozenset({"simple", "enter-joint", "leave-joint"})
KINDS = {"v": ADD_VOTER, "l": ADD_LEARNER, "r": REMOVE, "u": UPDATE}
TEXTS = {
    Reason.ALREADY_JOINT: "config is already joint",
    Reason.NOT_JOINT: "can't leave a non-joint config",
    Reason.NO_VOTERS_YET: "can't make a zero-voter config joint",
    Reason.SIMPLE_WHILE_JOINT: "can't apply simple config change in joint config",
    Reason.NO_VOTERS_LEFT: "removed all voters",
    Reason.SEVERAL_VOTERS: "more than one voter changed without entering joint config",
}
STATES = {
    ProgressState.PROBE: "StateProbe",
    ProgressState.REPLICATE: "StateReplicate",
    ProgressState.SNAPSHOT: "StateSnapshot",
}


def recognises(text: str) -> bool:
    return datadriven.recognises(text, COMMANDS)


def check(text: str) -> str | None:
    return datadriven.check(text, Scenario().answer)


def steps(text: str) -> tuple[Step, ...]:
    """Parse ``v1 l2 r3 u4``; node 0 means that the step was vetoed."""
    return tuple(Step(KINDS[word[0]], int(word[1:]) or None) for word in text.split())


def members_text(members: Members) -> str:
    """Write a configuration in one line."""
    voters = _ids(members.voters)
    if members.is_joint:
        voters += f"&&{_ids(members.voters_outgoing)}"
    parts = [f"voters={voters}"]
    if members.learners:
        parts.append(f"learners={_ids(members.learners)}")
    if members.learners_next:
        parts.append(f"learners_next={_ids(members.learners_next)}")
    if members.auto_leave:
        parts.append("autoleave")
    return " ".join(parts)


def progress_text(progress: Progress) -> str:
    """Write one member's progress in one line."""
    return " ".join(_progress_words(progress))


def _progress_words(progress: Progress) -> Iterator[str]:
    yield f"{STATES[progress.state]} match={progress.match} next={progress.next}"
    if progress.is_learner:
        yield "learner"
    if progress.is_paused:
        yield "paused"
    if progress.pending_snapshot:
        yield f"pendingSnap={progress.pending_snapshot}"
    if not progress.recent_active:
        yield "inactive"
    if len(progress.inflights):
        full = "[full]" if progress.inflights.is_full else ""
        yield f"inflight={len(progress.inflights)}{full}"


def tracker_text(tracker: Tracker) -> str:
    """Write everybody's progress, a line each, ascending by id."""
    return "".join(f"{node}: {progress_text(item)}\n" for node, item in tracker.visit())


class Scenario:
    """The state that one file's commands share."""

    def __init__(self) -> None:
        self.tracker = Tracker(inflight_messages_max=10)
        self.last_index = 0

    def answer(self, directive: Directive) -> str:
        """Run one command and return what it prints."""
        try:
            self.tracker.adopt(self._changed(directive), last_index=self.last_index)
            self.tracker.check_invariants()
        except ChangeRefused as refused:
            return f"{TEXTS[refused.reason]}\n"
        finally:
            self.last_index += 1
        return f"{members_text(self.tracker.members)}\n{tracker_text(self.tracker)}"

    def _changed(self, directive: Directive) -> Members:
        present, asked = self.tracker.members, steps(directive.input)
        if directive.command == "simple":
            return simple(present, asked)
        if directive.command == "enter-joint":
            auto_leave = directive.value("autoleave", "false") == "true"
            return enter_joint(present, asked, auto_leave=auto_leave)
        if asked:
            raise ValueError("leave-joint takes no steps")
        return leave_joint(present)


def _ids(ids: Iterable[object]) -> str:
    return f"({' '.join(map(str, ids))})"
