"""What Raft members say to one another, and the limits a message must keep by itself.

Each message names its sender, epoch and term.  Structure that needs no state (consecutive
indexes, terms that never decrease, blocks that chain) is refused while parsing, so the engine
meets only messages that could come from a correct member.
Names follow the Raft paper (Ongaro and Ousterhout 2014) and Ongaro's thesis, chapter 9 for
the pre-vote.
"""

from dataclasses import dataclass
from typing import Final

from consensus.raft.log import Entry, Tip, chain_breaks
from consensus.types import NodeId, Proposal
from consensus.wire import Tagged

TERM_MAX: Final = (1 << 62) - 1
INDEX_MAX: Final = (1 << 62) - 1
SNAPSHOT_INDEX_MAX: Final = (1 << 61) - 1  # leaves every log room to grow below INDEX_MAX
MESSAGE_ENTRIES_MAX: Final = 256


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
    """``term`` is the asked one when granted, the answerer's own when not."""

    epoch: int
    term: int
    sender: NodeId
    granted: bool

    def __post_init__(self) -> None:
        _check_term(self.term, minimum=0)  # a member that never voted refuses in term 0


@dataclass(frozen=True, slots=True)
class VoteRequest:
    """RequestVote; sending it is the candidate's vote for itself."""

    epoch: int
    term: int
    sender: NodeId
    last_index: int
    last_term: int

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.last_index, self.last_term)


@dataclass(frozen=True, slots=True)
class VoteResponse:
    epoch: int
    term: int
    sender: NodeId
    candidate: NodeId
    granted: bool

    def __post_init__(self) -> None:
        _check_term(self.term)


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
        tip: Tip | None = None
        for entry in self.entries:
            if entry.index != index + 1 or not term <= entry.term <= self.term:
                raise ValueError("entries must be consecutive, their terms ascending")
            index, term = entry.index, entry.term
            if entry.proposal is not None:
                if tip is not None and chain_breaks(tip, (entry,)):
                    raise ValueError("blocks must chain")
                tip = Tip(entry.proposal.height, entry.proposal.digest)
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


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """``commit`` never exceeds what the receiver has acknowledged."""

    epoch: int
    term: int
    sender: NodeId
    commit: int

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.commit)


@dataclass(frozen=True, slots=True)
class HeartbeatResponse:
    epoch: int
    term: int
    sender: NodeId

    def __post_init__(self) -> None:
        _check_term(self.term)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Your next entry is compacted away here: reach block ``height`` by fetching blocks.

    The blocks up to ``height`` are the snapshot; ``index`` and ``log_term`` say where the log
    continues after them.
    """

    epoch: int
    term: int
    sender: NodeId
    index: int
    log_term: int
    height: int
    digest: bytes

    def __post_init__(self) -> None:
        _check_term(self.term)
        _check_positions(self.index, self.height)
        if not 1 <= self.index <= SNAPSHOT_INDEX_MAX or not 1 <= self.log_term <= self.term:
            raise ValueError("snapshot position out of range")
        if len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")


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
    }
)
