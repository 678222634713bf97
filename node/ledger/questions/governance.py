"""Questions about decisions: what is proposed, how the votes stand, who has which role, which
documents are in force.  All provable: every list is numbered and counted in state."""

from dataclasses import dataclass
from typing import Final

from node.ledger.asking import PAGE_MAX, Facts, Question
from node.ledger.facts import governance as facts
from node.ledger.facts import numbered
from node.ledger.facts.governance import (
    EXPIRED,
    OPEN,
    DocumentRow,
    Handle,
    PolicyRow,
    ProposalRow,
)
from node.ledger.facts.governance_bodies import DOCUMENTS, Limits, Propose
from node.ledger.policies import TOPICS
from node.ledger.state import Overlay, load_from, parameters


def page(count: int, start: int, limit: int) -> tuple[range, int | None]:
    """Return the numbers of one page of a list and where the next one starts."""
    end = min(count, start + max(1, min(limit, PAGE_MAX)))
    return range(start, end), end if end < count else None


@dataclass(frozen=True, slots=True)
class Proposal:
    """``waiting_for``: voters who have not voted; ``missing``: how many yes votes are needed
    still; ``may_execute``: whether it can be executed at the time of the answer."""

    known: bool
    proposal: bytes
    status: str | None = None
    topic: str | None = None
    org: str | None = None
    body: Propose | None = None
    made_height: int = 0
    made_ms: int = 0
    vote_until_ms: int = 0
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()
    voters: int = 0
    needed: int = 0
    missing: int = 0
    execute_from_ms: int | None = None
    execute_until_ms: int | None = None
    may_execute: bool = False
    closed_height: int | None = None


@dataclass(frozen=True, slots=True)
class ByHandle:
    proposal: bytes


def _status(asked: Facts, row: ProposalRow) -> str:
    """The status at the time of the answer: an idle network closes nothing by itself."""
    until_ms = row.execute_until_ms or row.vote_until_ms
    return EXPIRED if row.status == OPEN and asked.time_ms > until_ms else row.status


def _shown(asked: Facts, row: ProposalRow) -> Proposal:
    tally = facts.tally(asked.get, row)
    status = _status(asked, row)
    start_ms = row.execute_from_ms
    ready = start_ms is not None and asked.time_ms >= start_ms and tally.missing == 0
    return Proposal(
        known=True,
        proposal=row.body.proposal,
        status=status,
        topic=row.topic,
        org=row.org,
        body=row.body,
        made_height=row.height,
        made_ms=row.time_ms,
        vote_until_ms=row.vote_until_ms,
        yes=row.yes,
        no=row.no,
        waiting_for=tally.waiting if status == OPEN else (),
        voters=tally.voters,
        needed=tally.needed,
        missing=tally.missing,
        execute_from_ms=start_ms,
        execute_until_ms=row.execute_until_ms,
        may_execute=status == OPEN and ready,
        closed_height=row.closed_height,
    )


def _proposal(asked: Facts, params: ByHandle) -> Proposal:
    row = facts.proposal(asked.get, params.proposal)
    return (
        Proposal(known=False, proposal=params.proposal) if row is None else _shown(asked, row)
    )


@dataclass(frozen=True, slots=True)
class Listing:
    """``topic``: one only; ``open_only``: what can still be voted on or executed."""

    topic: str | None = None
    open_only: bool = True
    start: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Proposals:
    proposals: tuple[Proposal, ...]
    next: int | None


def _proposals(asked: Facts, params: Listing) -> Proposals:
    count = numbered.length(asked.get, facts.PROPOSALS_KEY)
    numbers, following = page(count, params.start, params.limit)
    found = []
    for number in numbers:
        handle = load_from(asked.get, Handle, facts.number_key(number))
        assert handle is not None, "numbers below the count are taken"
        row = facts.proposal(asked.get, handle.handle)
        assert row is not None, "every number names a proposal"
        wanted = params.topic in (None, row.topic)
        if wanted and (not params.open_only or _status(asked, row) == OPEN):
            found.append(_shown(asked, row))
    return Proposals(tuple(found), following)


@dataclass(frozen=True, slots=True)
class AtHeight:
    """``at_height``: after that block; left out: now."""

    at_height: int | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    height: int
    documents: tuple[DocumentRow, ...]


def _documents(asked: Facts, params: AtHeight) -> Documents:
    height = asked.height if params.at_height is None else params.at_height
    rows = [
        facts.row_at(asked.get, DocumentRow, facts.document_prefix(kind), height)
        for kind in DOCUMENTS
    ]
    return Documents(
        height, tuple(row for row in rows if row is not None and row.digest is not None)
    )


@dataclass(frozen=True, slots=True)
class OrgAt:
    """``at_height``: after that block; left out: now."""

    org: str
    at_height: int | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """``known`` is whether the institution belonged at that height; ``from_height`` since when
    it is as shown, ``proposal`` by whose decision (none: it founded the network)."""

    known: bool
    org: str
    height: int
    roles: tuple[str, ...] = ()
    suspended: bool = False
    from_height: int = 0
    proposal: bytes | None = None
    validator: bool = False


def _roles(asked: Facts, params: OrgAt) -> Standing:
    height = asked.height if params.at_height is None else params.at_height
    item = facts.known_institution(asked.get, params.org)
    row = facts.standing(asked.get, params.org, height) if item else None
    if item is None or row is None:
        return Standing(known=False, org=params.org, height=height)
    return Standing(
        known=True,
        org=params.org,
        height=height,
        roles=row.roles,
        suspended=row.suspended,
        from_height=row.from_height,
        proposal=row.proposal,
        validator=item.validator,
    )


@dataclass(frozen=True, slots=True)
class Everything:
    pass


@dataclass(frozen=True, slots=True)
class TopicPolicy:
    topic: str
    needed: int
    policy: PolicyRow


@dataclass(frozen=True, slots=True)
class Policies:
    """How each topic is decided now, by whom, and the limits that were agreed on."""

    voters: tuple[str, ...]
    policies: tuple[TopicPolicy, ...]
    limits: Limits
    expires_heights_max: int


def _policies(asked: Facts, _params: Everything) -> Policies:
    everyone = facts.voter_ids(asked.get)
    rows = [(topic, facts.policy(asked.get, topic)) for topic in TOPICS]
    return Policies(
        everyone,
        tuple(
            TopicPolicy(topic, facts.needed(len(everyone), row.threshold_bp), row)
            for topic, row in rows
        ),
        facts.limits(asked.get),
        parameters(Overlay(asked.get)).expires_heights_max,
    )


QUESTIONS: Final = (
    Question(
        "governance.proposal", ByHandle, Proposal, _proposal, "How does this proposal stand?"
    ),
    Question("governance.proposals", Listing, Proposals, _proposals, "What is proposed?"),
    Question(
        "governance.documents", AtHeight, Documents, _documents, "Which documents are in force?"
    ),
    Question("governance.roles", OrgAt, Standing, _roles, "Which roles has this institution?"),
    Question("governance.policies", Everything, Policies, _policies, "How is it decided here?"),
)
