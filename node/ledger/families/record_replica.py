"""Family ``record``, replicas: which stores have an object's ciphertext, and since when proven.

A store announces an object (the RFC 6962 root over its ciphertext chunks), proves that it has
it, or says that it lost it; the latest word of each store is kept.  A proof answers a
challenge: 32 bytes that somebody else drew.  Its first 8 bytes choose the chunk, modulo their
number; the store shows the chunk's leaf hash with its path, which every node checks, and
``answer`` = SHA-256(challenge, chunk), which everybody who holds the object can check.

What is proven here is that the leaf belongs to the object.  That the store had the chunk
itself when it answered follows from ``answer`` only, and only for those who can recompute it;
a store that makes its own challenge proves nothing, so custodians draw them.

State: ``replica/<object><store>``, ``replica-of/<object>``: see ``facts.custody``.
"""

from dataclasses import dataclass
from typing import Final

from node.ledger import merkle
from node.ledger.facts import custody, numbered, sets
from node.ledger.facts.custody import PATH_HASHES_MAX, ReplicaRow
from node.ledger.facts.words import sized
from node.ledger.rules import Context, Operation, Refused, Result

CHUNKS_MAX: Final = 1 << PATH_HASHES_MAX

UNPROVEN: Final = Result(
    118, "record-replica-unproven", "That chunk is not the challenged one of that object."
)
RESULTS: Final = (UNPROVEN,)


@dataclass(frozen=True, slots=True)
class Replica:
    """``object_root``: root of the ciphertext, ``chunks`` how many it has.  ``ok`` false: lost.

    ``challenge``, ``leaf`` and ``answer`` (32 bytes each) come together with ``index`` and
    ``path``, or not at all: then it is an announcement.
    """

    object_root: bytes
    chunks: int
    ok: bool = True
    challenge: bytes | None = None
    index: int = 0
    leaf: bytes | None = None
    path: tuple[bytes, ...] = ()
    answer: bytes | None = None

    def __post_init__(self) -> None:
        sized(self.object_root, 32, "object_root")
        if not 1 <= self.chunks <= CHUNKS_MAX:
            raise ValueError("chunks must be 1 to 2^20")
        given = (self.challenge, self.leaf, self.answer)
        for item in given:
            sized(item, 32, "challenge, leaf and answer")
        if len({item is None for item in given}) != 1:
            raise ValueError("challenge, leaf and answer come together")
        if self.challenge is None and (self.index or self.path):
            raise ValueError("index and path answer a challenge")
        if self.challenge is not None and not self.ok:
            raise ValueError("what is lost cannot be proven")
        if len(self.path) > PATH_HASHES_MAX or any(len(item) != 32 for item in self.path):
            raise ValueError("path is up to 20 hashes of 32 bytes")


def challenged(challenge: bytes, chunks: int) -> int:
    """Return which chunk a challenge asks for."""
    return int.from_bytes(challenge[:8], "big") % chunks


def _replica(context: Context, body: Replica) -> None:
    key = custody.replica_key(body.object_root, context.org.id)
    before = context.view.load(ReplicaRow, key)
    if before is None:
        base = custody.stores_base(body.object_root)
        if numbered.length(context.view.get, base) == custody.STORES_MAX:
            raise Refused(custody.TOO_MANY)
        sets.enter(context.view, base, context.org.id.encode())
    proven_ms = None if before is None else before.proven_ms
    if body.challenge is not None:
        _check(body, body.challenge)
        proven_ms = context.time_ms
    row = ReplicaRow(
        store=context.org.id,
        ok=body.ok,
        chunks=body.chunks,
        height=context.height,
        time_ms=context.time_ms,
        proven_ms=proven_ms,
        challenge=body.challenge,
        index=body.index,
        leaf=body.leaf,
        answer=body.answer,
    )
    context.view.save(key, row)


def _check(body: Replica, challenge: bytes) -> None:
    assert body.leaf is not None, "a challenge is answered with a leaf"
    if body.index != challenged(challenge, body.chunks) or not merkle.verify_inclusion(
        body.leaf,
        index=body.index,
        size=body.chunks,
        path=body.path,
        root=body.object_root,
    ):
        raise Refused(UNPROVEN)


OPERATIONS: Final = (
    Operation(
        "record.replica",
        Replica,
        _replica,
        frozenset({"store"}),
        "Announce or prove that an object is stored, or say that it is lost.",
    ),
)
