"""Versions of the wire between members, and how two nodes of different age agree on one.

    1   Hello of five fields, a closed set of frame types, PONG of 8 bytes
    2   Hello says the sender's range and software, with room for more fields; frame types
        that a side does not know are skipped; PONG carries the sender's clock

Owns: the range that this software speaks, its names in TLS (ALPN, RFC 7301), which frame type
needs which version.  Refuses: to guess.  A side that names no version speaks 1: software older
than the names shows none.
Invariant: what was agreed is the newest version both speak.  Nobody in the middle can lower
it: ALPN is part of the TLS transcript, whose certificate both proofs sign, and from version 2
on the proofs sign the version too.
"""

from dataclasses import dataclass
from typing import Final

from node.net.frame import FrameType

LOWEST: Final = 1
NEWEST: Final = 2
VERSION_MAX: Final = 255
NONE_IN_COMMON: Final = 0  # both sides name versions, and share none: they say so in Hellos
_PREFIX: Final = "chartseal/"
_ANY: Final = "chartseal/any"  # never a version: lets strangers of all ages tell their range
_FIRST_TYPES: Final = frozenset({1, 2, 16, 32, 33, 34, 35, 48, 49, 50, 51, 64, 65})


@dataclass(frozen=True, slots=True)
class Range:
    """The versions from ``low`` to ``high``, both included."""

    low: int = LOWEST
    high: int = NEWEST

    def __post_init__(self) -> None:
        if not 1 <= self.low <= self.high <= VERSION_MAX:
            raise ValueError(f"{self.low} to {self.high} is no range of versions")

    def __contains__(self, version: int) -> bool:
        return self.low <= version <= self.high

    def __str__(self) -> str:
        return f"{self.low} to {self.high}"

    def names(self) -> list[str]:
        """Return what TLS offers, the newest first."""
        return [*(f"{_PREFIX}{at}" for at in range(self.high, self.low - 1, -1)), _ANY]


OURS: Final = Range()


def agreed(selected: str | None) -> int:
    """Return the version that TLS selected: 1 when it selected none, 0 for none in common.

    A server may answer any name, also one that was never offered: that is none in common.
    """
    if selected is None:
        return LOWEST
    known = {f"{_PREFIX}{version}": version for version in range(1, VERSION_MAX + 1)}
    return known.get(selected, NONE_IN_COMMON)


def since(frame_type: FrameType) -> int:
    """Return the version from which on a frame of this type may be sent."""
    return 1 if int(frame_type) in _FIRST_TYPES else 2
