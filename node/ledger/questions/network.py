"""Questions about the network itself: who belongs to it, and who votes.

Everything is read by key, so each answer can be proven for any height that a node still keeps:
a list of members that leaves somebody out does not verify.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import Facts, Question
from node.ledger.facts.governance import known_institution, suspended
from node.ledger.genesis import Institution, Voter, Voters
from node.ledger.state import (
    INSTITUTIONS_KEY,
    Institutions,
    epoch_from,
    institution_at_key,
    load_from,
    voters_key,
)
from node.ledger.transaction import ORG_PATTERN

MEMBERS_PAGE_MAX: Final = 500  # three rows each: a page fits one proven answer


@dataclass(frozen=True, slots=True)
class MemberParams:
    """``org``: the institution's id."""

    org: str

    def __post_init__(self) -> None:
        if not ORG_PATTERN.fullmatch(self.org):
            raise ValueError("org must match [a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class MemberAnswer:
    """``institution``: its name, roles and keys; null when ``known`` is false.  ``suspended``:
    by the members' vote; it can do nothing on the ledger."""

    known: bool
    institution: Institution | None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class MembersParams:
    """``start``: number of the first member, from 0; ``limit``: members on a page."""

    start: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MEMBERS_PAGE_MAX:
            raise ValueError(f"limit must be 1 to {MEMBERS_PAGE_MAX}")


@dataclass(frozen=True, slots=True)
class MembersAnswer:
    """``count`` members in all; ``next``: the start of the next page, null at the end;
    ``suspended``: those on this page who can do nothing on the ledger."""

    count: int
    members: tuple[Institution, ...]
    next: int | None
    suspended: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VotersParams:
    """``epoch``: how often the voters had changed; null for those in force."""

    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class VotersAnswer:
    """Who voted in ``epoch``; nobody when ``known`` is false, for an epoch to come."""

    known: bool
    epoch: int
    voters: tuple[Voter, ...]


def _member(facts: Facts, params: MemberParams) -> MemberAnswer:
    found = known_institution(facts.get, params.org)
    return MemberAnswer(found is not None, found, _suspended(facts, params.org))


def _suspended(facts: Facts, org: str) -> bool:
    return suspended(facts.get, org) is not None


def _members(facts: Facts, params: MembersParams) -> MembersAnswer:
    counted = load_from(facts.get, Institutions, INSTITUTIONS_KEY)
    count = 0 if counted is None else counted.count
    end = min(count, params.start + params.limit)
    members = []
    for number in range(params.start, end):
        org = facts.get(institution_at_key(number))
        assert org is not None, "every number below the count is taken"
        member = known_institution(facts.get, org.decode("ascii"))
        assert member is not None, "every listed institution has its row"
        members.append(member)
    away = tuple(member.id for member in members if _suspended(facts, member.id))
    return MembersAnswer(count, tuple(members), end if end < count else None, away)


def _voters(facts: Facts, params: VotersParams) -> VotersAnswer:
    epoch = epoch_from(facts.get) if params.epoch is None else params.epoch
    found = load_from(facts.get, Voters, voters_key(epoch))
    return VotersAnswer(found is not None, epoch, () if found is None else found.members)


QUESTIONS: Final = (
    Question(
        "network.member",
        MemberParams,
        MemberAnswer,
        _member,
        "Which roles and keys does an institution have?",
    ),
    Question(
        "network.members",
        MembersParams,
        MembersAnswer,
        _members,
        "Which institutions belong to the network?",
    ),
    Question(
        "network.voters",
        VotersParams,
        VotersAnswer,
        _voters,
        "Whose votes decide?",
    ),
)
