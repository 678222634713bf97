"""The rooms of snapshots together, as the rest of the node sees them."""

from dataclasses import dataclass

from node.snapshot_install import Installer
from node.snapshot_shelf import Shelf
from node.statesync import StateSync


@dataclass(slots=True)
class SnapshotRooms:
    shelf: Shelf
    sync: StateSync
    installer: Installer

    async def take(self) -> None:
        """Return once a snapshot was taken and the store is to be switched."""
        await self.sync.run()
        self.installer.ready = True
