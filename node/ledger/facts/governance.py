"""What the members decided, in state: proposals and their votes, roles through time, documents.

Every voter has one vote.  How many must say yes is a share of *all* voters of the epoch in
force, suspended ones included, and always more than half: suspending members can never make a
minority decide.  Voters come and go while a proposal is open: the votes of those who are voters
now count, against as many as there are now.  Rows are append-only where someone may ask about
an earlier height.

State: ``institutions`` -> ``Institutions``, ``institution-at/<number be64>`` -> id;
``institution/<org>``, while suspended
``suspended/<org>`` -> ``Institution``; ``governance/roles/<org>/<number be32>`` -> ``RolesRow``
(the genesis row is written with the first change), ``governance/roles/<org>`` -> ``Count``;
``governance/proposal/<id>`` -> ``ProposalRow``; ``governance/number/<be64>`` -> ``Handle``;
``governance/proposals`` -> ``Count``; ``governance/open`` -> ``Handles``;
``governance/policy/<topic>`` -> ``PolicyRow``;
``governance/document/<kind>/<number be32>`` -> ``DocumentRow``,
``governance/document/<kind>`` -> ``Count``; ``governance/limits`` -> ``Limits``.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeVar, cast

from node.ledger.facts import numbered
from node.ledger.facts.governance_bodies import Limits, Propose
from node.ledger.genesis import Institution
from node.ledger.policies import (
    ENGINE,
    FEATURES,
    HOUR_MS,
    INSTITUTION,
    KEYS,
    MEMBERSHIP,
    PARAMETERS,
    RULES,
    TOPICS,
)
from node.ledger.state import (
    INSTITUTIONS_KEY,
    Institutions,
    Overlay,
    Read,
    epoch_of,
    institution_at_key,
    institution_key,
    load_from,
    policy_key,
    suspended_key,
    voters,
)

OPEN: Final = "open"
EXECUTED: Final = "executed"
WITHDRAWN: Final = "withdrawn"
REJECTED: Final = "rejected"  # so many said no that the threshold is out of reach
EXPIRED: Final = "expired"  # the threshold was not reached in time, or nobody executed it
STATUSES: Final = (OPEN, EXECUTED, WITHDRAWN, REJECTED, EXPIRED)
DAY_MS: Final = 86_400_000
LIMITS_KEY: Final = b"governance/limits"
OPEN_KEY: Final = b"governance/open"
PROPOSALS_KEY: Final = b"governance/proposals"
WHOLE: Final = 10_000  # basis points

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handle:
    handle: bytes


@dataclass(frozen=True, slots=True)
class Handles:
    handles: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """How a topic is decided: share of voters in basis points, times in ms.

    ``wait_ms`` runs from the vote that reached the threshold.
    """

    threshold_bp: int
    wait_ms: int
    window_ms: int
    execute_ms: int  # how long after the waiting time it may be executed


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """One proposal; its threshold and times are those in force when it was made."""

    number: int
    org: str
    topic: str
    body: Propose
    policy: PolicyRow
    height: int
    time_ms: int
    vote_until_ms: int
    yes: tuple[str, ...]
    no: tuple[str, ...]
    reached_ms: int | None
    status: str
    closed_height: int | None

    @property
    def execute_from_ms(self) -> int | None:
        return None if self.reached_ms is None else self.reached_ms + self.policy.wait_ms

    @property
    def execute_until_ms(self) -> int | None:
        start = self.execute_from_ms
        return None if start is None else start + self.policy.execute_ms


@dataclass(frozen=True, slots=True)
class RolesRow:
    """Roles and standing of an institution from ``from_height`` on; ``proposal`` decided it."""

    from_height: int
    from_ms: int
    roles: tuple[str, ...]
    suspended: bool
    proposal: bytes | None


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A document in force from ``from_height`` on; without ``digest`` it ended there."""

    kind: str
    version: int
    digest: bytes | None
    from_height: int
    from_ms: int
    proposal: bytes


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes that count now; ``missing`` yes votes until the threshold."""

    yes: tuple[str, ...]
    no: tuple[str, ...]
    waiting: tuple[str, ...]
    voters: int
    needed: int

    @property
    def missing(self) -> int:
        return max(0, self.needed - len(self.yes))

    @property
    def hopeless(self) -> bool:
        return self.voters - len(self.no) < self.needed


_USUAL: Final = PolicyRow(6_666, DAY_MS, 14 * DAY_MS, 30 * DAY_MS)
_MAJORITY: Final = PolicyRow(5_000, DAY_MS, 14 * DAY_MS, 30 * DAY_MS)
_STRICT: Final = PolicyRow(7_500, 7 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS)
DEFAULT_POLICIES: Final = dict.fromkeys(TOPICS, _MAJORITY) | {
    INSTITUTION: _USUAL,
    PARAMETERS: _USUAL,
    MEMBERSHIP: _USUAL,
    RULES: _STRICT,
    ENGINE: _STRICT,
    FEATURES: _STRICT,
    # Urgent: a stolen key is in use while it waits, and its owner cannot act meanwhile.
    KEYS: PolicyRow(6_666, HOUR_MS, 14 * DAY_MS, 30 * DAY_MS),
}
DEFAULT_LIMITS: Final = Limits(72, 60, 60)


def proposal_key(proposal: bytes) -> bytes:
    return b"governance/proposal/" + proposal


def number_key(number: int) -> bytes:
    return b"governance/number/" + number.to_bytes(8, "big")


def roles_prefix(org: str) -> bytes:
    return b"governance/roles/" + org.encode()


def document_prefix(kind: str) -> bytes:
    return b"governance/document/" + kind.encode()


def last_row(read: Read, kind: type[T], prefix: bytes) -> T | None:
    return numbered.last(read, prefix, kind)


def row_at(read: Read, kind: type[T], prefix: bytes, height: int) -> T | None:
    """Return the row in force after block ``height``: the last whose ``from_height`` is not
    beyond it.  Rows ascend by it, so O(log n) of them are read."""
    low, high = 0, numbered.length(read, prefix)
    found: T | None = None
    while low < high:
        middle = (low + high) // 2
        row = load_from(read, kind, numbered.row_key(prefix, middle))
        assert row is not None, "rows below the count are there"
        if cast(Any, row).from_height <= height:
            found, low = row, middle + 1
        else:
            high = middle
    return found


def founding(roles: tuple[str, ...]) -> RolesRow:
    """Return the standing of an institution of the genesis before anything was decided."""
    return RolesRow(0, 0, roles, suspended=False, proposal=None)


def institution_ids(read: Read) -> tuple[str, ...]:
    """Return the ids of all institutions, suspended ones included, in order of arrival."""
    counted = load_from(read, Institutions, INSTITUTIONS_KEY)
    assert counted is not None, "every ledger starts with institutions"
    found = [read(institution_at_key(number)) for number in range(counted.count)]
    return tuple(raw.decode("ascii") for raw in found if raw is not None)


def suspended(read: Read, org: str) -> Institution | None:
    return load_from(read, Institution, suspended_key(org))


def known_institution(read: Read, org: str) -> Institution | None:
    """Return an institution whether it may act or not."""
    return load_from(read, Institution, institution_key(org)) or suspended(read, org)


def policy(read: Read, topic: str) -> PolicyRow:
    return load_from(read, PolicyRow, policy_key(topic)) or DEFAULT_POLICIES[topic]


def limits(read: Read) -> Limits:
    return load_from(read, Limits, LIMITS_KEY) or DEFAULT_LIMITS


def open_proposals(read: Read) -> tuple[bytes, ...]:
    row = load_from(read, Handles, OPEN_KEY)
    return () if row is None else row.handles


def proposal(read: Read, handle: bytes) -> ProposalRow | None:
    return load_from(read, ProposalRow, proposal_key(handle))


def voter_ids(read: Read) -> tuple[str, ...]:
    """Return who may vote: the validators of the epoch in force."""
    view = Overlay(read)
    found = voters(view, epoch_of(view))
    assert found is not None, "the epoch in force has voters"
    return tuple(item.id for item in found.members)


def needed(count: int, threshold_bp: int) -> int:
    """Return how many of ``count`` voters must say yes: the share rounded up, and more than
    half in any case, so that two opposite decisions cannot both pass."""
    return max(count // 2 + 1, -(-count * threshold_bp // WHOLE))


def tally(read: Read, row: ProposalRow) -> Tally:
    """Count the votes of those who are voters now and not suspended."""
    everyone = voter_ids(read)
    may = tuple(org for org in everyone if suspended(read, org) is None)
    return Tally(
        tuple(org for org in row.yes if org in may),
        tuple(org for org in row.no if org in may),
        tuple(org for org in may if org not in row.yes and org not in row.no),
        len(everyone),
        needed(len(everyone), row.policy.threshold_bp),
    )


def can_decide(read: Read) -> bool:
    """Return whether the voters who may act are enough to bring suspended ones back: then
    nothing is stuck for ever."""
    everyone = voter_ids(read)
    active = sum(suspended(read, org) is None for org in everyone)
    return needed(len(everyone), policy(read, INSTITUTION).threshold_bp) <= active


def standing(read: Read, org: str, height: int) -> RolesRow | None:
    """Return roles and standing of ``org`` after block ``height``; None before it joined."""
    prefix = roles_prefix(org)
    if numbered.length(read, prefix):
        return row_at(read, RolesRow, prefix, height)
    item = load_from(read, Institution, institution_key(org))
    return None if item is None else founding(item.roles)
