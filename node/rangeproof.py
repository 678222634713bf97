"""Ranges of blocks proven before use: what a certificate is under PBFT, under any engine.

A Raft block carries nothing that shows it was decided; whoever sends it could have made it up.
Its seal does: the seals of a range form a chain, the last of them lies in a tree head that a
quorum of members cosigned, and each names the body that it closes.  So a range ``lo..hi`` holds
as one, or not at all, and it continues exactly one ledger: ours, or none.

Owns: the form of such a proof, its verification, making one from a store.  Pure but for the
last.  Refuses: execution.  What applying the blocks gives is compared with these seals by the
next certified tree head, as ever.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from node.ledger import block as blocks
from node.ledger import checkpoint as heads
from node.ledger import merkle
from node.ledger.block import SEAL_BYTES_MAX, SEAL_TAG, BlockMalformed, Seal, decode_seal
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.eras import Era, era_from, era_of
from node.ledger.state import EPOCH_KEY, Read
from node.ledger.tiles import TileLog
from node.lineage_keeping import link_from
from storage.reader import Reader

BLOCKS_MAX: Final = 64
PATH_HASHES_MAX: Final = 63


class Reason(StrEnum):
    """Why a range is not to be used.  Stable: events and documents use them."""

    COUNT = "count"  # not one seal a block
    SEAL_MALFORMED = "seal-malformed"
    HEIGHT = "height"
    PARENT = "parent"  # it does not continue our ledger
    CHAIN = "chain"  # a seal does not continue the one before
    BODY = "body"  # a block is not the one that its seal closes
    NOTE_MALFORMED = "note-malformed"
    WRONG_LOG = "wrong-log"
    NOT_COVERED = "not-covered"
    SEAL_MISMATCH = "seal-mismatch"
    QUORUM_MISSING = "quorum-missing"


class RangeInvalid(Exception):
    """Blocks that nobody may use; ``reason`` says at which step that was found."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RangeProof:
    """``seals`` of the range ascending, as leaf data; ``note`` a certified checkpoint at or
    above its end; ``path`` the inclusion of the last seal under it."""

    seals: tuple[bytes, ...]
    note: bytes
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.seals) <= BLOCKS_MAX:
            raise ValueError(f"1 to {BLOCKS_MAX} seals")
        if any(len(seal) > SEAL_BYTES_MAX + len(SEAL_TAG) for seal in self.seals):
            raise ValueError("seal too long")
        if len(self.note) > heads.NOTE_BYTES_MAX:
            raise ValueError("checkpoint too long")
        if len(self.path) > PATH_HASHES_MAX or any(len(node) != 32 for node in self.path):
            raise ValueError(f"a path is up to {PATH_HASHES_MAX} hashes of 32 bytes")


@dataclass(frozen=True, slots=True)
class Base:
    """The block that a range must continue, as this node applied it: its seal's digest (the
    network's before block 1) and the size of the log after it."""

    height: int
    seal_digest: bytes
    log_size: int


def verify_range(
    lo: int,
    headers: Sequence[bytes],
    proof: RangeProof,
    *,
    origin: str,
    policy_at: Callable[[int], Policy],
    base: Base | None,
) -> tuple[Seal, ...]:
    """Return the seals of the blocks from ``lo`` on whose ``headers`` are given, all proven.

    ``policy_at(size)`` says who certifies a tree head of so many leaves.  ``base`` is our own
    block ``lo - 1`` if it is applied; without it the range is some certified part of the log
    ``origin``.  Whoever takes the bodies checks them against the headers.  Raises
    ``RangeInvalid``; cheap checks come first, signatures last.
    """
    seals = _decoded(lo, headers, proof)
    if base is not None and base.height == lo - 1:
        first = seals[0]
        if (first.parent_seal, first.first_index) != (base.seal_digest, base.log_size):
            raise RangeInvalid(Reason.PARENT, f"block {lo} follows another block {lo - 1}")
    for at, seal in enumerate(seals[1:], start=1):
        before = seals[at - 1]
        follows = seal.parent_seal == blocks.seal_digest(proof.seals[at - 1])
        if not follows or seal.first_index != before.first_index + before.count + 1:
            raise RangeInvalid(Reason.CHAIN, f"seal {lo + at}")
    for header, seal in zip(headers, seals, strict=True):
        if blocks.body_digest(header) != seal.body_digest:
            raise RangeInvalid(Reason.BODY, f"block {seal.height}")
    _certified(seals[-1], proof, origin, policy_at)
    return seals


def _decoded(lo: int, headers: Sequence[bytes], proof: RangeProof) -> tuple[Seal, ...]:
    if len(headers) != len(proof.seals):
        raise RangeInvalid(Reason.COUNT, f"{len(headers)} blocks, {len(proof.seals)} seals")
    try:
        seals = tuple([decode_seal(raw) for raw in proof.seals])
    except BlockMalformed as error:
        raise RangeInvalid(Reason.SEAL_MALFORMED, str(error)) from error
    for expected, seal in enumerate(seals, start=lo):
        if seal.height != expected:
            raise RangeInvalid(Reason.HEIGHT, f"seal of {seal.height}, {expected} asked")
    return seals


def _certified(
    last: Seal, proof: RangeProof, origin: str, policy_at: Callable[[int], Policy]
) -> None:
    try:
        head, _ = heads.parse_note(proof.note)
    except CheckpointMalformed as error:
        raise RangeInvalid(Reason.NOTE_MALFORMED, str(error)) from error
    if head.origin != origin:
        raise RangeInvalid(Reason.WRONG_LOG, "checkpoint of another log")
    index = last.first_index + last.count
    if head.size <= index:
        raise RangeInvalid(Reason.NOT_COVERED, f"leaf {index}, the head has {head.size}")
    leaf = merkle.leaf_hash(proof.seals[-1])
    if not merkle.verify_inclusion(
        leaf, index=index, size=head.size, path=proof.path, root=head.root
    ):
        raise RangeInvalid(Reason.SEAL_MISMATCH, f"not leaf {index}")
    policy = policy_at(head.size)
    signers = heads.count_valid(proof.note, policy)
    if len(signers) < policy.quorum:
        raise RangeInvalid(
            Reason.QUORUM_MISSING, f"{len(signers)} valid cosigners, {policy.quorum} needed"
        )


def era_above(read: Read, height: int) -> Era | None:
    """Return the first era that begins above ``height``, as far as state tells."""
    if read(EPOCH_KEY) is None:
        return None
    newest = era_from(read)
    if newest.from_height <= height:
        return None
    low, high = 0, newest.epoch  # era low begins at or below height, era high above it
    while high - low > 1:
        middle = (low + high) // 2
        era = era_of(read, middle)
        assert era is not None, "every epoch below the newest has its row"
        low, high = (middle, high) if era.from_height <= height else (low, middle)
    return era_of(read, high)


def prove_range(view: Reader, lo: int, hi: int) -> RangeProof | None:
    """Return the proof of the applied blocks ``lo..hi``, shortened to what is certified and to
    one era.

    Whoever asks for ``lo`` knows the era that orders it, not those that begin above; hence the
    oldest checkpoint that covers the range is taken, at a barrier that of its link.  None when
    not even ``lo`` is certified here.
    """
    newest = view.latest_checkpoint()
    top = 0 if newest is None else min(hi, newest[0], lo + BLOCKS_MAX - 1)
    above = era_above(view.state_get, lo)
    if above is not None:
        top = min(top, above.from_height - 1)
    if top < lo:
        return None
    covering = view.first_checkpoint(top)
    assert covering is not None, "the newest covers it"
    note = covering[1]
    if above is not None and top == above.from_height - 1:
        link = link_from(view, above.epoch)
        note = note if link is None else link.note
    seals = [view.seal(height) for height in range(lo, top + 1)]
    found = [seal for seal in seals if seal is not None]
    if len(found) != len(seals):
        return None  # this ledger begins later, from a snapshot
    head, _ = heads.parse_note(note)
    last = decode_seal(found[-1])
    index = last.first_index + last.count
    path = TileLog(head.size, view.tile).inclusion_path(index, head.size)
    return RangeProof(tuple(found), note, tuple(path))
