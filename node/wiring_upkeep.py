"""How backups, archive, pruning and the search for damage are wired.

Owns: these constructors' arguments.  Nothing here runs yet.
"""

from node import backups
from node.blocksync import BlockSync
from node.config import Config
from node.keys import NodeKeys
from node.ledger.genesis import Genesis
from node.mending import PeerBodies
from node.scrub import Scrub
from node.service import Service
from node.switchboard import Switchboard
from node.upkeep import Upkeep


def build_upkeep(
    config: Config,
    genesis: Genesis,
    keys: NodeKeys,
    service: Service,
    sync: BlockSync,
    board: Switchboard,
) -> Scrub:
    """Give ``service`` what makes backups, archive and room; return who looks for damage."""
    founded, store = genesis.encode(), service.store
    service.upkeep = Upkeep(
        store,
        genesis,
        origin=lambda: backups.origin_of(config, founded, keys),
        backup_=config.backup,
        archive=config.archive,
        storage=config.storage,
    )
    service.archive_url = config.archive.url
    bodies = PeerBodies(board.ask_blocks, board.connected)
    sync.mending, sync.others = bodies.received, board.connected
    rate = config.storage.scrub_mib_per_second << 20
    # Twice: the file of a look may not be what has clients refused.
    free_bytes = 2 * config.storage.min_free_bytes
    service.scrub = Scrub(store, config.node.data_dir, bodies, rate=rate, free_bytes=free_bytes)
    return service.scrub
