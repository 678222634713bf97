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
    ReadAnswer,
    ReadRequest,
    Signed,
    Status,
    Suspect,
    ViewChange,
)
from consensus.types import Check, Committee, NodeId, Proposal, Statement

_VIEW_CHANGE: Final = b"chartseal/view-change/v1\0"
_NEW_VIEW: Final = b"chartseal/new-view/v1\0"


def primary(
    view: int, committee: Committee, *, height: int = 0, rotation_blocks: int = 0
) -> NodeId:
    """Return who proposes at ``height`` in ``view``; without a height, who opens the view.

    Every ``rotation_blocks`` heights the next member proposes; 0 keeps one for the whole view.
    """
    turns = height // rotation_blocks if rotation_blocks else 0
    return committee.members[(view + turns) % len(committee.members)].id


def signed_bytes(
    kind: str, network: bytes, *, epoch: int, view: int, height: int, digest: bytes
) -> bytes:
    """Return what a statement of ``kind`` signs; ``height`` is unused where a view has one.

    ``kind``: ``prepare``, ``commit``, ``view-change`` or ``new-view``.
    """
    if kind == "prepare":
        return certs.prepare_bytes(
            network, epoch=epoch, view=view, height=height, content=digest
        )
    if kind == "commit":
        return certs.commit_bytes(network, epoch=epoch, view=view, height=height, digest=digest)
    tag = {"view-change": _VIEW_CHANGE, "new-view": _NEW_VIEW}[kind]
    return tag + network + epoch.to_bytes(8, "big") + view.to_bytes(8, "big") + digest


def _whole(kind: str, message: ViewChange | NewView, network: bytes) -> Statement:
    """Return the statement of a message that is signed as a whole."""
    digest = hashlib.sha256(wire.encode(replace(message, signature=b""))).digest()
    epoch, view = message.epoch, message.view
    signed = signed_bytes(kind, network, epoch=epoch, view=view, height=0, digest=digest)
    return Statement(kind, epoch, view, 0, digest, signed)


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
            return _whole("view-change", message, network)
        case NewView():
            return _whole("new-view", message, network)
        case Status() | ReadRequest() | ReadAnswer():
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
    at, tip, barrier = message.height + 1, message.digest, False
    for prepared in message.prepared:
        if barrier:
            raise Malformed("a prepared certificate on top of a barrier")
        barrier = prepared.proposal.barrier
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


def _read_checks(
    message: ReadAnswer, committee: Committee, network: bytes
) -> tuple[Check, ...]:
    if message.committed is not None:
        return certs.commit_checks(message.committed, committee=committee, network=network)
    if message.prepared is not None:
        return certs.prepared_height_checks(
            message.prepared, committee=committee, network=network
        )
    return ()


class PbftDialect:
    """Implements ``consensus.engine.Dialect``.

    ``rotation_blocks``: as in the engine's configuration, so that a proposal of somebody whose
    turn it is not costs neither a signature check nor a fetched body.  None, when it is not
    known here, leaves that to the engine, which always looks.
    """

    name = "pbft"

    def __init__(self, rotation_blocks: int | None = None) -> None:
        self._rotation_blocks = rotation_blocks

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
        self,
        message: Any,
        *,
        sender: NodeId,  # noqa: ARG002 - whoever relays: authors sign
        committee: Committee,
        network: bytes,
    ) -> tuple[Check, ...]:
        """Return every signature in ``message``, nested ones included, each once."""
        match message:
            case Status():
                return ()  # from any epoch and anybody: see ``epochs``
            case ReadRequest():
                return ()
            case ReadAnswer():
                return _read_checks(message, committee, network)
            case PrePrepare():
                self._check_turn(message, committee)
                return (_author_check(message, committee, network),)
            case ViewChange():
                return tuple(dict.fromkeys(_view_change_checks(message, committee, network)))
            case NewView():
                return _new_view_checks(message, committee, network)
            case _:
                return (_author_check(message, committee, network),)

    def _check_turn(self, message: PrePrepare, committee: Committee) -> None:
        if self._rotation_blocks is None:
            return
        turn = primary(
            message.view,
            committee,
            height=message.proposal.height,
            rotation_blocks=self._rotation_blocks,
        )
        if message.signer != turn:
            raise Malformed("only the primary proposes")

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
