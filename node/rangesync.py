"""Catch-up with proof: ranges of blocks that a quorum certified, for whom votes do not tell.

Beside ``blocksync``, which asks for blocks and takes them: here the question travels in a frame
of its own, and the answer brings the proof (``rangeproof``) that it is judged by first.

Owns: these two frames, when they are used, serving.  Refuses: blocks without a proof where one
is needed, and an answer that nobody asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from consensus.types import NodeId
from node.blocksync import BLOCKS_MAX, BlockSync, SyncBlock, SyncRequest, SyncResponse
from node.ledger.checkpoint import Policy
from node.rangeproof import Base, RangeInvalid, RangeProof, prove_range, verify_range
from storage.store import Store


@dataclass(frozen=True, slots=True)
class RangeRequest:
    lo: int
    hi: int

    def __post_init__(self) -> None:
        if not 1 <= self.lo <= self.hi:
            raise ValueError("a range of heights from 1")


@dataclass(frozen=True, slots=True)
class RangeResponse:
    """``proof`` None: the sender has nothing certified there (yet), and no blocks either."""

    lo: int
    blocks: tuple[SyncBlock, ...]
    proof: RangeProof | None

    def __post_init__(self) -> None:
        if len(self.blocks) > BLOCKS_MAX or (self.proof is None) != (not self.blocks):
            raise ValueError("up to 64 blocks with their proof, or neither")


class RangeSync:
    """``send`` sends a request; ``base`` is our own tip, ``policy_at`` who certifies a tree
    head of that size, ``needed`` whether blocks without a proof are to be refused now."""

    def __init__(
        self,
        sync: BlockSync,
        store: Store,
        *,
        origin: str,
        base: Callable[[], Base],
        policy_at: Callable[[int], Policy],
        needed: Callable[[], bool],
        send: Callable[[str, RangeRequest], None],
    ) -> None:
        self._sync = sync
        self._store = store
        self._origin = origin
        self._base = base
        self._policy_at = policy_at
        self.needed = needed
        self._send = send
        self._asked: dict[str, int] = {}
        self._liars: dict[str, str] = {}

    @property
    def liars(self) -> Mapping[str, str]:
        """Whose blocks were not proven, and why, since the start; one entry a member."""
        return self._liars

    def ask(self, peer: str, request: SyncRequest) -> None:
        """Ask ``peer`` for that range with its proof."""
        self._asked[peer] = request.lo
        self._send(peer, RangeRequest(request.lo, request.hi))

    def serve(self, request: RangeRequest) -> RangeResponse:
        """Return certified blocks from ``request.lo`` on, within one frame.  Reads the disk."""
        proof = prove_range(self._store, request.lo, request.hi)
        if proof is None:
            return RangeResponse(request.lo, (), None)
        top = request.lo + len(proof.seals) - 1
        served = self._sync.serve(SyncRequest(request.lo, top)).blocks
        if len(served) < len(proof.seals):  # a frame holds no more: prove what it holds
            top = request.lo + len(served) - 1
            proof = prove_range(self._store, request.lo, top) if served else None
        return RangeResponse(request.lo, served if proof is not None else (), proof)

    async def received(self, peer: NodeId, response: RangeResponse) -> bool:
        """Judge an answer, then hand its blocks on; False when the peer sent a lie."""
        if self._asked.pop(peer, None) != response.lo:
            return True  # late or repeated: not worth a quarrel
        if response.proof is None:  # nothing certified there yet: the engine asks again
            return await self._sync.received(peer, SyncResponse(response.lo, ()))
        headers = [item.header for item in response.blocks]
        try:
            verify_range(
                response.lo,
                headers,
                response.proof,
                origin=self._origin,
                policy_at=self._policy_at,
                base=self._base(),
            )
        except RangeInvalid as error:
            self._liars[peer] = str(error)
            return False
        return await self._sync.received(peer, SyncResponse(response.lo, response.blocks))
