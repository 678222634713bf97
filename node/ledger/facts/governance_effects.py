"""What decisions do: each action of a proposal, and why it may not fit the state.

The same code tries an action when it is proposed (on a view that is thrown away) and does it
when the proposal is executed, so nothing is voted on that cannot take effect, and what became
impossible meanwhile is refused again.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import governance as facts
from node.ledger.facts import keys, membership_effects, numbered
from node.ledger.facts.governance import DocumentRow, PolicyRow, RolesRow
from node.ledger.facts.governance_bodies import Document, Propose, Roles
from node.ledger.genesis import INSTITUTIONS_MAX, Institution
from node.ledger.policies import Policy
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import (
    INSTITUTIONS_KEY,
    PARAMETERS_KEY,
    Institutions,
    SignerRow,
    institution,
    institution_at_key,
    institution_key,
    parameters,
    policy_key,
    signer_key,
    suspended_key,
)

ORG_EXISTS: Final = Result(589, "governance-institution-exists", "That id is taken.")
ORG_UNKNOWN: Final = Result(590, "governance-institution-unknown", "No such institution.")
KEY_TAKEN: Final = Result(591, "governance-key-taken", "One of the keys is in use already.")
SUSPENDED: Final = Result(594, "governance-suspended", "That institution is suspended.")
NOT_SUSPENDED: Final = Result(595, "governance-not-suspended", "It is not suspended.")
OLD_DOCUMENT: Final = Result(
    596, "governance-document-old", "That kind has this version, or one from a later height."
)
DEADLOCK: Final = Result(
    598, "governance-deadlock", "Too few voters would be left to decide anything."
)
SAME: Final = Result(599, "governance-nothing-changes", "It is like that already.")
ORGS_FULL: Final = Result(601, "governance-institutions-full", "No more institutions fit.")
RESULTS: Final = (
    ORG_EXISTS,
    ORG_UNKNOWN,
    KEY_TAKEN,
    SUSPENDED,
    NOT_SUSPENDED,
    OLD_DOCUMENT,
    DEADLOCK,
    SAME,
    ORGS_FULL,
)


def effect(context: Context, body: Propose) -> None:
    """Do what ``body`` says; refused where it does not fit the state."""
    if body.register is not None:
        _register(context, body.register, body.proposal)
    elif body.roles is not None:
        _roles(context, body.roles, body.proposal)
    elif body.suspend is not None:
        _suspend(context, body.suspend, body.proposal)
    elif body.resume is not None:
        _resume(context, body.resume, body.proposal)
    elif body.document is not None:
        _document(context, body.document, body.proposal)
    elif not _figures(context, body):
        _membership(context, body)


def _figures(context: Context, body: Propose) -> bool:
    """Do what sets a figure; return whether ``body`` is of that kind."""
    view = context.view
    if body.expires_heights_max is not None:
        before = parameters(view)
        after = replace(before, expires_heights_max=body.expires_heights_max)
        _changed(before, after)
        view.save(PARAMETERS_KEY, after)
    elif body.policy is not None:
        _policy(context, body.policy)
    elif body.limits is not None:
        _changed(facts.limits(view.get), body.limits)
        view.save(facts.LIMITS_KEY, body.limits)
    else:
        return False
    return True


def _membership(context: Context, body: Propose) -> None:
    """Do what concerns the members' network, by rules of its own."""
    if body.admit is not None:
        membership_effects.admit(context, _active(context, body.admit.org), body)
    elif body.demote is not None:
        membership_effects.demote(context, _known(context, body.demote), body.proposal)
    elif body.remove is not None:
        membership_effects.remove(context, _known(context, body.remove), body.proposal)
    elif body.engine is not None:
        membership_effects.switch(context, body.engine)
    elif body.replace_keys is not None:
        item = _known(context, body.replace_keys.org)
        membership_effects.replace_keys(context, item, body.replace_keys)
    else:
        assert body.feature is not None, "a proposal is exactly one action"
        membership_effects.activate(context, body.feature, body.proposal)


def _changed(before: object, after: object) -> None:
    if before == after:
        raise Refused(SAME)


def _keys(item: Institution) -> set[bytes]:
    return {item.identity_key, item.consensus_key, item.cosigner_key}


def _register(context: Context, item: Institution, proposal: bytes) -> None:
    view = context.view
    ids = facts.institution_ids(view.get)
    if item.id in ids:
        raise Refused(ORG_EXISTS)
    if len(ids) >= INSTITUTIONS_MAX:
        raise Refused(ORGS_FULL)
    new = _keys(item)
    if len(new) < 3 or any(keys.known_key(view.get, key) for key in new):
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
    _history(context, item.id, item.roles, proposal, suspended=False)


def _history(
    context: Context, org: str, roles: tuple[str, ...], proposal: bytes, *, suspended: bool
) -> None:
    row = RolesRow(context.height, context.time_ms, roles, suspended, proposal)
    numbered.append(context.view, facts.roles_prefix(org), row)


def _known(context: Context, org: str) -> Institution:
    """Return an institution whether it may act or not."""
    item = facts.known_institution(context.view.get, org)
    if item is None:
        raise Refused(ORG_UNKNOWN)
    return item


def _active(context: Context, org: str) -> Institution:
    """Return an institution that may act."""
    item = institution(context.view, org)
    if item is None:
        suspended = facts.suspended(context.view.get, org) is not None
        raise Refused(SUSPENDED if suspended else ORG_UNKNOWN)
    return item


def _acting(context: Context, org: str) -> Institution:
    """Like ``_active``, its first standing written down before it changes."""
    view, item = context.view, _active(context, org)
    if numbered.length(view.get, facts.roles_prefix(org)) == 0:
        numbered.append(view, facts.roles_prefix(org), facts.founding(item.roles))
    return item


def _roles(context: Context, body: Roles, proposal: bytes) -> None:
    item = _acting(context, body.org)
    _changed(item.roles, body.roles)
    context.view.save(institution_key(body.org), replace(item, roles=body.roles))
    _history(context, body.org, body.roles, proposal, suspended=False)


def _suspend(context: Context, org: str, proposal: bytes) -> None:
    view, item = context.view, _acting(context, org)
    view.delete(institution_key(org))
    view.save(suspended_key(org), item)
    if not facts.can_decide(view.get):
        raise Refused(DEADLOCK)
    _history(context, org, item.roles, proposal, suspended=True)


def _resume(context: Context, org: str, proposal: bytes) -> None:
    view = context.view
    item = facts.suspended(view.get, org)
    if item is None:
        known = institution(view, org) is not None
        raise Refused(NOT_SUSPENDED if known else ORG_UNKNOWN)
    view.delete(suspended_key(org))
    view.save(institution_key(org), item)
    _history(context, org, item.roles, proposal, suspended=False)


def _document(context: Context, body: Document, proposal: bytes) -> None:
    from_height = max(context.height, body.from_height)
    prefix = facts.document_prefix(body.kind)
    last = facts.last_row(context.view.get, DocumentRow, prefix)
    if last is not None and (body.version <= last.version or from_height < last.from_height):
        raise Refused(OLD_DOCUMENT)
    row = DocumentRow(
        body.kind, body.version, body.digest, from_height, context.time_ms, proposal
    )
    numbered.append(context.view, prefix, row)


def _policy(context: Context, body: Policy) -> None:
    view = context.view
    row = PolicyRow(body.threshold_bp, body.wait_ms, body.window_ms, body.execute_ms)
    _changed(facts.policy(view.get, body.topic), row)
    view.save(policy_key(body.topic), row)
    if not facts.can_decide(view.get):
        raise Refused(DEADLOCK)
