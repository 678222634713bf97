"""How an open proposal closes, and what happens to open ones when the voters change.

A proposal is *reached* when enough of the voters in force said yes; its waiting time runs from
there.  Voters come and go meanwhile, so after every change all open proposals are counted
again: one that has enough now is reached, one that cannot get enough is rejected, and one that
was reached and lacks votes now waits for them again, as long as there is time to vote.

Alarm: ``governance.close``, set when a proposal is made and when it is reached.
"""

from dataclasses import replace
from typing import Final

from node.ledger.facts import governance as facts
from node.ledger.facts.governance import EXPIRED, OPEN, REJECTED, Handles, ProposalRow
from node.ledger.rules import Moment

ALARM: Final = "governance.close"


def close(moment: Moment, row: ProposalRow, status: str) -> None:
    """Take ``row`` out of the open ones, for ever."""
    handle = row.body.proposal
    closed = replace(row, status=status, closed_height=moment.height)
    moment.view.save(facts.proposal_key(handle), closed)
    waiting = facts.open_proposals(moment.view.get)
    left = tuple(item for item in waiting if item != handle)
    moment.view.save(facts.OPEN_KEY, Handles(left))


def count(moment: Moment, row: ProposalRow) -> None:
    """Save ``row``, reached or rejected if its votes say so now."""
    counted = facts.tally(moment.view.get, row)
    if row.reached_ms is None and counted.missing == 0:
        row = replace(row, reached_ms=moment.time_ms)
        until_ms = row.execute_until_ms
        assert until_ms is not None
        moment.alarm(ALARM, row.body.proposal, time_ms=until_ms + 1)
    moment.view.save(facts.proposal_key(row.body.proposal), row)
    if row.reached_ms is None and counted.hopeless:
        close(moment, row, REJECTED)


def recount(moment: Moment, before: tuple[str, ...]) -> None:
    """Count every open proposal again if other voters are in force than ``before``."""
    if facts.voter_ids(moment.view.get) == before:
        return
    for handle in facts.open_proposals(moment.view.get):
        row = facts.proposal(moment.view.get, handle)
        assert row is not None, "every open proposal has its row"
        if moment.time_ms > row.vote_until_ms:
            continue  # nobody may vote any more: it is executed, or its time runs out
        if row.reached_ms is not None and facts.tally(moment.view.get, row).missing:
            row = replace(row, reached_ms=None)
        count(moment, row)


def time_is_up(moment: Moment, handle: bytes) -> None:
    """Close what was not decided, or not executed, in its time."""
    row = facts.proposal(moment.view.get, handle)
    if row is None or row.status != OPEN:
        return
    until_ms = row.execute_until_ms or row.vote_until_ms
    if moment.time_ms > until_ms:
        close(moment, row, EXPIRED)
