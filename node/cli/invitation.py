"""Invitations: what a newcomer needs of a network, and its consent that comes back on its card.

An invitation (``chartseal/invite/v1``) holds nothing secret: the genesis, the lineage, where
the members are, and the identity key of whom invites.  With that key and a height the newcomer
can sign, in advance, the very transaction by which the inviting member proposes it
(``consent``), so the card that goes back is all that the member needs: no second round.

Owns: both files' members, reading them within bounds.  Refuses: an invitation whose genesis is
not the network that it names, a lineage that does not follow from that genesis, a consent to
anything but the registration of the card's own institution.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import nacl.utils

from consensus import wire
from consensus.codec import Malformed
from node.cli.trusting import extended
from node.errors import ChartsealError, Code, Exit, register
from node.keys import NodeKeys
from node.ledger import transaction
from node.ledger.facts.governance_bodies import Propose
from node.ledger.genesis import Genesis, GenesisInvalid, Institution
from node.ledger.payload import decode_payload
from node.ledger.transaction import Op, Payload, TransactionMalformed
from node.record_files import read_bytes
from node.settings import ID_PATTERN, Address
from node.trust import TrustMalformed, read_lineage, trust_in

INVITE_FORMAT: Final = "chartseal/invite/v1"
INVITE_BYTES_MAX: Final = 32 << 20
LINEAGE_CHARACTERS_MAX: Final = 16 << 20
MEMBERS_MAX: Final = 1000
PROPOSE: Final = "governance.propose"

register(
    Code(
        code="invite-invalid",
        title="a file is not an invitation",
        status=422,
        exit=Exit.CONFLICT,
        retryable=False,
        hint="get it again from the member; `chartseal member invite` writes it",
    ),
    Code(
        code="join-consent-invalid",
        title="a join card's consent is not for this",
        status=422,
        exit=Exit.CONFLICT,
        retryable=False,
        hint="let the member that invited take the card, or use --prepare and `member sign`",
    ),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A member and where it is dialled."""

    id: str
    name: str
    address: str

    def __post_init__(self) -> None:
        if not ID_PATTERN.fullmatch(self.id):
            raise ValueError("a member id matches [a-z0-9][a-z0-9-]{0,62}")
        if Address.parse(self.address).port == 0:
            raise ValueError("an address to dial has a port")


@dataclass(frozen=True, slots=True)
class Invitation:
    """``identity_key`` and ``height`` as the ledger had them; None when no node answered.
    ``lineage``: as ``GET /v1/lineage`` gives it."""

    network: bytes
    name: str
    invited_by: str
    members: tuple[Place, ...]
    genesis: bytes
    identity_key: bytes | None = None
    height: int | None = None
    expires_heights_max: int = 0
    lineage: str | None = None

    @property
    def peers(self) -> dict[str, str]:
        return {item.id: item.address for item in self.members}

    def to_text(self) -> str:
        return json.dumps({"format": INVITE_FORMAT, **wire.to_plain(self)}, indent=1) + "\n"


def read_invitation(path: Path) -> Invitation:
    """Return the invitation in a file, its genesis and lineage checked against each other.

    Raises ``ChartsealError``: file-unreadable, body-too-large, invite-invalid, or
    verification-failed for a lineage that does not hold.
    """
    raw = read_bytes(path, bytes_max=INVITE_BYTES_MAX)
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _no_invite(path, "not JSON") from error
    if not isinstance(found, dict) or found.pop("format", None) != INVITE_FORMAT:
        raise _no_invite(path, f"not an invitation ({INVITE_FORMAT})")
    try:
        invite: Invitation = wire.from_plain(Invitation, found)
        genesis = Genesis.decode(invite.genesis)
    except Malformed as error:
        raise _no_invite(path, str(error)) from error
    except GenesisInvalid as error:
        raise _no_invite(path, f"genesis: {error}") from error
    if (genesis.network, genesis.name) != (invite.network, invite.name):
        raise _no_invite(path, "its genesis is of another network")
    ids = [item.id for item in invite.members]
    if len(ids) > MEMBERS_MAX or len(set(ids)) != len(ids) or invite.invited_by not in ids:
        raise _no_invite(path, "members are named once each, whom invites among them")
    if invite.identity_key is not None and len(invite.identity_key) != 32:
        raise _no_invite(path, "an identity key has 32 bytes")
    if invite.lineage is not None:
        try:
            told = read_lineage(invite.lineage.encode())
        except TrustMalformed as error:
            raise _no_invite(path, str(error)) from error
        extended(trust_in(genesis), told.links)
    return invite


def _no_invite(path: Path, why: str) -> ChartsealError:
    return ChartsealError("invite-invalid", f"{path}: {why}")


# --- consent: the newcomer's signature under its own registration --------------------------


@dataclass(frozen=True, slots=True)
class Consent:
    """A payload of the inviting member, signed by the newcomer's identity key."""

    payload: bytes
    author: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Consented:
    """A consent that says what it must; ``proposal``: the handle that it proposes under."""

    proposal: bytes
    signer: bytes
    consent: Consent


def consent_to(invite: Invitation, keys: NodeKeys, item: Institution) -> Consent | None:
    """Return the newcomer's signature under its registration by whom invites; None where the
    invitation was made without a node."""
    if invite.identity_key is None or invite.height is None:
        return None
    listed = replace(item, validator=False)
    body = Propose(nacl.utils.random(32), register=listed)
    payload = transaction.encode_payload(
        Payload(
            invite.network,
            invite.invited_by,
            invite.height + invite.expires_heights_max,
            nacl.utils.random(8),
            (Op(PROPOSE, wire.to_value(body)),),
        )
    )
    identity = keys.identity
    message = transaction.signed_message(payload, [invite.identity_key, identity.public_key])
    return Consent(payload, invite.identity_key, identity.sign(message))


def read_consent(card: Mapping[str, Any]) -> Consent | None:
    """Return the consent among a card's members; raises ``Malformed``."""
    given = card.get("consent")
    if given is None:
        return None
    found: Consent = wire.from_plain(Consent, given)
    return found


def checked(
    consent: Consent, item: Institution, *, org: str, author: bytes, height: int
) -> Consented:
    """Return what a consent proposes; raises ``ChartsealError`` (join-consent-invalid) unless
    it is the registration of ``item`` by ``org`` under ``author``, and nothing else."""
    try:
        said = decode_payload(consent.payload)
        (op,) = said.ops
        if op.kind != PROPOSE:
            raise ValueError(op.kind)
        body: Propose = wire.from_value(Propose, op.body)
    except (TransactionMalformed, Malformed, ValueError) as error:
        raise ChartsealError("join-consent-invalid", "it proposes no registration") from error
    if body != Propose(body.proposal, register=replace(item, validator=False)):
        raise ChartsealError("join-consent-invalid", f"it does not register {item.id}")
    if (said.org, consent.author) != (org, author):
        raise ChartsealError("join-consent-invalid", f"it was given to {said.org}")
    if said.expires_height <= height:
        raise ChartsealError(
            "join-consent-invalid", f"it ended with block {said.expires_height}"
        )
    return Consented(body.proposal, item.identity_key, consent)
