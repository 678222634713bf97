"""Hop 4: the next block's body from the pool, on a parent that need not be executed yet.

Owns: what goes into a block of ours and its time; and what the parent of a proposal says about
time, for ours and for the others'.  Refuses: ordering; the engine says where a block may go.
Invariant: no transaction stands in two blocks of one chain that this node proposed, as long as
the blocks between are at hand.  Were one to slip through (a primary that does not know an
earlier one's blocks), execution skips it: a transaction commits once.
"""

from typing import Final

from consensus.effects import WantPayload
from consensus.types import NodeId, Proposal
from node.bodies import Bodies, Body, BodyRefused, holds_barrier
from node.book import Tip
from node.ledger import block as blocks
from node.ledger.block import Header
from node.ledger.genesis import Parameters
from node.mempool import Mempool

HEADER_ROOM_BYTES: Final = 1024
AHEAD_MAX: Final = 64  # blocks that may be ordered and not executed; engines allow fewer


class Proposer:
    def __init__(
        self,
        *,
        self_id: NodeId,
        network: bytes,
        parameters: Parameters,
        mempool: Mempool,
        bodies: Bodies,
    ) -> None:
        self._self_id = self_id
        self._network = network
        self._parameters = parameters
        self._mempool = mempool
        self._bodies = bodies

    def make(
        self, want: WantPayload, *, settled: Tip, epoch: int, now_ms: int
    ) -> Proposal | None:
        """Return the block for ``want`` with its body pinned; None when there is none to make.

        ``settled`` is the newest executed block whose transactions have left the pool; those
        of the blocks between it and the parent are in flight and left out.
        """
        between = self._between(want, settled)
        if between is None:
            return None
        parent_time_ms = between[0].header.time_ms if between else settled.time_ms
        in_flight = {item.txid for body in between for item in body.transactions}
        taken = self._mempool.take(
            count_max=self._parameters.block_transactions_max,
            bytes_max=self._parameters.block_bytes_max - HEADER_ROOM_BYTES,
            without=in_flight,
        )
        if not taken:
            return None
        ids = [item.txid for item in taken]
        header = Header(
            blocks.VERSION,
            self._network,
            epoch,
            want.height,
            want.parent,
            max(now_ms, parent_time_ms + 1),
            self._self_id,
            blocks.txids_root(ids),
        )
        raw_header = header.encode()
        digest = blocks.body_digest(raw_header)
        raw = blocks.encode_body(header, [item.raw for item in taken])
        self._bodies.put(digest, Body(header, tuple(taken), raw))
        if not self._bodies.pin(digest, self._self_id):
            return None  # our own proposals wait to be applied: no need for another
        joined, barrier = b"".join(ids), holds_barrier(taken)
        return Proposal(want.height, want.parent, digest, raw_header, joined, barrier)

    def _between(self, want: WantPayload, settled: Tip) -> list[Body] | None:
        """Return the bodies from the parent down to ``settled``, newest first.

        None when one is not at hand or the chain does not lead to ``settled``.
        """
        if not settled.height < want.height <= settled.height + AHEAD_MAX:
            return None
        found: list[Body] = []
        digest = want.parent
        for height in range(want.height - 1, settled.height, -1):
            body = self._bodies.get(digest)
            if body is None or body.header.height != height:
                return None
            found.append(body)
            digest = body.header.parent
        return found if digest == settled.digest else None


def parent_time_ms(proposal: Proposal, *, tip: Tip, bodies: Bodies) -> int | None:
    """Return the time of the block that ``proposal`` stands on; None while it is not known.

    Raises ``BodyRefused`` when its parent is a block of another height.
    """
    if tip.digest == proposal.parent:
        return tip.time_ms
    parent = bodies.get(proposal.parent)
    if parent is None:
        return None
    if parent.header.height != proposal.height - 1:
        raise BodyRefused(f"height {proposal.height}: its parent is of another height")
    return parent.header.time_ms
