"""The verdict on an archive, without a node: leaves, tiles, roots, blocks, certificates.

Owns: reading every byte and comparing: leaves give the tiles, tiles the root, the root is what
a quorum cosigned; blocks chain from genesis, say which leaves are theirs, and carry what proves
that they were ordered.  Refuses: outcomes (``chartseal check`` executes blocks again).
Trusts: the genesis that the caller brings.  Later eras are believed as far as the archive's
lineage proves them from the founders on.
Invariant: a file whose bytes matter and are wrong is named by a finding.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from consensus.codec import Malformed
from consensus.types import Proposal
from node.archive import layout
from node.archive.layout import ArchivedBlock, ArchiveInvalid, Head
from node.archive.write import Progress
from node.bodies import holds_barrier
from node.engines import dialects
from node.ledger import accel, checkpoint, lineage, merkle, transaction
from node.ledger import block as ledger_blocks
from node.ledger.block import BlockMalformed, Header
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.genesis import Genesis
from node.ledger.lineage import LineageInvalid, LineageMalformed, Link
from node.ledger.merkle import Frontier
from node.ledger.transaction import TransactionMalformed
from node.roster import Rules, founding_rules
from node.trust import quorum
from storage.check import Code, Finding, expected_tiles

PolicyAt = Callable[[int], Policy]


def verify(
    root: Path,
    genesis: Genesis,
    *,
    policy_at: PolicyAt | None = None,
    progress: Progress = lambda _what, _done, _total: None,
) -> list[Finding]:
    """Return what is wrong with the archive in ``root`` of the network of ``genesis``.

    ``policy_at(height)``: whose cosignatures count, by a lineage from elsewhere; without it by
    the archive's own.
    """
    audit = _Audit(root, genesis, policy_at, progress)
    try:
        audit.run()
    except ArchiveInvalid as invalid:
        audit.found(invalid.where, invalid.what)
    return audit.findings


class _Audit:
    def __init__(
        self, root: Path, genesis: Genesis, policy_at: PolicyAt | None, progress: Progress
    ) -> None:
        self.findings: list[Finding] = []
        self._root = root
        self._genesis = genesis
        self._progress = progress
        self._policy_at = policy_at or (lambda height: self._rules(height).policy)
        self._eras: list[Rules] = [founding_rules(genesis)]
        self._links: dict[int, Link] = {}  # height of a barrier -> how the next era began
        self._dialects = dialects(genesis)
        self._parent = self._parent_seal = genesis.network
        self._log = Frontier()

    def found(self, path: Path, what: str) -> None:
        self.findings.append(Finding(Code.BYTES_WRONG, str(path), what))

    def run(self) -> None:
        head = layout.need_head(self._root)
        if head.origin != self._genesis.origin:
            self.found(self._root / layout.HEAD_NAME, "names another log")
        own = layout.read(self._root / layout.GENESIS_NAME)
        if head.network != self._genesis.network or own != self._genesis.encode():
            self.found(self._root / layout.GENESIS_NAME, "another network's archive")
            return
        self._lineage()
        hashes = self._tiles(head)
        leaves = self._leaves(head, hashes)
        for path, blocks in layout.blocks(self._root, head.height):
            for block in blocks:
                self._progress("block", block.height, head.height)
                self._block(path, block, leaves)
        if next(leaves, None) is not None:
            self.found(self._root / layout.HEAD_NAME, "leaves behind the last block")
        self._certified(self._root / layout.CHECKPOINT_NAME, None, head)

    def _lineage(self) -> None:
        path = self._root / layout.LINEAGE_NAME
        try:
            links = lineage.decode(layout.read(path)).links
            steps = lineage.follow(self._genesis, links, quorum=quorum)
        except (LineageMalformed, LineageInvalid) as error:
            self.found(path, str(error))
            return
        origin, network = self._genesis.origin, self._genesis.network
        eras = [step.era for step in steps[1:] if step.era is not None]
        self._eras += [Rules.of(era, origin=origin, network=network) for era in eras]
        self._links = {link.era.from_height - 1: link for link in links}

    def _rules(self, height: int) -> Rules:
        at = bisect_right(self._eras, height, key=lambda rules: rules.era.from_height)
        return self._eras[at - 1]

    def _check_link(self, height: int, seal: bytes) -> None:
        """Compare what the lineage says of a barrier with the block that is there."""
        link = self._links.get(height)
        if link is None:
            return
        head, _ = checkpoint.parse_note(link.note)
        if link.seal != seal or (head.size, head.root) != (self._log.size, self._log.root()):
            self.found(self._root / layout.LINEAGE_NAME, f"speaks of another block {height}")

    # --- the tree ----------------------------------------------------------------------------

    def _tiles(self, head: Head) -> list[bytes]:
        """Compare each tile with what is below it; return the tiles of level 0."""
        rows: list[bytes] = []
        for path, items in layout.entries(self._root, head.log_size):
            row = b"".join(accel.leaf_hashes(items))
            rows.append(row)
            if not self._tile(0, len(rows) - 1, row):
                self.found(path, "not the leaves of its tile: one of the two is damaged")
        level, below = 0, rows
        for above, _number, _hashes in expected_tiles(head.log_size):
            if above > level:
                full = b"".join(accel.row_root(r) for r in below if len(r) == 32 * 256)
                below = [full[at : at + 32 * 256] for at in range(0, len(full), 32 * 256)]
                level = above
                for number, row in enumerate(below):
                    self._tile(level, number, row)
        return rows

    def _tile(self, level: int, number: int, row: bytes) -> bool:
        path = layout.path_of(self._root, f"tile/{level}", number, len(row) // 32)
        if layout.read(path) == row:
            return True
        self.found(path, "not the hashes of what is below it")
        return False

    def _leaves(self, head: Head, rows: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (leaf, its hash) in order."""
        for (_path, items), row in zip(
            layout.entries(self._root, head.log_size), rows, strict=True
        ):
            yield from ((item, row[at * 32 : at * 32 + 32]) for at, item in enumerate(items))

    # --- blocks ------------------------------------------------------------------------------

    def _block(
        self, path: Path, block: ArchivedBlock, leaves: Iterator[tuple[bytes, bytes]]
    ) -> None:
        taken = [item for _, item in zip(range(block.count + 1), leaves, strict=False)]
        if len(taken) != block.count + 1 or block.first_index != self._log.size:
            raise ArchiveInvalid(path, f"block {block.height}: its leaves are not there")
        self._log.extend([leaf_hash for _, leaf_hash in taken])
        for why in self._wrong(block, taken):
            self.found(path, f"block {block.height}: {why}")
        self._parent = ledger_blocks.body_digest(block.header)
        self._parent_seal = ledger_blocks.seal_digest(taken[-1][0])
        self._check_link(block.height, taken[-1][0])
        if block.checkpoint:
            self._certified(path, block, None)

    def _wrong(self, block: ArchivedBlock, taken: list[tuple[bytes, bytes]]) -> Iterator[str]:
        try:
            header = ledger_blocks.decode_header(block.header)
            seal = ledger_blocks.decode_seal(taken[-1][0])
        except BlockMalformed as error:
            yield str(error)
            return
        place = (header.network, header.height, header.parent)
        if place != (self._genesis.network, block.height, self._parent):
            yield "its header is not the next one"
        ids = [block.txids[at : at + 32] for at in range(0, len(block.txids), 32)]
        if ledger_blocks.txids_root(ids) != header.txids_root:
            yield "its ids do not give the header's root"
        held = {leaf_hash for _, leaf_hash in taken[:-1]} | set(accel.txids(block.repeats))
        if held != set(ids):
            yield "its transactions are not those it names"
        digest = ledger_blocks.body_digest(block.header)
        codes = (block.results[at : at + 2] for at in range(0, len(block.results), 2))
        results = merkle.root([merkle.leaf_hash(code) for code in codes])
        said = (seal.height, seal.parent_seal, seal.body_digest, seal.time_ms)
        if said != (block.height, self._parent_seal, digest, header.time_ms):
            yield "its seal is not the next one"
        if (seal.first_index, seal.count, seal.results_root) != (
            block.first_index,
            block.count,
            results,
        ):
            yield "its seal tells other outcomes"
        if header.epoch != self._rules(block.height).era.epoch:
            yield "its epoch is not that of its height"
        elif not self._ordered(block, header, digest, taken):
            yield "its certificate does not prove it"

    def _ordered(
        self,
        block: ArchivedBlock,
        header: Header,
        digest: bytes,
        taken: list[tuple[bytes, bytes]],
    ) -> bool:
        try:
            raws = [*[leaf for leaf, _ in taken[:-1]], *block.repeats]
            barrier = holds_barrier(tx for tx, _ in transaction.open_all(raws))
            proposal = Proposal(
                block.height, header.parent, digest, block.header, block.txids, barrier
            )
            rules = self._rules(block.height)
            checks = self._dialects[rules.era.engine].certificate_checks(
                block.certificate,
                proposal=proposal,
                committee=rules.committee,
                network=self._genesis.network,
            )
        except (Malformed, TransactionMalformed, ValueError):
            return False
        return all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks]))

    def _certified(self, path: Path, block: ArchivedBlock | None, head: Head | None) -> None:
        """Compare a note with the log so far: a block's own, or the archive's (``head``)."""
        height = block.height if block is not None else head.height if head is not None else 0
        note = layout.read(path) if block is None else block.checkpoint
        policy = self._policy_at(height)
        try:
            said, lines = checkpoint.parse_note(note)
            signers = checkpoint.count_valid(note, policy)
        except CheckpointMalformed as error:
            self.found(path, f"checkpoint of block {height}: {error}")
            return
        if (said.size, said.root) != (self._log.size, self._log.root()):
            self.found(path, f"checkpoint of block {height}: not the root of the leaves")
        elif len(signers) < policy.quorum:
            detail = f"{len(signers)} valid cosignatures, {policy.quorum} needed"
            self.found(path, f"checkpoint of block {height}: {detail}")
        elif len(lines) != len(signers):
            self.found(path, f"checkpoint of block {height}: a cosignature does not hold")
