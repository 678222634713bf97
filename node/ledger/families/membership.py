"""Family ``membership``: what a member does about its own place in the members' network.

The others decide by vote whom they admit, demote and remove (family ``governance``); a member
itself says that it has caught up (``.ready``), changes the keys with which its node votes and
cosigns (``.rotate``), says which features its software knows (``.supports``), and leaves
(``.leave``).  What changes the voters or their keys is a barrier: the next block is ordered by
the new era.

Refused: a learner that is more than ``READY_BLOCKS_MAX`` blocks behind or whose software lacks
a feature in force; keys that were ever anybody's, or that did not sign for themselves; the
last voter's leaving.  A suspended institution signs nothing, so it rotates nothing.

State: ``node.ledger.facts.membership``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from node.ledger.facts import (
    ballots,
    features,
    governance,
    keys,
    membership,
    membership_effects,
)
from node.ledger.facts.features import Supports
from node.ledger.facts.membership import (
    CONSENSUS,
    COSIGNER,
    LEARNER,
    NONE,
    RESULTS,
    VOTER,
    Seat,
)
from node.ledger.facts.membership_bodies import feature_name
from node.ledger.facts.words import sized
from node.ledger.genesis import Institution
from node.ledger.rules import Context, Operation, Refused
from node.ledger.state import institution

READY_BLOCKS_MAX: Final = 64
SUPPORTS_MAX: Final = 256

__all__ = ["OPERATIONS", "RESULTS"]


@dataclass(frozen=True, slots=True)
class Ready:
    """``height`` and ``digest``: the newest block that the author's node has applied."""

    height: int
    digest: bytes

    def __post_init__(self) -> None:
        sized(self.digest, 32, "digest")
        if self.height < 1:
            raise ValueError("heights begin at 1")


@dataclass(frozen=True, slots=True)
class Rotate:
    """The author's new keys; each ``proof`` is the key's own Ed25519 signature over
    "chartseal/rotate/v1", 0x00 and [network, org, role, key]."""

    consensus_key: bytes
    cosigner_key: bytes
    consensus_proof: bytes
    cosigner_proof: bytes

    def __post_init__(self) -> None:
        sized(self.consensus_key, 32, "consensus_key")
        sized(self.cosigner_key, 32, "cosigner_key")
        sized(self.consensus_proof, 64, "consensus_proof")
        sized(self.cosigner_proof, 64, "cosigner_proof")
        if self.consensus_key == self.cosigner_key:
            raise ValueError("every key is another one")


@dataclass(frozen=True, slots=True)
class Knows:
    """``features``: all that the software of the author's node knows, ascending."""

    features: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in self.features:
            feature_name(name)
        if list(self.features) != sorted(set(self.features)):
            raise ValueError("features must be unique and ascending")
        if len(self.features) > SUPPORTS_MAX:
            raise ValueError(f"at most {SUPPORTS_MAX} features")


@dataclass(frozen=True, slots=True)
class Nothing:
    pass


def _counted(apply: Callable[[Context, Any], None]) -> Callable[[Context, Any], None]:
    """Return ``apply`` that counts open proposals again when it changed the voters."""

    def counting(context: Context, body: Any) -> None:
        before = governance.voter_ids(context.view.get)
        apply(context, body)
        ballots.recount(context, before)

    return counting


def _author(context: Context) -> Institution:
    """Return the author's row as earlier operations of this transaction left it."""
    item = institution(context.view, context.org.id)
    assert item is not None, "whoever signs is not suspended, and does not suspend itself"
    return item


def _ready(context: Context, body: Ready) -> None:
    read, item = context.view.get, _author(context)
    before = membership.seat(read, item)
    if before.standing == VOTER:
        raise Refused(membership.VOTER_ALREADY)
    if before.standing != LEARNER:
        raise Refused(membership.NOT_LEARNER)
    if not 0 < context.height - body.height <= READY_BLOCKS_MAX:
        raise Refused(membership.READY_OLD)
    known = features.supports(read, item.id)
    if any(row.name not in known for row in features.all_features(read)):
        raise Refused(features.FEATURE_MISSING)
    seat = Seat(VOTER, context.height, before.proposal, body.height, body.digest)
    membership.take_seat(context, item, seat)


def _rotate(context: Context, body: Rotate) -> None:
    view, item = context.view, _author(context)
    if membership.seat(view.get, item).standing == NONE:
        raise Refused(membership.NOT_MEMBER)
    given = (
        (CONSENSUS, body.consensus_key, body.consensus_proof),
        (COSIGNER, body.cosigner_key, body.cosigner_proof),
    )
    # Proofs before the search for the keys: only their holder can ask for that.
    if not all(membership.signed_for_itself(context, *each) for each in given):
        raise Refused(membership.KEY_UNPROVEN)
    membership.enlist(view)
    if any(keys.known_key(view.get, key) for _, key, _ in given):
        raise Refused(membership.KEY_TAKEN)
    membership.change_node_keys(context, item, body.consensus_key, body.cosigner_key)


def _supports(context: Context, body: Knows) -> None:
    org = context.org.id
    if features.supports(context.view.get, org) == body.features:
        raise Refused(features.SUPPORTS_SAME)
    context.view.save(features.supports_key(org), Supports(body.features, context.height))


def _leave(context: Context, _body: Nothing) -> None:
    membership_effects.remove(context, _author(context), None)


_ANYBODY: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation(
        "membership.ready",
        Ready,
        _counted(_ready),
        _ANYBODY,
        "Say that this learner has caught up: it votes from the next block on.",
        barrier=True,
    ),
    Operation(
        "membership.rotate",
        Rotate,
        _rotate,
        _ANYBODY,
        "Replace the own consensus and cosigner keys.",
        barrier=True,
    ),
    Operation(
        "membership.leave",
        Nothing,
        _counted(_leave),
        _ANYBODY,
        "Leave the members' network; the institution stays on the ledger.",
        barrier=True,
    ),
    Operation(
        "membership.supports",
        Knows,
        _supports,
        _ANYBODY,
        "Say which features the own node's software knows.",
    ),
)
