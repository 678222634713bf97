"""Members that lie, with their own real key: one small script for each way of lying.

``twins`` needs no script: two honest instances share one identity and each talks to a part of
the cluster, so the member equivocates as primary, votes twice and hides certificates.  The
others wrap an honest instance and bend what it sends, serves, proposes or cosigns.
"""

import dataclasses
import random
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import msgpack

from consensus import certs
from consensus.types import Proposal
from tests.sim import ledger, scripts
from tests.sim.keys import Keys
from tests.sim.plan import MS

if TYPE_CHECKING:
    from consensus.engine import Dialect
    from tests.sim.node import SimNode
    from tests.sim.world import Packet

KEPT_MAX = 64
Bent = list[tuple[int, "Packet"]]


class Liar:
    """Bends what one Byzantine member does; this one, for twins and as base, bends nothing."""

    script: ClassVar[str] = scripts.TWINS

    def __init__(self, node: str, dialect: "Dialect", keys: Keys, rng: random.Random) -> None:
        self._id = node
        self._dialect = dialect
        self._keys = keys
        self.rng = rng
        self.node: SimNode

    def bend(self, packet: "Packet", to: str) -> Bent:
        """Return what leaves for ``to`` in place of ``packet``, each with a delay."""
        return [(0, packet)]

    def hear(self, packet: "Packet") -> None:
        """A message of somebody else reached this member."""

    def choose(self, txids: list[bytes]) -> list[bytes]:
        return txids

    def state_root(self, root: bytes) -> bytes:
        return root

    def blocks(self, blocks: list[tuple[Proposal, bytes]]) -> list[tuple[Proposal, bytes]]:
        return blocks

    # --- tools ----------------------------------------------------------------------------

    def signed(self, message: Any) -> "Packet":
        """Return ``message`` with this member's real signature on it."""
        statement = self._dialect.statement(message, ledger.NETWORK)
        if statement is not None and statement.signed is not None:
            signature = self._keys.sign(self._id, statement.signed)
            message = self._dialect.with_signature(message, signature)
        self.lied()
        return self.node.world.packet(self.node, message)

    def raw(self, raw: bytes) -> "Packet":
        self.lied()
        return self.node.world.raw_packet(self.node, raw)

    def lied(self) -> None:
        self.node.world.count(f"lie {self.script}")

    def other_half(self, to: str) -> bool:
        return self.node.world.ids.index(to) % 2 == 1


class Silent(Liar):
    script = scripts.SILENT

    def bend(self, packet: "Packet", to: str) -> Bent:
        self.lied()
        return []


class Equivocator(Liar):
    """As primary: one block for half of the members, another for the rest, and votes to fit."""

    script = scripts.EQUIVOCATOR

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._others: dict[bytes, Proposal] = {}  # by the digest of the first block

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        kind = type(message).__name__
        if not self.other_half(to):
            return [(0, packet)]
        if kind == "PrePrepare":
            other = self._other(message.proposal)
            return [(0, self.signed(replace(message, proposal=other)))]
        if kind == "Commit" and message.digest in self._others:
            digest = self._others[message.digest].digest
            return [(0, self.signed(replace(message, digest=digest)))]
        return [(0, packet)]

    def _other(self, proposal: Proposal) -> Proposal:
        known = self._others.get(proposal.digest)
        if known is None:
            known = self._others[proposal.digest] = ledger.build(
                proposal.height,
                proposal.parent,
                time_ms=ledger.header_time_ms(proposal) + 1,
                proposer=self._id,
                txids=ledger.txids_of(proposal)[:1],
                epoch=ledger.epoch_of(proposal),
                barrier=self.node.world.is_barrier(ledger.txids_of(proposal)[:1]),
            )
        return known


class DoublePrepare(Liar):
    script = scripts.DOUBLE_PREPARE

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        if type(message).__name__ != "Prepare":
            return [(0, packet)]
        other = self.signed(replace(message, content=bytes(32)))
        return [(0, packet), (0, other)] if self.other_half(to) else [(0, other), (0, packet)]


class DoubleCommit(Liar):
    script = scripts.DOUBLE_COMMIT

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        if type(message).__name__ != "Commit":
            return [(0, packet)]
        other = self.signed(replace(message, digest=bytes(32)))
        return [(0, packet), (0, other)] if self.other_half(to) else [(0, other), (0, packet)]


class FutureVotes(Liar):
    """Votes for heights and views that nobody has reached."""

    script = scripts.FUTURE_VOTES

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        if type(message).__name__ not in ("Prepare", "Commit"):
            return [(0, packet)]
        rng = self.rng
        later = [
            replace(message, view=message.view + rng.randint(1, 3)),
            replace(message, height=message.height + rng.randint(1, 20)),
        ]
        return [(0, packet), *((0, self.signed(each)) for each in later)]


class EarlyCommit(Liar):
    """Commits to whatever is proposed, before anybody prepared it."""

    script = scripts.EARLY_COMMIT

    def hear(self, packet: "Packet") -> None:
        from consensus.pbft.messages import Commit

        message = packet.message
        if type(message).__name__ == "PrePrepare":
            proposal = message.proposal
            vote = Commit(
                message.epoch, message.view, proposal.height, proposal.digest, self._id
            )
            self.node.say(self.signed(vote).message)


class ViewChangeLiar(Liar):
    """Sends another view change than it should."""

    def bend(self, packet: "Packet", to: str) -> Bent:
        if type(packet.message).__name__ != "ViewChange":
            return [(0, packet)]
        return [(0, self.signed(self.change(packet.message)))]

    def change(self, message: Any) -> Any:
        raise AssertionError


class StaleChange(ViewChangeLiar):
    """Always shows what it had at its first view change."""

    script = scripts.STALE_CHANGE
    _first: Any = None

    def change(self, message: Any) -> Any:
        if self._first is None or self._first.epoch != message.epoch:
            self._first = message
        old = self._first
        return replace(
            message,
            height=old.height,
            digest=old.digest,
            certificate=old.certificate,
            prepared=old.prepared,
        )


class ForgedChange(ViewChangeLiar):
    """Shows certificates that it made up."""

    script = scripts.FORGED_CHANGE

    def change(self, message: Any) -> Any:
        if message.prepared:
            return replace(message, prepared=mutate(message.prepared, self.rng, depth=1))
        if message.certificate and self.rng.random() < 0.5:
            return replace(message, certificate=mutate(message.certificate, self.rng, depth=1))
        return replace(message, suspected=mutate(message.suspected, self.rng, depth=1))


class BareChange(ViewChangeLiar):
    """Leaves its prepared certificates out."""

    script = scripts.BARE_CHANGE

    def change(self, message: Any) -> Any:
        return replace(message, prepared=())


class NewViewLiar(Liar):
    """Opens its views in another way than it should."""

    def bend(self, packet: "Packet", to: str) -> Bent:
        if type(packet.message).__name__ != "NewView":
            return [(0, packet)]
        return [(0, self.signed(self.change(packet.message)))]

    def change(self, message: Any) -> Any:
        raise AssertionError


class WrongChoice(NewViewLiar):
    """Carries over less than it should, or a block of its own instead, and votes for that."""

    script = scripts.WRONG_CHOICE

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._own: dict[tuple[int, int], Proposal] = {}  # by view and height

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        kind = type(message).__name__
        own = None
        if kind in ("Prepare", "Commit"):
            own = self._own.get((message.view, message.height))
        if own is None:
            return super().bend(packet, to)
        if kind == "Commit":
            return [(0, self.signed(replace(message, digest=own.digest)))]
        return [(0, self.signed(replace(message, content=certs.proposal_hash(own))))]

    def change(self, message: Any) -> Any:
        if message.chosen and message.view % 2:
            return replace(message, chosen=message.chosen[:-1])
        highest = max(message.view_changes, key=lambda change: change.height)
        kept = message.chosen[:-1]
        height, parent = highest.height + 1 + len(kept), highest.digest
        if kept:
            parent = kept[-1].digest
        own = self._own.get((message.view, height))
        if own is None:
            own = self._own[message.view, height] = ledger.build(
                height,
                parent,
                time_ms=self.node.wall_ms(),
                proposer=self._id,
                txids=[],
                epoch=message.epoch,
            )
        return replace(message, chosen=(*kept, own))


class FewChanges(NewViewLiar):
    script = scripts.FEW_CHANGES

    def change(self, message: Any) -> Any:
        return replace(message, view_changes=message.view_changes[:-1])


class SameChanges(NewViewLiar):
    script = scripts.SAME_CHANGES

    def change(self, message: Any) -> Any:
        changes = message.view_changes
        return replace(message, view_changes=(*changes[:-1], changes[0]))


class Replayer(Liar):
    """Says again, and relays again, what was true in views long left."""

    script = scripts.REPLAYER

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._past: list[Packet] = []

    def _keep(self, packet: "Packet") -> None:
        if len(self._past) < KEPT_MAX:
            self._past.append(packet)
        elif self.rng.random() < 0.2:
            self._past[self.rng.randrange(KEPT_MAX)] = packet

    def hear(self, packet: "Packet") -> None:
        self._keep(packet)

    def bend(self, packet: "Packet", to: str) -> Bent:
        self._keep(packet)
        if self.rng.random() < 0.4:
            return [(0, packet), (0, self.raw(self.rng.choice(self._past).raw))]
        return [(0, packet)]


class SlowPrimary(Liar):
    """Proposes just before the others lose patience."""

    script = scripts.SLOW_PRIMARY

    def bend(self, packet: "Packet", to: str) -> Bent:
        if type(packet.message).__name__ != "PrePrepare":
            return [(0, packet)]
        self.lied()
        patience_us = self.node.world.flavour.patience_ms(self.node.world.plan) * MS
        return [(patience_us * self.rng.randint(70, 99) // 100, packet)]


class Censor(Liar):
    """Never proposes half of the transactions."""

    script = scripts.CENSOR

    def choose(self, txids: list[bytes]) -> list[bytes]:
        kept = [txid for txid in txids if txid[0] < 128]
        if len(kept) < len(txids):
            self.lied()
        return kept


class WrongRoot(Liar):
    script = scripts.WRONG_ROOT

    def state_root(self, root: bytes) -> bytes:
        self.lied()
        return bytes(32)


class BogusSync(Liar):
    """Claims heights that do not exist, and serves blocks that are not final."""

    script = scripts.BOGUS_SYNC

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        if type(message).__name__ != "Status":
            return [(0, packet)]
        further = message.height + self.rng.randint(1, 1000)
        return [(0, self.signed(replace(message, height=further)))]

    def blocks(self, blocks: list[tuple[Proposal, bytes]]) -> list[tuple[Proposal, bytes]]:
        if not blocks:
            return blocks
        self.lied()
        proposal, certificate = blocks[0]
        other = ledger.build(
            proposal.height,
            proposal.parent,
            time_ms=1,
            proposer=self._id,
            txids=[],
            epoch=ledger.epoch_of(proposal),
        )
        return [
            self.rng.choice(((other, certificate), (proposal, b""), (proposal, blocks[-1][1]))),
            *blocks[1:],
        ]


class Garbage(Liar):
    """Random bytes, flipped bits, too much, too deep."""

    script = scripts.GARBAGE

    def bend(self, packet: "Packet", to: str) -> Bent:
        rng, raw = self.rng, packet.raw
        draw = rng.random()
        if draw > 0.5:
            return [(0, packet)]
        if draw < 0.15:
            bad = rng.randbytes(rng.randint(0, 200))
        elif draw < 0.35:
            at = rng.randrange(len(raw))
            bad = raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :]
        elif draw < 0.4:
            bad = b"\x91" * rng.choice((20, 2000)) + b"\x01"
        elif draw < 0.42:
            bad = bytes(msgpack.packb([1, [bytes(1 << 20)]]))
        else:
            bad = raw + b"\x00"
        return [(0, self.raw(bad)), (0, packet)]


class WrongEpoch(Liar):
    """Signs what is right for an epoch in which it is not."""

    script = scripts.WRONG_EPOCH

    def bend(self, packet: "Packet", to: str) -> Bent:
        message = packet.message
        if self.rng.random() < 0.5 or not hasattr(message, "epoch"):
            return [(0, packet)]
        shift = self.rng.choice((-1, 1)) if message.epoch else 1
        return [(0, self.signed(replace(message, epoch=message.epoch + shift))), (0, packet)]


class Forger(Liar):
    """Changes anything in any message, leaves any list out, and signs the result."""

    script = scripts.FORGER

    def bend(self, packet: "Packet", to: str) -> Bent:
        if self.rng.random() > 0.3:
            return [(0, packet)]
        message = packet.message
        forged = self._conceal(message) if self.rng.random() < 0.4 else message
        if forged is message:
            forged = mutate(message, self.rng, depth=0)
        bent = self.signed(forged)
        return [(0, bent)] if self.rng.random() < 0.5 else [(0, bent), (0, packet)]

    def _conceal(self, message: Any) -> Any:
        """Leave out one list of the message: certificates, choices, entries."""
        names = [field.name for field in dataclasses.fields(message)]
        lists = [name for name in names if type(getattr(message, name)) is tuple]
        filled = [name for name in lists if getattr(message, name)]
        if not filled:
            return message
        return dataclasses.replace(message, **{self.rng.choice(filled): ()})


LIARS: dict[str, Callable[..., Liar]] = {
    kind.script: kind
    for kind in (
        Liar, Silent, Equivocator, DoublePrepare, DoubleCommit, FutureVotes, EarlyCommit,
        StaleChange, ForgedChange, BareChange, WrongChoice, FewChanges, SameChanges, Replayer,
        SlowPrimary, Censor, WrongRoot, BogusSync, Garbage, WrongEpoch, Forger,
    )
}  # fmt: skip


def mutate(value: Any, rng: random.Random, *, depth: int) -> Any:
    """Return ``value`` with one thing somewhere inside it changed, left out or repeated."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        if not names:
            return value
        name = rng.choice(names)
        try:
            return dataclasses.replace(
                value, **{name: mutate(getattr(value, name), rng, depth=depth + 1)}
            )
        except ValueError:  # the record refuses to say this: say the old thing
            return value
    if type(value) is tuple:
        return _mutate_tuple(value, rng, depth)
    if type(value) is bool:
        return not value
    if type(value) is int:
        return max(0, rng.choice((value - 1, value + 1, value + 2, 0)))
    if type(value) is bytes and value:
        at = rng.randrange(len(value))
        return value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
    return value


def _mutate_tuple(value: tuple[Any, ...], rng: random.Random, depth: int) -> tuple[Any, ...]:
    if not value:
        return value
    at = rng.randrange(len(value))
    way = rng.randrange(4)
    if way == 0:
        return value[:at] + value[at + 1 :]
    if way == 1:
        return ()
    if way == 2:
        return (*value[:at], value[at], *value[at:])
    return (*value[:at], mutate(value[at], rng, depth=depth + 1), *value[at + 1 :])
