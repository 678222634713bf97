"""What members may propose about the members' network itself, as bodies.

Kept apart from ``governance_bodies``, which lists every action that a proposal can be.
"""

import re
from dataclasses import dataclass
from typing import Final

from node.ledger.facts.words import org_id, sized

FEATURE_PATTERN: Final = re.compile(r"[a-z][a-z0-9-]{0,47}")
_HEIGHT_MAX: Final = 1 << 48


def feature_name(name: str) -> None:
    """Raise ``ValueError`` unless ``name`` has the form of a feature's."""
    if not FEATURE_PATTERN.fullmatch(name):
        raise ValueError("a feature's name must match [a-z][a-z0-9-]{0,47}")


@dataclass(frozen=True, slots=True)
class Admit:
    """``org`` follows the chain from then on; with ``votes`` it is a learner and votes once it
    has caught up, without it stays an observer."""

    org: str
    votes: bool = True

    def __post_init__(self) -> None:
        org_id(self.org, "org")


@dataclass(frozen=True, slots=True)
class Feature:
    """``name`` is in force from block ``from_height`` on, at the earliest from the block after
    the one that executes the proposal; 0: from there."""

    name: str
    from_height: int = 0

    def __post_init__(self) -> None:
        feature_name(self.name)
        if self.from_height > _HEIGHT_MAX:
            raise ValueError("from_height is out of range")


@dataclass(frozen=True, slots=True)
class ReplaceKeys:
    """New keys for ``org``, whose own are lost or in other hands.

    Every signing key that it had ends; a key left out stays.  ``compromised_since_ms``: what
    the old signing keys signed from then on is flagged.
    """

    org: str
    identity_key: bytes
    consensus_key: bytes | None = None
    cosigner_key: bytes | None = None
    encryption_key: bytes | None = None
    compromised_since_ms: int | None = None

    def __post_init__(self) -> None:
        org_id(self.org, "org")
        for key in self.keys:
            sized(key, 32, "key")
        if len(set(self.keys)) != len(self.keys):
            raise ValueError("every key is another one")

    @property
    def keys(self) -> tuple[bytes, ...]:
        """Return the keys that are given, the identity key first."""
        given = (self.consensus_key, self.cosigner_key, self.encryption_key)
        return (self.identity_key, *(key for key in given if key is not None))
