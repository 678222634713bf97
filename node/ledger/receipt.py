"""Receipts: all that someone with no node and no network needs to believe an outcome.

A receipt shows, under one tree head that a quorum of members cosigned: the transaction is
leaf ``leaf_index`` of the log; the seal of its block is a later leaf of the same log; and the
outcome ``code`` stands at the transaction's place under the seal's results root.  For one
record of a batch it adds the path from the record's commitment to the batch root inside the
transaction.

Two encodings of the same fields: C2SP tlog-proof text, whose ``extra`` line carries what that
format has no place for, and JSON.  Tools that know only tlog-proof check the inclusion of the
transaction and the cosignatures and may ignore the rest.

Version 1 of either says nothing of who the cosigners are.  Version 2 adds the lineage that
leads to them, so that the founders' policy is enough; a receipt without one stays version 1,
byte for byte.

Owns: the encodings and the verification.  Refuses: trust; that is the policy the verifier
brings along.  A receipt is no evidence until ``verify_receipt`` returned.
Invariant: what ``VerifiedReceipt`` says is covered by the quorum's signatures, every field.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from consensus import codec, wire
from consensus.codec import Malformed
from node.ledger import checkpoint as heads
from node.ledger import merkle
from node.ledger.block import SEAL_BYTES_MAX, SEAL_TAG, result_leaf
from node.ledger.checkpoint import Checkpoint, CheckpointMalformed
from node.ledger.lineage import Link, Trusted
from node.ledger.sealed import (
    LINEAGE_BYTES_MAX,
    Reason,
    ReceiptInvalid,
    fits,
    verify_head,
    verify_seal,
    verify_state_at,
)
from node.ledger.transaction import TRANSACTION_BYTES_MAX, Transaction, TransactionMalformed
from node.ledger.transaction import parse as parse_transaction

__all__ = [
    "FORMAT",
    "FORMAT_WITH_LINEAGE",
    "JSON_BYTES_MAX",
    "TEXT_BYTES_MAX",
    "Item",
    "Reason",
    "Receipt",
    "ReceiptInvalid",
    "ReceiptMalformed",
    "VerifiedReceipt",
    "from_json",
    "from_text",
    "to_json",
    "to_text",
    "verify_receipt",
    "verify_state_at",
]

TEXT_BYTES_MAX: Final = 512 * 1024
JSON_BYTES_MAX: Final = 2 << 20
PATH_HASHES_MAX: Final = 63
CODE_MAX: Final = 0xFFFF
FORMAT: Final = "chartseal/receipt/v1"
FORMAT_WITH_LINEAGE: Final = "chartseal/receipt/v2"

_TLOG_PROOF: Final = "c2sp.org/tlog-proof@v1"
_EXTRA_VERSION: Final = 1
_EXTRA_WITH_LINEAGE: Final = 2
_FORMAT_OF_ALL: Final = "chartseal/receipt/v"
_TOO_NEW: Final = "a receipt of a later version: verify it with newer software"
_BATCH_KIND: Final = "record.batch"  # body: [root, count, leaves]


class ReceiptMalformed(ValueError):
    """The bytes are not a receipt.  Never quotes the content."""


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

    ``seal`` is the leaf data, ``checkpoint`` the signed note, both as bytes.  ``lineage``: how
    the members who signed it came to be members; empty when that travels apart, or they are the
    founders.
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
    lineage: tuple[Link, ...] = ()

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
        if self.lineage and not fits(self.lineage):
            raise ReceiptMalformed(f"lineage beyond {LINEAGE_BYTES_MAX} bytes")


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
    epoch: int | None = None  # of the era that signed; None where a bare policy was trusted


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


@dataclass(frozen=True, slots=True)
class _ExtraWithLineage(_Extra):
    lineage: tuple[Link, ...]


def to_text(receipt: Receipt) -> bytes:
    """Return the receipt as C2SP tlog-proof text."""
    fields = (
        receipt.transaction,
        receipt.seal,
        receipt.seal_path,
        receipt.code,
        receipt.result_path,
        receipt.item,
    )
    extra = (
        _ExtraWithLineage(_EXTRA_WITH_LINEAGE, *fields, receipt.lineage)
        if receipt.lineage
        else _Extra(_EXTRA_VERSION, *fields)
    )
    line = heads.encode_base64(wire.encode(extra))
    lines = [_TLOG_PROOF, f"extra {line}", f"index {receipt.leaf_index}"]
    lines += [heads.encode_base64(node) for node in receipt.inclusion_path]
    return "\n".join(lines).encode() + b"\n\n" + receipt.checkpoint


def _decode_extra(raw: bytes) -> tuple[_Extra, tuple[Link, ...]]:
    """Return the extra of either version and its lineage."""
    value = codec.decode(raw, size_max=TEXT_BYTES_MAX)
    version = value[0] if type(value) is list and value else None
    if version == _EXTRA_WITH_LINEAGE:
        known = wire.from_value(_ExtraWithLineage, value)
        if not known.lineage:
            raise ReceiptMalformed("version 2 without a lineage")
        return known, known.lineage
    if type(version) is int and version > _EXTRA_WITH_LINEAGE:
        raise ReceiptMalformed(_TOO_NEW)
    extra = wire.from_value(_Extra, value)
    if extra.version != _EXTRA_VERSION:
        raise ReceiptMalformed("extra of an unknown version")
    return extra, ()


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
        extra, links = _decode_extra(heads.decode_base64(extra_line[6:]))
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
            lineage=links,
        )
    except (Malformed, CheckpointMalformed) as error:
        raise ReceiptMalformed(f"receipt: {error}") from error
    except ReceiptMalformed:
        raise
    except ValueError as error:  # not ASCII, or fewer than three lines
        raise ReceiptMalformed("not a tlog-proof") from error


def to_json(receipt: Receipt) -> str:
    """Return the receipt as JSON text: field names, byte strings in lower-case hex."""
    form = FORMAT_WITH_LINEAGE if receipt.lineage else FORMAT
    return json.dumps({"format": form, **_plain(receipt)}, indent=1) + "\n"


def _plain(receipt: Receipt) -> dict[str, Any]:
    plain: dict[str, Any] = wire.to_plain(receipt)
    if not receipt.lineage:  # version 1 has no such name
        del plain["lineage"]
    return plain


def from_json(text: str) -> Receipt:
    """Return the receipt in JSON ``text``; raise ``ReceiptMalformed``."""
    try:
        plain = heads.load_json(text, size_max=JSON_BYTES_MAX)
        form = plain.pop("format", None) if type(plain) is dict else None
        if form not in (FORMAT, FORMAT_WITH_LINEAGE):
            newer = type(form) is str and form.startswith(_FORMAT_OF_ALL)
            raise ReceiptMalformed(_TOO_NEW if newer else f"not a {FORMAT}")
        receipt: Receipt = wire.from_plain(Receipt, plain)
    except (Malformed, CheckpointMalformed) as error:
        raise ReceiptMalformed(f"receipt: {error}") from error
    if bool(receipt.lineage) != (form == FORMAT_WITH_LINEAGE):
        raise ReceiptMalformed("version 2 has a lineage, version 1 none")
    if _plain(receipt) != plain:
        raise ReceiptMalformed("byte strings are lower-case hexadecimal")
    return receipt


# --- verification -------------------------------------------------------------------------


def verify_receipt(receipt: Receipt, trusted: Trusted) -> VerifiedReceipt:
    """Return what ``receipt`` proves to someone who trusts ``trusted``, a policy or, for
    receipts of any era, a ``Trust``.

    Raises ``ReceiptInvalid`` with the first step that fails.  The transaction's own
    signatures are not verified again: the quorum vouches for the outcome ``code``.
    """
    tree_head, signers, epoch = verify_head(receipt.checkpoint, trusted, receipt.lineage)
    transaction = _verify_transaction(receipt, tree_head, trusted.network)
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
        epoch=epoch,
    )


def _verify_transaction(receipt: Receipt, tree_head: Checkpoint, network: bytes) -> Transaction:
    try:
        transaction = parse_transaction(receipt.transaction)
    except TransactionMalformed as error:
        raise ReceiptInvalid(Reason.TRANSACTION_MALFORMED, str(error)) from error
    if transaction.payload.network != network:
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
