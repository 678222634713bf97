"""The rooms of snapshots, wired: what this node makes and offers, what it takes from others."""

from node.book import Book
from node.config import Config
from node.diskspace import DiskSpace
from node.engines import dialects
from node.ledger.genesis import Genesis
from node.snapshot_install import Installer
from node.snapshot_load import Verified
from node.snapshot_rooms import SnapshotRooms
from node.snapshot_shelf import Shelf
from node.snapshot_trust import Trust, pinned_checkpoint
from node.statesync import StateSync
from node.switchboard import Switchboard
from node.threads import in_background
from storage.snapshots import Snapshots
from storage.store import Store


def build_snapshots(
    config: Config,
    genesis: Genesis,
    store: Store,
    book: Book,
    board: Switchboard,
    disk: DiskSpace,
) -> SnapshotRooms:
    """Return the rooms, with their frames wired to ``board``."""
    data_dir = config.node.data_dir
    pinned = pinned_checkpoint(config.network.trusted_checkpoint)
    trust = Trust(genesis, dialects(genesis), pinned)
    shelf = Shelf(
        store,
        Snapshots(data_dir),
        disk,
        parameters=lambda: book.parameters,
        every=config.snapshots.every_blocks,
        keep=config.snapshots.keep,
    )

    def own() -> tuple[int, bytes]:
        tip = book.tip  # it moves on another thread: both are of one moment
        return tip.log_size, tip.log_root

    installer = Installer(
        data_dir,
        genesis,
        segment_bytes_max=config.storage.segment_bytes_max,
        pinned=pinned,
        own=own,
    )

    async def fill(verified: Verified) -> None:
        await in_background(lambda: installer.fill(verified), name="snapshot-fill")

    sync = StateSync(
        data_dir=data_dir,
        trust=trust,
        gap_blocks=config.recovery.snapshot_gap_blocks,
        ask=board.ask_snapshot,
        connected=board.connected,
        height=lambda: book.tip.height,
        fill=fill,
    )
    board.snapshot_asked = shelf.serve
    board.snapshot_given = sync.received
    return SnapshotRooms(shelf, sync, installer)
