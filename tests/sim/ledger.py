"""A ledger just large enough for ordering: transactions, headers, and what makes a block valid.

Transactions are real ones from a fixed list, so that the real mempool and gossip carry them.
The state is a hash chain over the blocks: equal chains, equal roots.
"""

import hashlib
from functools import cache
from typing import Any

from nacl.signing import SigningKey

from consensus import codec
from consensus.codec import Malformed
from consensus.types import HEADER_BYTES_MAX, Applied, Proposal
from node.ledger import transaction
from node.ledger.transaction import Op, Payload, Transaction

NETWORK = hashlib.sha256(b"simulated network").digest()
GENESIS = Applied(0, NETWORK, 0)
FIRST_EPOCH = 1
CLOCK_DRIFT_MS_MAX = 1000


class _Signer:
    def __init__(self, number: int) -> None:
        self._key = SigningKey(hashlib.sha256(b"author/%d" % number).digest())
        self.public_key = bytes(self._key.verify_key)

    def sign(self, message: bytes) -> bytes:
        return bytes(self._key.sign(message).signature)


@cache
def numbered(number: int) -> Transaction:
    """Return the ``number``-th transaction of the fixed list."""
    payload = Payload(
        NETWORK,
        f"m{number % 7}",
        1 << 40,
        number.to_bytes(8, "big"),
        (Op("sim.count", [number]),),
    )
    return transaction.parse(transaction.sign(payload, _Signer(number % 7)))


def digest_of(header: bytes) -> bytes:
    return hashlib.sha256(b"chartseal/body/v1\x00" + header).digest()


def next_root(root: bytes, proposal: Proposal) -> bytes:
    """The state after ``proposal`` on top of the state of ``root``."""
    return hashlib.sha256(root + proposal.digest).digest()


def build(
    height: int,
    parent: bytes,
    *,
    time_ms: int,
    proposer: str,
    txids: list[bytes],
    epoch: int = FIRST_EPOCH,
    barrier: bool = False,
) -> Proposal:
    """Return a block of ``txids`` on top of ``parent``."""
    joined = b"".join(txids)
    root = hashlib.sha256(joined).digest()
    header = codec.encode([1, NETWORK, epoch, height, parent, time_ms, proposer, root])
    return Proposal(height, parent, digest_of(header), header, joined, barrier)


def header_time_ms(proposal: Proposal) -> int:
    fields: Any = codec.decode(proposal.header, size_max=HEADER_BYTES_MAX)
    return int(fields[5])


def epoch_of(proposal: Proposal) -> int:
    fields: Any = codec.decode(proposal.header, size_max=HEADER_BYTES_MAX)
    return int(fields[2])


def proposer_of(proposal: Proposal) -> str:
    fields: Any = codec.decode(proposal.header, size_max=HEADER_BYTES_MAX)
    return str(fields[6])


def well_formed(proposal: Proposal) -> bool:
    """True when the header says what the proposal says and the digest covers it."""
    try:
        fields: Any = codec.decode(proposal.header, size_max=HEADER_BYTES_MAX)
    except Malformed:
        return False
    return (
        type(fields) is list
        and len(fields) == 8
        and fields[:2] == [1, NETWORK]
        and type(fields[2]) is int
        and fields[3:5] == [proposal.height, proposal.parent]
        and type(fields[5]) is int
        and fields[7] == hashlib.sha256(proposal.txids).digest()
        and digest_of(proposal.header) == proposal.digest
    )


def txids_of(proposal: Proposal) -> list[bytes]:
    joined = proposal.txids
    return [joined[at : at + 32] for at in range(0, len(joined), 32)]
