"""Pure knowledge of PBFT's messages: bytes, what is signed, which signatures must hold.

Structural lies (wrong epoch, foreign signers, a NewView without a quorum, certificates that do
not chain) end here as ``Malformed``, before any signature is verified and before the engine
has any side effect.  What depends on the engine's state (is this view still open, does the
choice follow from the view changes) is the engine's to judge.
"""

import hashlib
from dataclasses import replace
from typing import Any, Final

from consensus import certs, wire
from consensus.codec import Malformed
from consensus.pbft.messages import (
    MESSAGES,
    Commit,
    Message,
    NewView,
    Prepare,
    PrePrepare,
    Signed,
    Status,
    Suspect,
    ViewChange,
)
from consensus.types import Check, Committee, NodeId, Proposal, Statement

_VIEW_CHANGE: Final = b"chartseal/view-change/v1\0"
_NEW_VIEW: Final = b"chartseal/new-view/v1\0"


def primary(view: int, committee: Committee) -> NodeId:
    """Return who leads ``view``; fixed for the whole view (no rotation inside it)."""
    return committee.members[view % len(committee.members)].id


def _whole(tag: bytes, message: ViewChange | NewView, network: bytes) -> tuple[bytes, bytes]:
    """Return digest and signed bytes of a message that is signed as a whole."""
    digest = hashlib.sha256(wire.encode(replace(message, signature=b""))).digest()
    numbers = message.epoch.to_bytes(8, "big") + message.view.to_bytes(8, "big")
    return digest, tag + network + numbers + digest


def _prepare(message: PrePrepare | Prepare, network: bytes) -> Statement:
    if isinstance(message, PrePrepare):
        height, content = message.proposal.height, certs.proposal_hash(message.proposal)
    else:
        height, content = message.height, message.content
    signed = certs.prepare_bytes(
        network, epoch=message.epoch, view=message.view, height=height, content=content
    )
    return Statement("prepare", message.epoch, message.view, height, content, signed)


def _commit(message: Commit, network: bytes) -> Statement:
    signed = certs.commit_bytes(
        network,
        epoch=message.epoch,
        view=message.view,
        height=message.height,
        digest=message.digest,
    )
    return Statement(
        "commit", message.epoch, message.view, message.height, message.digest, signed
    )


def _suspect(message: Suspect, network: bytes) -> Statement:
    signed = certs.suspect_bytes(
        network, epoch=message.epoch, view=message.view, height=message.height
    )
    return Statement(
        "suspect", message.epoch, message.view, message.height, certs.NO_DIGEST, signed
    )


def statement(message: Message, network: bytes) -> Statement | None:
    """Return what sending ``message`` as its author states; None for hints."""
    match message:
        case PrePrepare() | Prepare():
            return _prepare(message, network)
        case Commit():
            return _commit(message, network)
        case Suspect():
            return _suspect(message, network)
        case ViewChange():
            digest, signed = _whole(_VIEW_CHANGE, message, network)
            return Statement("view-change", message.epoch, message.view, 0, digest, signed)
        case NewView():
            digest, signed = _whole(_NEW_VIEW, message, network)
            return Statement("new-view", message.epoch, message.view, 0, digest, signed)
        case Status():
            return None


def _author_check(message: Signed, committee: Committee, network: bytes) -> Check:
    key = committee.key(message.signer)
    if key is None:
        raise Malformed("signer is not a member")
    if message.epoch != committee.epoch:
        raise Malformed(f"epoch {message.epoch}, ours is {committee.epoch}")
    if not message.signature:
        raise Malformed("unsigned message")
    stated = statement(message, network)
    assert stated is not None
    assert stated.signed is not None
    return Check(key, stated.signed, message.signature)


def _view_change_checks(
    message: ViewChange, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    checks = [_author_check(message, committee, network)]
    if message.certificate:
        checks += certs.checks_for(
            message.certificate,
            height=message.height,
            digest=message.digest,
            committee=committee,
            network=network,
        )
    at, tip = message.height + 1, message.digest
    for prepared in message.prepared:
        if prepared.proposal.height != at or prepared.proposal.parent != tip:
            raise Malformed("prepared certificates do not chain to the final block")
        if prepared.view >= message.view:
            raise Malformed("prepared certificate of a view not yet left")
        checks += certs.prepared_checks(prepared, committee=committee, network=network)
        at, tip = at + 1, prepared.proposal.digest
    if message.suspected.view >= message.view:
        raise Malformed("suspicion of a view not yet left")
    checks += certs.suspect_checks(message.suspected, committee=committee, network=network)
    return tuple(checks)


def _new_view_checks(
    message: NewView, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    checks = [_author_check(message, committee, network)]
    if message.signer != primary(message.view, committee):
        raise Malformed("a view is opened by its primary only")
    positions = [committee.index(change.signer) for change in message.view_changes]
    known = [position for position in positions if position is not None]
    if len(known) != len(positions) or len(known) != committee.byzantine_quorum:
        raise Malformed("a new view carries the view changes of exactly one quorum")
    if known != sorted(set(known)):
        raise Malformed("view changes are ordered by member, one each")
    for change in message.view_changes:
        if change.view != message.view:
            raise Malformed("a view change for another view")
        checks += _view_change_checks(change, committee, network)
    return tuple(dict.fromkeys(checks))


class PbftDialect:
    """Implements ``consensus.engine.Dialect``."""

    name = "pbft"

    def encode(self, message: Any) -> bytes:
        return MESSAGES.encode(message)

    def decode(self, raw: bytes, *, size_max: int) -> Message:
        """Return the message; raise ``Malformed`` for anything else."""
        decoded: Message = MESSAGES.decode(raw, size_max=size_max)
        return decoded

    def statement(self, message: Any, network: bytes) -> Statement | None:
        return statement(message, network)

    def with_signature(self, message: Any, signature: bytes) -> Any:
        return replace(message, signature=signature)

    def checks(
        self, message: Any, *, sender: NodeId, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        """Return every signature in ``message``, nested ones included, each once."""
        match message:
            case Status():
                if committee.index(sender) is None or message.epoch != committee.epoch:
                    raise Malformed("status from a stranger or of another epoch")
                return ()
            case PrePrepare():
                if message.signer != primary(message.view, committee):
                    raise Malformed("only the primary of a view proposes in it")
                return (_author_check(message, committee, network),)
            case ViewChange():
                return tuple(dict.fromkeys(_view_change_checks(message, committee, network)))
            case NewView():
                return _new_view_checks(message, committee, network)
            case _:
                return (_author_check(message, committee, network),)

    def proposals(self, message: Any) -> tuple[Proposal, ...]:
        """Return the proposals whose bodies the engine will promise to hold.

        None for a view change: its certificates are proofs.  The primary that carries one of
        them over needs the body when its own NewView loops back.
        """
        match message:
            case PrePrepare():
                return (message.proposal,)
            case NewView():
                return message.chosen
            case _:
                return ()

    def is_fresh(self, message: Any) -> bool:
        """Only a PrePrepare is new; the time of a proposal carried over is settled."""
        return isinstance(message, PrePrepare)

    def certificate_checks(
        self, certificate: bytes, *, proposal: Proposal, committee: Committee, network: bytes
    ) -> tuple[Check, ...]:
        return certs.checks_for(
            certificate,
            height=proposal.height,
            digest=proposal.digest,
            committee=committee,
            network=network,
        )


DIALECT: Final = PbftDialect()
