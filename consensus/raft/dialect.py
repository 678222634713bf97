"""What the driver must know of Raft messages: bytes, statements, proposals, certificates.

Crash-fault mode: members trust one another's software, and the transport proves who speaks.
So messages carry no signatures of their own, and the certificate of a block, [term, index],
is a place in the log, not a proof.  Proof for outsiders comes from the members' cosigned
checkpoints, which both engines share.
"""

import hashlib
from typing import Any, Final

from consensus.codec import Malformed
from consensus.raft.blocks import Tip, chain_breaks
from consensus.raft.messages import MESSAGES, Append, VoteRequest, VoteResponse
from consensus.raft.records import decode_certificate
from consensus.types import Check, Committee, NodeId, Proposal, Statement


def _chains(message: Append) -> bool:
    """Whether the blocks of one append follow one another; the first stands for itself."""
    blocks = message.proposals
    if len(blocks) < 2:
        return True
    tip = Tip(blocks[0].height, blocks[0].digest)
    rest = [entry for entry in message.entries if entry.proposal not in (None, blocks[0])]
    return not chain_breaks(tip, rest)


class RaftDialect:
    name: Final = "raft"

    def encode(self, message: Any) -> bytes:
        return MESSAGES.encode(message)

    def decode(self, raw: bytes, *, size_max: int) -> Any:
        message = MESSAGES.decode(raw, size_max=size_max)
        if isinstance(message, Append) and not _chains(message):
            raise Malformed("blocks must chain")
        return message

    def statement(self, message: Any, network: bytes) -> Statement | None:  # noqa: ARG002
        """A granted vote, or the vote for oneself that asking for votes states."""
        if isinstance(message, VoteRequest):
            candidate = message.sender
        elif isinstance(message, VoteResponse) and message.granted:
            candidate = message.candidate
        else:
            return None
        return Statement(
            kind="vote",
            epoch=message.epoch,
            round=message.term,
            height=0,
            digest=hashlib.sha256(candidate.encode("utf-8", "surrogatepass")).digest(),
            signed=None,
        )

    def with_signature(self, message: Any, signature: bytes) -> Any:
        """Never needed: no Raft statement is signed."""
        raise AssertionError(
            f"{type(message).__name__} carries no signature ({len(signature)} bytes given)"
        )

    def checks(
        self,
        message: Any,
        *,
        sender: NodeId,
        committee: Committee,
        network: bytes,  # noqa: ARG002
    ) -> tuple[Check, ...]:
        """No signatures: the transport authenticates.  ``Malformed`` if the sender lies."""
        if message.sender != sender:
            raise Malformed("message names another sender")
        if committee.index(sender) is None:
            raise Malformed("sender is not a member")
        return ()

    def proposals(self, message: Any) -> tuple[Proposal, ...]:
        return message.proposals if isinstance(message, Append) else ()

    def is_fresh(self, message: Any) -> bool:  # noqa: ARG002
        """Never: followers take the leader's log as it is, old entries and new alike."""
        return False

    def certificate_checks(
        self,
        certificate: bytes,
        *,
        proposal: Proposal,  # noqa: ARG002
        committee: Committee,  # noqa: ARG002
        network: bytes,  # noqa: ARG002
    ) -> tuple[Check, ...]:
        """Nothing to verify: crash-fault mode trusts the authenticated peer that sent it.

        Raises ``Malformed`` when the bytes are not [term, index].
        """
        decode_certificate(certificate)
        return ()


DIALECT: Final = RaftDialect()
