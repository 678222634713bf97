"""Who votes and how many votes decide, read from genesis.  One place for daemon and checks."""

from consensus.quorum import byzantine_quorum, majority
from consensus.types import Committee, Member, NodeId
from node.ledger.genesis import Genesis


def committee_of(genesis: Genesis) -> Committee:
    """Return the voters of epoch 0 with their consensus keys."""
    members = genesis.validators
    return Committee(0, tuple(Member(NodeId(m.id), m.consensus_key) for m in members))


def quorum_of(genesis: Genesis) -> int:
    """Return how many validators decide: for blocks and for certified checkpoints alike."""
    count = len(genesis.validators)
    return byzantine_quorum(count) if genesis.engine == "pbft" else majority(count)
