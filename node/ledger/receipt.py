"""Receipts: all that someone with no node and no network needs to believe an outcome.

A receipt shows, under one tree head that a quorum of members cosigned: the transaction is
leaf ``leaf_index`` of the log; the seal of its block is a later leaf of the same log; and the
outcome ``code`` stands at the transaction's place under the seal's results root.  For one
record of a batch it adds the path from the record's commitment to the batch root inside the
transaction.

Two encodings of the same fields: C2SP tlog-proof text, whose ``extra`` line carries what that
format has no place for, and JSON.  Tools that know only tlog-proof check the inclusion of the
transaction and the cosignatures and may ignore the rest.

Owns: the encodings and the verification.  Refuses: trust; that is the policy the verifier
brings along.  A receipt is no evidence until ``verify_receipt`` returned.
Invariant: what ``VerifiedReceipt`` says is covered by the quorum's signatures, every field.
"""

import enum
import json
from dataclasses import dataclass
from typing import Final

from consensus import wire
from consensus.codec import Malformed
from node.ledger import checkpoint as heads
from node.ledger import merkle, smt
from node.ledger.block import (
    SEAL_BYTES_MAX,
    SEAL_TAG,
    BlockMalformed,
    Seal,
    decode_seal,
    result_leaf,
)
from node.ledger.checkpoint import Checkpoint, CheckpointMalformed, Policy
from node.ledger.transaction import TRANSACTION_BYTES_MAX, Transaction, TransactionMalformed
from node.ledger.transaction import parse as parse_transaction

TEXT_BYTES_MAX: Final = 160 * 1024
JSON_BYTES_MAX: Final = 256 * 1024
PATH_HASHES_MAX: Final = 63
CODE_MAX: Final = 0xFFFF
FORMAT: Final = "chartseal/receipt/v1"

_TLOG_PROOF: Final = "c2sp.org/tlog-proof@v1"
_EXTRA_VERSION: Final = 1
_BATCH_KIND: Final = "record.batch"  # body: [root, count, leaves]


class ReceiptMalformed(ValueError):
    """The bytes are not a receipt.  Never quotes the content."""


class Reason(enum.StrEnum):
    """Why a well-formed receipt proves nothing.  Stable: clients and documents use them."""

    CHECKPOINT_MALFORMED = "checkpoint-malformed"
    WRONG_LOG = "wrong-log"
    QUORUM_MISSING = "quorum-missing"
    TRANSACTION_MALFORMED = "transaction-malformed"
    WRONG_NETWORK = "wrong-network"
    INCLUSION_MISMATCH = "inclusion-mismatch"
    SEAL_MALFORMED = "seal-malformed"
    SEAL_RANGE = "seal-range"
    SEAL_MISMATCH = "seal-mismatch"
    RESULT_MISMATCH = "result-mismatch"
    ITEM_MISMATCH = "item-mismatch"


class ReceiptInvalid(Exception):
    """A receipt that does not prove what it claims; ``reason`` says at which step."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


def _check_path(path: tuple[bytes, ...]) -> None:
    if len(path) > PATH_HASHES_MAX or any(len(node) != 32 for node in path):
        raise ReceiptMalformed(f"a path is up to {PATH_HASHES_MAX} hashes of 32 bytes")


@dataclass(frozen=True, slots=True)
class Item:
    """One record of a batch: its commitment is leaf ``index`` of ``count`` under the root."""

    commitment: bytes
    index: int
    count: int
    path: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if len(self.commitment) != 32 or not 0 <= self.index < self.count:
            raise ReceiptMalformed("an item is a commitment of 32 bytes at index < count")
        _check_path(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The fields of a receipt; raises ``ReceiptMalformed`` beyond their limits.

    ``seal`` is the leaf data, ``checkpoint`` the signed note, both as bytes.
    """

    transaction: bytes
    leaf_index: int
    inclusion_path: tuple[bytes, ...]
    seal: bytes
    seal_path: tuple[bytes, ...]
    code: int
    result_path: tuple[bytes, ...]
    checkpoint: bytes
    item: Item | None

    def __post_init__(self) -> None:
        if len(self.transaction) > TRANSACTION_BYTES_MAX:
            raise ReceiptMalformed(f"transaction beyond {TRANSACTION_BYTES_MAX} bytes")
        if len(self.seal) > SEAL_BYTES_MAX + len(SEAL_TAG):
            raise ReceiptMalformed("seal too long")
        if len(self.checkpoint) > heads.NOTE_BYTES_MAX:
            raise ReceiptMalformed(f"checkpoint beyond {heads.NOTE_BYTES_MAX} bytes")
        if not 0 <= self.leaf_index <= heads.TREE_SIZE_MAX or not 0 <= self.code <= CODE_MAX:
            raise ReceiptMalformed("index or code out of range")
        for path in (self.inclusion_path, self.seal_path, self.result_path):
            _check_path(path)


@dataclass(frozen=True, slots=True)
class VerifiedReceipt:
    """What a verified receipt proves.  ``code`` 0 means applied, anything else refused.

    ``time_ms`` is the block's time; ``signers`` are member ids in order.
    """

    txid: bytes
    height: int
    time_ms: int
    code: int
    leaf_index: int
    checkpoint_size: int
    signers: tuple[str, ...]
    commitment: bytes | None  # the batch item, if the receipt is about one


# --- encodings ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Extra:
    """What the tlog-proof's extra line carries, canonical MessagePack."""

    version: int
    transaction: bytes
    seal: bytes
    seal_path: tuple[bytes, ...]
    code: int
    result_path: tuple[bytes, ...]
    item: Item | None


def to_text(receipt: Receipt) -> bytes:
    """Return the receipt as C2SP tlog-proof text."""
    extra = wire.encode(
        _Extra(
            _EXTRA_VERSION,
            receipt.transaction,
            receipt.seal,
            receipt.seal_path,
            receipt.code,
            receipt.result_path,
            receipt.item,
        )
    )
    lines = [_TLOG_PROOF, f"extra {heads.encode_base64(extra)}", f"index {receipt.leaf_index}"]
    lines += [heads.encode_base64(node) for node in receipt.inclusion_path]
    return "\n".join(lines).encode() + b"\n\n" + receipt.checkpoint


def from_text(raw: bytes) -> Receipt:
    """Return the receipt in tlog-proof text; raise ``ReceiptMalformed``.

    One receipt has one text: whatever parses gives the same bytes back from ``to_text``.
    """
    if len(raw) > TEXT_BYTES_MAX:
        raise ReceiptMalformed(f"{len(raw)} bytes, at most {TEXT_BYTES_MAX} allowed")
    head, blank, note = raw.partition(b"\n\n")
    try:
        first, extra_line, index_line, *path = head.decode("ascii").split("\n")
        if not blank or first != _TLOG_PROOF:
            raise ReceiptMalformed("not a tlog-proof of version 1")
        if not extra_line.startswith("extra ") or not index_line.startswith("index "):
            raise ReceiptMalformed("extra and index expected")
        extra = wire.decode(
            _Extra, heads.decode_base64(extra_line[6:]), size_max=TEXT_BYTES_MAX
        )
        if extra.version != _EXTRA_VERSION:
            raise ReceiptMalformed("extra of an unknown version")
        return Receipt(
            transaction=extra.transaction,
            leaf_index=heads.decode_decimal(index_line[6:]),
            inclusion_path=tuple([heads.decode_base64(line) for line in path]),
            seal=extra.seal,
            seal_path=extra.seal_path,
            code=extra.code,
            result_path=extra.result_path,
            checkpoint=note,
            item=extra.item,
        )
    except (Malformed, CheckpointMalformed) as error:
        raise ReceiptMalformed(f"receipt: {error}") from error
    except ReceiptMalformed:
        raise
    except ValueError as error:  # not ASCII, or fewer than three lines
        raise ReceiptMalformed("not a tlog-proof") from error


def to_json(receipt: Receipt) -> str:
    """Return the receipt as JSON text: field names, byte strings in lower-case hex."""
    return json.dumps({"format": FORMAT, **wire.to_plain(receipt)}, indent=1) + "\n"


def from_json(text: str) -> Receipt:
    """Return the receipt in JSON ``text``; raise ``ReceiptMalformed``."""
    try:
        plain = heads.load_json(text, size_max=JSON_BYTES_MAX)
        if type(plain) is not dict or plain.pop("format", None) != FORMAT:
            raise ReceiptMalformed(f"not a {FORMAT}")
        receipt: Receipt = wire.from_plain(Receipt, plain)
    except (Malformed, CheckpointMalformed) as error:
        raise ReceiptMalformed(f"receipt: {error}") from error
    if wire.to_plain(receipt) != plain:
        raise ReceiptMalformed("byte strings are lower-case hexadecimal")
    return receipt


# --- verification -------------------------------------------------------------------------


def verify_receipt(receipt: Receipt, policy: Policy) -> VerifiedReceipt:
    """Return what ``receipt`` proves to someone who trusts ``policy``.

    Raises ``ReceiptInvalid`` with the first step that fails.  The transaction's own
    signatures are not verified again: the quorum vouches for the outcome ``code``.
    """
    tree_head, signers = verify_head(receipt.checkpoint, policy)
    transaction = _verify_transaction(receipt, tree_head, policy)
    seal = verify_seal(
        receipt.seal, receipt.seal_path, tree_head, leaf_index=receipt.leaf_index
    )
    if not merkle.verify_inclusion(
        merkle.leaf_hash(result_leaf(receipt.code)),
        index=receipt.leaf_index - seal.first_index,
        size=seal.count,
        path=receipt.result_path,
        root=seal.results_root,
    ):
        raise ReceiptInvalid(Reason.RESULT_MISMATCH, f"code {receipt.code} is not the outcome")
    if receipt.item is not None:
        _verify_item(receipt.item, transaction)
    return VerifiedReceipt(
        txid=transaction.txid,
        height=seal.height,
        time_ms=seal.time_ms,
        code=receipt.code,
        leaf_index=receipt.leaf_index,
        checkpoint_size=tree_head.size,
        signers=signers,
        commitment=None if receipt.item is None else receipt.item.commitment,
    )


def verify_head(note: bytes, policy: Policy) -> tuple[Checkpoint, tuple[str, ...]]:
    """Return the tree head in ``note`` and the members of ``policy`` who cosigned it, at least
    its quorum; raises ``ReceiptInvalid``."""
    try:
        tree_head, _ = heads.parse_note(note)
        signers = heads.count_valid(note, policy)
    except CheckpointMalformed as error:
        raise ReceiptInvalid(Reason.CHECKPOINT_MALFORMED, str(error)) from error
    if tree_head.origin != policy.origin:
        raise ReceiptInvalid(Reason.WRONG_LOG, "checkpoint of another log")
    if len(signers) < policy.quorum:
        raise ReceiptInvalid(
            Reason.QUORUM_MISSING, f"{len(signers)} valid cosigners, {policy.quorum} needed"
        )
    return tree_head, tuple(sorted(signers))


def _verify_transaction(receipt: Receipt, tree_head: Checkpoint, policy: Policy) -> Transaction:
    try:
        transaction = parse_transaction(receipt.transaction)
    except TransactionMalformed as error:
        raise ReceiptInvalid(Reason.TRANSACTION_MALFORMED, str(error)) from error
    if transaction.payload.network != policy.network:
        raise ReceiptInvalid(Reason.WRONG_NETWORK, "transaction of another network")
    if not merkle.verify_inclusion(
        transaction.txid,
        index=receipt.leaf_index,
        size=tree_head.size,
        path=receipt.inclusion_path,
        root=tree_head.root,
    ):
        raise ReceiptInvalid(Reason.INCLUSION_MISMATCH, f"not leaf {receipt.leaf_index}")
    return transaction


def verify_seal(
    data: bytes, path: tuple[bytes, ...], tree_head: Checkpoint, *, leaf_index: int | None
) -> Seal:
    """Return the seal in leaf data ``data`` that lies under a verified tree head.

    With ``leaf_index`` it must close the block of that transaction leaf.  Raises
    ``ReceiptInvalid``.
    """
    try:
        seal = decode_seal(data)
    except BlockMalformed as error:
        raise ReceiptInvalid(Reason.SEAL_MALFORMED, str(error)) from error
    seal_index = seal.first_index + seal.count
    if leaf_index is not None and not seal.first_index <= leaf_index < seal_index:
        raise ReceiptInvalid(
            Reason.SEAL_RANGE,
            f"leaf {leaf_index}, block of {seal.first_index} to {seal_index}",
        )
    if not merkle.verify_inclusion(
        merkle.leaf_hash(data),
        index=seal_index,
        size=tree_head.size,
        path=path,
        root=tree_head.root,
    ):
        raise ReceiptInvalid(Reason.SEAL_MISMATCH, f"not leaf {seal_index}")
    return seal


def _verify_item(item: Item, transaction: Transaction) -> None:
    """The batch is one of the transaction's own; its root and count are signed with it."""
    leaf = merkle.leaf_hash(item.commitment)
    for op in transaction.payload.ops:
        if op.kind != _BATCH_KIND or len(op.body) < 2:
            continue
        batch_root, count = op.body[:2]
        if (
            type(batch_root) is bytes
            and count == item.count
            and merkle.verify_inclusion(
                leaf, index=item.index, size=item.count, path=item.path, root=batch_root
            )
        ):
            return
    raise ReceiptInvalid(Reason.ITEM_MISMATCH, "the transaction holds no such batch")


def verify_state_at(seal: Seal, key: bytes, value: bytes | None, proof: smt.StateProof) -> bool:
    """Return whether, at ``seal.state_height``, the state held ``value`` (None: nothing).

    The seal must come from a verified receipt or log; here it is taken as true.
    """
    return smt.verify_state(seal.state_root, key, value, proof)
