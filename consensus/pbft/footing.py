"""PBFT above a block which the ledger has without having ordered it.

A member that took a snapshot of the ledger must show, in a view change, why its newest block
is final: that block's commit certificate is put among its records, as if it had been delivered.
Owns: the records that say so.  Refuses: to touch what this member signed; views, votes and
prepared blocks above stay.
"""

from consensus.pbft.records import Keys
from consensus.types import Applied, Record


def footing(epoch: int, start: Applied, applied: Applied, certificate: bytes) -> list[Record]:
    """Return what to write over the stored records; ``start`` is where the epoch began."""
    keys = Keys(epoch)
    if applied.height == start.height:
        return [keys.forget_older_epochs(), keys.start(start)]
    return [
        keys.forget_older_epochs(),
        keys.start(start),
        keys.certificate(applied.height, certificate),
        *keys.forget(applied.height),
    ]
