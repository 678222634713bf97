"""Block bodies on their way: from compact proposals to verified transactions.

Owns: the few bodies between proposal and commit, each with its parsed transactions, so that
nothing is decoded or verified twice.  Refuses: bodies that do not give the proposal's digest
or break a limit.  Bounded: ``RECENT_MAX`` bodies besides the pinned ones of each peer.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Set
from typing import Final

from consensus.frozen import dataclass
from consensus.types import Committee, Proposal
from node.ledger import block as blocks
from node.ledger.block import BlockMalformed, Header
from node.ledger.genesis import Parameters
from node.ledger.registry import BARRIERS
from node.ledger.transaction import Transaction

RECENT_MAX: Final = 32
PIN_BYTES_MAX: Final = 96 << 20  # per peer: a full message of the largest blocks fits


class BodyRefused(Exception):
    """A proposal or its body breaks a rule that every honest member keeps."""

    code = "body-refused"


@dataclass(frozen=True, slots=True)
class Body:
    """A body whose every signature holds."""

    header: Header
    transactions: tuple[Transaction, ...]
    raw: bytes


def split_txids(txids: bytes) -> list[bytes]:
    return [txids[at : at + 32] for at in range(0, len(txids), 32)]


def check_proposal(
    proposal: Proposal, *, network: bytes, parameters: Parameters, committee: Committee
) -> Header:
    """Return the header after every check that needs no transaction.

    ``committee``: of the era that orders that height.  Raises ``BodyRefused``.
    """
    try:
        header = blocks.decode_header(proposal.header)
    except BlockMalformed as error:
        raise BodyRefused(str(error)) from error
    ids = split_txids(proposal.txids)
    wrong = (
        (header.network != network, "another network"),
        (header.height != proposal.height, "height differs from the header's"),
        (header.parent != proposal.parent, "parent differs from the header's"),
        (blocks.body_digest(proposal.header) != proposal.digest, "digest is not the header's"),
        (blocks.txids_root(ids) != header.txids_root, "ids do not give the header's root"),
        (len(ids) > parameters.block_transactions_max, "too many transactions"),
        (len(set(ids)) != len(ids), "a transaction stands twice"),
        (not ids, "an empty block"),
        (committee.index(header.proposer) is None, "proposer is not a member"),
        (header.epoch != committee.epoch, "made in another epoch"),
    )
    for failed, why in wrong:
        if failed:
            raise BodyRefused(f"height {proposal.height}: {why}")
    return header


def holds_barrier(transactions: Iterable[Transaction], barriers: Set[str] = BARRIERS) -> bool:
    """Return whether a block of ``transactions`` may change who votes (``Operation.barrier``).

    By kind alone, whether or not the rules will refuse it: every member has to see the same
    before anything is executed.
    """
    return any(op.kind in barriers for item in transactions for op in item.payload.ops)


def check_barrier(
    proposal: Proposal,
    transactions: Iterable[Transaction],
    barriers: Set[str] = BARRIERS,
) -> None:
    """Raise ``BodyRefused`` when the proposal says of its body what the body does not."""
    if proposal.barrier != holds_barrier(transactions, barriers):
        raise BodyRefused(f"height {proposal.height}: barrier flag differs from the body")


def check_time(
    header: Header, *, parent_time_ms: int, now_ms: int, parameters: Parameters
) -> None:
    """The time rule, for fresh proposals only: after the parent, not ahead of our clock.

    A block proposed again after a view change keeps its time; checking it then would let a
    skewed clock stop the network (CometBFT ADR-112).
    """
    if header.time_ms <= parent_time_ms:
        raise BodyRefused(f"height {header.height}: time does not advance")
    # Where clocks were ahead and came back, the ledger's time is: it may go on, but no faster
    # than it must, or a liar could drive it.
    latest = max(now_ms + parameters.clock_drift_ms_max, parent_time_ms + 1)
    if header.time_ms > latest:
        raise BodyRefused(f"height {header.height}: time is ahead of this node's clock")


@dataclass(frozen=True, slots=True)
class _Pin:
    peer: str
    height: int
    size: int


class Bodies:
    """Bodies by digest, in front of the store.  Belongs to the event loop's thread.

    A body is *pinned* from the moment a message that needs it is about to be stepped until it
    is on disk or its height has passed; only the others make room for newer ones.  Pins are
    bounded per peer, so no member can take another's share.
    """

    def __init__(self, load: Callable[[bytes], Body | None]) -> None:
        self._load = load
        self._recent: OrderedDict[bytes, Body] = OrderedDict()
        self._pinned: dict[bytes, Body] = {}
        self._pins: dict[bytes, _Pin] = {}
        self._pin_bytes: Counter[str] = Counter()

    def get(self, digest: bytes) -> Body | None:
        body = self._pinned.get(digest) or self._recent.get(digest)
        if body is None:
            body = self._load(digest)
            if body is not None:
                self.put(digest, body)
        return body

    def put(self, digest: bytes, body: Body) -> None:
        self._recent[digest] = body
        self._recent.move_to_end(digest)
        while len(self._recent) > RECENT_MAX:
            self._recent.popitem(last=False)

    def pin(self, digest: bytes, peer: str) -> bool:
        """Keep the body for ``peer``'s message; False when it is gone or the share is used."""
        if digest in self._pins:
            return True
        body = self.get(digest)
        if body is None or self._pin_bytes[peer] + len(body.raw) > PIN_BYTES_MAX:
            return False
        self._pins[digest] = _Pin(peer, body.header.height, len(body.raw))
        self._pin_bytes[peer] += len(body.raw)
        self._pinned[digest] = body
        return True

    def unpin(self, digest: bytes) -> None:
        """The body is on disk, or nobody needs it."""
        pin = self._pins.pop(digest, None)
        if pin is not None:
            self._pin_bytes[pin.peer] -= pin.size
            self.put(digest, self._pinned.pop(digest))

    def passed(self, height: int) -> None:
        """Unpin everything at or below an applied height."""
        for digest in [digest for digest, pin in self._pins.items() if pin.height <= height]:
            self.unpin(digest)
