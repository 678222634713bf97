"""More ways of lying: in the names of others, out of turn, and to some only.

Each by itself does little.  What they need is company: a member that is cut off at the right
moment, a view that changes meanwhile, or a second habit of the same liar.  A script named
"a+b" does both, what a bends goes through b.
"""

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from consensus import certs
from consensus.standing import Standing
from tests.sim import byzantine, ledger, scripts
from tests.sim.byzantine import Bent, Liar
from tests.sim.keys import Keys

if TYPE_CHECKING:
    from consensus.engine import Dialect
    from consensus.types import Proposal
    from tests.sim.node import SimNode
    from tests.sim.world import Packet


class Redresser(Liar):
    """Shows the signatures of one phase as votes of the other, in their authors' names."""

    script = scripts.REDRESSER

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._digests: dict[bytes, bytes] = {}  # of blocks, by what a prepare says of them

    def hear(self, packet: "Packet") -> None:
        from consensus.pbft.messages import Commit

        message = packet.message
        if type(message).__name__ not in ("PrePrepare", "Prepare"):
            return
        content, height = getattr(message, "content", b""), getattr(message, "height", 0)
        if not content:
            proposal = message.proposal
            content, height = certs.proposal_hash(proposal), proposal.height
            self._digests[content] = proposal.digest
        digest = self._digests.get(content)
        if digest is not None:
            self.lied()
            vote = Commit(message.epoch, message.view, height, digest, message.signer)
            self.node.say(replace(vote, signature=message.signature))


class EarlyPrimary(Liar):
    """Proposes in views of its own that nobody opened."""

    script = scripts.EARLY_PRIMARY

    def hear(self, packet: "Packet") -> None:
        from consensus.pbft.dialect import primary
        from consensus.pbft.messages import PrePrepare

        message = packet.message
        if type(message).__name__ != "PrePrepare" or self.rng.random() < 0.5:
            return
        node, proposal = self.node, message.proposal
        rotation, committee = node.world.plan.rotation_blocks, node.chain.committee
        for view in range(message.view + 1, message.view + 1 + len(committee.members)):
            turn = primary(view, committee, height=proposal.height, rotation_blocks=rotation)
            if turn == self._id:
                other = ledger.build(
                    proposal.height,
                    proposal.parent,
                    time_ms=ledger.header_time_ms(proposal) + 1,
                    proposer=self._id,
                    txids=[],
                    epoch=message.epoch,
                )
                node.say(self.signed(PrePrepare(message.epoch, view, other, self._id)).message)
                return


class OldProofs(Liar):
    """Leaves its view with the proofs of an epoch that is over."""

    script = scripts.OLD_PROOFS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._old: Any = None  # a view change of the oldest epoch

    def hear(self, packet: "Packet") -> None:
        message = packet.message
        if type(message).__name__ == "ViewChange" and self._old is None:
            self._old = message

    def bend(self, packet: "Packet", to: str) -> Bent:
        message, old = packet.message, self._old
        if type(message).__name__ == "ViewChange":
            self.hear(packet)
        if type(message).__name__ != "Status" or old is None or message.epoch <= old.epoch:
            return [(0, packet)]
        chain = self.node.chain
        start = max(h for h, (block, _) in chain.blocks.items() if block.barrier)
        base = chain.blocks[start][0]
        change = replace(
            old,
            epoch=message.epoch,
            height=base.height,
            digest=base.digest,
            certificate=b"",
            prepared=(),
            signer=self._id,
        )
        return [(0, packet), (0, self.signed(change))]


class Whisperer(Liar):
    """Tells each of its votes to some only, and its view changes are now new, now old.

    What it says is never wrong.  So a quorum that counts on it is a quorum for one member and
    none for the next, and no evidence remains.
    """

    script = scripts.WHISPERER
    _first: Any = None  # its first view change in this epoch

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._told: dict[tuple[str, int, int], frozenset[str]] = {}

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        kind = type(message).__name__
        if kind in ("Prepare", "Commit"):
            place = (kind, message.view, message.height)
            told = self._told.get(place)
            if told is None:
                ids = self.node.world.ids
                few = self.rng.sample(ids, self.rng.randint(0, len(ids) // 2 + 1))
                told = self._told[place] = frozenset(few)
            if to not in told:
                self.lied()
                return []
        elif kind == "ViewChange":
            return [(0, self._old_or_new(packet))]
        return [(0, packet)]

    def _old_or_new(self, packet: "Packet") -> "Packet":
        message = packet.message
        if self._first is None or self._first.epoch != message.epoch:
            self._first = message
        if message.view % 3 == 0:
            return packet
        old = self._first if message.view % 3 == 1 else replace(message, prepared=())
        return self.signed(
            replace(
                message,
                height=old.height,
                digest=old.digest,
                certificate=old.certificate,
                prepared=old.prepared,
            )
        )


class Boaster(Liar):
    """Claims eras and heights that are not, and brings nothing when it is asked."""

    script = scripts.BOASTER

    def bend(self, packet: "Packet", to: str) -> Bent:
        if self.rng.random() < 0.7:
            return [(0, packet)]
        self.lied()
        era, height = self.node.chain.era, self.node.chain.executed
        epoch = max(0, era.committee.epoch + self.rng.choice((-1, 0, 0, 1, 1, 1000)))
        standing = Standing(epoch, height + self.rng.choice((0, 1, 5, 1 << 40)))
        return [(0, self.node.world.packet(self.node, standing)), (0, packet)]

    def blocks(self, blocks: list[tuple["Proposal", bytes]]) -> list[tuple["Proposal", bytes]]:
        return []


class Both(Liar):
    """Two habits in one member."""

    def __init__(self, first: Liar, second: Liar) -> None:
        self._parts = (first, second)

    @property
    def node(self) -> "SimNode":  # type: ignore[override]
        return self._parts[0].node

    @node.setter
    def node(self, node: "SimNode") -> None:
        for part in self._parts:
            part.node = node

    def bend(self, packet: "Packet", to: str) -> Bent:
        first, second = self._parts
        return [
            (sooner + later, twice)
            for sooner, once in first.bend(packet, to)
            for later, twice in second.bend(once, to)
        ]

    def hear(self, packet: "Packet") -> None:
        for part in self._parts:
            part.hear(packet)

    def choose(self, txids: list[bytes]) -> list[bytes]:
        first, second = self._parts
        return second.choose(first.choose(txids))

    def state_root(self, root: bytes) -> bytes:
        first, second = self._parts
        return second.state_root(first.state_root(root))

    def blocks(self, blocks: list[tuple["Proposal", bytes]]) -> list[tuple["Proposal", bytes]]:
        first, second = self._parts
        return second.blocks(first.blocks(blocks))


LIARS = byzantine.LIARS | {
    kind.script: kind for kind in (Redresser, EarlyPrimary, OldProofs, Whisperer, Boaster)
}


def liar(script: str, node: str, dialect: "Dialect", keys: Keys, rng: random.Random) -> Liar:
    """Return the liar of ``script``, or of both scripts in "a+b"."""
    made = [LIARS[each](node, dialect, keys, rng) for each in script.split("+")]
    return made[0] if len(made) == 1 else Both(*made)
