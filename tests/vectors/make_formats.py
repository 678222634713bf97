"""Write the golden formats: ``python tests/vectors/make_formats.py``.

Transaction, block and genesis, byte for byte.

A changed golden file is a changed format, and a changed format is a new version.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from node.ledger import block as blocks
from node.ledger import smt, transaction
from node.ledger.block import Header, Seal
from node.ledger.crypto import Signer
from node.ledger.genesis import Genesis, Institution, Parameters, members_digest
from node.ledger.state import genesis_state
from node.ledger.transaction import Op, Payload

HERE = Path(__file__).parent


def signer(name: str) -> Signer:
    return Signer(hashlib.sha256(b"golden format " + name.encode()).digest())


def golden_genesis() -> Genesis:
    def member(name: str, *, validator: bool) -> Institution:
        identity, votes, cosign = (
            signer(f"{name} {use}").public_key for use in ("identity", "votes", "cosign")
        )
        return Institution(
            name,
            name.title(),
            ("author",),
            identity,
            votes,
            cosign,
            bytes(range(32)),
            validator,
        )

    members = (member("alder", validator=True), member("birch", validator=False))
    return Genesis(1, "golden", 1_767_225_600_000, "pbft", Parameters(), members)


def golden_transaction(signers: int) -> bytes:
    payload = Payload(
        golden_genesis().network,
        "alder",
        1000,
        bytes(range(8)),
        (Op("record.anchor", [bytes(32), bytes(16), 2, None, None, 7]),),
    )
    names = ("alder identity", "second", "third")[:signers]
    return transaction.sign(payload, *(signer(name) for name in names))


def golden_header() -> Header:
    network = golden_genesis().network
    ids = [transaction.txid_of(golden_transaction(count)) for count in (1, 3)]
    root = blocks.txids_root(ids)
    return Header(1, network, 0, 1, network, 1_767_225_601_000, "alder", root)


def golden_seal() -> Seal:
    network = golden_genesis().network
    return Seal(
        height=1,
        parent_seal=network,
        body_digest=blocks.body_digest(golden_header().encode()),
        time_ms=1_767_225_601_000,
        first_index=0,
        count=2,
        results_root=blocks.results_root([0, 100]),
        state_height=1,
        state_root=hashlib.sha256(b"state").digest(),
        members_digest=members_digest(0, golden_genesis().validators),
    )


def transactions() -> dict[str, Any]:
    written = {}
    for count in (1, 3):
        raw = golden_transaction(count)
        frame = transaction.slice_frame(raw)
        written[f"signers_{count}"] = {
            "raw": raw.hex(),
            "payload": frame.payload.hex(),
            "message": frame.message.hex(),
            "txid": transaction.txid_of(raw).hex(),
        }
    return written


def block() -> dict[str, Any]:
    header, seal = golden_header(), golden_seal()
    raws = [golden_transaction(count) for count in (1, 3)]
    return {
        "header": header.encode().hex(),
        "body_digest": blocks.body_digest(header.encode()).hex(),
        "body": blocks.encode_body(header, raws).hex(),
        "results_root": blocks.results_root([0, 100]).hex(),
        "results_root_empty": blocks.results_root([]).hex(),
        "seal": seal.encode().hex(),
        "seal_digest": blocks.seal_digest(seal.encode()).hex(),
    }


def genesis() -> dict[str, Any]:
    founded = golden_genesis()
    state = genesis_state(founded)
    root, _ = smt.StateTree(lambda _: None).update(dict(state))
    return {
        "genesis": founded.encode().hex(),
        "network": founded.network.hex(),
        "origin": founded.origin,
        "members_digest": members_digest(0, founded.validators).hex(),
        "state": {key.hex(): value.hex() for key, value in sorted(state.items())},
        "state_root": root.hex(),
    }


def files() -> dict[str, str]:
    """Return every golden file's name and text."""
    made = {
        "transaction.json": transactions(),
        "block.json": block(),
        "genesis.json": genesis(),
    }
    return {name: json.dumps(value, indent=1) + "\n" for name, value in made.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text)
