"""Receipts: what they prove, every way they may fail, and an independent tool's opinion."""

import base64
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales import signing, tlog

from node.ledger import checkpoint as heads
from node.ledger import receipt as receipts
from node.ledger import smt
from node.ledger.block import decode_seal
from node.ledger.receipt import Item, Reason, Receipt, ReceiptInvalid, ReceiptMalformed
from tests.vectors import make_ledger as maker

VECTORS = Path(__file__).parents[2] / "vectors"


POLICY = maker.policy()
GOOD: Receipt = maker.golden_receipt()
ITEM = GOOD.item
assert ITEM is not None


def reason_of(receipt: Receipt, policy: heads.Policy = POLICY) -> Reason:
    with pytest.raises(ReceiptInvalid) as caught:
        receipts.verify_receipt(receipt, policy)
    assert str(caught.value).startswith(caught.value.reason.value)
    return caught.value.reason


def test_a_receipt_proves_outcome_time_place_and_signers() -> None:
    proven = receipts.verify_receipt(GOOD, POLICY)
    assert proven == receipts.VerifiedReceipt(
        txid=sha256(b"\x00" + GOOD.transaction).digest(),
        height=2,
        time_ms=1_767_225_600_003,
        code=7,
        leaf_index=5,
        checkpoint_size=9,
        signers=maker.MEMBERS,
        commitment=ITEM.commitment,
    )


def test_a_receipt_without_an_item_speaks_of_the_whole_transaction() -> None:
    assert receipts.verify_receipt(replace(GOOD, item=None), POLICY).commitment is None


def test_the_golden_files_verify() -> None:
    policy = heads.Policy.from_text((VECTORS / "policy.json").read_text())
    text = receipts.from_text((VECTORS / "receipt.tlog-proof").read_bytes())
    plain = receipts.from_json((VECTORS / "receipt.json").read_text())
    assert text == plain == GOOD
    assert receipts.verify_receipt(text, policy).code == 7


def test_a_quorum_of_distinct_members_is_needed() -> None:
    head, lines = heads.parse_note(GOOD.checkpoint)
    text = [line.line() for line in lines]

    def note(*chosen: str) -> bytes:
        return head.text() + b"\n" + "".join(chosen).encode()

    assert receipts.verify_receipt(
        replace(GOOD, checkpoint=note(*text[1:])), POLICY
    ).signers == (
        "birch",
        "cedar",
        "dogwood",
    )
    for few in (note(*text[:2]), note(text[0], text[0], text[1], text[1])):
        assert reason_of(replace(GOOD, checkpoint=few)) is Reason.QUORUM_MISSING
    stricter = replace(POLICY, quorum=4)
    assert (
        reason_of(replace(GOOD, checkpoint=note(*text[1:])), stricter) is Reason.QUORUM_MISSING
    )


def test_another_network_is_another_log() -> None:
    other = sha256(b"another network").digest()
    origin = heads.origin_of("golden", other)
    members = tuple(
        (name, heads.VerifierKey(heads.cosigner_name(origin, name), vkey.key))
        for name, vkey in POLICY.members
    )
    assert reason_of(GOOD, heads.Policy(origin, other, members, 3)) is Reason.WRONG_LOG
    foreign = maker.golden_receipt(network=other)
    assert reason_of(foreign) is Reason.WRONG_NETWORK


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"checkpoint": GOOD.checkpoint[:-1]}, Reason.CHECKPOINT_MALFORMED),
        ({"checkpoint": GOOD.checkpoint.replace(b"\n9\n", b"\n8\n")}, Reason.QUORUM_MISSING),
        ({"transaction": GOOD.transaction[:-1]}, Reason.TRANSACTION_MALFORMED),
        ({"transaction": b""}, Reason.TRANSACTION_MALFORMED),
        (
            {"transaction": GOOD.transaction[:-1] + bytes([GOOD.transaction[-1] ^ 1])},
            Reason.INCLUSION_MISMATCH,
        ),
        ({"leaf_index": 4}, Reason.INCLUSION_MISMATCH),
        ({"leaf_index": 9}, Reason.INCLUSION_MISMATCH),
        ({"inclusion_path": GOOD.inclusion_path[:-1]}, Reason.INCLUSION_MISMATCH),
        ({"seal": GOOD.seal[:-1]}, Reason.SEAL_MALFORMED),
        ({"seal": GOOD.seal[1:]}, Reason.SEAL_MALFORMED),
        (
            {"seal": replace(decode_seal(GOOD.seal), time_ms=1).encode()},
            Reason.SEAL_MISMATCH,
        ),
        (
            {"seal": replace(decode_seal(GOOD.seal), first_index=6).encode()},
            Reason.SEAL_RANGE,
        ),
        ({"seal": replace(decode_seal(GOOD.seal), count=1).encode()}, Reason.SEAL_RANGE),
        ({"seal_path": GOOD.inclusion_path}, Reason.SEAL_MISMATCH),
        ({"code": 0}, Reason.RESULT_MISMATCH),
        ({"result_path": GOOD.result_path[1:]}, Reason.RESULT_MISMATCH),
        ({"item": replace(ITEM, index=3)}, Reason.ITEM_MISMATCH),
        ({"item": replace(ITEM, count=6)}, Reason.ITEM_MISMATCH),
        ({"item": replace(ITEM, commitment=bytes(32))}, Reason.ITEM_MISMATCH),
        ({"item": Item(ITEM.commitment, 0, 1, ())}, Reason.ITEM_MISMATCH),
    ],
)
def test_a_receipt_with_anything_changed_fails_at_that_step(
    fields: dict[str, object], reason: Reason
) -> None:
    assert reason_of(replace(GOOD, **fields)) is reason


def test_the_seal_of_another_block_does_not_serve() -> None:
    """Both seals are in the log; the first one's block does not hold leaf 5."""
    seal = replace(decode_seal(GOOD.seal), height=1, first_index=0, count=3).encode()
    assert reason_of(replace(GOOD, seal=seal)) is Reason.SEAL_RANGE


@pytest.mark.parametrize("item", [True, False], ids=["item", "whole"])
def test_both_encodings_give_the_receipt_back(item: bool) -> None:
    receipt = maker.golden_receipt(item=item)
    assert receipts.from_text(receipts.to_text(receipt)) == receipt
    assert receipts.from_json(receipts.to_json(receipt)) == receipt


def test_the_text_is_a_tlog_proof() -> None:
    lines = receipts.to_text(GOOD).decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == "index 5"
    hashes = tuple(base64.b64decode(line) for line in lines[3 : 3 + len(GOOD.inclusion_path)])
    assert hashes == GOOD.inclusion_path
    assert "\n".join(lines).partition("\n\n")[2].encode() == GOOD.checkpoint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"tlog-proof@v1", b"tlog-proof@v2"),
        (b"extra ", b"extra  "),
        (b"index 5", b"index 05"),
        (b"index 5", b"index -5"),
        (b"index 5\n", b""),
        (b"index 5\n", b"index 5\nAAAA\n"),
        (b"index 5\n", b"index 5\r\n"),
        (b"\n\n", b"\n"),
        (b"index", "\u0456ndex".encode()),
    ],
)
def test_text_in_any_other_form_is_refused(old: bytes, new: bytes) -> None:
    text = receipts.to_text(GOOD)
    assert old in text
    with pytest.raises(ReceiptMalformed):
        receipts.from_text(text.replace(old, new, 1))


def test_sizes_are_bounded() -> None:
    for fields in (
        {"transaction": bytes(65_536)},
        {"seal": bytes(2_000)},
        {"checkpoint": bytes(20_000)},
        {"leaf_index": -1},
        {"leaf_index": 1 << 63},
        {"code": 65_536},
        {"inclusion_path": (bytes(32),) * 64},
        {"seal_path": (bytes(31),)},
        {"result_path": (bytes(33),)},
    ):
        with pytest.raises(ReceiptMalformed):
            replace(GOOD, **fields)
    with pytest.raises(ReceiptMalformed):
        replace(ITEM, index=5)
    with pytest.raises(ReceiptMalformed):
        receipts.from_text(receipts.to_text(GOOD) + b" " * receipts.TEXT_BYTES_MAX)
    largest = replace(
        GOOD,
        transaction=bytes(65_535),
        inclusion_path=(bytes(32),) * 63,
        seal_path=(bytes(32),) * 63,
        result_path=(bytes(32),) * 63,
        checkpoint=b"x" * heads.NOTE_BYTES_MAX,
    )
    assert receipts.from_text(receipts.to_text(largest)) == largest
    assert receipts.from_json(receipts.to_json(largest)) == largest


@pytest.mark.parametrize(
    "change",
    [
        {"format": "chartseal/receipt/v2"},
        {"surplus": 1},
        {"code": "7"},
        {"code": -1},
        {"transaction": GOOD.transaction.hex().upper()},
        {"transaction": "0"},
        {"item": {}},
        {"inclusion_path": None},
    ],
)
def test_json_in_any_other_form_is_refused(change: dict[str, object]) -> None:
    plain = {**json.loads(receipts.to_json(GOOD)), **change}
    with pytest.raises(ReceiptMalformed):
        receipts.from_json(json.dumps(plain))
    for text in ("", "[]", "{", "null", '{"format": 1, "format": 2}'):
        with pytest.raises(ReceiptMalformed):
            receipts.from_json(text)


@settings(max_examples=200)
@given(st.data())
def test_no_single_changed_byte_of_the_text_is_both_read_and_believed(
    data: st.DataObject,
) -> None:
    """Except where it silences one cosigner and a quorum is left."""
    text = bytearray(receipts.to_text(GOOD))
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    try:
        read = receipts.from_text(bytes(text))
        proven = receipts.verify_receipt(read, POLICY)
    except (ReceiptMalformed, ReceiptInvalid):
        return
    assert receipts.to_text(read) == bytes(text)
    assert replace(proven, signers=maker.MEMBERS) == receipts.verify_receipt(GOOD, POLICY)
    assert len(proven.signers) == 3


@given(st.binary(max_size=120))
def test_no_bytes_make_the_parsers_raise_anything_else(raw: bytes) -> None:
    for text in (raw, b"c2sp.org/tlog-proof@v1\n" + raw):
        with pytest.raises(ReceiptMalformed):
            receipts.from_text(text)
    with pytest.raises(ReceiptMalformed):
        receipts.from_json(raw.decode("latin-1"))


def test_state_is_proven_against_a_seal() -> None:
    pages: dict[bytes, bytes | None] = {}
    tree = smt.StateTree(pages.get)
    root, writes = tree.update({b"a": b"1", b"b": b"2", b"c": b"3"})
    pages.update(writes)
    seal = replace(decode_seal(GOOD.seal), state_root=root)
    assert receipts.verify_state_at(seal, b"a", b"1", tree.prove(b"a"))
    assert receipts.verify_state_at(seal, b"d", None, tree.prove(b"d"))
    assert not receipts.verify_state_at(seal, b"a", b"2", tree.prove(b"a"))
    assert not receipts.verify_state_at(seal, b"a", None, tree.prove(b"a"))


def test_an_independent_tool_accepts_our_receipts_and_refuses_changed_ones() -> None:
    head, _, note = receipts.to_text(GOOD).decode().partition("\n\n")
    path = [base64.b64decode(line) for line in head.split("\n")[3:]]
    theirs = tlog.Checkpoint.from_text(note)
    keys = signing.VkeySet(
        *[signing.Vkey.from_string(vkey.text()) for _, vkey in POLICY.members]
    )
    assert len(keys.verify(theirs.signatures, theirs)) == 4
    leaf = sha256(b"\x00" + GOOD.transaction).digest()
    tlog.InclusionProof(5, theirs.size, path).check(leaf, theirs.root_hash)
    seal = sha256(b"\x00" + GOOD.seal).digest()
    tlog.InclusionProof(8, theirs.size, list(GOOD.seal_path)).check(seal, theirs.root_hash)
    for index, nodes, claimed in (
        (4, path, leaf),
        (5, path[:-1], leaf),
        (5, path, sha256(leaf).digest()),
    ):
        with pytest.raises(tlog.InclusionProofInvalid):
            tlog.InclusionProof(index, theirs.size, nodes).check(claimed, theirs.root_hash)
