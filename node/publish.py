"""Hop 8, the part that binds: cosign the log, certify it with the others.

Owns: which heights this member cosigns, its cosignature per log size, the collection of the
others', the certified checkpoint, and whom to ask again while one is missing.
Each height is cosigned and certified by the era that ordered it, a barrier too: the members
that it removes cosign it, and it is asked for until it is certified, because with its
certificate the old era vouches for the new one.
Refuses: cosigning two roots at one size (the book is deterministic; a second root is our bug
and stops the node), and staying silent when a quorum saw another root: that is divergence, the
node stops loudly, nothing is repaired.
Every member cosigns the first block of each ``COSIGN_SLOT_MS`` of the ledger's own time, which
all of them read in the same headers: members that each cosigned wherever they happened to pause
would never meet at one size.  Besides, each multiple of ``COSIGN_EVERY``, however fast blocks
come, because certified checkpoints are the engine's low watermark, and where the ledger rests.
Bounded: ``WINDOW`` own sizes, twice as many cosignatures per member, one per size;
``BARRIERS_MAX`` barriers that are asked for.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from consensus import codec, wire
from consensus.codec import Malformed
from node.book import Tip
from node.ledger import checkpoint as checkpoints
from node.ledger.checkpoint import Checkpoint, Cosignature, Policy, VerifierKey
from node.ledger.genesis import Genesis, Voter
from node.ledger.transaction import Signs
from node.roster import Rulebook, founding_rules

WINDOW: Final = 256
COSIGN_EVERY: Final = 8  # blocks; small against the window of an engine's watermark
# Each costs every member one signature and n - 1 verifications, more than a small block.
COSIGN_SLOT_MS: Final = 100
COSIGNATURES_PER_FRAME_MAX: Final = 64
CONFLICTS_MAX: Final = 64  # between two looks at them
BARRIERS_MAX: Final = 8


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
class _Held:
    """A share with the key that it was verified with."""

    share: Share
    key: VerifierKey

    def cosignature(self) -> Cosignature:
        share, key = self.share, self.key
        return Cosignature(key.name, key.key_id, share.time_s, share.signature)

    def verifies(self, origin: str) -> bool:
        head = Checkpoint(origin, self.share.size, self.share.root)
        return checkpoints.verify_cosignature(head, self.cosignature(), self.key)

    def note(self, origin: str) -> bytes:
        head = Checkpoint(origin, self.share.size, self.share.root)
        line = self.cosignature().note_signature().line()
        return head.text() + b"\n" + line.encode()


@dataclass(frozen=True, slots=True)
class HeadsConflict:
    """``member`` cosigned ``head``; a quorum, or itself, cosigned ``against`` at that size.

    ``epoch``: the one whose cosigner keys both are signed with.
    """

    member: str
    epoch: int
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
    """Return what an auditor needs to trust: the founders' cosigner keys and the quorum."""
    return founding_rules(genesis).policy


class Publisher:
    """``signer(voter)`` is our cosigner key for an era that knows us as ``voter``, if we hold
    it.  ``rules`` says which era ordered a height."""

    def __init__(
        self, rules: Rulebook, *, self_id: str, signer: Callable[[Voter], Signs | None]
    ) -> None:
        self._rules = rules
        self._self_id = self_id
        self._signer = signer
        self._own: dict[int, tuple[int, bytes]] = {}  # size -> height, root
        self._shares: dict[int, dict[str, _Held]] = {}  # size -> member -> share
        self._count: Counter[str] = Counter()  # how many of them are a member's
        self._certified: dict[int, bytes] = {}  # size -> note
        self._conflicts: list[HeadsConflict] = []
        self._barriers: list[int] = []  # sizes after barriers that are not certified yet
        self._newest = (0, 0)  # height, size of our own newest head
        self._claimed: dict[str, int] = {}  # member -> newest height that it spoke of
        self.mine: Share | None = None

    @property
    def policy(self) -> Policy:
        """Whose cosignatures count from the next block on."""
        return self._rules.now.policy

    def applied(self, tip: Tip, time_s: int, *, barrier: bool = False) -> Share | None:
        """Cosign the log at ``tip``; returns what to tell the others, if we cosign at all.

        ``barrier``: an era ends with that block; its head is asked for until it is certified.
        """
        known = self._own.get(tip.log_size)
        assert known is None or known == (tip.height, tip.log_root), "two roots at one size"
        self._own[tip.log_size] = (tip.height, tip.log_root)
        self._newest = max(self._newest, (tip.height, tip.log_size))
        if barrier and tip.log_size not in (*self._barriers, *self._certified):
            self._barriers = [*self._barriers, tip.log_size][-BARRIERS_MAX:]
        self._forget()
        self._weed(tip.log_size)
        self._check_divergence(tip.log_size)
        return self._cosign(tip, time_s)

    def _cosign(self, tip: Tip, time_s: int) -> Share | None:
        rules = self._rules.at(tip.height)
        voter = rules.voter(self._self_id)
        signer = None if voter is None else self._signer(voter)
        if signer is None:
            return None
        checkpoint = Checkpoint(rules.policy.origin, tip.log_size, tip.log_root)
        name = checkpoints.cosigner_name(rules.policy.origin, self._self_id)
        made = checkpoints.cosign(checkpoint, name=name, signer=signer, time_s=time_s)
        share = Share(
            self._self_id, tip.height, tip.log_size, tip.log_root, time_s, made.signature
        )
        self._keep(_Held(share, VerifierKey(name, signer.public_key)))
        if self.mine is None or share.size >= self.mine.size:
            self.mine = share
        return share

    def own(self, size: int) -> Share | None:
        """Return our cosignature at ``size``, for a member that misses it."""
        held = self._shares.get(size, {}).get(self._self_id)
        return None if held is None else held.share

    def own_of_note(self, height: int, note: bytes) -> Share | None:
        """Return our cosignature in the stored certificate of ``height``, for a member that
        was away for longer than we remember shares."""
        head, lines = checkpoints.parse_note(note)
        policy = self._rules.at(height).policy
        key = dict(policy.members).get(self._self_id)
        found = [Cosignature.of(line) for line in lines if key and line.key_id == key.key_id]
        for item in found:
            if key and item and checkpoints.verify_cosignature(head, item, key):
                me, signature = self._self_id, item.signature
                return Share(me, height, head.size, head.root, item.time_s, signature)
        return None

    def newest_of(self, member: str) -> int:
        """Return the newest height at which ``member`` is known to have cosigned, or 0."""
        return max(
            (held[member].share.height for held in self._shares.values() if member in held),
            default=0,
        )

    def claimed_by_quorum(self) -> int:
        """Return the height that as many voters as certify say to have reached, or 0."""
        policy = self.policy
        heights = sorted(
            (self._claimed.get(member, 0) for member, _ in policy.members), reverse=True
        )
        return heights[policy.quorum - 1]

    def silent(self) -> list[tuple[Share, list[str]]]:
        """Return our shares that are missed the others' of, each with who did not answer it:
        the newest, and those of barriers.

        Whoever answered is not asked again, so a member that is up and agrees is asked at
        most until its answer arrives.
        """
        newest = () if self.mine is None else (self.mine.size,)
        found: list[tuple[Share, list[str]]] = []
        for size in dict.fromkeys((*self._barriers, *newest)):
            share = self.own(size)
            if share is not None and size not in self._certified:
                answered = self._shares[size]
                policy = self._rules.at(share.height).policy
                asked = [member for member, _ in policy.members if member not in answered]
                found.append((share, asked))
        return found

    def received(self, sender: str, share: Share) -> bool:
        """Take a cosignature; returns False when it is not the sender's or does not verify.

        One of a height that we have not reached may be of an era that we do not know: then it
        is passed over without blame.  Raises ``Divergence`` when a quorum stands against our
        root.
        """
        if share.member != sender:
            return False
        own = self._own.get(share.size)
        ahead = own is None and share.height > self._newest[0]
        if ahead:
            self._claimed[sender] = max(share.height, self._claimed.get(sender, 0))
        height = share.height if own is None else own[0]
        key = dict(self._rules.at(height).policy.members).get(sender)
        if key is None:
            return ahead
        given = _Held(share, key)
        held = self._shares.get(share.size, {}).get(sender)
        if held is not None:
            return held.share.root == share.root or self._twice(held, given)
        if share.size + 64 * 1024 < self._newest[1]:
            return True
        # Room is per member: whoever floods us with sizes to come crowds out only itself.
        if self._count[share.member] >= 2 * WINDOW:
            return True
        if not given.verifies(self.policy.origin):
            return ahead
        self._keep(given)
        self._claimed[sender] = max(height, self._claimed.get(sender, 0))
        self._check_divergence(share.size)
        if share.size in self._certified:
            self._against_certified(given)
        return True

    def _keep(self, given: _Held) -> None:
        share = given.share
        held = self._shares.setdefault(share.size, {})
        self._count[share.member] += share.member not in held
        held[share.member] = given

    def _weed(self, size: int) -> None:
        """Drop shares that came before we knew which era ``size`` belongs to, and that are not
        of it: signed with a key that was replaced, or by a member that left."""
        keys = dict(self._rules.at(self._own[size][0]).policy.members)
        held = self._shares.get(size, {})
        for member, given in list(held.items()):
            if keys.get(member) != given.key:
                del held[member]
                self._count[member] -= 1

    # --- contradictions ----------------------------------------------------------------------

    def conflicts(self) -> list[HeadsConflict]:
        """Return the contradictions noticed since the last call."""
        found, self._conflicts = self._conflicts, []
        return found

    def _twice(self, held: _Held, given: _Held) -> bool:
        """A second root of one member at one size; False when it did not sign that one."""
        origin = self.policy.origin
        if not given.verifies(origin):
            return False
        self._conflict(given, given.note(origin), held.note(origin))
        return True

    def _against_certified(self, given: _Held) -> None:
        size = given.share.size
        if given.share.root != self._own[size][1]:
            self._conflict(given, given.note(self.policy.origin), self._certified[size])

    def _conflict(self, given: _Held, head: bytes, against: bytes) -> None:
        if len(self._conflicts) < CONFLICTS_MAX:
            share = given.share
            own = self._own.get(share.size)
            epoch = self._rules.at(share.height if own is None else own[0]).era.epoch
            found = HeadsConflict(share.member, epoch, share.size, head, against)
            self._conflicts.append(found)

    def _check_divergence(self, size: int) -> None:
        own = self._own.get(size)
        if own is None:
            return
        height, root = own
        quorum = self._rules.at(height).policy.quorum
        held = self._shares.get(size, {}).values()
        against = Counter(item.share.root for item in held if item.share.root != root)
        if against and max(against.values()) >= quorum:
            same = max(against.values())
            raise Divergence(f"log size {size}: {same} members have another root")

    def certify(self, size: int) -> tuple[int, bytes] | None:
        """Return (height, certified checkpoint) once a quorum agrees with us at ``size``."""
        own = self._own.get(size)
        if own is None or size in self._certified:
            return None
        height, root = own
        policy = self._rules.at(height).policy
        held = self._shares.get(size, {}).values()
        agreeing = [item for item in held if item.share.root == root]
        if len(agreeing) < policy.quorum:
            return None
        checkpoint = Checkpoint(policy.origin, size, root)
        cosignatures = [item.cosignature() for item in agreeing]
        note = checkpoints.certify(checkpoint, cosignatures, policy)
        self._certified[size] = note
        self._barriers = [item for item in self._barriers if item != size]
        for given in held:
            self._against_certified(given)
        return height, note

    def _forget(self) -> None:
        kept = set(self._barriers)
        while len(self._own) > WINDOW + len(kept):
            del self._own[min(size for size in self._own if size not in kept)]
        floor = min((size for size in self._own if size not in kept), default=0)
        gone = [size for size in self._shares if size < floor and size not in kept]
        for size in gone:
            self._count.subtract(self._shares.pop(size).keys())
        self._certified = {size: n for size, n in self._certified.items() if size >= floor}
