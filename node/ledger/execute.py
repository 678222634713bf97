"""Apply a block: the same bytes give the same outcomes, state and index on every node.

State-dependent failure is a recorded result, never an invalid block: ordering does not depend
on execution.  A transaction id that the chain already holds is skipped without a leaf, so a
replay costs its sender and changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from consensus import wire
from consensus.codec import Malformed
from node.ledger import clock, registry, rules
from node.ledger.accel import Items
from node.ledger.block import Header
from node.ledger.facts import features
from node.ledger.genesis import Institution
from node.ledger.rules import Context, Moment, Refused, Result
from node.ledger.state import Overlay, Read, SignerRow, institution, parameters, signer_key
from node.ledger.transaction import Op, Transaction


class SoftwareTooOld(Exception):
    """A feature is in force that this software does not know: applying the block would come to
    another state than the others'.  Nothing was changed; newer software goes on from here."""

    code = "feature-unsupported"


@dataclass(slots=True)
class Outcome:
    """What a block did.  ``codes`` has one result number per transaction, in order."""

    codes: list[int] = field(default_factory=list)
    writes: dict[bytes, bytes | None] = field(default_factory=dict)
    index: list[tuple[bytes, bytes]] = field(default_factory=list)
    items: list[Items] = field(default_factory=list)  # more of the index, see ``Moment``
    anchored: int = 0  # record commitments, for metrics


def execute(
    header: Header, transactions: Sequence[Transaction], read: Read, *, first_index: int
) -> Outcome:
    """Apply ``transactions`` (new ones only) on the state behind ``read``.

    ``first_index`` is the log index of the first transaction's leaf.  Raises
    ``SoftwareTooOld``.
    """
    unknown = features.unsupported(read, header.height)
    if unknown is not None:
        raise SoftwareTooOld(f"{unknown} is in force from block {header.height} on, or before")
    view = Overlay(read)
    outcome = Outcome()
    _fire_alarms(header, view, outcome)
    for offset, transaction in enumerate(transactions):
        child = view.child()
        try:
            context = _apply(header, transaction, child, first_index + offset)
        except Refused as refusal:
            outcome.codes.append(refusal.result.number)
            continue
        view.merge(child)
        outcome.index += context.index
        outcome.items += context.items
        outcome.anchored += context.anchored
        outcome.codes.append(rules.APPLIED.number)
    outcome.writes = view.writes
    return outcome


def _fire_alarms(header: Header, view: Overlay, outcome: Outcome) -> None:
    """Do what was due by this block's time, before any of its transactions."""
    moment = Moment(
        view=view,
        network=header.network,
        height=header.height,
        time_ms=header.time_ms,
        index=outcome.index,
        items=outcome.items,
    )
    for _ in range(clock.FIRED_PER_BLOCK_MAX):
        due = clock.pop_due(view, header.time_ms)
        if due is None:
            return
        registry.ALARMS[due.name].fire(moment, due.key)


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
) -> Institution:
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
    org = institution(view, payload.org)
    if org is None:  # suspended by the members' vote
        raise Refused(rules.UNKNOWN_SIGNER)
    for op in payload.ops:
        if op.kind not in registry.OPERATIONS:
            raise Refused(rules.OP_UNKNOWN)
    return org


def _apply(
    header: Header,
    transaction: Transaction,
    view: Overlay,
    leaf_index: int,
) -> Context:
    """Apply every operation on ``view``; return what else they left."""
    org = _check_envelope(transaction, view, header.network, header.height)
    context = Context(
        view=view,
        network=header.network,
        height=header.height,
        time_ms=header.time_ms,
        org=org,
        keys=transaction.keys,
        txid=transaction.txid,
        leaf_index=leaf_index,
    )
    for position, op in enumerate(transaction.payload.ops):
        context.op_index = position
        _apply_op(context, op)
    return context


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
