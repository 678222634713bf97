"""From a complete snapshot to the store that this node goes on with.

``fill`` builds the new store beside the one in use; ``switch`` is called when nothing of this
run writes any more, and lets the new one take over at the next opening.
Owns: what the engine must find in its records so that it can go on above a block that it did
not order.  Refuses: to take anything of consensus from a snapshot: votes, the guard and the
mark are this member's own and are copied from its own store, or are not there.
"""

from collections.abc import Callable
from pathlib import Path

from consensus.pbft.footing import footing as pbft_footing
from consensus.raft.footing import footing as raft_footing
from consensus.succession_records import Annals
from consensus.types import Applied, Record
from node.ledger import block as blocks
from node.ledger import eras
from node.ledger.checkpoint import Checkpoint
from node.ledger.eras import Era
from node.ledger.genesis import Genesis
from node.log import event
from node.snapshot_load import Head, Verified, load
from storage import keys
from storage.foundation import Foundation, adopt
from storage.reader import Reader
from storage.snapshots import Snapshots


class Installer:
    def __init__(
        self,
        data_dir: Path,
        genesis: Genesis,
        *,
        segment_bytes_max: int,
        pinned: Checkpoint | None,
        own: Callable[[], tuple[int, bytes]],
    ) -> None:
        """``own``: size and root of this node's log now."""
        self._data_dir = data_dir
        self._genesis = genesis
        self._segment_bytes_max = segment_bytes_max
        self._pinned = pinned
        self._own = own
        self._filled: tuple[Verified, Era] | None = None
        self.ready = False
        """Whether this run is to end so that ``switch`` can be called."""

    def fill(self, verified: Verified) -> None:
        """Build the new store; raises ``SnapshotRefused``, ``Corrupt`` or ``StorageFailure``.

        A crash in here leaves rubbish that the next build removes.
        """
        foundation = Foundation(
            self._data_dir, self._genesis.network, segment_bytes_max=self._segment_bytes_max
        )
        heads: list[Head] = []
        size, root = self._own()
        if size <= verified.manifest.log_size:  # else it was overtaken, and ``switch`` says so
            heads.append(("this node's own log", size, root))
        if self._pinned is not None:
            heads.append(("the pinned checkpoint", self._pinned.size, self._pinned.root))
        try:
            load(verified, foundation, heads=heads)
            era = eras.era_from(lambda key: foundation.get(keys.STATE + key))
        except BaseException:
            foundation.discard()
            raise
        foundation.close()
        self._filled = (verified, era)

    def switch(self, store: Reader) -> None:
        """Hand over from ``store``, which nothing writes any more, if a new one is ready."""
        if not self.ready:
            return
        assert self._filled is not None, "filled before it is ready"
        verified, era = self._filled
        applied, reached = verified.applied(), store.applied()
        if reached is not None and reached.height >= applied.height:
            # Blocks came faster after all.  A ledger never goes back.
            event("snapshot.overtaken", height=applied.height)
            return
        own = Applied(applied.height, applied.digest, applied.position)
        records = _footing(store, verified, era, own, self._genesis.network)
        adopt(self._data_dir, store, records, segment_bytes_max=self._segment_bytes_max)
        # Only after the decision: without the parts it could not be tried again.
        Snapshots(self._data_dir).take(verified.directory, applied.height)
        event("snapshot.installed", height=applied.height)


def _footing(
    store: Reader, verified: Verified, era: Era, applied: Applied, network: bytes
) -> list[Record]:
    if era.from_height > applied.height:
        return []  # the era begins right above: its engine starts without records
    pairs = list(store.consensus_pairs())
    annals, records = Annals(pairs), []
    if annals.epoch != era.epoch:
        records, pairs = annals.begin(era.epoch), []
    certificate = verified.evidence.certificate
    if era.engine == "raft":
        return [*records, *raft_footing(pairs, applied, certificate)]
    start = _start(verified, network)
    return [*records, *pbft_footing(era.epoch, start, applied, certificate)]


def _start(verified: Verified, network: bytes) -> Applied:
    """Return the block that the era began on top of, as its engine knows it."""
    raw = verified.manifest.era_seal
    if not raw:
        return Applied(0, network, 0)
    seal = blocks.decode_seal(raw)
    return Applied(seal.height, seal.body_digest, seal.height)
