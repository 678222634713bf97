"""Prepare and commit votes in bounded places.

Owns counting by distinct signer over identical statements.  For each kind, height and signer
there are two places: one for the view in force, one for the newest view above it.  Heights
reach from the next block to the window's end and one beyond.  The first vote of a place in the
view in force stays: a second, different one is a member contradicting itself.
Invariant: at most ``2 kinds * (window + 1) heights * 2 * members`` votes, whatever arrives.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto


class Verdict(Enum):
    COUNTED = auto()
    REPEATED = auto()  # networks duplicate
    CONFLICT = auto()  # the same signer said something else here: evidence
    OUTSIDE = auto()  # a height or view we keep no place for


@dataclass(frozen=True, slots=True)
class Vote:
    """``value``: ``proposal_hash`` for a prepare, body digest for a commit."""

    kind: str
    view: int
    height: int
    value: bytes
    signer: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Quorum:
    """Signatures of at least a quorum over one statement."""

    view: int
    value: bytes
    signatures: dict[str, bytes]


Place = tuple[str, int, str]


class VoteBook:
    def __init__(self) -> None:
        self._view = 0
        self._now: dict[Place, Vote] = {}
        self._ahead: dict[Place, Vote] = {}

    def __len__(self) -> int:
        return len(self._now) + len(self._ahead)

    def __iter__(self) -> Iterator[Vote]:
        for votes in (self._now, self._ahead):
            for place in sorted(votes):
                yield votes[place]

    def cast(self, vote: Vote, *, height_min: int, height_max: int) -> Verdict:
        if not height_min <= vote.height <= height_max or vote.view < self._view:
            return Verdict.OUTSIDE
        votes = self._now if vote.view == self._view else self._ahead
        place = (vote.kind, vote.height, vote.signer)
        known = votes.get(place)
        if known is not None and known.view > vote.view:
            return Verdict.OUTSIDE
        if known is not None and known.view == vote.view:
            return Verdict.REPEATED if known.value == vote.value else Verdict.CONFLICT
        votes[place] = vote
        return Verdict.COUNTED

    def quorum(self, kind: str, height: int, needed: int) -> Quorum | None:
        """Return a statement of ``kind`` at ``height`` with ``needed`` signers, newest view
        first; None when there is no such statement."""
        found = [
            vote
            for votes in (self._now, self._ahead)
            for vote in votes.values()
            if vote.kind == kind and vote.height == height
        ]
        if len(found) < needed:
            return None
        groups: dict[tuple[int, bytes], dict[str, bytes]] = {}
        for vote in found:
            groups.setdefault((vote.view, vote.value), {})[vote.signer] = vote.signature
        for view, value in sorted(groups, reverse=True):
            if len(groups[view, value]) >= needed:
                return Quorum(view, value, groups[view, value])
        return None

    def agreeing(self, kind: str, height: int, value: bytes) -> dict[str, bytes]:
        """Return the signatures over one statement of the view in force, by signer."""
        return {
            vote.signer: vote.signature
            for vote in self._now.values()
            if vote.kind == kind and vote.height == height and vote.value == value
        }

    def held(self, kind: str, height: int) -> dict[str, Vote]:
        """Return the votes of one kind and height in the view in force, by signer."""
        return {
            vote.signer: vote
            for vote in self._now.values()
            if vote.kind == kind and vote.height == height
        }

    def enter_view(self, view: int) -> None:
        """Forget views below ``view``; early votes for it now count."""
        assert view >= self._view, "views only grow"
        if view == self._view:
            return
        self._view = view
        self._now = {p: vote for p, vote in self._ahead.items() if vote.view == view}
        self._ahead = {p: vote for p, vote in self._ahead.items() if vote.view > view}

    def delivered(self, height: int) -> None:
        """Forget votes at or below ``height``."""
        self._now = {p: vote for p, vote in self._now.items() if vote.height > height}
        self._ahead = {p: vote for p, vote in self._ahead.items() if vote.height > height}
