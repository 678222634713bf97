"""What travels over HTTP as JSON: one struct per request and answer.

Owns: names and types of every member; the OpenAPI document is made from these.  Byte strings
are lower-case hexadecimal, times integer milliseconds of Unix time, heights and indexes
integers.  Requests refuse unknown members.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from node.http.life_types import LifeStatus

Hex = Annotated[str, Meta(pattern=r"^(?:[0-9a-fA-F]{2})*$", description="bytes as hexadecimal")]
Hex16 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{32}$", description="16 bytes, hexadecimal")]
Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{64}$", description="32 bytes, hexadecimal")]
Hex64 = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{128}$", description="64 bytes, hexadecimal")]
U64 = Annotated[int, Meta(ge=0)]
Cursor = Annotated[str, Meta(description="height.index, or null where a list ends")]


class Request(Struct, forbid_unknown_fields=True):
    """Base of what clients send."""


# --- transactions -------------------------------------------------------------------------


class Operation(Request):
    """One operation; the members of ``body`` are those of its kind."""

    kind: Annotated[str, Meta(min_length=3, max_length=64)]
    body: dict[str, Any]


class Signature(Request):
    """One signer, author first."""

    key: Hex32
    signature: Hex64


Operations = Annotated[list[Operation], Meta(min_length=1, max_length=512)]


class StructuredTransaction(Request):
    """A signed transaction in members; the node assembles the exact bytes that were signed."""

    version: Literal[1]
    network: Hex32
    org: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    expires_height: U64
    nonce: Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{16}$", description="8 bytes")]
    ops: Operations
    signers: Annotated[list[Signature], Meta(min_length=1, max_length=8)]


class EncodedTransaction(Request):
    """A signed transaction as its bytes in base64."""

    transaction: Annotated[str, Meta(max_length=87_380, description="base64 of the bytes")]


class OperationsRequest(Request):
    """Operations that this node signs with its institution's identity key."""

    ops: Operations
    expires_in: Annotated[int, Meta(ge=1, le=100_000, description="blocks")] = 1000


class TransactionStatus(Struct):
    """Where a transaction stands.

    ``rejected`` with a height was ordered and refused by a rule; without one it was refused
    before ordering.  ``code`` is ``applied``, ``pending``, ``unknown`` or the reason.
    """

    tx_id: Hex32
    state: Literal["pending", "committed", "rejected", "expired", "unknown"]
    code: str
    detail: str
    height: int | None = None
    leaf_index: int | None = None
    submitted_height: int | None = None


class DecodedOperation(Struct):
    """An operation as it stands in a transaction.

    ``body`` is null when the fields are not those of the kind; ``raw`` has them in any case.
    """

    kind: str
    body: dict[str, Any] | None
    raw: Hex


class DecodedTransaction(Struct):
    """What a transaction says."""

    version: int
    network: Hex32
    org: str
    expires_height: int
    nonce: str
    ops: list[DecodedOperation]
    signers: list[Signature]


class TransactionContent(Struct):
    """A transaction with its place; ``height`` is null while it waits."""

    tx_id: Hex32
    state: str
    height: int | None
    transaction: DecodedTransaction


class LineResult(Struct, omit_defaults=True):
    """The answer to one line or frame of a bulk request, in order, counted from 1."""

    line: int
    status: Literal["accepted", "known", "committed", "refused"]
    tx_id: str | None = None
    code: str | None = None
    detail: str | None = None
    retryable: bool | None = None


# --- ledger -------------------------------------------------------------------------------


class BlockSummary(Struct):
    """An applied block without its transactions."""

    height: int
    digest: Hex32
    parent: Hex32
    time_ms: int
    proposer: str
    transactions: int
    first_index: int
    log_size: int
    log_root: Hex32
    state_height: int
    state_root: Hex32


class BlockPage(Struct):
    """Blocks in ascending order; ``next_cursor`` is the ``from`` of the next page."""

    blocks: list[BlockSummary]
    next_cursor: str | None
    as_of_height: int


class BlockTransaction(Struct):
    """A transaction of a block; ``code`` is null for one that an earlier block holds."""

    tx_id: Hex32
    code: str | None


class Block(BlockSummary):
    """An applied block; ``certificate_bytes`` is the size of the proof of its order."""

    certificate_bytes: int
    transaction_ids: list[BlockTransaction]


class Occurrence(Struct):
    """One place where a commitment stands on the ledger."""

    kind: str
    tx_id: Hex32
    leaf_index: int
    op_index: int
    item_index: int
    height: int
    time_ms: int
    org: str
    code: int


class Record(Struct):
    """What the ledger says of a commitment; it never says what the record holds."""

    commitment: Hex32
    status: Literal["live", "amended", "retracted", "erased"]
    version: int
    successor: str | None
    previous: str | None
    occurrences: list[Occurrence]


class TaggedRecords(Struct):
    """The commitments under one subject tag, oldest first."""

    tag: Hex16
    commitments: list[Hex32]


class TagsRequest(Request):
    tags: Annotated[list[Hex16], Meta(min_length=1, max_length=100)]


class TagsAnswer(Struct):
    records: list[TaggedRecords]


class Consistency(Struct):
    """RFC 6962 proof that the log of ``new`` leaves extends that of ``old``."""

    old: int
    new: int
    path: list[Hex32]


class StateAnswer(Struct):
    """A state key with its proof; ``value`` is null and proven absent when there is none."""

    key: Hex
    value: str | None
    height: int
    state_root: Hex32
    proof: Hex


class Member(Struct):
    """An institution and its public keys."""

    id: str
    name: str
    roles: list[str]
    validator: bool
    identity_key: Hex32
    consensus_key: Hex32
    cosigner_key: Hex32
    encryption_key: Hex32


class Members(Struct):
    network: str
    network_digest: Hex32
    engine: str
    quorum: int
    epoch: int
    from_height: int
    observers: list[str]
    institutions: list[Member]


class Evidence(Struct):
    """A recorded contradiction of ``member``; transaction ``tx_id`` holds the proof.

    ``height`` is the log size for ``checkpoint``, and 0 for kinds about a whole view.
    """

    member: str
    kind: str
    epoch: int
    round: int
    height: int
    reporter: str
    tx_id: Hex32
    recorded_height: int
    time_ms: int


class EvidencePage(Struct):
    """Contradictions, oldest first; ``next_cursor`` is the ``from`` of the next page."""

    evidence: list[Evidence]
    next_cursor: str | None
    as_of_height: int


class TransferRequest(Request):
    """Whom to hand leadership to; null: the connected member that has executed most."""

    to: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")] | None = None


class Leadership(Struct):
    """Who leads now."""

    leader: str
    round: int


class SnapshotEntry(Struct):
    height: int
    bytes: int


class SnapshotList(Struct):
    snapshots: list[SnapshotEntry]


class SnapshotMade(Struct):
    height: int


class EngineStatus(Struct):
    name: str
    role: str
    round: int
    leader: str | None
    committed: int
    delivered: int
    quorum: int
    members: int
    heard: list[str]
    low_watermark: int
    window: int
    in_flight: int


class MempoolStatus(Struct):
    transactions: int
    bytes: int


class NodeStatus(Struct):
    node: str
    org: str
    network: str
    network_digest: Hex32
    standing: Literal["voter", "observer", "removed", "stranger"]
    epoch: int
    era_from_height: int
    voters: list[str]
    observers: list[str]
    height: int
    lowest_height: int
    snapshot_height: int | None
    log_size: int
    log_root: Hex32
    state_root: Hex32
    time_ms: int
    engine: EngineStatus
    mempool: MempoolStatus
    contradictions: int
    peers: list[str]
    accelerator: Literal["native", "pure"]
    stopping: bool
    life: LifeStatus | None
    inspect: bool


class HealthCheck(Struct):
    name: str
    ok: bool
    say: str


class Health(Struct, omit_defaults=True):
    status: Literal["ok"]
    checks: list[HealthCheck] | None = None


class Problem(Struct, omit_defaults=True, kw_only=True):
    """RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool
    hint: str
    request_id: str
    node: str
    height: int
    instance: str | None = None
    retry_after: int | None = None
    tx_id: str | None = None
    tx_height: int | None = None
    checks: list[HealthCheck] | None = None


class ProblemEntry(Struct):
    """One row of the table of problems."""

    code: str
    title: str
    status: int
    retryable: bool
    hint: str


class ProblemTable(Struct):
    problems: list[ProblemEntry]


def encode(value: Any) -> bytes:
    """Return JSON bytes."""
    return msgspec.json.encode(value)
