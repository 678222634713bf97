"""The voting keys that this node holds: those in its key file, and those that follow them.

The ledger says under which keys an institution votes, and changes them by ``membership.rotate``
at a barrier.  Until then the old ones vote and cosign, from then on the new ones: so for a
while a node holds both, and takes for each era the pair that the era names.  A node that holds
neither does not vote in that era, whatever its committee says.

Owns: which of the held keys an era names.  Refuses: making and keeping keys (``node.keys``).
"""

from node.keys import NodeKeys
from node.ledger.crypto import Signer
from node.ledger.genesis import Voter


class Ring:
    """``held``: key files that were opened, in any order."""

    def __init__(self, *held: NodeKeys) -> None:
        self._held: list[NodeKeys] = list(held)
        self._voting: Signer | None = None

    def add(self, keys: NodeKeys) -> None:
        """Hold ``keys`` too, for the era that will name them."""
        self._held.append(keys)

    @property
    def newest(self) -> NodeKeys:
        """The keys that were added last: those that the ledger is to name."""
        return self._held[-1]

    def consensus(self, voter: Voter | None) -> Signer | None:
        """Return the key that votes as ``voter``, if it is held."""
        wanted = None if voter is None else voter.consensus_key
        return next((k.consensus for k in self._held if k.public.consensus == wanted), None)

    def cosigner(self, voter: Voter | None) -> Signer | None:
        """Return the key that cosigns as ``voter``, if it is held."""
        wanted = None if voter is None else voter.cosigner_key
        return next((k.cosigner for k in self._held if k.public.cosigner == wanted), None)

    def enter(self, voter: Voter | None) -> None:
        """Vote as ``voter`` from now on; None: not at all."""
        self._voting = self.consensus(voter)

    def sign(self, message: bytes) -> bytes:
        """Sign a vote of the era in force."""
        assert self._voting is not None, "who does not vote signs no vote"
        return self._voting.sign(message)
