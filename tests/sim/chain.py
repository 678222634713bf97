"""What one node does with final blocks: one atomic batch each, cosignatures, and fetching.

Block, certificate, state root, committee and applied mark of a height share a batch, as in the
daemon; a barrier may name the next era.
"""

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from consensus.codec import Malformed
from consensus.effects import Decided, Fetch
from consensus.types import Applied, Committee, Era, Proposal
from tests.sim import ledger
from tests.sim.checks import Violation
from tests.sim.disk import put

if TYPE_CHECKING:
    from tests.sim.node import SimNode

FETCH_BLOCKS_MAX = 32
FETCH_RETRY_US = 40_000
COSIGN_AGAIN_US = 100_000
Block = tuple[Proposal, bytes]
_Step = tuple[int, bytes, Era | None]  # height, state root, who orders from there on


class Chain:
    """Loaded from the disk of ``node``; what is not there never happened."""

    def __init__(self, node: "SimNode") -> None:
        self._node = node
        self._world = node.world
        live = node.disk.live
        self.applied: Applied = live.get(b"a/applied", ledger.GENESIS)
        self.executed = self.delivered = self.applied.height
        self.tip_digest = self.applied.digest
        self.root: bytes = live.get(b"a/root", ledger.NETWORK)
        self.era: Era = live.get(b"a/era", node.world.first_era)
        self.blocks: dict[int, Block] = {}
        self.known: dict[bytes, Proposal] = {}
        self.committed: set[bytes] = set()
        self._queue: deque[Decided] = deque()
        self._applying = False
        self._fetched_at = -FETCH_RETRY_US
        self._cosigned: dict[str, tuple[int, bytes]] = {}
        self._own_cosignature: tuple[int, bytes] | None = None
        self.stable = 0
        for _, proposal in node.disk.pairs(b"b/"):
            self.know(proposal)
        for key, block in node.disk.pairs(b"a/block/"):
            self.blocks[int(key)] = block
            self.committed.update(ledger.txids_of(block[0]))
        if self._world.plan.cosign_blocks:
            node.after(COSIGN_AGAIN_US, self._cosign_again)

    @property
    def committee(self) -> Committee:
        return self.era.committee

    def proposer(self, height: int) -> str | None:
        """Who proposed the applied block at ``height``."""
        block = self.blocks.get(height)
        return None if block is None else ledger.proposer_of(block[0])

    def know(self, proposal: Proposal) -> None:
        self.known[proposal.digest] = proposal

    def in_flight(self, height: int, digest: bytes) -> set[bytes] | None:
        """Return the transactions between our delivered tip and ``digest``.

        None when ``digest`` does not grow from our tip as far as we know: a block of a leader
        long gone may still be under way, and the engine is the one to refuse it.
        """
        seen: set[bytes] = set()
        while height > self.delivered:
            proposal = self.known.get(digest)
            if proposal is None:
                return None
            seen.update(ledger.txids_of(proposal))
            height, digest = height - 1, proposal.parent
        return seen if digest == self.tip_digest else None

    def repeats(self, proposal: Proposal) -> bool:
        """True when ``proposal`` holds a transaction that its own chain has already."""
        if proposal.height <= self.delivered:
            return False
        earlier = self.in_flight(proposal.height - 1, proposal.parent)
        return earlier is not None and any(
            txid in earlier or txid in self.committed for txid in ledger.txids_of(proposal)
        )

    # --- applying -------------------------------------------------------------------------

    def deliver(self, decided: Decided) -> None:
        node, proposal = self._node, decided.proposal
        if node.honest:
            self._world.judge.deliver(node, decided)
            if self._world.story is not None:
                self._world.tell(f"{node.name} delivers {proposal.height}")
        self.delivered = proposal.height
        self.tip_digest = proposal.digest
        self.know(proposal)
        txids = ledger.txids_of(proposal)
        self.committed.update(txids)
        node.pool.passed(txids)
        self._queue.append(decided)

    def apply_more(self) -> None:
        if self._applying or not self._queue:
            return
        self._applying = True
        if self._node.apply_us == 0:
            self._apply()
        else:
            self._node.after(self._node.apply_us, self._apply)

    def _apply(self) -> None:
        """Write each block, its certificate and the applied mark in one batch, then sync."""
        node, heights, mark, era = self._node, [], 0, self.era
        while self._queue:
            decided = self._queue.popleft()
            proposal = decided.proposal
            reached = Applied(proposal.height, proposal.digest, decided.position)
            self.root = ledger.next_root(self.root, proposal)
            operations = [
                put(b"b/" + proposal.digest, proposal),
                put(b"a/block/%020d" % proposal.height, (proposal, decided.certificate)),
                put(b"a/root", self.root),
                put(b"a/applied", reached),
            ]
            after = None
            if proposal.barrier:
                after = self._world.era_after(era, proposal)
                if after is not None:
                    era = after
                    operations.append(put(b"a/era", after))
            mark = node.write(operations)
            self.applied = reached
            self.blocks[proposal.height] = (proposal, decided.certificate)
            heights.append((proposal.height, self.root, after))
        node.crash_point("while it applies")
        if node.apply_us == 0:
            self._applied(heights, mark)
        else:
            node.after(self._world.sync_delay(), self._synced, heights, mark)

    def _synced(self, heights: list[_Step], mark: int) -> None:
        self._applied(heights, mark)
        self._node.pump()

    def _applied(self, heights: list[_Step], mark: int) -> None:
        node, every = self._node, self._world.plan.cosign_blocks
        node.sync(mark)
        self._applying = False
        for height, root, after in heights:
            self.executed = height
            if node.honest:
                self._world.judge.applied(node, height, root)
            if after is not None:
                self.era = after
                node.enter_era(height, after)
            else:
                node.driver.applied(height)
            if every and height % every == 0:
                self._cosign(height, root)
        self.apply_more()

    # --- cosignatures ---------------------------------------------------------------------

    def _cosign(self, height: int, root: bytes) -> None:
        node = self._node
        if node.liar is not None and node.lies:
            root = node.liar.state_root(root)
        if self.committee.index(node.id) is None:
            return
        self._own_cosignature = (height, root)
        self._tell_cosignature()
        self.cosigned(node.id, height, root)

    def _tell_cosignature(self) -> None:
        if self._own_cosignature is not None:
            for peer in self._world.ids:
                self._world.send(self._node, peer, "cosign", self._own_cosignature)

    def _cosign_again(self) -> None:
        if self._own_cosignature is not None and self._own_cosignature[0] > self.stable:
            self._tell_cosignature()
        self._node.after(COSIGN_AGAIN_US, self._cosign_again)

    def cosigned(self, sender: str, height: int, root: bytes) -> None:
        """Keep the newest cosignature of each member; a quorum of equal ones is stable."""
        node = self._node
        node.hint(sender, height)
        if self.committee.index(sender) is None:
            return
        if self._cosigned.get(sender, (0, b""))[0] < height:
            self._cosigned[sender] = (height, root)
        counted = Counter(self._cosigned.values())
        for (at, agreed), count in counted.items():
            if at > self.stable and count >= node.quorum and at <= self.executed:
                self._world.judge.cosigned(node, at, agreed)
                self.stable = at
                self._world.count("stable")
                node.driver.engine.stable(at)

    # --- fetching -------------------------------------------------------------------------

    def fetch(self, fetch: Fetch) -> None:
        if self._world.now - self._fetched_at >= FETCH_RETRY_US:
            self._fetched_at = self._world.now
            self._world.count("fetch")
            self._world.send(self._node, fetch.peer, "fetch", (fetch.lo, fetch.hi))

    def serve(self, sender: str, lo: int, hi: int) -> None:
        node = self._node
        wanted = range(lo, min(hi, lo + FETCH_BLOCKS_MAX - 1) + 1)
        blocks = [self.blocks[height] for height in wanted if height in self.blocks]
        if node.liar is not None and node.lies and not self._world.of_raft(blocks):
            blocks = node.liar.blocks(blocks)
        if blocks:
            self._world.send(node, sender, "blocks", blocks)

    def take(self, sender: str, blocks: list[Block]) -> None:
        self._fetched_at = -FETCH_RETRY_US
        for proposal, certificate in blocks:
            if proposal.height <= self.delivered:
                continue
            if not self._final(sender, proposal, certificate):
                return
            self.know(proposal)
            self._node.pool.have(ledger.txids_of(proposal))
            self._node.driver.engine.synced(proposal, certificate)

    def _final(self, sender: str, proposal: Proposal, certificate: bytes) -> bool:
        world = self._world
        if not world.well_formed(proposal) or ledger.epoch_of(proposal) != self.committee.epoch:
            return False  # of a later epoch: again when we are there
        try:
            checks = world.dialect_of(self.era).certificate_checks(
                certificate,
                proposal=proposal,
                committee=self.committee,
                network=ledger.NETWORK,
            )
        except Malformed:
            world.refused(sender, "a block whose certificate is not one")
            return False
        if not all(world.keys.holds(check) for check in checks):
            world.refused(sender, "a block whose certificate does not hold")
            return False
        return True

    def check(self) -> None:
        if len(self._cosigned) > len(self._world.ids):
            raise Violation("bounded", f"{self._node.name}: cosignatures")

    def status(self) -> Any:
        return (self.executed, self.delivered, self.stable)
