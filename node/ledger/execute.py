"""Apply a block: the same bytes give the same outcomes, state and index on every node.

State-dependent failure is a recorded result, never an invalid block: ordering does not depend
on execution.  A transaction id that the chain already holds is skipped without a leaf, so a
replay costs its sender and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from consensus import wire
from consensus.codec import Malformed
from node.ledger import registry, rules
from node.ledger.block import Header
from node.ledger.rules import Context, Refused, Result
from node.ledger.state import Overlay, Read, SignerRow, institution, parameters, signer_key
from node.ledger.transaction import Op, Transaction


@dataclass(slots=True)
class Outcome:
    """What a block did.  ``codes`` has one result number per transaction, in order."""

    codes: list[int] = field(default_factory=list)
    writes: dict[bytes, bytes | None] = field(default_factory=dict)
    index: list[tuple[bytes, bytes]] = field(default_factory=list)
    anchored: int = 0  # record commitments, for metrics


def execute(
    header: Header, transactions: Sequence[Transaction], read: Read, *, first_index: int
) -> Outcome:
    """Apply ``transactions`` (new ones only) on the state behind ``read``.

    ``first_index`` is the log index of the first transaction's leaf.
    """
    view = Overlay(read)
    outcome = Outcome()
    for offset, transaction in enumerate(transactions):
        child = view.child()
        context_index: list[tuple[bytes, bytes]] = []
        try:
            anchored = _apply(header, transaction, child, context_index, first_index + offset)
        except Refused as refusal:
            outcome.codes.append(refusal.result.number)
            continue
        view.merge(child)
        outcome.index += context_index
        outcome.anchored += anchored
        outcome.codes.append(rules.APPLIED.number)
    outcome.writes = view.writes
    return outcome


def admissible(
    transaction: Transaction, view: Overlay, *, network: bytes, height: int
) -> Result | None:
    """Return why ``transaction`` could not be applied at ``height``, as far as its envelope
    tells; None when nothing speaks against ordering it.

    One ``view`` serves for many, as long as no block is applied between them.
    """
    try:
        _check_envelope(transaction, view, network, height)
    except Refused as refusal:
        return refusal.result
    return None


def _check_envelope(
    transaction: Transaction, view: Overlay, network: bytes, height: int
) -> None:
    payload = transaction.payload
    if payload.network != network:
        raise Refused(rules.WRONG_NETWORK)
    if payload.expires_height < height:
        raise Refused(rules.EXPIRED)
    if payload.expires_height > height + parameters(view).expires_heights_max:
        raise Refused(rules.EXPIRY_TOO_FAR)
    signer = view.load_shared(SignerRow, signer_key(transaction.keys[0]))
    if signer is None or signer.org != payload.org:
        raise Refused(rules.UNKNOWN_SIGNER)
    for op in payload.ops:
        if op.kind not in registry.OPERATIONS:
            raise Refused(rules.OP_UNKNOWN)


def _apply(
    header: Header,
    transaction: Transaction,
    view: Overlay,
    index: list[tuple[bytes, bytes]],
    leaf_index: int,
) -> int:
    """Apply every operation; return how many commitments they anchored."""
    _check_envelope(transaction, view, header.network, header.height)
    org = institution(view, transaction.payload.org)
    if org is None:
        raise Refused(rules.UNKNOWN_SIGNER)
    context = Context(
        view=view,
        network=header.network,
        height=header.height,
        time_ms=header.time_ms,
        org=org,
        keys=transaction.keys,
        txid=transaction.txid,
        leaf_index=leaf_index,
        index=index,
    )
    for position, op in enumerate(transaction.payload.ops):
        context.op_index = position
        _apply_op(context, op)
    return context.anchored


def typed_body(op: Op) -> object:
    """Return the op's body as its family's record; raises ``Refused`` when it is not one."""
    operation = registry.OPERATIONS.get(op.kind)
    if operation is None:
        raise Refused(rules.OP_UNKNOWN)
    try:
        return wire.from_value(operation.body, op.body)
    except Malformed as error:
        raise Refused(rules.OP_MALFORMED) from error


def _apply_op(context: Context, op: Op) -> None:
    body = typed_body(op)
    operation = registry.OPERATIONS[op.kind]
    if operation.roles and not operation.roles.intersection(context.org.roles):
        raise Refused(rules.ROLE_MISSING)
    operation.apply(context, body)
