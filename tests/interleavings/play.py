"""One interleaving: acts in blocks on the pure rules, judged by the naive model after each.

What must hold, whatever the order:

- a release is applied only if the model says that it is permitted at that moment, and an
  honest one is refused only if the model says that it is not;
- a decision is applied exactly if it is what the model says;
- a glass breaks exactly where the model allows it;
- the logs hold every event, and the duties of every institution are the model's, late or not;
- another node that executes the same blocks makes the same writes, and one that executes the
  same transactions in other blocks comes to the same results (``check_cuts``).
"""

import random
from collections import Counter
from dataclasses import dataclass, field, replace

from node.ledger import execute, registry
from node.ledger.accounting import account
from node.ledger.facts import accesses, duties
from node.ledger.facts.accesses import event_key, log_key
from node.ledger.families.access import Decide, Glass, Request, Review
from node.ledger.families.access_release import Ack, Release
from node.ledger.families.consent import Amend, Grant, OptIn, OptOut, Revoke
from node.ledger.families.consent_law import Preempt, Publish, Unpreempt
from node.ledger.families.identity_practitioner import Status
from node.ledger.transaction import Transaction
from tests.interleavings.acts import ANNA, BEN, HOUR_MS, Act, Acts, founded
from tests.interleavings.naive import Asked, Naive, Said
from tests.support.accesses import Bench, header, op, tx

BLOCKS = 12
ACTS_PER_BLOCK = 3
DAY_MS = 24 * HOUR_MS
REQUEST_MS = 30 * DAY_MS
EVER_MS = 1 << 62
START = dict(founded().state)
Block = tuple[int, list[Transaction], list[int]]  # time, transactions, results


@dataclass
class Played:
    """What happened: blocks as they were executed, and how often each result came."""

    blocks: list[Block] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    bench: Bench = field(default_factory=founded)
    naive: Naive = field(default_factory=Naive)


def play(seed: int) -> Played:
    """Play the interleaving of ``seed``; raises ``AssertionError`` where a rule is broken."""
    rng = random.Random(seed)
    made = Played()
    made.naive.default, made.naive.glass = "all-normal", frozenset()
    acts = Acts(rng, made.bench, made.naive)
    number = 0
    for _ in range(BLOCKS):
        chosen = _block(acts, rng)
        transactions = []
        for act in chosen:
            keys = () if act.key is None else (act.key,)
            transactions.append(tx(act.org, op(act.body), number=number, keys=keys))
            number += 1
        span_ms = rng.choice((1000, 1000, 60_000, HOUR_MS, 5 * HOUR_MS, 2 * DAY_MS))
        _execute(made, chosen, transactions, span_ms)
    _check_logs(made)
    _check_duties(made)
    return made


def _block(acts: Acts, rng: random.Random) -> list[Act]:
    chosen: list[Act] = []
    for _ in range(rng.randint(1, ACTS_PER_BLOCK)):
        act = acts.draw()
        if act is not None and not (act.says and any(other.says for other in chosen)):
            chosen.append(act)
    return chosen


def _execute(
    made: Played, chosen: list[Act], transactions: list[Transaction], span_ms: int
) -> None:
    bench = made.bench
    bench.height += 1
    bench.time_ms += span_ms
    at = header(bench.height, bench.time_ms)
    first = bench.height * 100
    done = execute.execute(at, transactions, bench.state.get, first_index=first)
    bench.take(done.writes)
    made.blocks.append((bench.time_ms, transactions, done.codes))
    for act, number in zip(chosen, done.codes, strict=True):
        code = registry.RESULTS[number].code
        made.counts[f"{type(act.body).__name__} {code}"] += 1
        _JUDGES[type(act.body)](made.naive, act, code, bench.time_ms)


# --- what the model makes of each act --------------------------------------------------------


def _said(body: Grant | Amend, subject: bytes) -> Said:
    scope = body.rule.scope
    return Said(
        subject,
        body.rule.permit,
        frozenset(scope.orgs),
        frozenset(scope.purposes),
        frozenset(scope.classes),
        scope.from_ms or 0,
        scope.until_ms or EVER_MS,
    )


def _consent(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    if code != "applied":
        return
    match act.body:
        case Grant(cid=cid, subject=subject):
            naive.consents[cid] = _said(act.body, subject)
        case Amend(cid=cid):
            naive.amended(cid, _said(act.body, b""))
        case Revoke(cid=cid):
            del naive.consents[cid]
        case OptOut(subject=subject, scope=scope):
            naive.outs.add((subject, scope))
        case OptIn(subject=subject, scope=scope):
            naive.outs.discard((subject, scope))
        case Publish(default=default, glass=glass):
            naive.default, naive.glass = default, frozenset(glass)
        case Preempt(law=law, permit=permit, purposes=purposes):
            naive.law(law, frozenset(purposes), permit=permit)
        case Unpreempt(law=law):
            naive.law(law, None)


def _request(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Request)
    if body.practitioner is not None and not naive.licence:
        assert code in ("access-practitioner-invalid", "access-until-invalid"), code
    if code != "applied":
        return
    naive.accesses[body.rid] = Asked(
        subject=body.subject,
        custodian=body.custodian,
        requester=act.org,
        purpose=body.purpose,
        data_class=body.data_class,
        glass=False,
        until_ms=body.until_ms or now_ms + REQUEST_MS,
        time_ms=now_ms,
        licensed=body.practitioner is not None,
    )
    naive.log(body.subject)


def _glass(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Glass)
    asked = Asked(
        subject=body.subject,
        custodian=body.custodian,
        requester=act.org,
        purpose="BTG",
        data_class=body.data_class,
        glass=True,
        until_ms=now_ms + DAY_MS,
        time_ms=now_ms,
        status="permitted",
        licensed=True,
    )
    may = naive.licence and naive.may(asked, now_ms)
    assert (code == "applied") == may, code
    if code == "applied":
        naive.accesses[body.rid] = asked
        naive.log(body.subject)


def _licence(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Status)
    assert (code == "applied") == (naive.licence == (body.change == "suspend")), code
    if code == "applied":
        naive.licence = body.change == "resume"


def _decide(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Decide)
    asked = naive.accesses[body.rid]
    if code != "applied":
        assert code in ("access-decision-disagrees", "access-decided"), code
        return
    assert asked.status == "open"
    assert body.permit == naive.may(asked, now_ms), "a decision that the consents do not give"
    asked.status = "permitted" if body.permit else "denied"
    naive.log(asked.subject)


def _release(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Release)
    asked = naive.accesses[body.rid]
    may = naive.releasable(body.rid, now_ms)
    if code == "applied":
        assert may, "a release without a permit that lives at its block"
        assert not act.lie, "a release of what the custodian never anchored"
        asked.acked.append(False)
        asked.sent_ms.append(now_ms)
        naive.log(asked.subject)
    elif may:
        excused = "access-record-not-custodian" if act.lie else "access-residual-differs"
        assert code in (excused, "access-residual-differs", "access-releases-full"), code


def _ack(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Ack)
    asked = naive.accesses[body.rid]
    assert (code == "applied") == (not asked.acked[body.number]), code
    if code == "applied":
        asked.acked[body.number] = True
        naive.log(asked.subject)


def _review(naive: Naive, act: Act, code: str, now_ms: int) -> None:
    body = act.body
    assert isinstance(body, Review)
    asked = naive.accesses[body.rid]
    assert (code == "applied") == (asked.finding is None), code
    if code == "applied":
        asked.finding = body.finding
        if body.finding != "justified":
            asked.status = "stopped"
        naive.log(asked.subject)


_SAYING = (Grant, Amend, Revoke, OptOut, OptIn, Publish, Preempt, Unpreempt)
_JUDGES = {
    **dict.fromkeys(_SAYING, _consent),
    Status: _licence,
    Request: _request,
    Glass: _glass,
    Decide: _decide,
    Release: _release,
    Ack: _ack,
    Review: _review,
}


# --- what must be true in the end ------------------------------------------------------------


def _check_logs(made: Played) -> None:
    """The log of each patient is whole: every event that the model saw, and what was late."""
    for subject in (ANNA, BEN):
        head = made.bench.state.get(log_key(subject))
        count = accesses.log_head(made.bench.get, subject).count
        rows = [made.bench.state[event_key(subject, at)] for at in range(count)]
        events = account(head, rows)
        late = sum(event.event == "overdue" for event in events)
        assert count - late == made.naive.events.get(subject, 0)
        times = [event.time_ms for event in events]
        assert times == sorted(times)


def _check_duties(made: Played) -> None:
    get = made.bench.get
    owed = made.naive.owed(made.bench.time_ms)
    for org in ("north", "east", "south", "payer"):
        count = duties.count_of(get, org)
        rows = [duties.duty_at(get, org, at) for at in range(count)]
        found = [(row.kind, row.rid, row.part, row.overdue) for row in rows]
        assert sorted(found) == sorted(owed.get(org, []))


def check_twice(made: Played) -> None:
    """A second node executes the same blocks: the same results, the same state."""
    state = dict(START)
    for height, (time_ms, transactions, codes) in enumerate(made.blocks, start=1):
        done = execute.execute(
            header(height, time_ms), transactions, state.get, first_index=height * 100
        )
        assert done.codes == codes
        _take(state, done.writes)
    assert state == made.bench.state


def check_cuts(made: Played) -> None:
    """The same transactions one by one, at the same times: the same results and events.

    Heights differ, and with them only what names a height.  No block holds two acts that say
    what is permitted: which of two said in one block is the later one depends on the cut.
    """
    state = dict(START)
    height = 0
    for time_ms, transactions, codes in made.blocks:
        for at in range(max(1, len(transactions))):
            height += 1
            one = transactions[at : at + 1]
            done = execute.execute(
                header(height, time_ms), one, state.get, first_index=height * 100
            )
            assert done.codes == codes[at : at + 1]
            _take(state, done.writes)
    for rid in made.naive.accesses:
        one_row = accesses.access(state.get, rid)
        row = made.bench.access(rid)
        assert one_row is not None
        assert (one_row.status, one_row.basis, one_row.residual, one_row.events) == (
            row.status,
            row.basis,
            row.residual,
            row.events,
        )
    for subject in (ANNA, BEN):
        count = accesses.log_head(made.bench.get, subject).count
        assert accesses.log_head(state.get, subject).count == count
        for at in range(count):
            one_event = accesses.event(state.get, subject, at)
            event = accesses.event(made.bench.get, subject, at)
            assert replace(one_event, height=0) == replace(event, height=0)


def _take(state: dict[bytes, bytes], writes: dict[bytes, bytes | None]) -> None:
    for key, value in writes.items():
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
