"""Family ``governance``: what the members decide together: who belongs, in which roles, under
which documents and limits.

Any institution proposes; institutions that are voters of the epoch in force vote, once, one
vote each; anybody executes a proposal that reached its threshold when its waiting time is over.
A suspension does not wait: it is for institutions whose keys are in wrong hands.  Nothing here
changes who votes on blocks: a proposal to add a validator is refused, and a suspended validator
goes on ordering blocks while its institution can do nothing on the ledger.

Bounded: ``OPEN_MAX`` open proposals, ``OPEN_OF_ONE_MAX`` of one institution; 1000 institutions.
State: ``node.ledger.facts.governance``.
"""

from dataclasses import dataclass, replace
from typing import Final

from node.ledger.facts import governance as facts
from node.ledger.facts import keys, numbered
from node.ledger.facts.governance import (
    EXECUTED,
    EXPIRED,
    OPEN,
    REJECTED,
    WITHDRAWN,
    DocumentRow,
    Handle,
    Handles,
    PolicyRow,
    ProposalRow,
    RolesRow,
)
from node.ledger.facts.governance_bodies import Document, Policy, Propose, Roles
from node.ledger.facts.words import sized
from node.ledger.genesis import INSTITUTIONS_MAX, Institution
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result
from node.ledger.state import (
    INSTITUTIONS_KEY,
    PARAMETERS_KEY,
    Institutions,
    Overlay,
    SignerRow,
    institution,
    institution_at_key,
    institution_key,
    parameters,
    signer_key,
    suspended_key,
)

OPEN_MAX: Final = 64
OPEN_OF_ONE_MAX: Final = 8
ALARM: Final = "governance.close"

EXISTS: Final = Result(580, "governance-proposal-exists", "That handle names a proposal.")
UNKNOWN: Final = Result(581, "governance-proposal-unknown", "No such proposal.")
NOT_VOTER: Final = Result(582, "governance-not-voter", "Only validators' institutions vote.")
VOTED: Final = Result(583, "governance-voted-already", "That institution voted already.")
TOO_LATE: Final = Result(584, "governance-vote-late", "The time for votes is over.")
CLOSED: Final = Result(585, "governance-proposal-closed", "That proposal is closed.")
NOT_PROPOSER: Final = Result(586, "governance-not-proposer", "Another institution proposed it.")
TOO_FEW: Final = Result(587, "governance-threshold-missing", "Too few said yes so far.")
WAITING: Final = Result(588, "governance-waiting", "The waiting time is not over.")
ORG_EXISTS: Final = Result(589, "governance-institution-exists", "That id is taken.")
ORG_UNKNOWN: Final = Result(590, "governance-institution-unknown", "No such institution.")
KEY_TAKEN: Final = Result(591, "governance-key-taken", "One of the keys is in use already.")
KEY_UNPROVEN: Final = Result(
    592, "governance-key-unproven", "The new institution's identity key did not co-sign."
)
ADDS_VALIDATOR: Final = Result(
    593, "governance-adds-validator", "Validators are not added by this operation."
)
SUSPENDED: Final = Result(594, "governance-suspended", "That institution is suspended.")
NOT_SUSPENDED: Final = Result(595, "governance-not-suspended", "It is not suspended.")
OLD_DOCUMENT: Final = Result(
    596, "governance-document-old", "That kind has this version, or one from a later height."
)
FULL: Final = Result(597, "governance-proposals-full", "Too many proposals are open.")
DEADLOCK: Final = Result(
    598, "governance-deadlock", "Too few voters would be left to decide anything."
)
SAME: Final = Result(599, "governance-nothing-changes", "It is like that already.")
EXECUTE_LATE: Final = Result(600, "governance-execute-late", "The time to execute it is over.")
ORGS_FULL: Final = Result(601, "governance-institutions-full", "No more institutions fit.")
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
    ORG_EXISTS,
    ORG_UNKNOWN,
    KEY_TAKEN,
    KEY_UNPROVEN,
    ADDS_VALIDATOR,
    SUSPENDED,
    NOT_SUSPENDED,
    OLD_DOCUMENT,
    FULL,
    DEADLOCK,
    SAME,
    EXECUTE_LATE,
    ORGS_FULL,
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
    waiting = facts.open_proposals(read)
    own = sum(_row(view, handle).org == context.org.id for handle in waiting)
    if len(waiting) >= OPEN_MAX or own >= OPEN_OF_ONE_MAX:
        raise Refused(FULL)
    _effect(Overlay(read), context, body)  # what cannot take effect is not voted on
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
    context.alarm(ALARM, body.proposal, time_ms=row.vote_until_ms + 1)


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
    counted = facts.tally(context.view.get, row)
    if row.reached_ms is None and counted.missing == 0:
        row = replace(row, reached_ms=context.time_ms)
        until_ms = row.execute_until_ms
        assert until_ms is not None
        context.alarm(ALARM, body.proposal, time_ms=until_ms + 1)
    context.view.save(facts.proposal_key(body.proposal), row)
    if row.reached_ms is None and counted.hopeless:
        _close(context, row, REJECTED)


def _close(moment: Moment, row: ProposalRow, status: str) -> None:
    handle = row.body.proposal
    closed = replace(row, status=status, closed_height=moment.height)
    moment.view.save(facts.proposal_key(handle), closed)
    waiting = facts.open_proposals(moment.view.get)
    left = tuple(item for item in waiting if item != handle)
    moment.view.save(facts.OPEN_KEY, Handles(left))


def _withdraw(context: Context, body: Name) -> None:
    row = _row(context.view, body.proposal)
    if row.org != context.org.id:
        raise Refused(NOT_PROPOSER)
    if row.status != OPEN:
        raise Refused(CLOSED)
    _close(context, row, WITHDRAWN)


def _time_is_up(moment: Moment, handle: bytes) -> None:
    """Close what was not decided, or not executed, in its time."""
    row = facts.proposal(moment.view.get, handle)
    if row is None or row.status != OPEN:
        return
    until_ms = row.execute_until_ms or row.vote_until_ms
    if moment.time_ms > until_ms:
        _close(moment, row, EXPIRED)


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
    _effect(context.view, context, row.body)
    _close(context, row, EXECUTED)


# --- what decisions do ------------------------------------------------------------------------


def _effect(view: Overlay, context: Context, body: Propose) -> None:
    """Do what ``body`` says to ``view``; refused where it does not fit the state."""
    if body.register is not None:
        _register(view, context, body.register, body.proposal)
    elif body.roles is not None:
        _roles(view, context, body.roles, body.proposal)
    elif body.suspend is not None:
        _suspend(view, context, body.suspend, body.proposal)
    elif body.resume is not None:
        _resume(view, context, body.resume, body.proposal)
    elif body.document is not None:
        _document(view, context, body.document, body.proposal)
    elif body.expires_heights_max is not None:
        before = parameters(view)
        after = replace(before, expires_heights_max=body.expires_heights_max)
        _changed(before, after)
        view.save(PARAMETERS_KEY, after)
    elif body.policy is not None:
        _policy(view, body.policy)
    else:
        _changed(facts.limits(view.get), body.limits)
        view.save(facts.LIMITS_KEY, body.limits)


def _changed(before: object, after: object) -> None:
    if before == after:
        raise Refused(SAME)


def _keys(item: Institution) -> set[bytes]:
    return {item.identity_key, item.consensus_key, item.cosigner_key}


def _register(view: Overlay, context: Context, item: Institution, proposal: bytes) -> None:
    ids = facts.institution_ids(view.get)
    if item.id in ids:
        raise Refused(ORG_EXISTS)
    if len(ids) >= INSTITUTIONS_MAX:
        raise Refused(ORGS_FULL)
    new = _keys(item)
    if len(new) < 3 or keys.known_key(view.get, item.identity_key):
        raise Refused(KEY_TAKEN)
    for org in ids:
        other = facts.known_institution(view.get, org)
        assert other is not None, "every listed institution has a row"
        if new & _keys(other):
            raise Refused(KEY_TAKEN)
    view.put(institution_at_key(len(ids)), item.id.encode("ascii"))
    view.save(INSTITUTIONS_KEY, Institutions(len(ids) + 1))
    view.save(institution_key(item.id), item)
    view.save(signer_key(item.identity_key), SignerRow(item.id, context.height))
    _history(view, context, item.id, item.roles, proposal, suspended=False)


def _history(
    view: Overlay,
    context: Context,
    org: str,
    roles: tuple[str, ...],
    proposal: bytes,
    *,
    suspended: bool,
) -> None:
    row = RolesRow(context.height, context.time_ms, roles, suspended, proposal)
    numbered.append(view, facts.roles_prefix(org), row)


def _acting(view: Overlay, org: str) -> Institution:
    """Return an institution that may act, its first standing written down before it changes."""
    item = institution(view, org)
    if item is None:
        suspended = facts.suspended(view.get, org) is not None
        raise Refused(SUSPENDED if suspended else ORG_UNKNOWN)
    if numbered.length(view.get, facts.roles_prefix(org)) == 0:
        numbered.append(view, facts.roles_prefix(org), facts.founding(item.roles))
    return item


def _roles(view: Overlay, context: Context, body: Roles, proposal: bytes) -> None:
    item = _acting(view, body.org)
    _changed(item.roles, body.roles)
    view.save(institution_key(body.org), replace(item, roles=body.roles))
    _history(view, context, body.org, body.roles, proposal, suspended=False)


def _suspend(view: Overlay, context: Context, org: str, proposal: bytes) -> None:
    item = _acting(view, org)
    view.delete(institution_key(org))
    view.save(suspended_key(org), item)
    if not facts.can_decide(view.get):
        raise Refused(DEADLOCK)
    _history(view, context, org, item.roles, proposal, suspended=True)


def _resume(view: Overlay, context: Context, org: str, proposal: bytes) -> None:
    item = facts.suspended(view.get, org)
    if item is None:
        known = institution(view, org) is not None
        raise Refused(NOT_SUSPENDED if known else ORG_UNKNOWN)
    view.delete(suspended_key(org))
    view.save(institution_key(org), item)
    _history(view, context, org, item.roles, proposal, suspended=False)


def _document(view: Overlay, context: Context, body: Document, proposal: bytes) -> None:
    from_height = max(context.height, body.from_height)
    prefix = facts.document_prefix(body.kind)
    last = facts.last_row(view.get, DocumentRow, prefix)
    if last is not None and (body.version <= last.version or from_height < last.from_height):
        raise Refused(OLD_DOCUMENT)
    row = DocumentRow(
        body.kind, body.version, body.digest, from_height, context.time_ms, proposal
    )
    numbered.append(view, prefix, row)


def _policy(view: Overlay, body: Policy) -> None:
    row = PolicyRow(body.threshold_bp, body.wait_ms, body.window_ms, body.execute_ms)
    _changed(facts.policy(view.get, body.topic), row)
    view.save(facts.policy_key(body.topic), row)
    if not facts.can_decide(view.get):
        raise Refused(DEADLOCK)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("governance.propose", Propose, _propose, _ANYBODY, "Propose a decision."),
    Operation("governance.vote", Vote, _vote, _ANYBODY, "Vote on a proposal, once."),
    Operation("governance.withdraw", Name, _withdraw, _ANYBODY, "Withdraw an own proposal."),
    Operation("governance.execute", Name, _execute, _ANYBODY, "Do what was decided."),
)
ALARMS: Final = (
    Alarm(ALARM, _time_is_up, "Close a proposal that was not decided or executed in time."),
)
