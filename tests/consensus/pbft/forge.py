"""Well-signed words that a test puts into the mouths of members."""

from typing import Any

from consensus import certs, wire
from consensus.certs import CommitCert, PreparedCert, SuspectCert, proposal_hash
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import NewView, ViewChange
from consensus.types import NodeId, Proposal
from tests.consensus.pbft.harness import (
    NETWORK,
    World,
    block,
    committee_of,
    fake_sign,
    signed,
)

COMMITTEE = committee_of(4)
A, B = block(1, NETWORK, "a"), block(1, NETWORK, "b")


def quorum(statement: bytes) -> tuple[bytes, tuple[bytes, ...]]:
    signatures = {m.id: fake_sign(m.key, statement) for m in COMMITTEE.members[:3]}
    return certs.bundle(dict(signatures), COMMITTEE)


def prepared(proposal: Proposal, view: int) -> PreparedCert:
    content = proposal_hash(proposal)
    signed_bytes = certs.prepare_bytes(
        NETWORK, epoch=1, view=view, height=proposal.height, content=content
    )
    return PreparedCert(1, view, proposal, *quorum(signed_bytes))


def committed(proposal: Proposal, view: int) -> bytes:
    height, digest = proposal.height, proposal.digest
    signed_bytes = certs.commit_bytes(NETWORK, epoch=1, view=view, height=height, digest=digest)
    return wire.encode(CommitCert(1, view, height, digest, *quorum(signed_bytes)))


LINEAGE = SuspectCert(1, 0, 1, *quorum(certs.suspect_bytes(NETWORK, epoch=1, view=0, height=1)))


def change(
    signer: str,
    view: int,
    *shown: PreparedCert,
    base: tuple[int, bytes, bytes] = (0, NETWORK, b""),
) -> ViewChange:
    height, digest, certificate = base
    message = ViewChange(1, view, height, digest, certificate, shown, LINEAGE, signer)
    whole: ViewChange = signed(message)
    return whole


def opened(*chosen: Proposal, shown: tuple[PreparedCert, ...] = ()) -> NewView:
    changes = tuple(change(m, 1, *shown) for m in COMMITTEE.ids[:3])
    whole: NewView = signed(NewView(1, 1, changes, chosen, "m01"))
    return whole


def tell(world: World, target: str, *messages: Any) -> None:
    node = world.nodes[NodeId(target)]
    for message in messages:
        whole = message if message.signature else signed(message)
        assert node.receive(message.signer, DIALECT.encode(whole))
        node.pump()


def lying(world: World, *liars: str) -> World:
    for liar in liars:
        world.liars.add(liar)
        world.crash(NodeId(liar))
    return world


def kinds(world: World) -> set[tuple[str, str, str]]:
    return {(witness, found.kind, found.member) for witness, found in world.evidence}
