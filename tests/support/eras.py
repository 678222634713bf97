"""A ledger that lives through eras, made by hand: blocks, seals, certified heads, links.

``Eras`` keeps what an honest network would have: whoever tests verifiers takes its links and
receipts, changes them, and looks who notices.  With a store it commits every block there too,
so that what serves links from disk can be tested before and after a restart.
"""

import itertools
from collections.abc import Sequence
from typing import Final

from consensus import codec, wire
from consensus.quorum import byzantine_quorum, majority
from node.bodies import Body
from node.ledger import accel, lineage, merkle, transaction
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger.block import Header, Seal
from node.ledger.checkpoint import Checkpoint, Cosignature, Policy
from node.ledger.eras import Era, era_digest, era_key
from node.ledger.genesis import Genesis, Parameters, Voter
from node.ledger.lineage import Link
from node.ledger.receipt import Receipt
from node.ledger.state import ENGINE_KEY, EPOCH_KEY, genesis_state
from node.ledger.tiles import TileLog
from node.ledger.transaction import Payload
from storage.commit import BlockCommit
from storage.store import Store
from tests.support.ledger import CREATED_MS, anchor, institution, key

FOUNDERS: Final = ("alder", "birch", "cedar")


def quorum(engine: str, members: int) -> int:
    """The product's rule, in its own words: ordering has the arithmetic."""
    return byzantine_quorum(members) if engine == "pbft" else majority(members)


def founded(
    engine: str = "raft", members: Sequence[str] = FOUNDERS, *, name: str = "eras"
) -> Genesis:
    """Return a network of ``members``, all of them validators."""
    rows = tuple([institution(member) for member in sorted(members)])
    return Genesis(1, name, CREATED_MS, engine, Parameters(), rows)


def voter(name: str) -> Voter:
    return Voter(name, key(f"{name} consensus").public_key, key(f"{name} cosigner").public_key)


class Eras:
    """``eras[n]`` is epoch n, ``links[n]`` how epoch n + 1 began."""

    def __init__(self, genesis: Genesis | None = None, *, store: Store | None = None) -> None:
        self.genesis = genesis or founded()
        self.store = store
        self.network, self.origin = self.genesis.network, self.genesis.origin
        self.eras: list[Era] = [lineage.founding_era(self.genesis)]
        self.links: list[Link] = []
        self.leaves: list[bytes] = []
        self.seals: list[bytes] = []  # of height at + 1
        self.bodies: list[Body] = []
        self.raws: list[list[bytes]] = []
        self._numbers = itertools.count()
        self._log = TileLog(0, store.tile if store is not None else lambda _level, _n: None)
        self._parent = self.network

    @property
    def height(self) -> int:
        return len(self.seals)

    @property
    def size(self) -> int:
        return len(self.leaves)

    def size_at(self, height: int) -> int:
        """Return how many leaves the log had after that block."""
        seal = blocks.decode_seal(self.seals[height - 1])
        return seal.first_index + seal.count + 1

    # --- blocks ------------------------------------------------------------------------------

    def block(self, count: int = 1, *, begins: Era | None = None) -> int:
        """Append a block of ``count`` anchors; with ``begins`` it is a barrier.  Its height."""
        raws = [self._raw() for _ in range(count)]
        ids = [transaction.txid_of(raw) for raw in raws]
        height, era = self.height + 1, begins or self.eras[-1]
        time_ms = CREATED_MS + height * 1000
        header = Header(
            blocks.VERSION,
            self.network,
            self.eras[-1].epoch,
            height,
            self._parent,
            time_ms,
            self.eras[-1].members[0].id,
            blocks.txids_root(ids),
        )
        digest = blocks.body_digest(header.encode())
        seal = Seal(
            height=height,
            parent_seal=blocks.seal_digest(self.seals[-1]) if self.seals else self.network,
            body_digest=digest,
            time_ms=time_ms,
            first_index=self.size,
            count=count,
            results_root=blocks.results_root([0] * count),
            state_height=height,
            state_root=bytes(32),
            members_digest=era_digest(era),
        ).encode()
        parsed = tuple([transaction.parse(raw) for raw in raws])
        self.bodies.append(Body(header, parsed, blocks.encode_body(header, raws)))
        self.raws.append(raws)
        new = [*ids, merkle.leaf_hash(seal)]
        if self.store is not None:
            self._commit(header, digest, ids, seal, new, begins)
        self.leaves += new
        self.seals.append(seal)
        self._parent = digest
        return height

    def _raw(self) -> bytes:
        number = next(self._numbers)
        nonce = number.to_bytes(8, "big")
        payload = Payload(self.network, "alder", 1000, nonce, (anchor(f"record {number}"),))
        return transaction.sign(payload, key("alder identity"))

    def _commit(
        self,
        header: Header,
        digest: bytes,
        ids: list[bytes],
        seal: bytes,
        new: list[bytes],
        begins: Era | None,
    ) -> None:
        assert self.store is not None
        body = self.bodies[-1]
        self.store.save([], bodies=[(digest, body.raw)], sync=True)
        state: list[tuple[bytes, bytes | None]] = []
        if header.height == 1:
            state += genesis_state(self.genesis).items()
        if begins is not None:
            if begins.epoch == 1:
                state.append((era_key(0), wire.encode(self.eras[0])))
            state.append((era_key(begins.epoch), wire.encode(begins)))
            state.append((EPOCH_KEY, codec.encode(begins.epoch)))
            state.append((ENGINE_KEY, begins.engine.encode()))
        first, tiles = self.size, self._log.extend(new)
        self.store.commit(
            BlockCommit(
                height=header.height,
                digest=digest,
                header=header.encode(),
                txids=b"".join(ids),
                certificate=codec.encode([1, header.height]),
                position=header.height,
                seal=seal,
                first_index=first,
                count=len(ids),
                results=bytes(2 * len(ids)),
                log_tiles=tiles,
                state=state,
                pages=[],
                pages_were={},
                page_patches=b"",
                differ=accel.page_rows,
                state_root=bytes(32),
                state_height=header.height,
                log_size=self._log.size,
                log_root=self._log.root(),
                transactions=[
                    (txid, codec.encode([header.height, at, first + at, 0]))
                    for at, txid in enumerate(ids)
                ],
                index=[],
            )
        )

    def certify(self, note: bytes | None = None) -> bytes:
        """Save the newest tree head, certified by who ordered the newest block."""
        assert self.store is not None, "there is a disk"
        made = self.note(epoch=self.bodies[-1].header.epoch) if note is None else note
        self.store.save_checkpoint(self.height, made)
        return made

    def barrier(self, members: Sequence[str], engine: str | None = None) -> Link:
        """Append a block that ends the era; ``members`` vote from the next one on."""
        now = self.eras[-1]
        rows = tuple([voter(name) for name in sorted(members)])
        era = Era(now.epoch + 1, engine or now.engine, self.height + 2, rows)
        self.block(begins=era)
        link = Link(self.note(), self.seals[-1], self.path(self.size - 1), era)
        self.eras.append(era)
        self.links.append(link)
        return link

    # --- proofs ------------------------------------------------------------------------------

    def policy(self, epoch: int) -> Policy:
        return lineage.policy_of_era(
            self.eras[epoch], origin=self.origin, network=self.network, quorum=quorum
        )

    def path(self, index: int, size: int | None = None) -> tuple[bytes, ...]:
        return tuple(merkle.inclusion_path(self.leaves[: size or self.size], index))

    def head(self, size: int | None = None) -> Checkpoint:
        size = self.size if size is None else size
        return Checkpoint(self.origin, size, merkle.root(self.leaves[:size]))

    def note(
        self, size: int | None = None, *, epoch: int | None = None, signers: int | None = None
    ) -> bytes:
        """Return the tree head cosigned by the first ``signers`` members of an era, by all of
        the newest unless said otherwise."""
        policy, head = (
            self.policy(self.eras[-1].epoch if epoch is None else epoch),
            self.head(size),
        )
        lines = [
            cosigned(head, name, at).note_signature().line()
            for at, (name, _) in enumerate(policy.members[:signers])
        ]
        return head.text() + b"\n" + "".join(lines).encode()

    def receipt(
        self, height: int, *, size: int | None = None, epoch: int | None = None
    ) -> Receipt:
        """Return the receipt of a block's first transaction under a tree head."""
        seal = blocks.decode_seal(self.seals[height - 1])
        size = self.size if size is None else size
        results = [merkle.leaf_hash(blocks.result_leaf(0))] * seal.count
        return Receipt(
            transaction=self.raws[height - 1][0],
            leaf_index=seal.first_index,
            inclusion_path=self.path(seal.first_index, size),
            seal=self.seals[height - 1],
            seal_path=self.path(seal.first_index + seal.count, size),
            code=0,
            result_path=tuple(merkle.inclusion_path(results, 0)),
            checkpoint=self.note(size, epoch=epoch),
            item=None,
        )


def cosigned(head: Checkpoint, name: str, time_s: int = 7) -> Cosignature:
    """Return the cosignature of the member ``name``."""
    said = checkpoints.cosigner_name(head.origin, name)
    return checkpoints.cosign(head, name=said, signer=key(f"{name} cosigner"), time_s=time_s)


def lived() -> Eras:
    """Return three changes of members and the switch to PBFT and back: epochs 0 to 5.

    Blocks stand between the barriers; every tree head has another size.
    """
    made = Eras()
    made.block(2)
    made.barrier(("alder", "birch", "cedar", "dogwood"))
    made.block(1)
    made.barrier(("alder", "birch", "cedar", "dogwood"), "pbft")
    made.block(3)
    made.barrier(("birch", "cedar", "dogwood", "elm", "fir"))
    made.block(1)
    made.barrier(("birch", "cedar", "dogwood", "elm", "fir"), "raft")
    made.block(1)
    made.barrier(("dogwood", "elm", "fir"))
    made.block(2)
    return made
