"""What a new view must carry over: a pure function of a quorum of view changes.

The primary computes it to make its NewView and every backup computes it again, so a primary
has nothing to choose.  Rule: start from the highest final block that any of them proves; then,
height by height, among the certificates chained to the tip take the one of the highest view;
stop at the first gap.  Highest view, never first found: an older certificate may belong to a
proposal that a later view had already been free to replace.

Why a committed block survives: its quorum of commits shares an honest member with every quorum
of view changes, and that member shows the block either as final or as prepared in the highest
view (Castro and Liskov 1999, section 4.4, on a hash chain; null requests cannot occur).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from consensus.certs import PreparedCert, proposal_hash
from consensus.pbft.messages import ViewChange
from consensus.types import Proposal


@dataclass(frozen=True, slots=True)
class Selection:
    """The final block a view starts from, who can serve it, and what is proposed again."""

    height: int
    digest: bytes
    holders: tuple[str, ...]
    chosen: tuple[Proposal, ...]


def _rank(certificate: PreparedCert) -> tuple[int, bytes]:
    # Two certificates of one view and height name one proposal unless more than f members
    # lie; the hash makes even that case the same for every backup.
    return certificate.view, proposal_hash(certificate.proposal)


def select(view_changes: Iterable[ViewChange]) -> Selection:
    """Return where the new view starts and what it must propose first.

    ``view_changes``: at least one, verified.  Their order does not matter.
    """
    changes = tuple(view_changes)
    height, digest = max((change.height, change.digest) for change in changes)
    holders = tuple(sorted(c.signer for c in changes if c.height == height))
    chosen: list[Proposal] = []
    at, tip = height + 1, digest
    while True:
        linked = [
            certificate
            for change in changes
            for certificate in change.prepared
            if certificate.proposal.height == at and certificate.proposal.parent == tip
        ]
        if not linked:
            return Selection(height, digest, holders, tuple(chosen))
        best = max(linked, key=_rank).proposal
        chosen.append(best)
        if best.barrier:  # nothing is ever prepared beyond it in this epoch
            return Selection(height, digest, holders, tuple(chosen))
        at, tip = at + 1, best.digest
