"""Family ``reward``: closed-loop points for what patients do, within what was funded.

Points come into being by funding, are earned against a deed on this ledger, each slot of which
counts once in the whole network, and end with a merchant, by expiry or by clawback.  There is
no operation that moves points from one holder to another: a token that can be traded is not
what a patient should get for data, and not what a hospital may hand out.  Caps for one award,
one holder and the whole programme are part of its terms and do not change.

Refuses: awards beyond the fund or a cap, evidence that is used or foreign, redemption without
the holder's key, anything after the end.  Invariant: ``node.ledger.facts.reward``.
Alarm: ``reward.end`` at a programme's end; what is outstanding then expires.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import deeds, keys, numbered
from node.ledger.facts.reward import (
    CLOSED,
    OPEN,
    AwardRow,
    EntryRow,
    FundRow,
    HolderRow,
    KeyRow,
    MerchantRow,
    ProgramRow,
    awards_key,
    entries_key,
    funding_key,
    holder_row,
    key_key,
    merchant_key,
    program_at,
    program_key,
    save_holder,
    save_program,
)
from node.ledger.facts.reward_bodies import (
    Clawback,
    Close,
    Earn,
    Expire,
    Fund,
    Program,
    Redeem,
)
from node.ledger.rules import Alarm, Context, Moment, Operation, Refused, Result
from node.ledger.state import institution

EXISTS: Final = Result(490, "reward-program-exists", "That programme is on the ledger.")
UNKNOWN: Final = Result(491, "reward-program-unknown", "No such programme on the ledger.")
OVER: Final = Result(492, "reward-program-over", "The programme is over.")
NOT_SPONSOR: Final = Result(
    493, "reward-not-sponsor", "Another institution runs the programme."
)
OVER_BUDGET: Final = Result(
    494, "reward-over-budget", "The programme's budget does not allow that much."
)
ABOVE_FUND: Final = Result(
    495, "reward-above-fund", "Fewer points are funded than would be earned."
)
CAP_AWARD: Final = Result(496, "reward-cap-award", "One award may not be that large.")
CAP_HOLDER: Final = Result(497, "reward-cap-holder", "One holder may not get that much.")
EVIDENCE_UNKNOWN: Final = Result(
    498, "reward-evidence-unknown", "No such deed is on the ledger."
)
EVIDENCE_UNFIT: Final = Result(
    499, "reward-evidence-unfit", "That programme does not reward that deed."
)
EVIDENCE_USED: Final = Result(500, "reward-evidence-used", "That evidence was used already.")
SLOT_UNKNOWN: Final = Result(501, "reward-slot-unknown", "The deed has fewer slots.")
HOLDER_ELSEWHERE: Final = Result(
    502, "reward-holder-elsewhere", "That holder belongs to another programme."
)
HOLDER_KEY: Final = Result(503, "reward-holder-key", "The holder has another key.")
KEY_USED: Final = Result(504, "reward-key-used", "That key serves for something else already.")
HOLDER_UNKNOWN: Final = Result(505, "reward-holder-unknown", "No such holder.")
HOLDER_UNSIGNED: Final = Result(
    506, "reward-holder-unsigned", "The holder's key has not signed."
)
MERCHANT_UNFIT: Final = Result(
    507, "reward-merchant-unfit", "The institution takes no points of that programme."
)
BALANCE_SHORT: Final = Result(508, "reward-balance-short", "The holder has fewer points.")
NOT_DUE: Final = Result(509, "reward-not-due", "The holder's points have not expired.")
AWARD_UNKNOWN: Final = Result(510, "reward-award-unknown", "The holder has no such award.")
CLAWBACK_ABOVE: Final = Result(
    511, "reward-clawback-above", "The award had fewer points, or they were taken back."
)
OUTSTANDING: Final = Result(
    512, "reward-outstanding", "Holders have points of that programme left."
)
MERCHANT_UNKNOWN: Final = Result(
    513, "reward-merchant-unknown", "A merchant is no member of the network."
)
ENDS_PAST: Final = Result(514, "reward-ends-past", "The programme would be over already.")
RESULTS: Final = (
    EXISTS,
    UNKNOWN,
    OVER,
    NOT_SPONSOR,
    OVER_BUDGET,
    ABOVE_FUND,
    CAP_AWARD,
    CAP_HOLDER,
    EVIDENCE_UNKNOWN,
    EVIDENCE_UNFIT,
    EVIDENCE_USED,
    SLOT_UNKNOWN,
    HOLDER_ELSEWHERE,
    HOLDER_KEY,
    KEY_USED,
    HOLDER_UNKNOWN,
    HOLDER_UNSIGNED,
    MERCHANT_UNFIT,
    BALANCE_SHORT,
    NOT_DUE,
    AWARD_UNKNOWN,
    CLAWBACK_ABOVE,
    OUTSTANDING,
    MERCHANT_UNKNOWN,
    ENDS_PAST,
)


def _program(context: Context, body: Program) -> None:
    view = context.view
    if view.get(program_key(body.program)) is not None:
        raise Refused(EXISTS)
    if any(institution(view, org) is None for org in body.merchants):
        raise Refused(MERCHANT_UNKNOWN)
    if body.ends_ms <= context.time_ms:
        raise Refused(ENDS_PAST)
    row = ProgramRow(
        program=body.program,
        org=context.org.id,
        terms=body.terms,
        currency=body.currency,
        unit_minor=body.unit_minor,
        budget=body.budget,
        award_max=body.award_max,
        holder_max=body.holder_max,
        evidence=body.evidence,
        about=body.about,
        merchants=body.merchants,
        lifetime_ms=body.lifetime_ms,
        ends_ms=body.ends_ms,
        status=OPEN,
        funded=0,
        unearned=0,
        outstanding=0,
        redeemed=0,
        expired=0,
        clawed=0,
        holders=0,
        height=context.height,
        time_ms=context.time_ms,
        closed_height=None,
        closed_ms=None,
    )
    save_program(view, row)
    context.alarm("reward.end", body.program, time_ms=body.ends_ms)


def _running(context: Context, program: bytes) -> ProgramRow:
    """Return a programme that is not over; its alarm may still wait when its time is up."""
    row = program_at(context.view.get, program, context.time_ms)
    if row is None:
        raise Refused(UNKNOWN)
    if row.status != OPEN:
        raise Refused(OVER)
    return row


def _sponsored(context: Context, program: bytes) -> ProgramRow:
    row = _running(context, program)
    if row.org != context.org.id:
        raise Refused(NOT_SPONSOR)
    return row


def _fund(context: Context, body: Fund) -> None:
    row = _sponsored(context, body.program)
    funded = row.funded + body.points
    if funded > row.budget:
        raise Refused(OVER_BUDGET)
    unearned = row.unearned + body.points
    save_program(context.view, replace(row, funded=funded, unearned=unearned))
    paid = FundRow(body.points, body.payment, context.height, context.time_ms)
    numbered.append(context.view, funding_key(body.program), paid)


def _take_evidence(context: Context, row: ProgramRow, body: Earn) -> None:
    if body.kind not in row.evidence:
        raise Refused(EVIDENCE_UNFIT)
    deed = deeds.deed(context.view.get, body.kind, body.evidence)
    if deed is None:
        raise Refused(EVIDENCE_UNKNOWN)
    if row.org not in deed.orgs or row.about not in (None, deed.about):
        raise Refused(EVIDENCE_UNFIT)
    if body.slot >= deed.slots:
        raise Refused(SLOT_UNKNOWN)
    used = deeds.SlotRow(row.program, context.height)
    if not deeds.use_slot(context.view, body.kind, body.evidence, body.slot, used):
        raise Refused(EVIDENCE_USED)


def _receiver(context: Context, body: Earn) -> tuple[HolderRow, bool]:
    """Return the holder of an award and whether it is a new one."""
    view = context.view
    row = holder_row(view.get, body.holder)
    if row is not None:
        if row.program != body.program:
            raise Refused(HOLDER_ELSEWHERE)
        if row.key != body.key:
            raise Refused(HOLDER_KEY)
        return row, False
    if view.get(key_key(body.key)) is not None or keys.known_key(view.get, body.key):
        raise Refused(KEY_USED)
    view.save(key_key(body.key), KeyRow(body.holder))
    return HolderRow(body.holder, body.program, body.key, 0, 0, 0, 0, 0), True


def _earn(context: Context, body: Earn) -> None:
    view = context.view
    row = _sponsored(context, body.program)
    if body.points > row.award_max:
        raise Refused(CAP_AWARD)
    if body.points > row.unearned:
        raise Refused(ABOVE_FUND)
    _take_evidence(context, row, body)
    holder, is_new = _receiver(context, body)
    if holder.earned - holder.clawed + body.points > row.holder_max:
        raise Refused(CAP_HOLDER)
    award = AwardRow(
        points=body.points,
        kind=body.kind,
        evidence=body.evidence,
        slot=body.slot,
        clawed=0,
        height=context.height,
        time_ms=context.time_ms,
    )
    number = numbered.append(view, awards_key(body.holder), award)
    earned = replace(holder, earned=holder.earned + body.points, active_ms=context.time_ms)
    save_holder(view, earned)
    _enter(context, earned, "earn", body.points, award=number)
    after = replace(
        row,
        unearned=row.unearned - body.points,
        outstanding=row.outstanding + body.points,
        holders=row.holders + is_new,
    )
    save_program(view, after)


def _enter(
    context: Context,
    holder: HolderRow,
    kind: str,
    points: int,
    *,
    award: int | None = None,
    receipt: bytes | None = None,
    reason: str | None = None,
) -> None:
    """Put a line at the end of a holder's statement."""
    line = EntryRow(
        kind=kind,
        points=points,
        balance=holder.balance,
        org=context.org.id,
        award=award,
        receipt=receipt,
        reason=reason,
        height=context.height,
        time_ms=context.time_ms,
    )
    numbered.append(context.view, entries_key(holder.holder), line)


def _holder(context: Context, row: ProgramRow, holder: bytes) -> HolderRow:
    found = holder_row(context.view.get, holder)
    if found is None:
        raise Refused(HOLDER_UNKNOWN)
    if found.program != row.program:
        raise Refused(HOLDER_ELSEWHERE)
    return found


def _redeem(context: Context, body: Redeem) -> None:
    view = context.view
    row = _running(context, body.program)
    if context.org.id not in row.merchants:
        raise Refused(MERCHANT_UNFIT)
    holder = _holder(context, row, body.holder)
    if not context.signed_by(holder.key):
        raise Refused(HOLDER_UNSIGNED)
    if body.points > holder.balance:
        raise Refused(BALANCE_SHORT)
    spent = replace(holder, redeemed=holder.redeemed + body.points, active_ms=context.time_ms)
    save_holder(view, spent)
    _enter(context, spent, "redeem", body.points, receipt=body.receipt)
    taken = view.load(MerchantRow, merchant_key(body.program, context.org.id))
    total = body.points if taken is None else taken.points + body.points
    view.save(merchant_key(body.program, context.org.id), MerchantRow(total))
    after = replace(
        row,
        outstanding=row.outstanding - body.points,
        redeemed=row.redeemed + body.points,
    )
    save_program(view, after)


def _expire(context: Context, body: Expire) -> None:
    row = _sponsored(context, body.program)
    holder = _holder(context, row, body.holder)
    points = holder.balance
    if row.lifetime_ms is None or points == 0:
        raise Refused(NOT_DUE)
    if context.time_ms < holder.active_ms + row.lifetime_ms:
        raise Refused(NOT_DUE)
    ended = replace(holder, expired=holder.expired + points)
    save_holder(context.view, ended)
    _enter(context, ended, "expire", points)
    after = replace(row, outstanding=row.outstanding - points, expired=row.expired + points)
    save_program(context.view, after)


def _clawback(context: Context, body: Clawback) -> None:
    view = context.view
    row = _sponsored(context, body.program)
    holder = _holder(context, row, body.holder)
    base = awards_key(body.holder)
    if body.award >= numbered.length(view.get, base):
        raise Refused(AWARD_UNKNOWN)
    award = numbered.row(view.get, base, AwardRow, body.award)
    if award.clawed + body.points > award.points:
        raise Refused(CLAWBACK_ABOVE)
    if body.points > holder.balance:
        raise Refused(BALANCE_SHORT)
    taken = replace(award, clawed=award.clawed + body.points)
    view.save(numbered.row_key(base, body.award), taken)
    less = replace(holder, clawed=holder.clawed + body.points)
    save_holder(view, less)
    _enter(context, less, "clawback", body.points, award=body.award, reason=body.reason)
    after = replace(
        row, outstanding=row.outstanding - body.points, clawed=row.clawed + body.points
    )
    save_program(view, after)


def _close(context: Context, body: Close) -> None:
    row = program_at(context.view.get, body.program, context.time_ms)
    if row is None:
        raise Refused(UNKNOWN)
    if row.org != context.org.id:
        raise Refused(NOT_SPONSOR)
    if row.status == CLOSED:
        raise Refused(OVER)
    if row.outstanding:
        raise Refused(OUTSTANDING)
    closed = replace(
        row, status=CLOSED, closed_height=context.height, closed_ms=context.time_ms
    )
    save_program(context.view, closed)


def _end(moment: Moment, key: bytes) -> None:
    row = program_at(moment.view.get, key, moment.time_ms)
    if row is not None:
        save_program(moment.view, row)


_ALL: Final[frozenset[str]] = frozenset()
OPERATIONS: Final = (
    Operation("reward.program", Program, _program, _ALL, "Set up a reward programme."),
    Operation("reward.fund", Fund, _fund, _ALL, "Put points into a programme."),
    Operation("reward.earn", Earn, _earn, _ALL, "Give a holder points for a deed."),
    Operation("reward.redeem", Redeem, _redeem, _ALL, "Take points of a holder who agrees."),
    Operation("reward.expire", Expire, _expire, _ALL, "Let points expire whose time is over."),
    Operation("reward.clawback", Clawback, _clawback, _ALL, "Take points of an award back."),
    Operation("reward.close", Close, _close, _ALL, "Close a programme with nothing left."),
)
ALARMS: Final = (
    Alarm("reward.end", _end, "A programme has ended: what is outstanding expires."),
)
