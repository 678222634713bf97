"""Where a member stands in the succession of eras, said without a signature.

``Standing`` is a hint and is treated as one: it makes somebody ask for blocks, and blocks count
by their own certificates.  ``Foreign`` is what any message of another era is to us: we cannot
read it, nor judge who signed it, so it only tells that its sender is elsewhere.
Owns: their shape and bytes, how often one peer is told.  Refuses: believing them.
Invariant: whatever comes, tables hold ``PEERS_MAX`` peers, and a peer is told once per pause.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from consensus import wire
from consensus.codec import Malformed
from consensus.raft.log import Base
from consensus.raft.messages import SNAPSHOT_INDEX_MAX, TERM_MAX
from consensus.types import U63_MAX, NodeId

PEERS_MAX: Final = 128
STANDING_BYTES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class Ended:
    """The Raft log of ``epoch`` ended at ``base``, the barrier: there a laggard may stop."""

    epoch: int
    base: Base

    def __post_init__(self) -> None:
        base = self.base
        if not 0 <= self.epoch <= U63_MAX or not 1 <= base.height <= U63_MAX:
            raise ValueError("epoch or height out of range")
        if not 1 <= base.index <= SNAPSHOT_INDEX_MAX or not 1 <= base.term <= TERM_MAX:
            raise ValueError("index or term out of range")
        if len(base.digest) != 32:
            raise ValueError("digests are 32 bytes")


@dataclass(frozen=True, slots=True)
class Standing:
    """The sender is in ``epoch`` and has executed ``height``, and can serve it."""

    epoch: int
    height: int
    ended: Ended | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.epoch <= U63_MAX or not 0 <= self.height <= U63_MAX:
            raise ValueError("epoch or height out of range")

    def encode(self) -> bytes:
        return wire.encode(self)


def decode_standing(raw: bytes) -> Standing:
    """Inverse of ``Standing.encode``; raises ``Malformed``."""
    return wire.decode(Standing, raw, size_max=STANDING_BYTES_MAX)


@dataclass(frozen=True, slots=True)
class Foreign:
    """A message of ``epoch``, which is not in force here; its content was not looked at."""

    epoch: int

    def __post_init__(self) -> None:
        if not 0 <= self.epoch <= U63_MAX:
            raise Malformed("epoch out of range")


@runtime_checkable
class Hinted(Protocol):
    """An engine that fetches by itself what others say to have."""

    def hint(self, peer: NodeId, height: int) -> None: ...


@runtime_checkable
class Endable(Protocol):
    """An engine that fetches only up to a known end of its log."""

    def ended(self, source: NodeId, base: Base) -> None: ...


class Ahead:
    """Peers that said last that they are in a later era than ours."""

    def __init__(self) -> None:
        self._epochs: dict[NodeId, int] = {}

    def __bool__(self) -> bool:
        return bool(self._epochs)

    def __iter__(self) -> Iterator[NodeId]:
        return iter(self._epochs)

    def note(self, peer: NodeId, epoch: int, *, ours: int) -> None:
        if epoch <= ours:
            self._epochs.pop(peer, None)
        elif peer in self._epochs or len(self._epochs) < PEERS_MAX:
            self._epochs[peer] = epoch

    def entered(self, epoch: int) -> None:
        """We are in ``epoch`` now."""
        self._epochs = {peer: at for peer, at in self._epochs.items() if at > epoch}

    def check(self, ours: int) -> None:
        assert len(self._epochs) <= PEERS_MAX
        assert all(epoch > ours for epoch in self._epochs.values()), "ahead of us"

    def plain(self) -> list[list[object]]:
        """Return everything as plain values, for fingerprints."""
        return [[peer, at] for peer, at in sorted(self._epochs.items())]


class Pace:
    """Lets one peer through once per ``pause_ms``, and so many peers as there is room for."""

    def __init__(self, pause_ms: int) -> None:
        self._pause_ms = pause_ms
        self._told_ms: dict[NodeId, int] = {}

    def admits(self, peer: NodeId, now_ms: int) -> bool:
        told = self._told_ms.get(peer)
        if told is not None and now_ms < told + self._pause_ms:
            return False
        if told is None and len(self._told_ms) >= PEERS_MAX:
            since = now_ms - self._pause_ms
            self._told_ms = {p: at for p, at in self._told_ms.items() if at > since}
            if len(self._told_ms) >= PEERS_MAX:
                return False
        self._told_ms[peer] = now_ms
        return True

    def plain(self) -> list[list[object]]:
        """Return everything as plain values, for fingerprints."""
        return [[peer, at] for peer, at in sorted(self._told_ms.items())]
