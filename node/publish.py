"""Hop 8, the part that binds: cosign the log after each block, certify it with the others.

Owns: this member's cosignature per log size, the collection of the others', the certified
checkpoint.  Refuses: cosigning two roots at one size (the book is deterministic; a second root
is our bug and stops the node), and staying silent when a quorum saw another root: that is
divergence, the node stops loudly, nothing is repaired.
Bounded: ``WINDOW`` own sizes, twice as many cosignatures per member, one per size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from consensus import codec, wire
from consensus.codec import Malformed
from node.book import Tip
from node.ledger import checkpoint as checkpoints
from node.ledger.checkpoint import Checkpoint, Cosignature, Policy, VerifierKey
from node.ledger.genesis import Genesis
from node.ledger.transaction import Signs
from node.members import quorum_of

WINDOW: Final = 256
COSIGNATURES_PER_FRAME_MAX: Final = 64


class Divergence(Exception):
    """A quorum cosigned another root at a size where this node has its own."""

    code = "divergence"


@dataclass(frozen=True, slots=True)
class Share:
    """One member's cosignature as it travels between members."""

    member: str
    height: int
    size: int
    root: bytes
    time_s: int
    signature: bytes

    def __post_init__(self) -> None:
        if len(self.root) != 32 or len(self.signature) != 64:
            raise ValueError("root is 32 bytes, signature 64")
        if not 0 <= self.time_s <= checkpoints.TIME_S_MAX:
            raise ValueError("time out of range")


def encode_shares(shares: Sequence[Share]) -> bytes:
    return codec.encode([wire.to_value(share) for share in shares])


def decode_shares(raw: bytes) -> list[Share]:
    """Return the shares in a frame; raises ``Malformed``."""
    value: Any = codec.decode(raw, size_max=1 << 16)
    if type(value) is not list or len(value) > COSIGNATURES_PER_FRAME_MAX:
        raise Malformed("expected a list of cosignatures")
    return [wire.from_value(Share, item) for item in value]


def policy_of(genesis: Genesis) -> Policy:
    """Return what an auditor needs to trust: the validators' cosigner keys and the quorum."""
    origin = genesis.origin
    members = tuple(
        (m.id, VerifierKey(checkpoints.cosigner_name(origin, m.id), m.cosigner_key))
        for m in genesis.validators
    )
    return Policy(origin, genesis.network, members, quorum_of(genesis))


class Publisher:
    def __init__(self, policy: Policy, *, self_id: str, signer: Signs | None) -> None:
        self.policy = policy
        self._self_id = self_id
        self._signer = signer
        self._own: dict[int, tuple[int, bytes]] = {}  # size -> height, root
        self._shares: dict[int, dict[str, Share]] = {}  # size -> member -> share
        self._certified: set[int] = set()
        self._keys = dict(policy.members)
        self.mine: Share | None = None

    def applied(self, tip: Tip, time_s: int) -> Share | None:
        """Cosign the log at ``tip``; returns what to tell the others, if we cosign at all."""
        known = self._own.get(tip.log_size)
        assert known is None or known == (tip.height, tip.log_root), "two roots at one size"
        self._own[tip.log_size] = (tip.height, tip.log_root)
        self._forget()
        self._check_divergence(tip.log_size)
        if self._signer is None:
            return None
        checkpoint = Checkpoint(self.policy.origin, tip.log_size, tip.log_root)
        name = checkpoints.cosigner_name(self.policy.origin, self._self_id)
        made = checkpoints.cosign(checkpoint, name=name, signer=self._signer, time_s=time_s)
        share = Share(
            self._self_id, tip.height, tip.log_size, tip.log_root, time_s, made.signature
        )
        self._shares.setdefault(tip.log_size, {})[self._self_id] = share
        self.mine = share
        return share

    def received(self, sender: str, share: Share) -> bool:
        """Take a cosignature; returns False when it is not the sender's or does not verify.

        Raises ``Divergence`` when a quorum stands against our root.
        """
        key = self._keys.get(share.member)
        if share.member != sender or key is None:
            return False
        slot = self._shares.get(share.size)
        if slot is not None and share.member in slot:
            return True
        newest = max(self._own, default=0)
        if share.size + 64 * 1024 < newest:
            return True
        # Room is per member: whoever floods us with sizes to come crowds out only itself.
        if sum(share.member in held for held in self._shares.values()) >= 2 * WINDOW:
            return True
        checkpoint = Checkpoint(self.policy.origin, share.size, share.root)
        cosignature = Cosignature(key.name, key.key_id, share.time_s, share.signature)
        if not checkpoints.verify_cosignature(checkpoint, cosignature, key):
            return False
        self._shares.setdefault(share.size, {})[share.member] = share
        self._check_divergence(share.size)
        return True

    def _check_divergence(self, size: int) -> None:
        own = self._own.get(size)
        if own is None:
            return
        against = [s for s in self._shares.get(size, {}).values() if s.root != own[1]]
        for share in against:
            same = sum(1 for other in against if other.root == share.root)
            if same >= self.policy.quorum:
                raise Divergence(f"log size {size}: {same} members have another root")

    def certify(self, size: int) -> tuple[int, bytes] | None:
        """Return (height, certified checkpoint) once a quorum agrees with us at ``size``."""
        own = self._own.get(size)
        if own is None or size in self._certified:
            return None
        height, root = own
        agreeing = [s for s in self._shares.get(size, {}).values() if s.root == root]
        if len(agreeing) < self.policy.quorum:
            return None
        self._certified.add(size)
        checkpoint = Checkpoint(self.policy.origin, size, root)
        cosignatures = [
            Cosignature(
                self._keys[s.member].name, self._keys[s.member].key_id, s.time_s, s.signature
            )
            for s in agreeing
        ]
        return height, checkpoints.certify(checkpoint, cosignatures, self.policy)

    def _forget(self) -> None:
        while len(self._own) > WINDOW:
            oldest = min(self._own)
            del self._own[oldest]
        floor = min(self._own)
        for size in [size for size in self._shares if size < floor]:
            del self._shares[size]
        self._certified = {size for size in self._certified if size >= floor}
