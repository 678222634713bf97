"""Write our Raft core's messages, entries and turns the way etcd's scenario files print them.

A ``Line`` is a message in the shape that the files know: one flat form for every kind, with
the local append and apply threads as parties.  ``origin`` is what our core meant by it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from consensus.raft.core import Role
from consensus.raft.log import Base, Entry, Restore
from consensus.raft.membership import ADD_LEARNER, ADD_VOTER, REMOVE, UPDATE, Change, Members
from consensus.raft.messages import (
    Append,
    AppendResponse,
    Heartbeat,
    HeartbeatResponse,
    PreVoteRequest,
    PreVoteResponse,
    ProposeRequest,
    ReadRequest,
    ReadResponse,
    Snapshot,
    TimeoutNow,
    TransferRequest,
    VoteRequest,
    VoteResponse,
)
from consensus.raft.turn import CoreTurn

APPEND_THREAD = "AppendThread"
APPLY_THREAD = "ApplyThread"
STEPS = {"v": ADD_VOTER, "l": ADD_LEARNER, "r": REMOVE, "u": UPDATE}
LETTERS = {kind: letter for letter, kind in STEPS.items()}
KINDS = {
    Append: "MsgApp",
    AppendResponse: "MsgAppResp",
    Heartbeat: "MsgHeartbeat",
    HeartbeatResponse: "MsgHeartbeatResp",
    PreVoteRequest: "MsgPreVote",
    PreVoteResponse: "MsgPreVoteResp",
    VoteRequest: "MsgVote",
    VoteResponse: "MsgVoteResp",
    Snapshot: "MsgSnap",
    TimeoutNow: "MsgTimeoutNow",
    TransferRequest: "MsgTransferLeader",
    ProposeRequest: "MsgProp",
    ReadRequest: "MsgReadIndex",
    ReadResponse: "MsgReadIndexResp",
}
STATES = {
    Role.FOLLOWER: "StateFollower",
    Role.PRE_CANDIDATE: "StatePreCandidate",
    Role.CANDIDATE: "StateCandidate",
    Role.LEADER: "StateLeader",
}


@dataclass(frozen=True, slots=True)
class SingleChange(Change):
    """A change proposed in the older form, which allows one step and prints its own name."""


@dataclass(frozen=True, slots=True)
class Line:
    sender: Any
    to: Any
    kind: str
    origin: Any
    term: int = 0
    log_term: int = 0
    index: int = 0
    hint: int | None = None  # of a refusal
    commit: int = 0
    vote: int = 0
    entries: tuple[str, ...] = ()
    restore: Restore | None = None
    responses: tuple["Line", ...] = ()

    @property
    def is_local(self) -> bool:
        threads = (APPEND_THREAD, APPLY_THREAD)
        return self.sender == self.to or self.sender in threads or self.to in threads


def line_of(to: int, message: Any) -> Line:
    """Return ``message`` of our core as a line to member ``to``."""
    known = {"sender": message.sender, "to": to, "kind": KINDS[type(message)]}
    return Line(**known | {"term": message.term, "origin": message} | _fields(message))


def _fields(message: Any) -> dict[str, Any]:
    match message:
        case Append():
            place = {"log_term": message.prev_term, "index": message.prev_index}
            return place | {"commit": message.commit, "entries": texts(message.entries)}
        case AppendResponse(success=True) | ReadResponse():
            return {"index": message.index}
        case AppendResponse():
            hint = {"log_term": message.hint_term, "hint": message.hint_index}
            return hint | {"index": message.index}
        case PreVoteRequest() | VoteRequest():
            return {"log_term": message.last_term, "index": message.last_index}
        case PreVoteResponse(granted=False) | VoteResponse(granted=False):
            return {"hint": 0}
        case Heartbeat():
            return {"commit": message.commit}
        case Snapshot():
            return {"restore": restore_of(message)}
        case TransferRequest():
            return {"sender": message.transferee}
        case ProposeRequest():
            return {"entries": (f"0/0 {content_text(message.proposal, message.change)}",)}
    return {}


def restore_of(message: Snapshot) -> Restore:
    base = Base(message.index, message.log_term, message.height, message.digest)
    return Restore(base, message.members)


def line_text(line: Line, indent: str = "") -> str:
    return indent + "".join(_parts(line, indent))


def _parts(line: Line, indent: str) -> Iterator[str]:
    yield f"{party_text(line.sender)}->{party_text(line.to)} {line.kind}"
    yield f" Term:{line.term} Log:{line.log_term}/{line.index}"
    if line.hint is not None:
        yield f" Rejected (Hint: {line.hint})"
    if line.commit:
        yield f" Commit:{line.commit}"
    if line.vote:
        yield f" Vote:{line.vote}"
    if len(line.entries) == 1:
        yield f" Entries:[{line.entries[0]}]"
    elif line.entries:
        inner = "".join(f"\n{indent}  {entry}" for entry in line.entries)
        yield f" Entries:[{inner}\n{indent}]"
    if line.restore is not None:
        yield f"\n{indent}  Snapshot: {restore_text(line.restore)}"
    if line.responses:
        inner = "".join(f"\n{line_text(item, indent + '  ')}" for item in line.responses)
        yield f" Responses:[{inner}\n{indent}]"


def party_text(party: Any) -> str:
    if party is None:
        return "None"
    return party if isinstance(party, str) else f"{party:x}"


def content_text(proposal: Any, change: Change | None) -> str:
    if change is None:
        return f"EntryNormal {quoted(proposal.header if proposal is not None else b'')}"
    name = "EntryConfChange" if isinstance(change, SingleChange) else "EntryConfChangeV2"
    steps = [f"{LETTERS[step.kind]}{step.node or 0}" for step in change.steps]
    return " ".join([name, *steps])


def quoted(data: bytes) -> str:
    escaped = data.decode("ascii").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def entry_text(entry: Entry) -> str:
    return f"{entry.term}/{entry.index} {content_text(entry.proposal, entry.change)}"


def texts(entries: Sequence[Entry]) -> tuple[str, ...]:
    return tuple(entry_text(entry) for entry in entries)


def members_text(members: Members) -> str:
    halves = [
        ("Voters", members.voters),
        ("VotersOutgoing", members.voters_outgoing),
        ("Learners", members.learners),
        ("LearnersNext", members.learners_next),
    ]
    parts = [f"{name}:[{' '.join(map(str, ids))}]" for name, ids in halves]
    return " ".join([*parts, f"AutoLeave:{str(members.auto_leave).lower()}"])


def restore_text(restore: Restore) -> str:
    base, members = restore.base, members_text(restore.members)
    return f"Index:{base.index} Term:{base.term} ConfState:{members}"


def turn_text(turn: CoreTurn, lines: Sequence[Line]) -> str:
    """Write a turn with the messages it sends."""
    text = "".join(f"{part}\n" for part in _turn_parts(turn, lines))
    sync = str(turn.must_sync).lower()
    return f"Ready MustSync={sync}:\n{text}" if text else "<empty Ready>"


def _turn_parts(turn: CoreTurn, lines: Sequence[Line]) -> Iterator[str]:
    if turn.role is not None:
        role, leader = turn.role
        yield f"Lead:{leader or 0} State:{STATES[role]}"
    if turn.hard is not None:
        vote = f" Vote:{turn.hard.vote}" if turn.hard.vote else ""
        yield f"HardState Term:{turn.hard.term}{vote} Commit:{turn.commit}"
    if turn.reads:
        yield f"ReadStates {[(read.token, read.index) for read in turn.reads]}"
    if turn.entries:
        yield "Entries:"
        yield from texts(turn.entries)
    if turn.restore is not None:
        yield f"Snapshot {restore_text(turn.restore)}"
    if turn.committed:
        yield "CommittedEntries:"
        yield from texts(turn.committed)
    if lines:
        yield "Messages:"
        yield from map(line_text, lines)
