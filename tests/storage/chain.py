"""Well-formed blocks for storage tests: real headers, seals, links and log tiles."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from consensus import codec
from storage import keys, pagelog, slots
from storage.blocks import BODY_TAG
from storage.check import SEAL_TAG, expected_tiles, merkle_root
from storage.commit import BlockCommit
from storage.history import Replaced
from storage.store import Store

NETWORK = sha256(b"network").digest()
OTHER_NETWORK = sha256(b"another network").digest()


def page_of(said: bytes) -> bytes:
    """Return a page whose slots, taken or not, follow from what it is to say."""
    drawn = sha256(said).digest()
    nodes = [
        (bytes((slot,)), drawn * (1 + drawn[slot] % 2))
        for slot in range(slots.SLOTS)
        if slot == 7 or drawn[slot] < 128
    ]
    page = slots.put_together(b"", nodes)
    assert page is not None
    return page


def differ(head: bytes, settled: slots.Settled) -> list[slots.Pair]:
    """Return the rows of slots that are not what they were."""
    rows: list[slots.Pair] = []
    for key, before, now in settled:
        old, new = slots.take_apart(before), slots.take_apart(now)
        rows += [
            (head + key + bytes((slot,)), new.get(slot))
            for slot in range(slots.SLOTS)
            if old.get(slot) != new.get(slot)
        ]
    return rows


def change(key: bytes, before: bytes | None, after: bytes | None) -> dict[str, Any]:
    """Return how a commit changes one page, by a patch that replaces all of it."""
    sizes = (0, pagelog.ALL, len(after or b""))
    patch = b"".join(size.to_bytes(2, "big") for size in sizes) + (after or b"")
    patch = b"" if after is None else patch
    row = bytes((len(key),)) + key + len(patch).to_bytes(2, "big") + patch
    return {"pages": [(key, after)], "pages_were": {key: before}, "page_patches": row}


def lost(pairs: Sequence[tuple[bytes, bytes | None]]) -> list[bytes]:
    """What a page lost is all of it."""
    return [b"lost: " + before for before, _ in pairs]


@dataclass
class Chain:
    """Makes block after block; every block carries ``transactions`` of them."""

    transactions: int = 3
    parent: bytes = NETWORK
    parent_seal: bytes = NETWORK
    height: int = 0
    history_blocks: int = 5
    leaves: list[bytes] = field(default_factory=list)

    def next(self) -> tuple[bytes, BlockCommit]:
        """Return the body and the commit of the next block."""
        self.height += 1
        height = self.height
        before = page_of(b"of %d" % (height - 1)) if height > 1 else None
        payloads = [b"tx %d/%d" % (height, n) for n in range(self.transactions)]
        txids = [sha256(b"\x00" + payload).digest() for payload in payloads]
        header = codec.encode(
            [1, NETWORK, 0, height, self.parent, height * 1000, "north", merkle_root(txids)]
        )
        digest = sha256(BODY_TAG + header).digest()
        first, count = len(self.leaves), len(txids)
        results = b"\x00\x00" * count
        results_root = merkle_root([sha256(b"\x00\x00\x00").digest()] * count)
        state_root = sha256(b"state %d" % height).digest()
        seal = SEAL_TAG + codec.encode(
            [
                height,
                self.parent_seal,
                digest,
                height * 1000,
                first,
                count,
                results_root,
                height,
                state_root,
                sha256(b"members").digest(),
            ]
        )
        self.leaves += [*txids, sha256(b"\x00" + seal).digest()]
        self.parent, self.parent_seal = digest, sha256(seal).digest()
        commit = BlockCommit(
            height=height,
            digest=digest,
            header=header,
            txids=b"".join(txids),
            certificate=b"certificate %d" % height,
            position=height + 100,
            seal=seal,
            first_index=first,
            count=count,
            results=results,
            log_tiles=list(self._tiles()),
            state=[(b"height", b"%d" % height), (b"at/%d" % height, b"x")],
            **change(b"page", before, page_of(b"of %d" % height)),
            differ=differ,
            state_root=state_root,
            state_height=height,
            log_size=len(self.leaves),
            log_root=merkle_root(self.leaves),
            transactions=[(txid, b"row of %d" % height) for txid in txids],
            index=[(keys.INDEX + b"by-height/%08d" % height, digest)],
            replaced=Replaced(
                state=[(b"height", b"%d" % (height - 1))],
                pages_lost=lost,
                blocks=self.history_blocks,
            ),
        )
        return codec.encode([header, payloads]), commit

    def _tiles(self) -> Iterator[tuple[int, int, bytes]]:
        hashes = self.leaves
        by_level = [hashes]
        while len(hashes) >= 256:
            whole = range(0, len(hashes) - len(hashes) % 256, 256)
            hashes = [merkle_root(hashes[at : at + 256]) for at in whole]
            by_level.append(hashes)
        for level, n, count in expected_tiles(len(self.leaves)):
            yield level, n, b"".join(by_level[level][n * 256 : n * 256 + count])


def extend(store: Store, chain: Chain, blocks: int) -> list[BlockCommit]:
    """Save and commit ``blocks`` more blocks of ``chain`` and return their commits."""
    commits = []
    for _ in range(blocks):
        body, commit = chain.next()
        store.save([], bodies=[(commit.digest, body)], sync=True)
        store.commit(commit)
        commits.append(commit)
    return commits


__all__ = ["NETWORK", "OTHER_NETWORK", "Chain", "extend", "page_of", "replace"]
