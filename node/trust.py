"""Whom a verifier starts from, on any machine: files of a policy, of a genesis, of a lineage.

Owns: the quorum of an era for verifiers, reading trust from bytes.  Refuses: files and their
paths (the command line's), and every network.
"""

from typing import Final

from consensus.quorum import byzantine_quorum, majority
from node.ledger import lineage
from node.ledger.checkpoint import POLICY_BYTES_MAX, CheckpointMalformed, Policy
from node.ledger.genesis import GENESIS_BYTES_MAX, Genesis, GenesisInvalid
from node.ledger.lineage import Lineage, LineageMalformed, Trust

START_BYTES_MAX: Final = max(POLICY_BYTES_MAX, GENESIS_BYTES_MAX)


class TrustMalformed(ValueError):
    """The bytes are neither a policy nor a genesis, or no lineage."""


def quorum(engine: str, members: int) -> int:
    """Return how many of ``members`` decide under ``engine``: for blocks and for certified
    checkpoints alike."""
    return byzantine_quorum(members) if engine == "pbft" else majority(members)


def trust_in(start: Genesis | Policy) -> Trust:
    """Return the trust in ``start``, before any lineage."""
    return Trust.of(start, quorum=quorum)


def read_start(raw: bytes) -> Trust:
    """Return the trust in a policy's JSON text or in the bytes of a genesis.

    Raises ``TrustMalformed``.
    """
    if raw.lstrip()[:1] == b"{":
        try:
            return trust_in(Policy.from_text(raw.decode("utf-8")))
        except (CheckpointMalformed, UnicodeDecodeError) as error:
            raise TrustMalformed(f"policy: {error}") from error
    try:
        return trust_in(Genesis.decode(raw))
    except GenesisInvalid as error:
        raise TrustMalformed(f"neither a policy nor a genesis: {error}") from error


def read_lineage(raw: bytes) -> Lineage:
    """Return the lineage in JSON text or canonical bytes; raises ``TrustMalformed``."""
    try:
        if raw.lstrip()[:1] == b"{":
            return lineage.from_json(raw.decode("utf-8"))
        return lineage.decode(raw)
    except (LineageMalformed, UnicodeDecodeError) as error:
        raise TrustMalformed(f"lineage: {error}") from error
