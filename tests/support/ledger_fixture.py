"""A real node without peers: real store, book, pool, intake and publisher, driven by hand.

The only thing missing is the ordering engine: ``commit`` does what it would decide.  Every
member's keys are here, so a test chooses whether a checkpoint gets its quorum.
"""

import hashlib
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

from consensus import wire
from consensus.effects import ReadReady, Status
from node.bodies import Body
from node.book import Book
from node.diskspace import DiskSpace
from node.intake import Intake
from node.ledger import block as blocks
from node.ledger import checkpoint as checkpoints
from node.ledger import transaction
from node.ledger.block import Header
from node.ledger.checkpoint import Checkpoint
from node.ledger.crypto import Signer
from node.ledger.families.record import Anchor
from node.ledger.genesis import Genesis, Institution, Parameters
from node.ledger.policies import Policy
from node.ledger.transaction import Op, Payload
from node.mempool import Mempool, MempoolLimits
from node.publish import Publisher, Share
from node.queries import Queries
from node.reads import LinearReads
from node.roster import Roster, Unchanging, founding_rules
from node.service import Service
from storage.store import Store

MEMBERS = ("alder", "birch", "cedar")


def key(name: str) -> Signer:
    return Signer(hashlib.sha256(b"fixture " + name.encode()).digest())


def institution(name: str, *, validator: bool = True) -> Institution:
    identity, consensus, cosigner = (
        key(f"{name} {use}").public_key for use in ("identity", "consensus", "cosigner")
    )
    return Institution(
        name, name.title(), ("author",), identity, consensus, cosigner, bytes(32), validator
    )


def genesis(policies: tuple[Policy, ...] = ()) -> Genesis:
    members = tuple(institution(name) for name in MEMBERS)
    payer = institution("payer", validator=False)
    return Genesis(
        1, "fixture", 1_767_225_600_000, "raft", Parameters(), (*members, payer), policies
    )


class Ledger:
    """One node of a network of three validators; it is ``alder``."""

    def __init__(
        self,
        directory: Path,
        *,
        mempool: MempoolLimits | None = None,
        policies: tuple[Policy, ...] = (),
    ) -> None:
        self.genesis = genesis(policies)
        self.network = self.genesis.network
        self.store = Store.open(directory, network=self.network, create=True)
        self.book = Book(self.store, self.genesis)
        self.mempool = Mempool(mempool or MempoolLimits())
        self.intake = Intake(self.book, self.store, self.mempool, now_ms=lambda: 0)
        self.publisher = Publisher(
            Unchanging(founding_rules(self.genesis)),
            self_id="alder",
            signer=lambda _: key("alder cosigner"),
        )
        self.peers: list[str] = ["birch"]
        self.leads = True  # what an engine would say to a linearizable read
        self.behind = 0  # blocks that are final elsewhere and missing here
        self.reads = LinearReads(lambda: self.book.tip.height, ask_again_s=0)
        self.reads.wake = self._answer_reads
        self.admitted: list[bytes] = []
        self._numbers = itertools.count()
        self.service = Service(
            node_id="alder",
            genesis=self.genesis,
            store=self.store,
            book=self.book,
            mempool=self.mempool,
            intake=self.intake,
            queries=Queries(self.store, self.book),
            publisher=self.publisher,
            signer=key("alder identity"),
            engine_status=self._status,
            peers_connected=lambda: self.peers,
            admitted=lambda new: self.admitted.extend(item.txid for item in new),
            disk=DiskSpace(directory, min_free_bytes=0),
            reads=self.reads,
            roster=Roster(self.genesis, self.book, "alder"),
        )

    def _status(self) -> Status:
        height = self.book.tip.height
        return Status("raft", "leader", 1, "alder", height, height, 2, 3, ("alder", "birch"))

    def _answer_reads(self) -> None:
        asked: list[int] = []

        def read(token: int) -> bool:
            asked.append(token)
            return self.leads

        self.reads.ask(read)
        height = self.book.tip.height + self.behind
        self.reads.ready([ReadReady(token, height) for token in asked if self.leads])

    def close(self) -> None:
        self.store.close()

    # --- transactions ------------------------------------------------------------------------

    def commitment(self) -> bytes:
        return hashlib.sha256(b"record %d" % next(self._numbers)).digest()

    def anchor(self, commitment: bytes | None = None, *, tag: bytes = bytes(16)) -> Op:
        body = Anchor(commitment or self.commitment(), tag, 2)
        return Op("record.anchor", wire.to_value(body))

    def sign(
        self,
        *ops: Op,
        org: str = "alder",
        signer: Signer | None = None,
        network: bytes | None = None,
        expires_height: int = 1000,
    ) -> bytes:
        """Return the bytes of a transaction, by default a good one."""
        payload = Payload(
            self.network if network is None else network,
            org,
            expires_height,
            next(self._numbers).to_bytes(8, "big"),
            ops or (self.anchor(),),
        )
        return transaction.sign(payload, signer or key(f"{org} identity"))

    # --- blocks ------------------------------------------------------------------------------

    def commit(self, *raws: bytes, certified: bool = True) -> int:
        """Apply the pool (and ``raws``) as the next block; return its height."""
        tip = self.book.tip
        taken = [
            *self.mempool.take(count_max=2000, bytes_max=1 << 20),
            *(transaction.parse(raw) for raw in raws),
        ]
        header = Header(
            blocks.VERSION,
            self.network,
            0,
            tip.height + 1,
            tip.digest,
            tip.time_ms + 1000,
            "alder",
            blocks.txids_root([item.txid for item in taken]),
        )
        raw = blocks.encode_body(header, [item.raw for item in taken])
        digest = blocks.body_digest(header.encode())
        self.store.save([], bodies=[(digest, raw)], sync=False)
        body = Body(header, tuple(taken), raw)
        result = self.book.apply(body, digest=digest, certificate=b"proof", position=tip.height)
        self.mempool.remove(result.txids)
        expired = self.mempool.expire(result.tip.height + 1)
        self.publisher.applied(result.tip, int(time.time()))
        if certified:
            self.certify()
        self.reads.executed(result.tip.height)
        self.service.committed(result)
        self.service.expired(expired)
        return result.tip.height

    def certify(self) -> None:
        """Let ``birch`` cosign the newest tree head: with ours a quorum of three."""
        tip = self.book.tip
        name = checkpoints.cosigner_name(self.publisher.policy.origin, "birch")
        head = Checkpoint(self.publisher.policy.origin, tip.log_size, tip.log_root)
        made = checkpoints.cosign(head, name=name, signer=key("birch cosigner"), time_s=1)
        share = Share("birch", tip.height, tip.log_size, tip.log_root, 1, made.signature)
        assert self.publisher.received("birch", share)
        certified = self.publisher.certify(tip.log_size)
        assert certified is not None, "two of three are a quorum"
        self.store.save_checkpoint(*certified)

    def disk(self) -> Sequence[tuple[bytes, bytes]]:
        """Return everything on disk, to show that a refusal left no trace."""
        return list(self.store.scan_all())

    # --- old blocks --------------------------------------------------------------------------

    def close_segment(self) -> None:
        """Let the next body begin a new file, so that the one before can leave."""
        segments = self.store.segments
        tail, usual = segments.tail(), segments._bytes_max
        assert tail is not None, "there is a block"
        segments._bytes_max = tail.end
        segments.append(b"begins a file")
        segments._bytes_max = usual
