"""Write the golden files of log and state tree: ``python tests/vectors/make_ledger.py``.

A changed golden file is a changed format, and a changed format is a new version.
"""

import json
from pathlib import Path
from typing import Any

from node.ledger import checkpoint, crypto, merkle, receipt, smt
from node.ledger.block import Seal, results_root
from node.ledger.transaction import Op, Payload, sign

HERE = Path(__file__).parent
NETWORK = crypto.sha256(b"golden network")
ORIGIN = checkpoint.origin_of("golden", NETWORK)
MEMBERS = ("alder", "birch", "cedar", "dogwood")


def signer(name: str) -> crypto.Signer:
    """Return the key of a golden member; its seed is public, for tests only."""
    return crypto.Signer(crypto.sha256(b"golden seed " + name.encode()))


def policy() -> checkpoint.Policy:
    keys = [
        checkpoint.VerifierKey(checkpoint.cosigner_name(ORIGIN, name), signer(name).public_key)
        for name in MEMBERS
    ]
    return checkpoint.Policy(ORIGIN, NETWORK, tuple(zip(MEMBERS, keys, strict=True)), 3)


def cosignatures(head: checkpoint.Checkpoint) -> list[checkpoint.Cosignature]:
    return [
        checkpoint.cosign(
            head,
            name=checkpoint.cosigner_name(ORIGIN, name),
            signer=signer(name),
            time_s=1_767_225_600 + number,
        )
        for number, name in enumerate(MEMBERS)
    ]


def golden_receipt(*, item: bool = True, network: bytes = NETWORK) -> receipt.Receipt:
    """A log of two blocks (3 and 4 transactions); the receipt is for leaf 5, code 7."""
    records = [crypto.sha256(b"record %d" % number) for number in range(5)]
    record_leaves = [merkle.leaf_hash(record) for record in records]
    raws = [
        sign(
            Payload(
                network,
                "hospital",
                1_000,
                number.to_bytes(8, "big"),
                (Op("record.batch", [merkle.root(record_leaves), 5, b""]),),
            ),
            signer("author"),
        )
        for number in range(7)
    ]
    codes = [0, 0, 0, 0, 7, 0, 0]
    leaves: list[bytes] = []
    seals: list[bytes] = []
    for first, end in ((0, 3), (3, 7)):
        body = Seal(
            height=len(seals) + 1,
            parent_seal=crypto.sha256(seals[-1]) if seals else network,
            body_digest=crypto.sha256(b"body %d" % first),
            time_ms=1_767_225_600_000 + first,
            first_index=len(leaves),
            count=end - first,
            results_root=results_root(codes[first:end]),
            state_height=len(seals) + 1,
            state_root=bytes(32),
            members_digest=crypto.sha256(b"members"),
        )
        leaves += [merkle.leaf_hash(raw) for raw in raws[first:end]]
        seals.append(body.encode())
        leaves.append(merkle.leaf_hash(seals[-1]))
    head = checkpoint.Checkpoint(ORIGIN, len(leaves), merkle.root(leaves))
    results = [merkle.leaf_hash(code.to_bytes(2, "big")) for code in codes[3:]]
    return receipt.Receipt(
        transaction=raws[4],
        leaf_index=5,
        inclusion_path=tuple(merkle.inclusion_path(leaves, 5)),
        seal=seals[1],
        seal_path=tuple(merkle.inclusion_path(leaves, 8)),
        code=7,
        result_path=tuple(merkle.inclusion_path(results, 1)),
        checkpoint=checkpoint.certify(head, cosignatures(head), policy()),
        item=receipt.Item(records[2], 2, 5, tuple(merkle.inclusion_path(record_leaves, 2)))
        if item
        else None,
    )


def golden_state() -> dict[str, Any]:
    """Roots and pages while keys come, change and go."""
    steps: list[dict[bytes, bytes | None]] = [
        {b"a": b"1"},
        {b"key %d" % number: b"%d" % number for number in range(20)},
        {b"a": None, b"key 3": b"three", b"key 4": None},
        {b"key %d" % number: None for number in range(2, 20)},
    ]
    pages: dict[bytes, bytes] = {}
    tree = smt.StateTree(pages.get)
    written = []
    for changes in steps:
        root, writes = tree.update(changes)
        for key, page in writes:
            if page is None:
                del pages[key]
            else:
                pages[key] = page
        plain = [
            [key.hex(), value if value is None else value.hex()]
            for key, value in changes.items()
        ]
        stored = {key.hex(): page.hex() for key, page in sorted(pages.items())}
        written.append({"changes": plain, "root": root.hex(), "pages": stored})
    return {"empty": smt.EMPTY.hex(), "steps": written}


def golden_merkle() -> dict[str, Any]:
    data = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"@ABC", b"PQRSTUVW", bytes(16)]
    leaves = [merkle.leaf_hash(leaf) for leaf in data]
    return {
        "leaves": [leaf.hex() for leaf in data],
        "roots": [merkle.root(leaves[:size]).hex() for size in range(9)],
    }


def files() -> dict[str, str]:
    """Return every golden file's name and text."""
    made = golden_receipt()
    return {
        "merkle.json": json.dumps(golden_merkle(), indent=1) + "\n",
        "smt.json": json.dumps(golden_state(), indent=1) + "\n",
        "policy.json": policy().to_text(),
        "checkpoint.txt": made.checkpoint.decode(),
        "receipt.tlog-proof": receipt.to_text(made).decode(),
        "receipt.json": receipt.to_json(made),
    }


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
