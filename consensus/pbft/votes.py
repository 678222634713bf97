"""Prepare and commit votes in bounded places.

Owns counting by distinct signer over identical statements.  For each kind, height and signer
there are two places: one for the view in force, one for the newest view above it.  Heights
reach from the next block to the window's end and one beyond.  The first vote of a place in the
view in force stays: a second, different one is a member contradicting itself.
Invariant: at most ``2 kinds * (window + 1) heights * 2 * members`` votes, whatever arrives.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Final

from consensus.frozen import dataclass


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


Ballot = dict[str, Vote]
"""The votes of one kind and height, by signer."""
_NO_VOTES: Final[Mapping[str, Vote]] = {}


class VoteBook:
    def __init__(self) -> None:
        self._view = 0
        self._now: dict[tuple[str, int], Ballot] = {}
        self._ahead: dict[tuple[str, int], Ballot] = {}

    def __len__(self) -> int:
        return sum(len(b) for ballots in (self._now, self._ahead) for b in ballots.values())

    def __iter__(self) -> Iterator[Vote]:
        for ballots in (self._now, self._ahead):
            for _, ballot in sorted(ballots.items()):
                yield from (ballot[signer] for signer in sorted(ballot))

    def cast(self, vote: Vote, *, height_min: int, height_max: int) -> Verdict:
        if not height_min <= vote.height <= height_max or vote.view < self._view:
            return Verdict.OUTSIDE
        ballots = self._now if vote.view == self._view else self._ahead
        ballot = ballots.setdefault((vote.kind, vote.height), {})
        known = ballot.get(vote.signer)
        if known is not None and known.view > vote.view:
            return Verdict.OUTSIDE
        if known is not None and known.view == vote.view:
            return Verdict.REPEATED if known.value == vote.value else Verdict.CONFLICT
        ballot[vote.signer] = vote
        return Verdict.COUNTED

    def quorum(self, kind: str, height: int, needed: int) -> Quorum | None:
        """Return a statement of ``kind`` at ``height`` with ``needed`` signers, newest view
        first; None when there is no such statement."""
        now, ahead = self.held(kind, height), self._ahead.get((kind, height), _NO_VOTES)
        if len(now) + len(ahead) < needed:
            return None
        groups: dict[tuple[int, bytes], dict[str, bytes]] = {}
        for vote in (*now.values(), *ahead.values()):
            groups.setdefault((vote.view, vote.value), {})[vote.signer] = vote.signature
        for view, value in sorted(groups, reverse=True):
            if len(groups[view, value]) >= needed:
                return Quorum(view, value, groups[view, value])
        return None

    def agreeing(self, kind: str, height: int, value: bytes) -> dict[str, bytes]:
        """Return the signatures over one statement of the view in force, by signer."""
        held = self.held(kind, height).values()
        return {vote.signer: vote.signature for vote in held if vote.value == value}

    def held(self, kind: str, height: int) -> Mapping[str, Vote]:
        """Return the votes of one kind and height in the view in force, by signer."""
        return self._now.get((kind, height), _NO_VOTES)

    def enter_view(self, view: int) -> None:
        """Forget views below ``view``; early votes for it now count."""
        assert view >= self._view, "views only grow"
        if view == self._view:
            return
        self._view, early = view, self._ahead
        self._now, self._ahead = {}, {}
        for place, ballot in early.items():
            for signer, vote in ballot.items():
                if vote.view >= view:
                    ballots = self._now if vote.view == view else self._ahead
                    ballots.setdefault(place, {})[signer] = vote

    def delivered(self, height: int) -> None:
        """Forget votes at or below ``height``."""
        self._now = {place: b for place, b in self._now.items() if place[1] > height}
        self._ahead = {place: b for place, b in self._ahead.items() if place[1] > height}
