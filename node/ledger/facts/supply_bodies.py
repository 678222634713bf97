"""What the supply operations carry: items and who is concerned, checked for form alone.

Bounds: 128 items commissioned or packed by one operation, 64 moved by one; every reason is a
code of a closed list.  ``event`` is the EPCIS 2.0 event hash of the event that the parties
exchange among themselves: 32 bytes, the digest of ``ni:///sha-256;<hex>?ver=CBV2.0``.  The
ledger never sees the event.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger.facts.supply import CHILDREN_MAX, gtin
from node.ledger.facts.words import known, sized
from node.ledger.transaction import ORG_PATTERN

MOVED_MAX: Final = 64
RETURN_REASONS: Final = ("damaged", "expired", "recalled", "saleable", "unwanted")
DESTROY_REASONS: Final = ("damaged", "expired", "illegitimate", "recalled", "unsold")
DOUBTS: Final = ("cold-chain", "counterfeit", "diverted", "stolen", "tampered", "unverified")
RECALL_REASONS: Final = (
    "contaminated",
    "counterfeit",
    "device-fault",
    "label",
    "potency",
    "sterility",
)
READINGS_MAX: Final = 1 << 20


def items_fit(items: tuple[bytes, ...], most: int, what: str = "items") -> None:
    """Raise ``ValueError`` unless there are 1 to ``most`` tokens of 32 bytes, each once."""
    if not 1 <= len(items) <= most:
        raise ValueError(f"{what} are 1 to {most}")
    if any(len(item) != 32 for item in items):
        raise ValueError(f"{what} are 32 bytes each")
    if len(set(items)) != len(items):
        raise ValueError(f"{what} are named once")


def org_fits(org: str, what: str) -> None:
    if not ORG_PATTERN.fullmatch(org):
        raise ValueError(f"{what} must match [a-z0-9][a-z0-9-]{{0,62}}")


@dataclass(frozen=True, slots=True)
class Commission:
    """New items of one lot.  ``items``: salted tokens; ``expires_ms``: the lot's expiry."""

    product: str  # GTIN, 14 digits
    lot: bytes  # 32-byte token
    items: tuple[bytes, ...]
    event: bytes
    expires_ms: int | None = None

    def __post_init__(self) -> None:
        gtin(self.product)
        sized(self.lot, 32, "lot")
        sized(self.event, 32, "event")
        items_fit(self.items, CHILDREN_MAX)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Pack ``children`` into the container ``parent``, which is made when it is new."""

    parent: bytes
    children: tuple[bytes, ...]
    event: bytes

    def __post_init__(self) -> None:
        sized(self.parent, 32, "parent")
        sized(self.event, 32, "event")
        items_fit(self.children, CHILDREN_MAX, "children")
        if self.parent in self.children:
            raise ValueError("a container is not in itself")


@dataclass(frozen=True, slots=True)
class Disaggregate:
    """Unpack ``children`` from ``parent``; none named: all of them."""

    parent: bytes
    event: bytes
    children: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        sized(self.parent, 32, "parent")
        sized(self.event, 32, "event")
        if self.children:
            items_fit(self.children, CHILDREN_MAX, "children")


@dataclass(frozen=True, slots=True)
class Ship:
    """Send items, each with all that is packed in it, to the institution ``to``."""

    items: tuple[bytes, ...]
    to: str
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        org_fits(self.to, "to")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Receive:
    """Take over what ``sender`` shipped or returned to us."""

    items: tuple[bytes, ...]
    sender: str
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        org_fits(self.sender, "sender")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Return:
    """Send items back to an institution that owned all of them before."""

    items: tuple[bytes, ...]
    to: str
    reason: str
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        org_fits(self.to, "to")
        known(self.reason, RETURN_REASONS, "reason")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Void:
    """Declare that a shipment or return of ours never took place (EPCIS void_shipping)."""

    items: tuple[bytes, ...]
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Dispense:
    """Hand items to patients.  Nothing about a patient is said."""

    items: tuple[bytes, ...]
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Destroy:
    """Destroy items, each with all that is packed in it."""

    items: tuple[bytes, ...]
    reason: str
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        known(self.reason, DESTROY_REASONS, "reason")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Put items under quarantine as suspect; ``event`` commits to the reasons."""

    items: tuple[bytes, ...]
    reason: str
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        known(self.reason, DOUBTS, "reason")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Condemn:
    """Determine that items are illegitimate.  ``determined_ms``: when that became known; the
    notice is late if the ledger hears of it more than 24 hours after."""

    items: tuple[bytes, ...]
    reason: str
    determined_ms: int
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        known(self.reason, DOUBTS, "reason")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Clear:
    """Release items from quarantine; ``event`` commits to the finding."""

    items: tuple[bytes, ...]
    event: bytes

    def __post_init__(self) -> None:
        items_fit(self.items, MOVED_MAX)
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall a lot, or every lot of the product.  ``level``: 1 (may kill) to 3 (no harm
    likely), as regulators class recalls; ``determined_ms``: when the need became known."""

    product: str
    level: int
    reason: str
    determined_ms: int
    event: bytes
    lot: bytes | None = None

    def __post_init__(self) -> None:
        gtin(self.product)
        if not 1 <= self.level <= 3:
            raise ValueError("level is 1, 2 or 3")
        known(self.reason, RECALL_REASONS, "reason")
        sized(self.lot, 32, "lot")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Lift:
    """End a recall of the same product and lot."""

    product: str
    event: bytes
    lot: bytes | None = None

    def __post_init__(self) -> None:
        gtin(self.product)
        sized(self.lot, 32, "lot")
        sized(self.event, 32, "event")


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """A holder of a recalled lot confirms that it knows of the recall."""

    product: str
    lot: bytes

    def __post_init__(self) -> None:
        gtin(self.product)
        sized(self.lot, 32, "lot")


@dataclass(frozen=True, slots=True)
class ColdChain:
    """Sensor readings of one stretch, for an item with all that is packed in it.

    ``root``: Merkle root over ``count`` readings (EPCIS sensorElement); ``breach``: the
    allowed range was left at some time, which makes the item suspect.
    """

    item: bytes
    root: bytes
    count: int
    from_ms: int
    until_ms: int
    breach: bool
    event: bytes

    def __post_init__(self) -> None:
        sized(self.item, 32, "item")
        sized(self.root, 32, "root")
        sized(self.event, 32, "event")
        if not 1 <= self.count <= READINGS_MAX:
            raise ValueError("count must be 1 to 2^20")
        if self.from_ms >= self.until_ms:
            raise ValueError("from_ms must lie before until_ms")
