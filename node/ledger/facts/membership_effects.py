"""What decisions about the members' network do: seats, engine, lost keys, features.

Called through ``governance_effects`` when a proposal is tried and when it is executed.  An
institution that is suspended can be demoted, removed and given new keys: that is how members
deal with one whose keys are in wrong hands.
"""

from dataclasses import replace

from node.ledger.eras import era_from
from node.ledger.facts import features, governance, keys, membership, numbered
from node.ledger.facts.features import FeatureName, FeatureRow
from node.ledger.facts.governance_bodies import Propose
from node.ledger.facts.membership import (
    LEARNER,
    NONE,
    OBSERVER,
    VOTER,
    Seat,
)
from node.ledger.facts.membership_bodies import Feature, ReplaceKeys
from node.ledger.genesis import Institution
from node.ledger.rules import Context, Refused


def admit(context: Context, item: Institution, body: Propose) -> None:
    """Let ``item`` follow the chain, as learner or observer."""
    assert body.admit is not None
    before = membership.seat(context.view.get, item).standing
    after = LEARNER if body.admit.votes else OBSERVER
    if before == VOTER:
        raise Refused(membership.VOTER_ALREADY)
    if before == after:
        raise Refused(membership.SEATED_ALREADY)
    membership.take_seat(context, item, Seat(after, context.height, body.proposal))


def demote(context: Context, item: Institution, proposal: bytes) -> None:
    """Let ``item`` follow without voting, or without a prospect of it."""
    before = membership.seat(context.view.get, item).standing
    if before == OBSERVER:
        raise Refused(membership.SEATED_ALREADY)
    if before == NONE:
        raise Refused(membership.NOT_MEMBER)
    membership.take_seat(context, item, Seat(OBSERVER, context.height, proposal))


def remove(context: Context, item: Institution, proposal: bytes | None) -> None:
    """Take ``item`` out of the members' network; it stays an institution."""
    if membership.seat(context.view.get, item).standing == NONE:
        raise Refused(membership.NOT_MEMBER)
    membership.take_seat(context, item, Seat(NONE, context.height, proposal))


def switch(context: Context, engine: str) -> None:
    """Let the same voters go on under another engine."""
    if era_from(context.view.get).engine == engine:
        raise Refused(membership.ENGINE_SAME)
    membership.begin_era(context, engine=engine)


def replace_keys(context: Context, item: Institution, body: ReplaceKeys) -> None:
    """Give ``item`` new keys; every signing key that it had ends with this block."""
    view = context.view
    membership.enlist(view)
    if any(keys.known_key(view.get, key) for key in body.keys):
        raise Refused(membership.KEY_TAKEN)
    keys.enlist(view, item.id)
    keys.replace_all(context, item.id, body.identity_key, body.compromised_since_ms)
    changed = replace(item, identity_key=body.identity_key)
    if body.encryption_key is not None:
        keys.reseal(context, item.id, item.encryption_key, body.encryption_key)
        changed = replace(changed, encryption_key=body.encryption_key)
    membership.change_node_keys(
        context,
        changed,
        body.consensus_key or item.consensus_key,
        body.cosigner_key or item.cosigner_key,
    )


def activate(context: Context, body: Feature, proposal: bytes) -> None:
    """Set the height from which on a feature is in force; one that is not yet in force can be
    moved.  Every voter that may act has said that its software knows it: a voter that does not
    would come to another state, or stand still."""
    view = context.view
    for org in governance.voter_ids(view.get):
        acts = governance.suspended(view.get, org) is None
        if acts and body.name not in features.supports(view.get, org):
            raise Refused(features.FEATURE_UNKNOWN)
    from_height = max(context.height + 1, body.from_height)
    before = features.feature(view.get, body.name)
    if before is None:
        count = numbered.length(view.get, features.FEATURES_KEY)
        if count >= features.FEATURES_MAX:
            raise Refused(features.FEATURES_FULL)
        numbered.append(view, features.FEATURES_KEY, FeatureName(body.name))
    elif before.from_height <= context.height or before.from_height == from_height:
        raise Refused(features.FEATURE_SET)
    row = FeatureRow(body.name, from_height, context.height, proposal)
    view.save(features.feature_key(body.name), row)
