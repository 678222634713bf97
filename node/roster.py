"""Who belongs to the network now, read from state: whoever asks who may vote, asks here.

An era's ``Rules`` are what follows from its row: the committee and the engine that order its
blocks, whose cosignatures certify them.  The ``Roster`` holds the rules in force, those of any
height below, who follows without voting, and who may connect with which key.  It moves on the
event loop, block by block, after the book: never ask the book's tip and the roster in one
breath.

Owns: these answers.  Refuses: the rules of change (the ledger's), addresses (local
configuration), sockets.
Invariant: ``at(height)`` is right for every height up to the first barrier that was not
applied yet; what lies above that is known to nobody.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from consensus import types as ordering
from consensus.codec import Malformed
from consensus.types import Committee, Member, NodeId
from node.book import Book, Committed
from node.ledger.checkpoint import Policy
from node.ledger.eras import Era, era_from, era_of, observers_from
from node.ledger.facts.governance import known_institution
from node.ledger.genesis import Genesis, Institution, Voter
from node.ledger.lineage import founding_era, policy_of_era
from node.ledger.state import Read, SignerRow, load_from, signer_key
from node.trust import quorum
from storage.errors import Corrupt
from storage.reader import Reader

REMEMBERED_MAX: Final = 16  # eras of the past, ready to check with

Role = Literal["voter", "observer", "removed", "stranger"]
VOTER: Final = "voter"
OBSERVER: Final = "observer"
REMOVED: Final = "removed"  # belonged once, as this node's own ledger tells
STRANGER: Final = "stranger"  # not known here yet: it asks to be let in, or is far behind
ROLES: Final[tuple[Role, ...]] = (VOTER, OBSERVER, REMOVED, STRANGER)


@dataclass(frozen=True, slots=True)
class Rules:
    """One era with all that follows from it."""

    era: Era
    committee: Committee
    policy: Policy

    @classmethod
    def of(cls, era: Era, *, origin: str, network: bytes) -> "Rules":
        """Return the rules of ``era`` on the ledger ``origin``."""
        rows = era.members
        committee = Committee(
            era.epoch, tuple(Member(NodeId(item.id), item.consensus_key) for item in rows)
        )
        policy = policy_of_era(era, origin=origin, network=network, quorum=quorum)
        return cls(era, committee, policy)

    def voter(self, node: str) -> Voter | None:
        """Return the keys with which ``node`` votes; None when it does not."""
        return next((item for item in self.era.members if item.id == node), None)

    def ordering(self, observers: Iterable[str]) -> ordering.Era:
        """Return the era in the words of engines."""
        era = self.era
        following = tuple(NodeId(item) for item in observers)
        return ordering.Era(era.engine, self.committee, era.from_height, following)


class Rulebook(Protocol):
    """Whoever knows which era orders which height."""

    @property
    def now(self) -> Rules:
        """The rules of the next block."""

    def at(self, height: int) -> Rules:
        """The rules of ``height``; above the tip those in force."""


@dataclass(frozen=True, slots=True)
class Unchanging:
    """One era for every height: for a ledger that never had another."""

    now: Rules

    def at(self, height: int) -> Rules:  # noqa: ARG002
        return self.now


def founding_rules(genesis: Genesis) -> Rules:
    """Return what genesis says of the first era, without a ledger."""
    return Rules.of(founding_era(genesis), origin=genesis.origin, network=genesis.network)


def era_at(read: Read, height: int) -> Era:
    """Return the era that orders ``height``, as far as state tells; O(log n) rows."""
    newest = era_from(read)
    if height >= newest.from_height:
        return newest
    low, high = 0, newest.epoch  # era low begins at or below height, era high above it
    while high - low > 1:
        middle = (low + high) // 2
        era = era_of(read, middle)
        assert era is not None, "every epoch below the newest has its row"
        low, high = (middle, high) if era.from_height <= height else (low, middle)
    found = era_of(read, low)
    assert found is not None, "every epoch below the newest has its row"
    return found


class StoredRules:
    """The rules of every height of a ledger at rest.

    The founders' are those of ``genesis``, later ones as the state in ``store`` tells.
    """

    def __init__(self, genesis: Genesis, store: Reader) -> None:
        self._rules = [founding_rules(genesis)]
        self._genesis = genesis
        self._read: Read | None = None if store.applied() is None else store.state_get

    def at(self, height: int) -> Rules:
        """Return the rules of ``height``.  Raises ``Corrupt``: an era's row is damaged."""
        while self._read is not None and (era := self._after(self._read)) is not None:
            origin, network = self._genesis.origin, self._genesis.network
            self._rules.append(Rules.of(era, origin=origin, network=network))
        self._read = None  # all of them are known
        begun = (item for item in reversed(self._rules) if item.era.from_height <= height)
        return next(begun, self._rules[0])

    def _after(self, read: Read) -> Era | None:
        epoch = len(self._rules)
        try:
            return era_of(read, epoch)
        except (Malformed, ValueError) as error:
            raise Corrupt("the state's row of an era", where=f"epoch {epoch}") from error


class Roster:
    """``self_id``: the institution whose node this is."""

    def __init__(self, genesis: Genesis, book: Book, self_id: str) -> None:
        self.self_id = self_id
        self._genesis = genesis
        self._book = book
        self._rules: dict[int, Rules] = {}  # by epoch, the oldest used first
        self.height = book.tip.height
        self.now: Rules = self._of(era_from(book.read))
        self.observers: tuple[str, ...] = observers_from(book.read)

    def _of(self, era: Era) -> Rules:
        rules = self._rules.pop(era.epoch, None)
        if rules is None or rules.era != era:
            origin, network = self._genesis.origin, self._genesis.network
            rules = Rules.of(era, origin=origin, network=network)
        self._rules[era.epoch] = rules
        while len(self._rules) > REMEMBERED_MAX:
            del self._rules[next(iter(self._rules))]
        return rules

    def follow(self, result: Committed) -> bool:
        """Take what an applied block changed; returns whether anybody's standing did."""
        self.height = result.tip.height
        if result.next_era is not None:
            self.now = self._of(result.next_era)
        if result.belonging or result.next_era is not None:
            self.observers = observers_from(self._book.read)
            return True
        return False

    def at(self, height: int) -> Rules:
        """Return the rules of ``height``; above the tip those in force."""
        if height >= self.now.era.from_height:
            return self.now
        for rules in self._rules.values():
            above = self._rules.get(rules.era.epoch + 1)
            if above is not None and rules.era.from_height <= height < above.era.from_height:
                return rules
        return self._of(era_at(self._book.read, height))

    def at_epoch(self, epoch: int) -> Rules:
        """Return the rules of an epoch that has begun."""
        era = era_of(self._book.read, epoch)
        assert era is not None, f"epoch {epoch} has not begun"
        return self._of(era)

    @property
    def voters(self) -> tuple[str, ...]:
        """Who votes on the next block, ascending."""
        return tuple(str(item) for item in self.now.committee.ids)

    @property
    def role(self) -> Role:
        """What this node is: one of the four words above."""
        return self.role_of(self.self_id)

    def role_of(self, node: str) -> Role:
        """Return what ``node`` is on this node's ledger."""
        if self.now.committee.index(node) is not None:
            return VOTER
        if node in self.observers:
            return OBSERVER
        return REMOVED if self._belonged(node) else STRANGER

    def _belonged(self, node: str) -> bool:
        """Return whether an era had ``node``; looks back as far as rules are remembered."""
        newest = self.now.era.epoch
        oldest = max(0, newest - REMEMBERED_MAX)
        eras = (era_of(self._book.read, epoch) for epoch in range(oldest, newest))
        return any(item.id == node for era in eras if era is not None for item in era.members)

    def institution(self, node: str) -> Institution | None:
        """Return its row, suspended or not; None while the ledger does not know it."""
        return known_institution(self._book.read, node)

    def owner(self, key: bytes) -> str | None:
        """Return the institution that ``key`` signs for now; None while nobody's."""
        row = load_from(self._book.read, SignerRow, signer_key(key))
        return None if row is None else row.org

    def identities(self, also: Iterable[str] = ()) -> Mapping[str, bytes]:
        """Return who may connect and the key that each proves itself with: voters, observers,
        and those of ``also`` that the ledger knows."""
        found: dict[str, bytes] = {}
        for node in dict.fromkeys((*self.voters, *self.observers, *also)):
            row = self.institution(node)
            if row is not None:
                found[node] = row.identity_key
        return found

    def leaving(self, barrier: int) -> tuple[str, ...]:
        """Return who voted on the block ``barrier`` and neither votes nor follows now.

        Its cosignature of that block may still be needed.
        """
        before = self.at(barrier).committee.ids
        stay = {*self.voters, *self.observers}
        return tuple(str(item) for item in before if item not in stay)
