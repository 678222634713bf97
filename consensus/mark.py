"""The mark: how far a member's promises have come, kept apart from the database.

The guard's memory lives in the database, and a database can be lost or put back from an older
copy.  So each synced turn also counts up a number.  The turn's batch carries it first; then the
mark, a small file beside the signing key, takes it; only then may anything of the turn leave.
Whatever dies where, a mark is never ahead of the database that it belongs to, and at most one
turn behind it.  A mark that is ahead proves that the database has forgotten.

Every synced turn counts, not only those with a statement of their own: a Raft member promises
log entries without signing anything, and forgetting those breaks agreement as surely.

Pure.  Owns: the value and the comparison.  Refuses: files (``storage.mark``).
"""

from collections.abc import Iterable
from enum import Enum, auto
from hashlib import sha256
from typing import Final, Protocol

from consensus import wire
from consensus.frozen import dataclass
from consensus.types import Proposal, Statement


@dataclass(frozen=True, slots=True)
class Mark:
    """``sequence`` counts synced turns from 1; 0: nothing was ever promised.

    ``epoch`` and ``round`` are the newest that a statement named, ``height`` the highest that a
    statement or a kept body named: for the people who must judge a lost database.
    ``history`` (32 bytes) chains what was promised, ``before`` is that of the turn before: two
    histories of equal length under one key are told apart by it.
    """

    sequence: int
    epoch: int
    round: int
    height: int
    history: bytes
    before: bytes

    def __post_init__(self) -> None:
        if len(self.history) != 32 or len(self.before) != 32:
            raise ValueError("histories are 32 bytes")

    def after(self, statements: Iterable[Statement], bodies: Iterable[Proposal]) -> "Mark":
        """Return the mark after a turn that makes ``statements`` and keeps ``bodies``."""
        sequence = self.sequence + 1
        chain = sha256(self.history + sequence.to_bytes(8, "big"))
        at, height = (self.epoch, self.round), self.height
        for stated in statements:
            chain.update(wire.encode(stated))
            at = max(at, (stated.epoch, stated.round))
            height = max(height, stated.height)
        for proposal in bodies:
            chain.update(proposal.digest)
            height = max(height, proposal.height)
        return Mark(sequence, *at, height, chain.digest(), self.history)

    def __str__(self) -> str:
        return (
            f"turn {self.sequence} (epoch {self.epoch}, round {self.round}, "
            f"height {self.height})"
        )


NOTHING: Final = Mark(0, 0, 0, 0, bytes(32), bytes(32))


class Marked(Protocol):
    """Where marks are kept: the driver asks it, the caller feeds it."""

    @property
    def sequence(self) -> int:
        """The newest sequence that survives power loss."""


class Standing(Enum):
    """How a mark and a database stand to each other at start."""

    LEVEL = auto()
    ONE_SHORT = auto()  # died between the two writes: nothing of the last turn left
    DATABASE_BEHIND = auto()  # the database has forgotten promises
    MARK_BEHIND = auto()  # an old copy of the mark: what the database forgot is unknown
    APART = auto()  # as long, but of another history


def compare(*, stored: Mark, marked: Mark) -> Standing:
    """Return how ``marked`` stands to what the database ``stored``; only two of five may run.

    After ``ONE_SHORT`` the mark must be raised to ``stored`` before anything leaves: what the
    engine repeats after its restart needs no new record and would take no new mark.
    """
    if marked.sequence > stored.sequence:
        return Standing.DATABASE_BEHIND
    if marked.sequence == stored.sequence:
        return Standing.LEVEL if marked == stored else Standing.APART
    if marked.sequence + 1 == stored.sequence and marked.history == stored.before:
        return Standing.ONE_SHORT
    return Standing.MARK_BEHIND
