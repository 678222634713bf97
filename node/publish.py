"""Hop 8, the part that binds: cosign the log, certify it with the others.

Owns: which heights this member cosigns, its cosignature per log size, the collection of the
others', the certified checkpoint, and whom to ask again while one is missing.
Refuses: cosigning two roots at one size (the book is deterministic; a second root is our bug
and stops the node), and staying silent when a quorum saw another root: that is divergence, the
node stops loudly, nothing is repaired.
Every member cosigns each multiple of ``COSIGN_EVERY``, however busy it is: certified
checkpoints are the engine's low watermark, and members that each cosigned wherever they
happened to pause would never meet at one size.  Between those, at most once in
``COSIGN_PAUSE_S``, and where the ledger comes to rest.
Bounded: ``WINDOW`` own sizes, twice as many cosignatures per member, one per size.
"""

from collections import Counter
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
COSIGN_EVERY: Final = 8  # blocks; small against the window of an engine's watermark
# Each costs every member one signature and n - 1 verifications, more than a small block.
COSIGN_PAUSE_S: Final = 0.1
COSIGNATURES_PER_FRAME_MAX: Final = 64
CONFLICTS_MAX: Final = 64  # between two looks at them


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


@dataclass(frozen=True, slots=True)
class HeadsConflict:
    """``member`` cosigned ``head``; a quorum, or itself, cosigned ``against`` at that size."""

    member: str
    size: int
    head: bytes
    against: bytes


def encode_shares(shares: Sequence[Share], *, ask: bool = False) -> bytes:
    """Return a frame of ``shares``; ``ask``: the receiver's own at these sizes are missed."""
    return codec.encode([ask, [wire.to_value(share) for share in shares]])


def decode_shares(raw: bytes) -> tuple[bool, list[Share]]:
    """Return whether the sender misses ours, and its shares; raises ``Malformed``."""
    value: Any = codec.decode(raw, size_max=1 << 16)
    if type(value) is not list or len(value) != 2 or type(value[0]) is not bool:
        raise Malformed("expected [ask, cosignatures]")
    ask, items = value
    if type(items) is not list or len(items) > COSIGNATURES_PER_FRAME_MAX:
        raise Malformed("expected a list of cosignatures")
    return ask, [wire.from_value(Share, item) for item in items]


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
        self._count: Counter[str] = Counter()  # how many of them are a member's
        self._certified: dict[int, bytes] = {}  # size -> note
        self._conflicts: list[HeadsConflict] = []
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
        self._keep(share)
        self.mine = share
        return share

    def own(self, size: int) -> Share | None:
        """Return our cosignature at ``size``, for a member that misses it."""
        return self._shares.get(size, {}).get(self._self_id)

    def newest_of(self, member: str) -> int:
        """Return the newest height at which ``member`` is known to have cosigned, or 0."""
        return max(
            (held[member].height for held in self._shares.values() if member in held), default=0
        )

    def silent(self) -> tuple[Share, list[str]] | None:
        """Return our newest share and who did not answer it; None once it is certified.

        Whoever answered is not asked again, so a member that is up and agrees is asked at
        most until its answer arrives.
        """
        if self.mine is None or self.mine.size in self._certified:
            return None
        answered = self._shares.get(self.mine.size, {})
        return self.mine, [member for member in self._keys if member not in answered]

    def received(self, sender: str, share: Share) -> bool:
        """Take a cosignature; returns False when it is not the sender's or does not verify.

        Raises ``Divergence`` when a quorum stands against our root.
        """
        key = self._keys.get(share.member)
        if share.member != sender or key is None:
            return False
        held = self._shares.get(share.size, {}).get(share.member)
        if held is not None:
            return held.root == share.root or self._twice(held, share)
        newest = max(self._own, default=0)
        if share.size + 64 * 1024 < newest:
            return True
        # Room is per member: whoever floods us with sizes to come crowds out only itself.
        if self._count[share.member] >= 2 * WINDOW:
            return True
        if not self._holds(share):
            return False
        self._keep(share)
        self._check_divergence(share.size)
        if share.size in self._certified:
            self._against_certified(share)
        return True

    def _keep(self, share: Share) -> None:
        held = self._shares.setdefault(share.size, {})
        self._count[share.member] += share.member not in held
        held[share.member] = share

    def _holds(self, share: Share) -> bool:
        checkpoint = Checkpoint(self.policy.origin, share.size, share.root)
        cosignature = self._cosignature(share)
        key = self._keys[share.member]
        return checkpoints.verify_cosignature(checkpoint, cosignature, key)

    def _cosignature(self, share: Share) -> Cosignature:
        key = self._keys[share.member]
        return Cosignature(key.name, key.key_id, share.time_s, share.signature)

    def _note(self, share: Share) -> bytes:
        head = Checkpoint(self.policy.origin, share.size, share.root)
        return head.text() + b"\n" + self._cosignature(share).note_signature().line().encode()

    # --- contradictions ----------------------------------------------------------------------

    def conflicts(self) -> list[HeadsConflict]:
        """Return the contradictions noticed since the last call."""
        found, self._conflicts = self._conflicts, []
        return found

    def _twice(self, held: Share, share: Share) -> bool:
        """A second root of one member at one size; False when it did not sign that one."""
        if not self._holds(share):
            return False
        pair = self._note(share), self._note(held)
        self._conflict(HeadsConflict(share.member, share.size, *pair))
        return True

    def _against_certified(self, share: Share) -> None:
        if share.root != self._own[share.size][1]:
            note = self._certified[share.size]
            self._conflict(HeadsConflict(share.member, share.size, self._note(share), note))

    def _conflict(self, found: HeadsConflict) -> None:
        if len(self._conflicts) < CONFLICTS_MAX:
            self._conflicts.append(found)

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
        checkpoint = Checkpoint(self.policy.origin, size, root)
        cosignatures = [self._cosignature(share) for share in agreeing]
        note = checkpoints.certify(checkpoint, cosignatures, self.policy)
        self._certified[size] = note
        for share in self._shares[size].values():
            self._against_certified(share)
        return height, note

    def _forget(self) -> None:
        while len(self._own) > WINDOW:
            oldest = min(self._own)
            del self._own[oldest]
        floor = min(self._own)
        for size in [size for size in self._shares if size < floor]:
            self._count.subtract(self._shares.pop(size).keys())
        self._certified = {size: n for size, n in self._certified.items() if size >= floor}
