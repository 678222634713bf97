"""A ledger without ordering: fixed keys, a genesis, signed transactions, a book that commits.

Everything is the real part over a real directory; ``Chain.commit`` does what an engine would
decide, with a certificate that the engine's own rules accept.
"""

import hashlib
import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from consensus import certs, codec, wire
from consensus.types import Proposal
from node.bodies import Body
from node.book import Book, Committed
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import merkle, transaction
from node.ledger.block import Header
from node.ledger.checkpoint import Checkpoint
from node.ledger.crypto import Signer
from node.ledger.families.record import Amend, Anchor, Batch, ItemProof, Retract
from node.ledger.genesis import Genesis, Institution, Parameters
from node.ledger.transaction import Op, Payload, Transaction
from node.publish import policy_of
from node.roster import founding_rules
from storage.store import Store

CREATED_MS = 1_767_225_600_000


def key(name: str) -> Signer:
    """Return the key of that name; its seed is public, for tests only."""
    return Signer(hashlib.sha256(b"ledger test " + name.encode()).digest())


def digest(name: str) -> bytes:
    """Return 32 bytes that stand for a commitment or anything else of that name."""
    return hashlib.sha256(name.encode()).digest()


def institution(
    name: str, *, roles: tuple[str, ...] = ("author",), validator: bool = True
) -> Institution:
    identity, consensus, cosigner, encryption = (
        key(f"{name} {use}").public_key
        for use in ("identity", "consensus", "cosigner", "encryption")
    )
    return Institution(
        name, name.title(), roles, identity, consensus, cosigner, encryption, validator
    )


def genesis(engine: str = "raft", **parameters: Any) -> Genesis:
    """Return a network of four validators (authors) and a payer who may not anchor."""
    members = [institution(name) for name in ("alder", "birch", "cedar", "dogwood")]
    payer = institution("payer", roles=("payer",), validator=False)
    return Genesis(1, "test", CREATED_MS, engine, Parameters(**parameters), (*members, payer))


def anchor(name: str, *, tag: bytes = bytes(16), **fields: Any) -> Op:
    return Op("record.anchor", wire.to_value(Anchor(digest(name), tag, 2, **fields)))


def batch_root(names: Sequence[str]) -> bytes:
    return merkle.root([merkle.leaf_hash(digest(name)) for name in names])


def batch(names: Sequence[str], *, inline: bool = True) -> Op:
    leaves = b"".join(digest(name) for name in names) if inline else b""
    return Op("record.batch", wire.to_value(Batch(batch_root(names), len(names), leaves)))


def item_proof(names: Sequence[str], name: str) -> ItemProof:
    leaves = [merkle.leaf_hash(digest(item)) for item in names]
    index = list(names).index(name)
    return ItemProof(batch_root(names), index, tuple(merkle.inclusion_path(leaves, index)))


def amend(previous: str, name: str, *, proof: ItemProof | None = None) -> Op:
    body = Amend(digest(previous), Anchor(digest(name), bytes(16), 2), "corrected", proof)
    return Op("record.amend", wire.to_value(body))


def retract(name: str, *, proof: ItemProof | None = None) -> Op:
    return Op("record.retract", wire.to_value(Retract(digest(name), proof)))


class Chain:
    """A store and its book.  ``numbers`` makes nonces, so equal content may be sent twice."""

    def __init__(
        self, directory: Path, genesis_: Genesis | None = None, *, store: Store | None = None
    ) -> None:
        self.genesis = genesis_ or genesis()
        self.network = self.genesis.network
        self.directory = directory
        self.store = store or Store.open(directory, network=self.network, create=True)
        self.book = Book(self.store, self.genesis)
        self.committee = founding_rules(self.genesis).committee
        self._numbers = itertools.count()

    def close(self) -> None:
        self.store.close()

    def __enter__(self) -> "Chain":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- transactions ------------------------------------------------------------------------

    def payload(self, *ops: Op, org: str = "alder", **fields: Any) -> Payload:
        nonce = next(self._numbers).to_bytes(8, "big")
        made = Payload(
            self.network, org, 1000, nonce, ops or (anchor(f"record {nonce.hex()}"),)
        )
        return replace(made, **fields)

    def raw(self, *ops: Op, org: str = "alder", **fields: Any) -> bytes:
        """Return a transaction's bytes, signed by the institution's identity key."""
        return transaction.sign(self.payload(*ops, org=org, **fields), key(f"{org} identity"))

    def tx(self, *ops: Op, org: str = "alder", **fields: Any) -> Transaction:
        return transaction.parse(self.raw(*ops, org=org, **fields))

    # --- blocks ------------------------------------------------------------------------------

    def body(self, *transactions: Transaction, **fields: Any) -> Body:
        """Return the next block's body, as a proposer would make it."""
        tip = self.book.tip
        ids = [item.txid for item in transactions]
        header = Header(
            blocks.VERSION,
            self.network,
            0,
            tip.height + 1,
            tip.digest,
            tip.time_ms + 1000,
            "alder",
            blocks.txids_root(ids),
        )
        header = replace(header, **fields)
        raw = blocks.encode_body(header, [item.raw for item in transactions])
        return Body(header, transactions, raw)

    def certificate(self, height: int, body_digest: bytes) -> bytes:
        """Return what the engine would keep as proof that the block was ordered."""
        if self.genesis.engine == "raft":
            return codec.encode([1, height])
        signed = certs.commit_bytes(
            self.network, epoch=0, view=0, height=height, digest=body_digest
        )
        votes = {name: key(f"{name} consensus").sign(signed) for name in self.committee.ids}
        signers, signatures = certs.bundle(
            {str(k): v for k, v in votes.items()}, self.committee
        )
        made = certs.CommitCert(0, 0, height, body_digest, signers, signatures)
        return wire.encode(made)

    def apply(self, body: Body) -> Committed:
        """Save and apply ``body`` as decided."""
        made = blocks.body_digest(body.header.encode())
        height = body.header.height
        self.store.save([], bodies=[(made, body.raw)], sync=True)
        certificate = self.certificate(height, made)
        return self.book.apply(body, digest=made, certificate=certificate, position=height)

    def commit(self, *transactions: Transaction) -> Committed:
        """Apply a block of ``transactions``, one anchor when there are none."""
        return self.apply(self.body(*(transactions or (self.tx(),))))

    def certify(self) -> bytes:
        """Save the tip's checkpoint with every member's cosignature; return the note."""
        policy, tip = policy_of(self.genesis), self.book.tip
        head = Checkpoint(policy.origin, tip.log_size, tip.log_root)
        cosignatures = [
            checkpoints.cosign(head, name=vkey.name, signer=key(f"{name} cosigner"), time_s=7)
            for name, vkey in policy.members
        ]
        note = checkpoints.certify(head, cosignatures, policy)
        self.store.save_checkpoint(tip.height, note)
        return note


def proposal_of(body: Body) -> Proposal:
    """Return ``body`` as engines see it."""
    header = body.header.encode()
    ids = b"".join(item.txid for item in body.transactions)
    return Proposal(
        body.header.height, body.header.parent, blocks.body_digest(header), header, ids
    )
