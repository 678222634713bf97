"""What receipts and proven answers have in common: a tree head believed, a seal under it.

Owns: the choice of the era that vouches for a tree head, the place of a seal in the log, the
reasons why a receipt proves nothing.  Refuses: encodings, and trust; the verifier brings that.
"""

import enum
from typing import Final

from node.ledger import checkpoint as heads
from node.ledger import lineage as lineages
from node.ledger import merkle, smt
from node.ledger.block import BlockMalformed, Seal, decode_seal
from node.ledger.checkpoint import Checkpoint, CheckpointMalformed, Policy
from node.ledger.lineage import LineageInvalid, Link, Trusted

LINEAGE_BYTES_MAX: Final = 256 * 1024  # in its canonical form; longer ones travel apart


class Reason(enum.StrEnum):
    """Why a well-formed receipt proves nothing.  Stable: clients and documents use them."""

    CHECKPOINT_MALFORMED = "checkpoint-malformed"
    WRONG_LOG = "wrong-log"
    QUORUM_MISSING = "quorum-missing"
    TRANSACTION_MALFORMED = "transaction-malformed"
    WRONG_NETWORK = "wrong-network"
    INCLUSION_MISMATCH = "inclusion-mismatch"
    SEAL_MALFORMED = "seal-malformed"
    SEAL_RANGE = "seal-range"
    SEAL_MISMATCH = "seal-mismatch"
    RESULT_MISMATCH = "result-mismatch"
    ITEM_MISMATCH = "item-mismatch"
    LINEAGE_INVALID = "lineage-invalid"  # its own reason follows


class ReceiptInvalid(Exception):
    """A receipt that does not prove what it claims; ``reason`` says at which step."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def fits(links: tuple[Link, ...]) -> bool:
    """Return whether ``links`` are few enough to travel within a receipt or an answer."""
    told = lineages.Lineage(links)
    return len(lineages.encode(told)) <= LINEAGE_BYTES_MAX


def verify_head(
    note: bytes, trusted: Trusted, links: tuple[Link, ...] = ()
) -> tuple[Checkpoint, tuple[str, ...], int | None]:
    """Return the tree head in ``note``, who of its era cosigned it (at least the quorum), and
    that era's epoch if it is known; raises ``ReceiptInvalid``."""
    try:
        tree_head, _ = heads.parse_note(note)
        if tree_head.origin != trusted.origin:
            raise ReceiptInvalid(Reason.WRONG_LOG, "checkpoint of another log")
        trusted = lineages.widened(trusted, links)
        policy = lineages.policy_for(trusted, tree_head.size)
        signers = heads.count_valid(note, policy)
    except CheckpointMalformed as error:
        raise ReceiptInvalid(Reason.CHECKPOINT_MALFORMED, str(error)) from error
    except LineageInvalid as error:
        raise ReceiptInvalid(Reason.LINEAGE_INVALID, str(error)) from error
    if len(signers) < policy.quorum:
        raise ReceiptInvalid(
            Reason.QUORUM_MISSING, f"{len(signers)} valid cosigners, {policy.quorum} needed"
        )
    epoch = None if isinstance(trusted, Policy) else trusted.step_at(tree_head.size).epoch
    return tree_head, tuple(sorted(signers)), epoch


def verify_seal(
    data: bytes, path: tuple[bytes, ...], tree_head: Checkpoint, *, leaf_index: int | None
) -> Seal:
    """Return the seal in leaf data ``data`` that lies under a verified tree head.

    With ``leaf_index`` it must close the block of that transaction leaf.  Raises
    ``ReceiptInvalid``.
    """
    try:
        seal = decode_seal(data)
    except BlockMalformed as error:
        raise ReceiptInvalid(Reason.SEAL_MALFORMED, str(error)) from error
    seal_index = seal.first_index + seal.count
    if leaf_index is not None and not seal.first_index <= leaf_index < seal_index:
        raise ReceiptInvalid(
            Reason.SEAL_RANGE,
            f"leaf {leaf_index}, block of {seal.first_index} to {seal_index}",
        )
    if not merkle.verify_inclusion(
        merkle.leaf_hash(data),
        index=seal_index,
        size=tree_head.size,
        path=path,
        root=tree_head.root,
    ):
        raise ReceiptInvalid(Reason.SEAL_MISMATCH, f"not leaf {seal_index}")
    return seal


def verify_state_at(seal: Seal, key: bytes, value: bytes | None, proof: smt.StateProof) -> bool:
    """Return whether, at ``seal.state_height``, the state held ``value`` (None: nothing).

    The seal must come from a verified receipt or log; here it is taken as true.
    """
    return smt.verify_state(seal.state_root, key, value, proof)
