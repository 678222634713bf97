"""How a claim is read and changed by its families: its steps, its row, the lists it is in.

Every change goes through ``change``: it writes the step, keeps a claim in the lists of open
claims of its provider and its payer exactly while it is open, and saves the row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from node.ledger.facts import bags
from node.ledger.facts import claim_results as results
from node.ledger.facts.claim_tables import Case
from node.ledger.facts.claims import (
    PAYER,
    PROVIDER,
    STEPS_MAX,
    ClaimRow,
    CoverageRow,
    PreauthRow,
    StepRow,
    claim_key,
    claim_round,
    claim_row,
    coverage_row,
    open_list,
    preauth_key,
    step_key,
)
from node.ledger.rules import Context, Moment, Refused
from node.ledger.state import Read, load_from


@dataclass(frozen=True, slots=True)
class Step:
    word: str
    amount: int | None = None
    code: str = ""
    about: bytes | None = None


def the_claim(context: Context, claim: bytes) -> ClaimRow:
    row = claim_row(context.view.get, claim)
    if row is None:
        raise Refused(results.CLAIM_UNKNOWN)
    return row


def the_coverage(context: Context, coverage: bytes) -> CoverageRow:
    row = coverage_row(context.view.get, coverage)
    if row is None:
        raise Refused(results.COVERAGE_UNKNOWN)
    return row


def payers_claim(context: Context, claim: bytes) -> ClaimRow:
    """Return a claim that is the acting payer's to answer; refuses others."""
    row = the_claim(context, claim)
    if row.payer != context.org.id:
        raise Refused(results.NOT_PAYER)
    return row


def providers_claim(context: Context, claim: bytes) -> ClaimRow:
    row = the_claim(context, claim)
    if row.provider != context.org.id:
        raise Refused(results.NOT_PROVIDER)
    return row


def change(context: Context, claim: bytes, row: ClaimRow, step: Step) -> None:
    """Save a claim's new row with the step that led to it."""
    if row.steps >= STEPS_MAX:
        raise Refused(results.TOO_MANY)
    _save(context, claim, row, step, context.org.id, context.txid)


def ran_out(moment: Moment, claim: bytes, row: ClaimRow, step: Step) -> None:
    """Save a step that nobody took: a clock ran out.  Past the bound it is left out."""
    if row.steps < STEPS_MAX:
        _save(moment, claim, row, step, row.payer, b"")


def _save(
    moment: Moment, claim: bytes, row: ClaimRow, step: Step, org: str, txid: bytes
) -> None:
    written = StepRow(
        word=step.word,
        org=org,
        height=moment.height,
        time_ms=moment.time_ms,
        txid=txid,
        amount=step.amount,
        code=step.code,
        about=step.about,
    )
    moment.view.save(step_key(claim, row.steps), written)
    if row.is_open != row.listed:
        move = bags.put_in if row.is_open else bags.take_out
        move(moment.view, open_list(PROVIDER, row.provider), claim)
        move(moment.view, open_list(PAYER, row.payer), claim)
    row = replace(row, steps=row.steps + 1, listed=row.is_open)
    moment.view.save(claim_key(claim), row)


def due(context: Context, claim: bytes, name: str, span_ms: int) -> int | None:
    """Set the clock ``name`` for a claim; return when it rings (None: it has none)."""
    if not span_ms:
        return None
    time_ms = context.time_ms + span_ms
    context.alarm(name, claim, time_ms=time_ms)
    return time_ms


def case_of(read: Read, claim: bytes, row: ClaimRow, denied: Mapping[int, str]) -> Case:
    """Return what the next adjudication of a claim starts from."""
    granted: frozenset[str] = frozenset()
    if row.preauth is not None:
        held = load_from(read, PreauthRow, preauth_key(row.preauth))
        granted = frozenset(item.code_class for item in (held.grants if held else ()))
    last = claim_round(read, claim, row.rounds) if row.rounds else None
    before = () if last is None else last.shares
    return Case(denied=denied, granted=granted, before=before, anew=frozenset(row.anew))
