"""Features of the rules: what newer software can do, in force from a height that was voted on.

Every node must come to the same state, so nothing here depends on which software applies a
block: a feature is decided only when every voter that may act has said that its software knows
it, and a node whose software does not know one that is in force must stop before that block
(``unsupported``).  ``FEATURES`` is what this software knows; names are never used again.

State: ``feature/<name>`` -> ``FeatureRow``, ``features`` a numbered list of ``FeatureName``;
``supports/<org>`` -> ``Supports``.  Bounded: ``FEATURES_MAX``.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from node.ledger.facts import numbered
from node.ledger.rules import Result
from node.ledger.state import Read, load_from

FEATURES_MAX: Final = 256
OPEN_OF_ONE_MAX: Final = 8
OPEN_OF_ONE_WIDE: Final = 16
FEATURES_KEY: Final = b"features"
# What this software can do beyond the first version, once the members have voted for it.
MORE_PROPOSALS: Final = "more-proposals"  # an institution may have more of them open
FEATURES: Final = (MORE_PROPOSALS,)  # ascending

FEATURE_UNKNOWN: Final = Result(
    652, "membership-feature-unknown", "Not every voter's software knows that feature."
)
FEATURE_SET: Final = Result(
    653, "membership-feature-set", "That feature is in force, or set for that height."
)
FEATURES_FULL: Final = Result(654, "membership-features-full", "No more features fit.")
FEATURE_MISSING: Final = Result(
    655, "membership-feature-missing", "Its software lacks a feature that the members use."
)
SUPPORTS_SAME: Final = Result(656, "membership-supports-same", "It said so already.")
RESULTS: Final = (FEATURE_UNKNOWN, FEATURE_SET, FEATURES_FULL, FEATURE_MISSING, SUPPORTS_SAME)


@dataclass(frozen=True, slots=True)
class FeatureRow:
    """In force for blocks from ``from_height`` on."""

    name: str
    from_height: int
    set_height: int
    proposal: bytes


@dataclass(frozen=True, slots=True)
class FeatureName:
    name: str


@dataclass(frozen=True, slots=True)
class Supports:
    """Features that the software of an institution's node knows, by its own word."""

    features: tuple[str, ...]
    since_height: int


def feature_key(name: str) -> bytes:
    return b"feature/" + name.encode("ascii")


def supports_key(org: str) -> bytes:
    return b"supports/" + org.encode("ascii")


def feature(read: Read, name: str) -> FeatureRow | None:
    return load_from(read, FeatureRow, feature_key(name))


def feature_active(read: Read, name: str, height: int) -> bool:
    """Return whether ``name`` is in force for block ``height``."""
    row = feature(read, name)
    return row is not None and row.from_height <= height


def all_features(read: Read) -> tuple[FeatureRow, ...]:
    """Return all features that were ever decided, in the order of decision."""
    found = []
    for number in range(numbered.length(read, FEATURES_KEY)):
        row = feature(read, numbered.row(read, FEATURES_KEY, FeatureName, number).name)
        assert row is not None, "every listed feature has its row"
        found.append(row)
    return tuple(found)


def unsupported(read: Read, height: int) -> str | None:
    """Return a feature that is in force for block ``height`` and that this software does not
    know: it must not apply that block, because it would come to another state."""
    active = (row.name for row in all_features(read) if row.from_height <= height)
    return next((name for name in active if name not in FEATURES), None)


def supports(read: Read, org: str) -> tuple[str, ...]:
    found = load_from(read, Supports, supports_key(org))
    return () if found is None else found.features


def to_declare(read: Read, org: str, members: Collection[str]) -> tuple[str, ...] | None:
    """Return what ``org`` is to say that its software knows; None when nobody asks.

    It is asked for once a feature was decided, or once one of ``members`` has begun to say it:
    a network that needs no features is not told of any.
    """
    if supports(read, org) == FEATURES:
        return None
    asked = numbered.length(read, FEATURES_KEY) or any(supports(read, it) for it in members)
    return FEATURES if asked else None


def open_max(read: Read, height: int) -> int:
    """Return how many proposals one institution may have open."""
    wide = feature_active(read, MORE_PROPOSALS, height)
    return OPEN_OF_ONE_WIDE if wide else OPEN_OF_ONE_MAX
