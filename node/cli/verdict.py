"""The answer about one copy of a record, from a receipt or from a node, as one object.

Owns: the members that `record verify` and `receipt verify` show and their words for people, and
the checks of a receipt told one by one.  Refuses: deciding; ``commitment.judge`` says what the
verdict is and ``receipt.verify_receipt`` whether a receipt proves anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node import records
from node.cli.remote import Remote, pick, rows_of, utc
from node.cli.trusting import MEMBERS_CHANGED
from node.errors import ChartsealError
from node.ledger import receipt as receipts
from node.ledger.answers import VerifiedAnswer
from node.ledger.checkpoint import Policy
from node.ledger.commitment import (
    STATUS_WORDS,
    VERDICT_WORDS,
    Anchored,
    Status,
    Verdict,
    judge,
)
from node.ledger.lineage import Link, Trust
from node.ledger.receipt import (
    Reason,
    Receipt,
    ReceiptInvalid,
    ReceiptMalformed,
    VerifiedReceipt,
)
from node.ledger.registry import result_of
from node.ledger.transaction import parse
from node.record_files import read_bytes
from node.records import Kept

GOOD: Final = (Verdict.EXACT, Verdict.SAME_MEANING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Where a commitment stands.  ``status`` None: a receipt cannot know what came later."""

    source: str  # receipt or node
    commitment: bytes
    status: Status | None
    superseded_by: bytes | None = None
    tx_id: bytes | None = None
    org: str | None = None
    height: int | None = None
    time_ms: int | None = None
    signers: tuple[str, ...] = ()


# --- receipts -----------------------------------------------------------------------------


def parse_receipt(raw: bytes, where: str) -> Receipt:
    """Return the receipt in tlog-proof text or JSON; raises ``ChartsealError``."""
    try:
        if raw.lstrip()[:1] == b"{":
            return receipts.from_json(raw.decode("utf-8"))
        return receipts.from_text(raw)
    except (ReceiptMalformed, UnicodeDecodeError) as error:
        detail = "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ChartsealError("receipt-invalid", f"{where}: {detail}") from error


def read_receipt(path: Path) -> Receipt:
    return parse_receipt(read_bytes(path, bytes_max=receipts.JSON_BYTES_MAX), str(path))


def prove(receipt: Receipt, trust: Trust) -> VerifiedReceipt:
    """Return what the receipt proves; raises ``ChartsealError`` with the stable reason."""
    try:
        return receipts.verify_receipt(receipt, trust)
    except ReceiptInvalid as error:
        unknown = error.reason is Reason.QUORUM_MISSING and not receipt.lineage
        raise ChartsealError(
            "verification-failed",
            str(error),
            hint=MEMBERS_CHANGED
            if unknown
            else "do not rely on this receipt; get another one, and the policy from a member "
            "that you trust",
        ) from error


def vouching(
    links: tuple[Link, ...], proven: VerifiedReceipt | VerifiedAnswer, trust: Trust
) -> Policy:
    """Return the policy of the era that signed what was proven."""
    return trust.extended(links).policy_at(proven.checkpoint_size)


def told_of(
    proven: VerifiedReceipt | VerifiedAnswer, policy: Policy, links: tuple[Link, ...]
) -> list[str]:
    """Return the plain lines on who signed a proof, and how they came to be members."""
    said = [
        f"signers: {len(proven.signers)} of {len(policy.members)} members cosigned the log, "
        f"{policy.quorum} are needed: {', '.join(proven.signers)}",
    ]
    if proven.epoch is not None and (links or proven.epoch):
        said.append(
            f"lineage: they are the members of epoch {proven.epoch}, proven link by link"
        )
    return [*said, f"log: {policy.origin} with {proven.checkpoint_size} entries"]


def explain(receipt: Receipt, proven: VerifiedReceipt, policy: Policy) -> list[str]:
    """Return one plain line for each check that ``verify_receipt`` made."""
    outcome = result_of(proven.code)
    said = [
        *told_of(proven, policy, receipt.lineage),
        f"inclusion: the transaction is entry {proven.leaf_index} of that log",
        f"height: {proven.height}, sealed in the same log",
        f"time: {utc(proven.time_ms)} (of the block, agreed by the members)",
        f"outcome: {outcome.code} ({proven.code}). {outcome.say}",
    ]
    if receipt.item is not None:
        place = f"{receipt.item.index + 1} of {receipt.item.count}"
        said.append(f"record: the commitment is number {place} in the transaction's batch")
    return said


def from_receipt(receipt: Receipt, proven: VerifiedReceipt, wanted: bytes) -> Found | None:
    """Return where ``wanted`` stands by a verified receipt; None when it proves no such thing.

    A transaction that was refused anchors nothing, whatever it contains.
    """
    transaction = parse(receipt.transaction)
    anchored = records.commitments_in(transaction)
    if proven.commitment is not None:
        anchored.add(proven.commitment)
    if proven.code != 0 or wanted not in anchored:
        return None
    return Found(
        source="receipt",
        commitment=wanted,
        status=None,
        tx_id=proven.txid,
        org=transaction.payload.org,
        height=proven.height,
        time_ms=proven.time_ms,
        signers=proven.signers,
    )


# --- nodes --------------------------------------------------------------------------------


def from_node(remote: Remote, wanted: bytes) -> Found | None:
    """Return what the node says of a commitment; None when it is not on the ledger."""
    try:
        answer = remote.get(f"/v1/records/{wanted.hex()}")
    except ChartsealError as error:
        if error.code in ("not-found", "record-unknown"):
            return None
        raise
    row = pick(answer, ("commitment", "status", "successor", "occurrences"))
    try:
        if bytes.fromhex(row["commitment"]) != wanted:
            raise ValueError("another commitment")
        first = first_occurrence(answer)
        status = Status(row["status"])
        newer = None if row["successor"] is None else bytes.fromhex(row["successor"])
        Anchored(wanted, status, newer)  # a successor belongs to an amended record only
        return Found(
            source="node",
            commitment=wanted,
            status=status,
            superseded_by=newer,
            tx_id=bytes.fromhex(first["tx_id"]),
            org=first["org"],
            height=first["height"],
            time_ms=first["time_ms"],
        )
    except (ValueError, TypeError) as error:
        raise ChartsealError(
            "answer-malformed", "not what a ledger says of a record"
        ) from error


def first_occurrence(answer: Any) -> dict[str, Any]:
    """Return where a record was anchored first."""
    occurrences = rows_of(answer, "occurrences")
    if not occurrences:
        raise ChartsealError("answer-malformed", "a record without a place")
    names = ("kind", "tx_id", "org", "height", "time_ms", "code")
    return pick(occurrences[0], names)


# --- verdicts -----------------------------------------------------------------------------


def best(raw: bytes, kept: list[Kept]) -> Kept:
    """Return the opening that fits the copy best: one file may keep those of many records."""
    score = {Verdict.EXACT: 0, Verdict.SAME_MEANING: 1}

    def rank(item: Kept) -> int:
        anchored = Anchored(item.commitment, Status.LIVE)
        return score.get(judge(raw, item.opening, anchored), 2)

    return min(kept, key=rank)


def verdict_of(raw: bytes, kept: Kept, found: Found | None) -> Verdict:
    """Return the verdict on ``raw`` by what a receipt or a node says."""
    if found is None:
        return Verdict.UNKNOWN
    status = found.status or Status.LIVE
    return judge(raw, kept.opening, Anchored(found.commitment, status, found.superseded_by))


def row_of(verdict: Verdict, kept: Kept, found: Found | None, lang: str) -> Mapping[str, Any]:
    """Return everything that is known about a copy; every member is always there."""
    status = None if found is None else found.status
    successor = None if found is None else found.superseded_by
    tx_id = None if found is None else found.tx_id
    time_ms = None if found is None else found.time_ms
    return {
        "verdict": verdict.value,
        "words": VERDICT_WORDS[lang][verdict],
        "status": None if status is None else status.value,
        "status_words": None if status is None else STATUS_WORDS[lang][status],
        "superseded_by": None if successor is None else successor.hex(),
        "commitment": kept.commitment.hex(),
        "org": None if found is None else found.org,
        "time": utc(time_ms),
        "time_ms": time_ms,
        "height": None if found is None else found.height,
        "tx_id": None if tx_id is None else tx_id.hex(),
        "signers": [] if found is None else list(found.signers),
        "source": None if found is None else found.source,
    }
