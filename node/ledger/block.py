"""Blocks: header and body that are ordered, and the seal that closes a block in the log.

A header says what is ordered and on top of what; it holds no view or term, so a block that a
later view proposes again keeps its bytes.  The body digest covers the transaction ids through
their RFC 6962 root, so a proposal can travel without the transactions.  After a block is
applied, its seal becomes a leaf of the log: one tree head then commits to bodies, outcomes,
state and membership.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from consensus import codec, wire
from consensus.codec import Malformed
from consensus.frozen import dataclass
from node.ledger import accel, merkle
from node.ledger.transaction import TRANSACTION_BYTES_MAX

BODY_TAG: Final = b"chartseal/body/v1\x00"
SEAL_TAG: Final = b"chartseal/seal/v1\x00"
MEMBERS_TAG: Final = b"chartseal/members/v1\x00"
HEADER_BYTES_MAX: Final = 512
SEAL_BYTES_MAX: Final = 512
VERSION: Final = 1


class BlockMalformed(Exception):
    """The bytes are not a version 1 header, body or seal."""

    code = "block-malformed"


@dataclass(frozen=True, slots=True)
class Header:
    version: int
    network: bytes
    epoch: int
    height: int
    parent: bytes  # body digest of height - 1; the network digest for height 1
    time_ms: int
    proposer: str
    txids_root: bytes

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise ValueError("unknown version")
        if not 1 <= self.height < 1 << 63 or not self.time_ms < 1 << 63:
            raise ValueError("height or time out of range")
        if any(len(item) != 32 for item in (self.network, self.parent, self.txids_root)):
            raise ValueError("digests are 32 bytes")
        if len(self.proposer) > 63:
            raise ValueError("proposer is not a member id")

    def encode(self) -> bytes:
        return wire.encode(self)


def decode_header(raw: bytes) -> Header:
    """Return the header; raises ``BlockMalformed`` for anything else."""
    try:
        return wire.decode(Header, raw, size_max=HEADER_BYTES_MAX)
    except Malformed as error:
        raise BlockMalformed(f"header: {error}") from error


def body_digest(header: bytes) -> bytes:
    """Return the digest that is ordered, chained and voted on."""
    return hashlib.sha256(BODY_TAG + header).digest()


def txids_root(txids: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 root with the transaction ids as leaf hashes."""
    return merkle.root(txids)


def encode_body(header: Header, raws: Sequence[bytes]) -> bytes:
    """Return the canonical body: the header's eight fields and the list of transactions."""
    return codec.encode_typed([*wire.to_value(header), list(raws)])


def decode_body(raw: bytes, *, size_max: int) -> tuple[Header, list[bytes]]:
    """Return header and transactions; the ids' root is checked, signatures are not."""
    try:
        value = codec.decode(raw, size_max=size_max)
        if type(value) is not list or len(value) != 9 or type(value[8]) is not list:
            raise Malformed("a body is an array of nine")
        header = wire.from_value(Header, value[:8])
    except Malformed as error:
        raise BlockMalformed(f"body: {error}") from error
    raws = value[8]
    if any(type(item) is not bytes or len(item) > TRANSACTION_BYTES_MAX for item in raws):
        raise BlockMalformed("body: transactions are byte strings")
    ids = [hashlib.sha256(b"\x00" + item).digest() for item in raws]
    if txids_root(ids) != header.txids_root:
        raise BlockMalformed("body: transactions do not match the header's root")
    return header, raws


@dataclass(frozen=True, slots=True)
class Seal:
    """The last leaf of a block: what was applied, with which outcome, and the state after.

    ``state_root`` speaks of ``state_height``: the ledger parameter ``state_root_every`` may
    compute it only every so many blocks.
    """

    height: int
    parent_seal: bytes  # SHA-256 of the previous seal's data; network digest for height 1
    body_digest: bytes
    time_ms: int
    first_index: int  # log index of the block's first transaction leaf
    count: int  # transaction leaves; this seal has index first_index + count
    results_root: bytes
    state_height: int
    state_root: bytes
    members_digest: bytes

    def __post_init__(self) -> None:
        digests = (
            self.parent_seal,
            self.body_digest,
            self.results_root,
            self.state_root,
            self.members_digest,
        )
        if any(len(item) != 32 for item in digests):
            raise ValueError("digests are 32 bytes")

    def encode(self) -> bytes:
        """Return the leaf data: tag and canonical fields."""
        return SEAL_TAG + wire.encode(self)


def decode_seal(data: bytes) -> Seal:
    """Return the seal in leaf data ``data``; raises ``BlockMalformed`` otherwise."""
    if not data.startswith(SEAL_TAG):
        raise BlockMalformed("seal: tag missing")
    try:
        return wire.decode(Seal, data[len(SEAL_TAG) :], size_max=SEAL_BYTES_MAX)
    except Malformed as error:
        raise BlockMalformed(f"seal: {error}") from error


def seal_digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def result_leaf(code: int) -> bytes:
    """Return the leaf data of one outcome: its be16 code."""
    return code.to_bytes(2, "big")


def results_root(codes: Sequence[int]) -> bytes:
    """Return the RFC 6962 root over the outcomes of a block, in order."""
    return merkle.root(accel.leaf_hashes([result_leaf(code) for code in codes]))
