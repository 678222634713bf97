"""Fuzz every decoder that meets bytes from outside: ``python tests/fuzz/decoders.py``.

Each target says what it decodes, how it may refuse, and, where one value has one encoding, how
the value is written again: whatever is accepted must give the same bytes.  A fault prints the
target and the bytes.
"""

import argparse
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from consensus import certs, codec, wire
from consensus.codec import Malformed
from consensus.types import Committee, Member, NodeId, Proposal
from node.blocksync import SyncBlock, SyncRequest, SyncResponse
from node.errors import ChartsealError
from node.gossip import encoding
from node.http import codes, strict_json, txjson, types
from node.ledger import block, canon, checkpoint, commitment, lineage, receipt, transaction
from node.ledger.block import BlockMalformed
from node.ledger.canon import CanonRefused
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.genesis import Genesis, GenesisInvalid
from node.ledger.lineage import LineageInvalid, LineageMalformed
from node.ledger.receipt import ReceiptInvalid, ReceiptMalformed
from node.ledger.transaction import TransactionMalformed
from node.lineage_asking import LineageRequest, LineageResponse
from node.net.faults import FrameFault
from node.net.frame import SESSION_TYPES, FrameReader
from node.net.frame import encode as encode_frame
from node.net.handshake import Hello, Proof
from node.publish import decode_shares, encode_shares
from node.rangeproof import RangeProof
from node.rangesync import RangeRequest, RangeResponse
from node.supply import BodyRequest, BodyResponse
from node.trust import TrustMalformed, read_start, trust_in
from tests.support import ledger

VECTORS: Final = Path(__file__).parents[1] / "vectors"
SIZE_MAX: Final = 1 << 20
TOKENS: Final = (
    *(b"-1", b"0", b"1e400", b"18446744073709551616", b"null", b'""', b"\\ud800", b"\0"),
    *(b"\xff", b"\n", b"\n\n", "\u2014 ".encode(), b"{", b"[" * 80, b"AAAA", b" "),
)


ANCHOR: Final = {"commitment": "00" * 32, "tag": "00" * 16, "canon": 2}
OPERATIONS: Final = {"ops": [{"kind": "record.anchor", "body": ANCHOR}], "expires_in": 9}


@dataclass(frozen=True, slots=True)
class Target:
    """``again(decode(raw)) == raw`` where ``again`` is given."""

    name: str
    decode: Callable[[bytes], Any]
    refuses: tuple[type[Exception], ...]
    seeds: Sequence[bytes]
    again: Callable[[Any], bytes] | None = None


def _text(raw: bytes) -> str:
    """Bytes as text that may hold half a surrogate pair, as a JSON parser may make it."""
    return raw.decode("utf-8", "surrogateescape")


def _typed(kind: type[Any]) -> Callable[[bytes], Any]:
    return lambda raw: wire.decode(kind, raw, size_max=SIZE_MAX)


def _stream(raw: bytes) -> None:
    reader = FrameReader()
    for at in range(0, len(raw), 7):
        reader.feed(raw[at : at + 7])


def _verified(raw: bytes) -> Any:
    policy = Policy.from_text((VECTORS / "policy.json").read_text())
    return receipt.verify_receipt(receipt.from_text(raw), policy)


def _certified(raw: bytes) -> Any:
    voters = tuple(Member(NodeId(f"m{at}"), bytes([at]) * 32) for at in range(4))
    return certs.checks_for(
        raw, height=3, digest=bytes(32), committee=Committee(1, voters), network=bytes(32)
    )


assert codes, "the conditions of the interface are registered"


def _operations(raw: bytes) -> Any:
    return txjson.read_ops(
        strict_json.typed(types.OperationsRequest, strict_json.read(raw)).ops
    )


def _transactions() -> list[bytes]:
    ops = (ledger.anchor("one"), ledger.batch(["a", "b", "c"]), ledger.amend("one", "two"))
    made = ledger.genesis()
    payloads = [
        transaction.Payload(made.network, "alder", 1000, bytes([n]) * 8, ops[: n + 1])
        for n in range(3)
    ]
    return [transaction.sign(each, ledger.key("alder identity")) for each in payloads]


def _body(raws: Sequence[bytes]) -> bytes:
    ids = [transaction.txid_of(raw) for raw in raws]
    root = block.txids_root(ids)
    header = block.Header(
        block.VERSION, bytes(32), 0, 3, bytes(32), ledger.CREATED_MS, "alder", root
    )
    return block.encode_body(header, raws)


def targets() -> list[Target]:
    """Return every target with true encodings to start from."""
    raws = _transactions()
    body = _body(raws)
    of_ledger = [*_of_ledger(raws, body), *_of_proofs(), *_of_lineage()]
    return [*of_ledger, *_of_members(raws, body), *_of_clients()]


def _of_ledger(raws: list[bytes], body: bytes) -> list[Target]:
    header, _ = block.decode_body(body, size_max=SIZE_MAX)
    founded = ledger.genesis("pbft").encode()
    return [
        Target("transaction", transaction.parse, (TransactionMalformed,), raws,
               lambda item: item.raw),
        Target("block body", lambda raw: block.decode_body(raw, size_max=SIZE_MAX),
               (BlockMalformed,), [body], lambda pair: block.encode_body(*pair)),
        Target("block header", block.decode_header, (BlockMalformed,), [header.encode()],
               lambda item: item.encode()),
        Target("genesis", Genesis.decode, (GenesisInvalid,), [founded], Genesis.encode),
    ]  # fmt: skip


def _of_proofs() -> list[Target]:
    text, written = VECTORS / "receipt.tlog-proof", VECTORS / "receipt.json"
    note, policy = VECTORS / "checkpoint.txt", VECTORS / "policy.json"
    opening = commitment.open_record(b"{}", media_type="application/json", r=bytes(32))
    record = json.dumps(OPERATIONS).encode()
    return [
        Target("receipt text", receipt.from_text, (ReceiptMalformed,), [text.read_bytes()],
               receipt.to_text),
        Target("receipt json", lambda raw: receipt.from_json(_text(raw)), (ReceiptMalformed,),
               [written.read_bytes()]),
        Target("receipt verified", _verified, (ReceiptMalformed, ReceiptInvalid),
               [text.read_bytes()]),
        Target("checkpoint", checkpoint.parse_note, (CheckpointMalformed,),
               [note.read_bytes()]),
        Target("policy", lambda raw: Policy.from_text(_text(raw)), (CheckpointMalformed,),
               [policy.read_bytes()]),
        Target("opening", commitment.decode_opening, (Malformed,),
               [commitment.encode_opening(opening)], commitment.encode_opening),
        Target("opening text", lambda raw: commitment.opening_from_text(_text(raw)),
               (Malformed,), [commitment.opening_to_text(opening).encode()]),
        Target("record JCS", lambda raw: canon.canonical(raw, canon.JCS), (CanonRefused,),
               [record, b'{"a":[1.5e3,-0,"\\u00e9"],"b":null}']),
        Target("record lexical", lambda raw: canon.canonical(raw, canon.FHIR_LEX),
               (CanonRefused,), [record, b'{"a":[1.50,-0,"x"]}']),
    ]  # fmt: skip


def _of_lineage() -> list[Target]:
    written, raw = VECTORS / "lineage.json", VECTORS / "lineage.hex"
    told = lineage.decode(bytes.fromhex(raw.read_text()))
    policy = VECTORS / "lineage-policy.json"
    text = VECTORS / "receipt-v2.tlog-proof"
    trust = trust_in(Policy.from_text(policy.read_text()))
    proof = RangeProof((told.links[0].seal,), told.links[0].note, told.links[0].path)
    letters = [
        LineageRequest(3),
        LineageResponse(0, told.links),
        RangeRequest(1, 9),
        RangeResponse(1, (SyncBlock(b"header", b"certificate", b"body"),), proof),
    ]
    return [
        Target("lineage", lineage.decode, (LineageMalformed,), [lineage.encode(told)],
               lineage.encode),
        Target("lineage json", lambda given: lineage.from_json(_text(given)),
               (LineageMalformed,), [written.read_bytes()]),
        Target("lineage followed", lambda given: trust.extended(lineage.decode(given).links),
               (LineageMalformed, LineageInvalid), [lineage.encode(told)]),
        Target("start of trust", read_start, (TrustMalformed,),
               [policy.read_bytes(), ledger.genesis("pbft").encode()]),
        Target("receipt with lineage", receipt.from_text, (ReceiptMalformed,),
               [text.read_bytes()], receipt.to_text),
        *[Target(type(item).__name__, _typed(type(item)), (Malformed,), [wire.encode(item)],
                 wire.encode) for item in letters],
    ]  # fmt: skip


def _of_members(raws: list[bytes], body: bytes) -> list[Target]:
    header, _ = block.decode_body(body, size_max=SIZE_MAX)
    votes = certs.CommitCert(1, 0, 3, bytes(32), b"\x07", (bytes(64),) * 3)
    frames = b"".join(encode_frame(kind, b"body") for kind in sorted(SESSION_TYPES)[:4])
    ids = [transaction.txid_of(raw) for raw in raws]
    letters = [
        Hello(1, bytes(32), "alder", bytes(32), "birch"),
        Proof(bytes(64)),
        BodyRequest(bytes(32), ids[0]),
        BodyResponse(bytes(32), tuple(raws)),
        SyncRequest(1, 9),
        SyncResponse(3, (SyncBlock(header.encode(), wire.encode(votes), body),)),
        Proposal(3, bytes(32), bytes(32), header.encode(), bytes(64)),
    ]
    return [
        Target("frame stream", _stream, (FrameFault,), [frames]),
        Target("gossiped transactions", encoding.decode_transactions, (Malformed,),
               [encoding.encode_transactions(raws)], encoding.encode_transactions),
        Target("gossiped ids", encoding.decode_ids, (Malformed,), [encoding.encode_ids(ids)],
               encoding.encode_ids),
        Target("cosignatures", decode_shares, (Malformed,), [encode_shares([], ask=True)]),
        Target("commit certificate", _certified, (Malformed,), [wire.encode(votes)]),
        *[Target(type(item).__name__, _typed(type(item)), (Malformed,), [wire.encode(item)],
                 wire.encode) for item in letters],
    ]  # fmt: skip


def _of_clients() -> list[Target]:
    encoded = json.dumps({"transaction": "AAAA"}).encode()
    return [
        Target("HTTP operations", _operations, (ChartsealError,),
               [json.dumps(OPERATIONS).encode()]),
        Target("HTTP transaction", txjson.read_transaction, (ChartsealError,), [encoded]),
    ]  # fmt: skip


# --- bending ------------------------------------------------------------------------------


def bend(raw: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Return bytes close to ``raw``: its octets, or its tree if it is MessagePack, changed."""
    if rng.random() < 0.4:
        try:
            tree = codec.decode(raw, size_max=SIZE_MAX)
            return codec.encode(_bend_tree(tree, others, rng))
        except Malformed:
            pass
    bent = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(bent) + 1)
        how = rng.randrange(8)
        if how == 0 and at < len(bent):
            bent[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del bent[at : at + rng.choice((1, 2, 32, 5000))]
        elif how == 2:
            bent[at:at] = rng.choice(TOKENS)
        elif how == 3:
            bent[at : at + rng.choice((1, 4, 20))] = rng.choice(TOKENS)
        elif how == 4:
            bent[at:at] = bent[at : at + rng.choice((1, 9, 200))] * rng.choice((1, 3, 40))
        elif how == 5:
            other = rng.choice(others)
            bent[at:] = other[rng.randrange(len(other)) :]
        elif how == 6:
            bent[at:at] = rng.randbytes(rng.choice((1, 4, 33)))
        else:
            bent[at : at + 1] = bytes((rng.choice((0x80, 0x9F, 0xC4, 0xC6, 0xDD, 0xDF, 0xFF)),))
    return bytes(bent)


def _bend_tree(tree: Any, others: Sequence[bytes], rng: random.Random) -> Any:
    places: list[tuple[Any, Any]] = []
    pending = [tree]
    while pending and len(places) < 2000:
        item = pending.pop()
        names: Any = range(len(item)) if isinstance(item, list) else ()
        names = list(item) if isinstance(item, dict) else names
        places += [(item, name) for name in names]
        pending += [item[name] for name in names if isinstance(item[name], list | dict)]
    if not places:
        return rng.choice((None, 0, [], b"", [tree]))
    holder, name = rng.choice(places)
    old = holder[name]
    if isinstance(old, bytes):
        new: Any = rng.choice((b"", old[:-1], old + b"\0", rng.randbytes(len(old)),
                               rng.choice(others)[:60_000]))  # fmt: skip
    elif isinstance(old, int):
        new = rng.choice((0, old + 1, -1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, True))
    elif isinstance(old, list):
        new = rng.choice(([], old * 2, old[::-1], old[:-1], old * 300 if len(old) < 9 else []))
    else:
        new = rng.choice(("", "x" * 300, "\ud800", None, 0, b""))
    holder[name] = new
    return tree


def fuzz(*, seed: int, frames: int) -> dict[str, Counter[str]]:
    """Give each target its share of ``frames``; an exception carries a note with the bytes."""
    rng = random.Random(f"decoders/{seed}")
    found: dict[str, Counter[str]] = {}
    every = targets()
    others = [raw for target in every for raw in target.seeds]
    for target in every:
        counts = found[target.name] = Counter()
        kept = list(target.seeds)
        for _ in range(-(-frames // len(every))):
            raw = bend(rng.choice(kept), others, rng)[:SIZE_MAX]
            try:
                counts[_take(target, raw)] += 1
            except Exception as error:
                error.add_note(f"{target.name}: {raw[:4000].hex()}")
                raise
            if counts["accepted"] and len(kept) < 40 and _take(target, raw) == "accepted":
                kept.append(raw)  # a new true encoding: go on from there
    return found


def _take(target: Target, raw: bytes) -> str:
    try:
        value = target.decode(raw)
    except target.refuses:
        return "refused"
    if target.again is not None:
        assert target.again(value) == raw, "accepted bytes are not the value's encoding"
    return "accepted"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.perf_counter()
    try:
        found = fuzz(seed=options.seed, frames=options.frames)
    except Exception:
        traceback.print_exc()
        return 1
    total = sum(counts.total() for counts in found.values())
    seconds = time.perf_counter() - began
    print(f"decoders: {total} inputs in {seconds:.0f} s ({total / seconds:.0f}/s)")
    for name, counts in found.items():
        print(f"  {counts['accepted']:>8} accepted {counts['refused']:>8} refused  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
