"""Family ``governance``: what the members decide together: who belongs, in which roles, under
which documents and limits.

Any institution proposes; institutions that are voters of the epoch in force vote, once, one
vote each; anybody executes a proposal that reached its threshold when its waiting time is over.
A suspension does not wait: it is for institutions whose keys are in wrong hands.  A suspended
validator goes on ordering blocks while its institution can do nothing on the ledger; who votes
on blocks changes by decisions on membership, engine and keys (``facts.membership_effects``),
and open proposals are counted again when it does.

Bounded: ``OPEN_MAX`` open proposals, ``features.open_max`` of one institution; 1000
institutions.  State: ``node.ledger.facts.governance``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import ballots, features, membership, numbered
from node.ledger.facts import governance as facts
from node.ledger.facts import governance_effects as effects
from node.ledger.facts.governance import (
    EXECUTED,
    EXPIRED,
    OPEN,
    REJECTED,
    WITHDRAWN,
    Handle,
    Handles,
    PolicyRow,
    ProposalRow,
)
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.words import sized
from node.ledger.rules import Alarm, Context, Operation, Refused, Result
from node.ledger.state import Overlay

OPEN_MAX: Final = 64

EXISTS: Final = Result(580, "governance-proposal-exists", "That handle names a proposal.")
UNKNOWN: Final = Result(581, "governance-proposal-unknown", "No such proposal.")
NOT_VOTER: Final = Result(582, "governance-not-voter", "Only validators' institutions vote.")
VOTED: Final = Result(583, "governance-voted-already", "That institution voted already.")
TOO_LATE: Final = Result(584, "governance-vote-late", "The time for votes is over.")
CLOSED: Final = Result(585, "governance-proposal-closed", "That proposal is closed.")
NOT_PROPOSER: Final = Result(586, "governance-not-proposer", "Another institution proposed it.")
TOO_FEW: Final = Result(587, "governance-threshold-missing", "Too few said yes so far.")
WAITING: Final = Result(588, "governance-waiting", "The waiting time is not over.")
KEY_UNPROVEN: Final = Result(
    592, "governance-key-unproven", "The new institution's identity key did not co-sign."
)
ADDS_VALIDATOR: Final = Result(
    593,
    "governance-adds-validator",
    "Register it without a vote, then propose to admit it: it votes once it has caught up.",
)
FULL: Final = Result(597, "governance-proposals-full", "Too many proposals are open.")
EXECUTE_LATE: Final = Result(600, "governance-execute-late", "The time to execute it is over.")
RESULTS: Final = (
    EXISTS,
    UNKNOWN,
    NOT_VOTER,
    VOTED,
    TOO_LATE,
    CLOSED,
    NOT_PROPOSER,
    TOO_FEW,
    WAITING,
    KEY_UNPROVEN,
    ADDS_VALIDATOR,
    FULL,
    EXECUTE_LATE,
    *effects.RESULTS,
)


@dataclass(frozen=True, slots=True)
class Vote:
    """``yes`` or no; a vote is final."""

    proposal: bytes
    yes: bool

    def __post_init__(self) -> None:
        sized(self.proposal, 32, "proposal")


@dataclass(frozen=True, slots=True)
class Name:
    """The handle of a proposal."""

    proposal: bytes

    def __post_init__(self) -> None:
        sized(self.proposal, 32, "proposal")


# --- proposals and votes ----------------------------------------------------------------------


def _propose(context: Context, body: Propose) -> None:
    view, read = context.view, context.view.get
    if facts.proposal(read, body.proposal) is not None:
        raise Refused(EXISTS)
    if body.register is not None:
        if body.register.validator:
            raise Refused(ADDS_VALIDATOR)
        if not context.signed_by(body.register.identity_key):
            raise Refused(KEY_UNPROVEN)
    if body.replace_keys is not None and not context.signed_by(body.replace_keys.identity_key):
        raise Refused(membership.KEY_UNPROVEN)
    waiting = facts.open_proposals(read)
    own = sum(_row(view, handle).org == context.org.id for handle in waiting)
    if len(waiting) >= OPEN_MAX or own >= features.open_max(read, context.height):
        raise Refused(FULL)
    # What cannot take effect is not voted on.
    effects.effect(replace(context, view=Overlay(read)), body)
    number = numbered.length(read, facts.PROPOSALS_KEY)
    decided = _policy_for(view, body)
    row = ProposalRow(
        number=number,
        org=context.org.id,
        topic=body.topic,
        body=body,
        policy=decided,
        height=context.height,
        time_ms=context.time_ms,
        vote_until_ms=context.time_ms + decided.window_ms,
        yes=(),
        no=(),
        reached_ms=None,
        status=OPEN,
        closed_height=None,
    )
    view.save(facts.proposal_key(body.proposal), row)
    view.save(facts.number_key(number), Handle(body.proposal))
    view.save(facts.PROPOSALS_KEY, numbered.Count(number + 1))
    view.save(facts.OPEN_KEY, Handles((*waiting, body.proposal)))
    context.alarm(ballots.ALARM, body.proposal, time_ms=row.vote_until_ms + 1)


def _policy_for(view: Overlay, body: Propose) -> PolicyRow:
    """Return how ``body`` is decided; a change of a topic's policy as strictly as that topic,
    so that nothing is made easy first and done next."""
    policy = facts.policy(view.get, body.topic)
    if body.suspend is not None:
        return replace(policy, wait_ms=0)
    if body.policy is None:
        return policy
    other = facts.policy(view.get, body.policy.topic)
    return replace(
        policy,
        threshold_bp=max(policy.threshold_bp, other.threshold_bp),
        wait_ms=max(policy.wait_ms, other.wait_ms),
    )


def _row(view: Overlay, handle: bytes) -> ProposalRow:
    row = facts.proposal(view.get, handle)
    if row is None:
        raise Refused(UNKNOWN)
    return row


def _vote(context: Context, body: Vote) -> None:
    row, org = _row(context.view, body.proposal), context.org.id
    if org not in facts.voter_ids(context.view.get):
        raise Refused(NOT_VOTER)
    if row.status in (WITHDRAWN, EXECUTED, REJECTED):
        raise Refused(CLOSED)
    if row.status == EXPIRED or context.time_ms > row.vote_until_ms:
        raise Refused(TOO_LATE)
    if org in row.yes or org in row.no:
        raise Refused(VOTED)
    said = tuple(sorted((*(row.yes if body.yes else row.no), org)))
    row = replace(row, yes=said) if body.yes else replace(row, no=said)
    ballots.count(context, row)


def _withdraw(context: Context, body: Name) -> None:
    row = _row(context.view, body.proposal)
    if row.org != context.org.id:
        raise Refused(NOT_PROPOSER)
    if row.status != OPEN:
        raise Refused(CLOSED)
    ballots.close(context, row, WITHDRAWN)


def _execute(context: Context, body: Name) -> None:
    row = _row(context.view, body.proposal)
    if row.status == EXPIRED and row.reached_ms is not None:
        raise Refused(EXECUTE_LATE)
    if row.status != OPEN:
        raise Refused(CLOSED)
    start_ms = row.execute_from_ms
    if start_ms is None or facts.tally(context.view.get, row).missing:
        raise Refused(TOO_FEW)
    if context.time_ms < start_ms:
        raise Refused(WAITING)
    before = facts.voter_ids(context.view.get)
    ballots.close(context, row, EXECUTED)
    effects.effect(context, row.body)
    ballots.recount(context, before)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("governance.propose", Propose, _propose, _ANYBODY, "Propose a decision."),
    Operation("governance.vote", Vote, _vote, _ANYBODY, "Vote on a proposal, once."),
    Operation("governance.withdraw", Name, _withdraw, _ANYBODY, "Withdraw an own proposal."),
    Operation(
        "governance.execute", Name, _execute, _ANYBODY, "Do what was decided.", barrier=True
    ),
)
ALARMS: Final = (
    Alarm(
        ballots.ALARM,
        ballots.time_is_up,
        "Close a proposal that was not decided or executed in time.",
    ),
)
