"""Genesis: who founds a network, under which rules.  Its digest *is* the network's name.

Owns: institutions with roles and four keys each, the validators among them, the ordering
engine, every parameter that all nodes must share, how the members decide.  Addresses are not
here: they are local configuration and may change without anybody's vote.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar, Final

from consensus import wire
from consensus.codec import Malformed
from node.ledger.block import MEMBERS_TAG
from node.ledger.checkpoint import origin_of
from node.ledger.policies import Policy
from node.ledger.transaction import ORG_PATTERN

TAG: Final = b"chartseal/genesis/v1\x00"
GENESIS_BYTES_MAX: Final = 1 << 20
INSTITUTIONS_MAX: Final = 1000  # whoever joins is compared with all of them
ROLES: Final = frozenset(
    {
        "author",
        "custodian",
        "dispenser",
        "ethics",
        "laboratory",
        "manufacturer",
        "payer",
        "regulator",
        "research",
        "store",
        "supplier",
    }
)
ENGINES: Final = ("pbft", "raft")


class GenesisInvalid(Exception):
    """The founding document is malformed or contradicts itself."""

    code = "genesis-invalid"


@dataclass(frozen=True, slots=True)
class Institution:
    """An institution: ``id`` is its name on the ledger; keys are 32 bytes each."""

    id: str
    name: str
    roles: tuple[str, ...]
    identity_key: bytes  # signs transactions and the members' handshake (Ed25519)
    consensus_key: bytes  # signs votes (Ed25519)
    cosigner_key: bytes  # cosigns checkpoints (Ed25519)
    encryption_key: bytes  # receives sealed boxes (X25519)
    validator: bool

    def __post_init__(self) -> None:
        if not ORG_PATTERN.fullmatch(self.id):
            raise ValueError("id must match [a-z0-9][a-z0-9-]{0,62}")
        if not 1 <= len(self.name) <= 200:
            raise ValueError("name must have 1 to 200 characters")
        unknown = set(self.roles) - ROLES
        if unknown or list(self.roles) != sorted(set(self.roles)):
            raise ValueError("roles must be known, unique and ascending")
        keys = (self.identity_key, self.consensus_key, self.cosigner_key, self.encryption_key)
        if any(len(key) != 32 for key in keys):
            raise ValueError("keys are 32 bytes")


@dataclass(frozen=True, slots=True)
class Parameters:
    """Rules that every node must share.  Times in ms, sizes in bytes."""

    block_transactions_max: int = 2000
    block_bytes_max: int = 1 << 20
    clock_drift_ms_max: int = 5000
    expires_heights_max: int = 100_000  # how far ahead expires_height may lie
    state_root_every: int = 1  # blocks between state roots
    request_ms: int = 2000  # PBFT: patience with the primary
    view_change_ms: int = 2000  # PBFT: first wait for a new view, then doubling
    resend_ms: int = 500
    election_ms: int = 1000  # Raft: shortest election timeout; drawn up to twice that
    heartbeat_ms: int = 150
    rotation_blocks: int = 0  # PBFT: so many blocks and the next member proposes; 0: never

    def __post_init__(self) -> None:
        if not 1 <= self.block_transactions_max <= 8192:
            raise ValueError("block_transactions_max must be 1 to 8192")
        # Beyond the largest transaction: one that fits no block would stand before all others.
        if not 1 << 17 <= self.block_bytes_max <= 1 << 21:
            raise ValueError("block_bytes_max must be 128 KiB to 2 MiB")
        if self.state_root_every < 1 or self.expires_heights_max < 1:
            raise ValueError("state_root_every and expires_heights_max start at 1")
        times = (self.request_ms, self.view_change_ms, self.resend_ms, self.election_ms)
        if any(not 10 <= item <= 600_000 for item in (*times, self.heartbeat_ms)):
            raise ValueError("timeouts must be 10 ms to 10 min")
        if not 0 <= self.rotation_blocks <= 1 << 20:
            raise ValueError("rotation_blocks must be 0 to 2^20")
        if self.heartbeat_ms * 2 > self.election_ms:
            raise ValueError("election_ms must be at least twice heartbeat_ms")


@dataclass(frozen=True, slots=True)
class Genesis:
    """``policies``: how topics are decided from the beginning, ascending by topic; those left
    out by the defaults (``facts.governance``)."""

    GROWN_FROM: ClassVar[int] = 6

    version: int
    name: str
    created_ms: int
    engine: str
    parameters: Parameters
    institutions: tuple[Institution, ...]
    policies: tuple[Policy, ...] = ()

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ValueError("version must be 1")
        if not ORG_PATTERN.fullmatch(self.name):
            raise ValueError("name must match [a-z0-9][a-z0-9-]{0,62}")
        if self.engine not in ENGINES:
            raise ValueError("engine must be pbft or raft")
        ids = [item.id for item in self.institutions]
        if ids != sorted(set(ids)):
            raise ValueError("institutions must be unique and ascending by id")
        if len(ids) > INSTITUTIONS_MAX:
            raise ValueError("at most 1000 institutions")
        if not self.validators:
            raise ValueError("at least one institution must be a validator")
        keys = [
            key
            for item in self.institutions
            for key in (item.identity_key, item.consensus_key, item.cosigner_key)
        ]
        if len(set(keys)) != len(keys):
            raise ValueError("every signing key must be used once")
        topics = [item.topic for item in self.policies]
        if topics != sorted(set(topics)):
            raise ValueError("policies must be unique and ascending by topic")

    def encode(self) -> bytes:
        return wire.encode(self)

    @classmethod
    def decode(cls, raw: bytes) -> "Genesis":
        """Return the genesis in ``raw``; raises ``GenesisInvalid`` for anything else."""
        try:
            return wire.decode(cls, raw, size_max=GENESIS_BYTES_MAX)
        except Malformed as error:
            raise GenesisInvalid(str(error)) from error

    @property
    def network(self) -> bytes:
        """The 32-byte digest that binds every statement to this network."""
        return hashlib.sha256(TAG + self.encode()).digest()

    @property
    def validators(self) -> tuple[Institution, ...]:
        return tuple(item for item in self.institutions if item.validator)

    @property
    def origin(self) -> str:
        """The checkpoint origin line (C2SP tlog-checkpoint)."""
        return origin_of(self.name, self.network)


@dataclass(frozen=True, slots=True)
class Voter:
    """What of a validator others need to check its votes and cosignatures."""

    id: str
    consensus_key: bytes
    cosigner_key: bytes


@dataclass(frozen=True, slots=True)
class Voters:
    """The validators of one epoch, ascending by id: state keeps them for every epoch."""

    epoch: int
    members: tuple[Voter, ...]


def voters_of(epoch: int, members: tuple[Institution, ...]) -> Voters:
    rows = (Voter(item.id, item.consensus_key, item.cosigner_key) for item in members)
    return Voters(epoch, tuple(rows))


def members_digest(epoch: int, members: tuple[Institution, ...]) -> bytes:
    """Return the digest of the voters that a seal carries: epoch, ids and their keys."""
    raw = wire.encode(voters_of(epoch, members))
    return hashlib.sha256(MEMBERS_TAG + raw).digest()
