"""A ledger just large enough for ordering: headers, digests and what makes a block valid."""

import hashlib
from typing import Any

from consensus import codec
from consensus.codec import Malformed
from consensus.types import HEADER_BYTES_MAX, Applied, Proposal

NETWORK = hashlib.sha256(b"simulated network").digest()
GENESIS = Applied(0, NETWORK, 0)
EPOCH = 1
CLOCK_DRIFT_MS_MAX = 1000


def digest_of(header: bytes) -> bytes:
    return hashlib.sha256(b"chartseal/body/v1\x00" + header).digest()


def build(
    height: int, parent: bytes, *, time_ms: int, proposer: str, txids: list[bytes]
) -> Proposal:
    """Return a block of ``txids`` on top of ``parent``."""
    joined = b"".join(txids)
    root = hashlib.sha256(joined).digest()
    header = codec.encode([1, NETWORK, EPOCH, height, parent, time_ms, proposer, root])
    return Proposal(height, parent, digest_of(header), header, joined)


def header_time_ms(proposal: Proposal) -> int:
    fields: Any = codec.decode(proposal.header, size_max=HEADER_BYTES_MAX)
    return int(fields[5])


def well_formed(proposal: Proposal) -> bool:
    """True when the header says what the proposal says and the digest covers it."""
    try:
        fields: Any = codec.decode(proposal.header, size_max=HEADER_BYTES_MAX)
    except Malformed:
        return False
    root = hashlib.sha256(proposal.txids).digest()
    return (
        type(fields) is list
        and len(fields) == 8
        and fields[:5] == [1, NETWORK, EPOCH, proposal.height, proposal.parent]
        and type(fields[5]) is int
        and fields[7] == root
        and digest_of(proposal.header) == proposal.digest
    )


def txids_of(proposal: Proposal) -> list[bytes]:
    joined = proposal.txids
    return [joined[at : at + 32] for at in range(0, len(joined), 32)]
