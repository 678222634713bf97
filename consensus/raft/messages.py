"""What Raft members say to one another, and the limits a message must keep by itself.

Each message names its sender, epoch and term; what a member asks of the leader on its own
behalf (order this, where may I read) belongs to no term and says 0.  Structure that needs no
state (consecutive indexes, terms that never decrease) is refused while parsing, so the engine
meets only messages that could come from a correct member.
Names follow the Raft paper (Ongaro and Ousterhout 2014) and Ongaro's thesis: chapter 9 for
the pre-vote, 3.10 for TimeoutNow, 6.4 for reads.
"""

from typing import Final, Self

from consensus.frozen import dataclass
from consensus.raft.log import Entry
from consensus.raft.membership import Change, Members
from consensus.types import NodeId, Proposal
from consensus.wire import Tagged

TERM_MAX: Final = (1 << 62) - 1
INDEX_MAX: Final = (1 << 62) - 1
SNAPSHOT_INDEX_MAX: Final = (1 << 61) - 1  # leaves every log room to grow below INDEX_MAX
MESSAGE_ENTRIES_MAX: Final = 256
NOBODY: Final = Members()


def _check_term(term: int, *, minimum: int = 1) -> None:
    if not minimum <= term <= TERM_MAX:
        raise ValueError("term out of range")


def _check_positions(*positions: int) -> None:
    if any(position > INDEX_MAX for position in positions):
        raise ValueError("index or term out of range")


@dataclass(frozen=True, slots=True)
class PreVoteRequest:
    """Would you vote for me in ``term``?  Changes nobody's term."""

    epoch: int
    term: int
    sender: NodeId
    last_index: int
    last_term: int

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.last_index, self.last_term)


@dataclass(frozen=True, slots=True)
class PreVoteResponse:
    """``term`` is the asked one when granted, the answerer's own when not.

    A refusal tells how far the answerer knows the log to be committed, and the term there:
    the asker may have that entry and not know that it is final (0, 0: nothing to tell).
    """

    epoch: int
    term: int
    sender: NodeId
    granted: bool
    commit: int = 0
    commit_term: int = 0

    def __post_init__(self) -> None:
        _check_term(self.term, minimum=0)  # a member that never voted refuses in term 0
        _check_positions(self.commit, self.commit_term)


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """RequestVote; sending it is the candidate's vote for itself.

    ``forced``: the leader itself asked the candidate to take over, so members who hear that
    leader answer too (thesis 3.10).
    """

    epoch: int
    term: int
    sender: NodeId
    last_index: int
    last_term: int
    forced: bool = False

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.last_index, self.last_term)


@dataclass(frozen=True, slots=True)
class VoteResponse:
    """The answer to ``candidate``; ``commit`` as in ``PreVoteResponse``."""

    epoch: int
    term: int
    sender: NodeId
    candidate: NodeId
    granted: bool
    commit: int = 0
    commit_term: int = 0

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.commit, self.commit_term)


@dataclass(frozen=True, slots=True)
class Append:
    """AppendEntries: ``entries`` follow ``prev_index``, whose term at the leader is given."""

    epoch: int
    term: int
    sender: NodeId
    prev_index: int
    prev_term: int
    commit: int
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.prev_index, self.prev_term, self.commit)
        if len(self.entries) > MESSAGE_ENTRIES_MAX:
            raise ValueError("too many entries")
        if self.prev_term > self.term or (self.prev_index == 0 and self.prev_term != 0):
            raise ValueError("previous term out of range")
        index, term = self.prev_index, self.prev_term
        for entry in self.entries:
            if entry.index != index + 1 or not term <= entry.term <= self.term:
                raise ValueError("entries must be consecutive, their terms ascending")
            index, term = entry.index, entry.term
        _check_positions(index)

    @property
    def last_index(self) -> int:
        return self.prev_index + len(self.entries)

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        return tuple([e.proposal for e in self.entries if e.proposal is not None])


@dataclass(frozen=True, slots=True)
class AppendResponse:
    """Success: everything up to ``index`` is durable here and equals the leader's log.

    Refusal: ``index`` is the refused ``prev_index``; the logs can agree at most at
    ``hint_index``, where the answerer's term is ``hint_term`` (0: not known).
    """

    epoch: int
    term: int
    sender: NodeId
    success: bool
    index: int
    hint_index: int
    hint_term: int

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.index, self.hint_index, self.hint_term)

    @classmethod
    def holds(cls, epoch: int, term: int, sender: NodeId, index: int) -> Self:
        return cls(epoch, term, sender, success=True, index=index, hint_index=0, hint_term=0)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``commit`` never exceeds what the receiver has acknowledged.

    ``reads``: how many reads the leader has taken in this term and not settled before; the
    answer repeats it (0: none is waiting).
    """

    epoch: int
    term: int
    sender: NodeId
    commit: int
    reads: int = 0

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.commit, self.reads)


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    """I still follow you, as of the reads that your heartbeat counted."""

    epoch: int
    term: int
    sender: NodeId
    reads: int = 0

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.reads)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Your next entry is compacted away here: reach block ``height`` by fetching blocks.

    The blocks up to ``height`` are the snapshot; ``index`` and ``log_term`` say where the log
    continues after them, ``members`` who belongs to the group there.
    """

    epoch: int
    term: int
    sender: NodeId
    index: int
    log_term: int
    height: int
    digest: bytes
    members: Members = NOBODY

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.index, self.height)
        if not 1 <= self.index <= SNAPSHOT_INDEX_MAX or not 1 <= self.log_term <= self.term:
            raise ValueError("snapshot position out of range")
        if len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")


@dataclass(frozen=True, slots=True)
class TimeoutNow:
    """Your log is as long as mine: campaign at once, I lead no longer than you let me."""

    epoch: int
    term: int
    sender: NodeId

    def __post_init__(self) -> None:
        _check_term(self.term)


@dataclass(frozen=True, slots=True)
class TransferRequest:
    """Hand your leadership to ``transferee``, passed on by a member that does not lead."""

    epoch: int
    term: int
    sender: NodeId
    transferee: NodeId

    def __post_init__(self) -> None:
        _check_term(self.term)


@dataclass(frozen=True, slots=True)
class ProposeRequest:
    """Order this, passed on by a member that does not lead."""

    epoch: int
    term: int
    sender: NodeId
    proposal: Proposal | None
    change: Change | None = None

    def __post_init__(self) -> None:
        if self.term != 0:
            raise ValueError("a request belongs to no term")


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """Up to where must I have applied, to answer a read that I was asked now?"""

    epoch: int
    term: int
    sender: NodeId
    token: int

    def __post_init__(self) -> None:
        if self.term != 0:
            raise ValueError("a request belongs to no term")


@dataclass(frozen=True, slots=True)
class ReadResponse:
    """Up to ``index``: a majority followed me after you asked."""

    epoch: int
    term: int
    sender: NodeId
    index: int
    token: int

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.index)


Message = (
    PreVoteRequest
    | PreVoteResponse
    | VoteRequest
    | VoteResponse
    | Append
    | AppendResponse
    | Heartbeat
    | HeartbeatResponse
    | Snapshot
    | TimeoutNow
    | TransferRequest
    | ProposeRequest
    | ReadRequest
    | ReadResponse
)

MESSAGES: Final = Tagged(
    {
        1: PreVoteRequest,
        2: PreVoteResponse,
        3: VoteRequest,
        4: VoteResponse,
        5: Append,
        6: AppendResponse,
        7: Heartbeat,
        8: HeartbeatResponse,
        9: Snapshot,
        10: TimeoutNow,
        11: TransferRequest,
        12: ProposeRequest,
        13: ReadRequest,
        14: ReadResponse,
    }
)
