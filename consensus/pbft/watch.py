"""What the members said lately, kept to notice when one of them contradicts itself.

Owns a bounded memory of verified statements, wider than what voting needs: the last
``RECENT_VIEWS`` views, one view ahead for each member and height, and ``RECENT_HEIGHTS`` final
heights below the window.  So a second statement is noticed also when it comes after the block
is final or the view is left.
Refused: statements outside these places; the first word of a place stays.  A member is
reported ``CAUGHT_PER_MEMBER_MAX`` times in one life of the engine at most, and once for one
place: a liar costs a few lines, not a disk.
Invariant: memory is bounded by members, window and the constants here, whatever arrives.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from consensus.effects import Contradiction
from consensus.pbft.evidence import SignedStatement

RECENT_HEIGHTS: Final = 8
RECENT_VIEWS: Final = 4
CAUGHT_PER_MEMBER_MAX: Final = 8
TOLD_MAX: Final = 2

Slot = tuple[str, int, int]
"""kind, view, height"""


class Watch:
    """What was said, by kind, view and height, and who was caught."""

    def __init__(self) -> None:
        self._view = 0
        self._delivered = 0
        self._slots: dict[Slot, dict[str, SignedStatement]] = {}
        self._ahead: dict[tuple[str, int, str], int] = {}
        self._caught: dict[str, set[Slot]] = {}
        self._told: dict[tuple[Slot, str], int] = {}

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def __iter__(self) -> Iterator[SignedStatement]:
        for slot in sorted(self._slots):
            said = self._slots[slot]
            yield from (said[signer] for signer in sorted(said))

    @staticmethod
    def places_max(*, members: int, window: int) -> int:
        """The bound on ``len``, for whoever keeps to the window."""
        heights = RECENT_HEIGHTS + window + 1
        return 2 * members * (heights + 1) * (RECENT_VIEWS + 1)

    def move(self, *, view: int, delivered: int) -> None:
        """Forget what is long past; call with the view in force and the final height."""
        if (view, delivered) == (self._view, self._delivered):
            return
        self._view, self._delivered = view, delivered
        oldest, low = view - RECENT_VIEWS, delivered - RECENT_HEIGHTS
        past = [
            slot for slot in self._slots if slot[1] <= oldest or (slot[2] and slot[2] <= low)
        ]
        for slot in past:
            del self._slots[slot]
        self._told = {at: told for at, told in self._told.items() if at[0] in self._slots}
        self._ahead = {
            place: at
            for place, at in self._ahead.items()
            if at > view and (place[1] == 0 or place[1] > low)
        }

    def note(self, said: SignedStatement) -> SignedStatement | None:
        """Keep ``said``; return what its author said before instead, if that differs."""
        if said.view <= self._view - RECENT_VIEWS:
            return None
        if said.height and said.height <= self._delivered - RECENT_HEIGHTS:
            return None
        slot = (said.kind, said.view, said.height)
        known = self._slots.get(slot, {}).get(said.signer)
        if known is not None:
            return known if known.digest != said.digest else None
        if said.view > self._view and not self._note_ahead(said):
            return None
        self._slots.setdefault(slot, {})[said.signer] = said
        return None

    def _note_ahead(self, said: SignedStatement) -> bool:
        """Make room for one view ahead of ours, the newest, per kind, height and member."""
        place = (said.kind, said.height, said.signer)
        older = self._ahead.get(place)
        if older is not None:
            if older > said.view:
                return False
            self._drop((said.kind, older, said.height), said.signer)
        self._ahead[place] = said.view
        return True

    def _drop(self, slot: Slot, signer: str) -> None:
        self._slots[slot].pop(signer)
        if not self._slots[slot]:
            del self._slots[slot]

    def holds(self, slot: Slot, signer: str, signature: bytes) -> bool:
        """Is this very message known?  A signature that holds belongs to one statement."""
        known = self._slots.get(slot, {}).get(signer)
        return known is not None and known.signature == signature

    def commits_below(self, view: int, *, signer: str, above: int) -> list[SignedStatement]:
        """Return commits of ``signer``: in views below ``view``, at heights over ``above``."""
        return [
            self._slots[slot][signer]
            for slot in sorted(self._slots)
            if slot[0] == "commit"
            and slot[1] < view
            and slot[2] > above
            and signer in self._slots[slot]
        ]

    def tell(self, count_max: int) -> list[SignedStatement]:
        """Return up to ``count_max`` odd votes to tell others of, each ``TOLD_MAX`` times.

        Odd is a vote of a closed place (final, or of a view left) unless its value is strictly
        the most frequent one among the *other* votes.  Of a member's two different words, two
        witnesses that saw the same other votes hold at least one for odd.
        """
        chosen: list[SignedStatement] = []
        for slot in sorted(self._slots):
            kind, view, height = slot
            closed = view < self._view or height <= self._delivered
            if not closed or kind not in ("prepare", "commit"):
                continue
            for vote in _odd(self._slots[slot]):
                told = self._told.get((slot, vote.signer), 0)
                if told < TOLD_MAX and vote.signer not in self._caught:
                    self._told[slot, vote.signer] = told + 1
                    chosen.append(vote)
                if len(chosen) == count_max:
                    return chosen
        return chosen

    def catch(self, found: Contradiction) -> bool:
        """Say whether ``found`` is to be reported: a new place, and its member not yet full."""
        places = self._caught.setdefault(found.member, set())
        place = (found.kind, found.round, found.height)
        if place in places or len(places) >= CAUGHT_PER_MEMBER_MAX:
            return False
        places.add(place)
        return True

    @property
    def caught(self) -> dict[str, int]:
        """How often each member was reported."""
        return {member: len(places) for member, places in sorted(self._caught.items())}


def _odd(votes: dict[str, SignedStatement]) -> list[SignedStatement]:
    counts = Counter(vote.digest for vote in votes.values())
    if len(counts) < 2:
        return []

    def alone(vote: SignedStatement) -> bool:
        others = max(count for digest, count in counts.items() if digest != vote.digest)
        return counts[vote.digest] - 1 <= others

    return [votes[signer] for signer in sorted(votes) if alone(votes[signer])]
