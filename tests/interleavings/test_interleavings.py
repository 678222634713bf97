"""Consents change while accesses go on, in 1,500 orders; and mistakes that the judge notices.

``python tests/interleavings/run.py --count 100000`` plays more of them.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from node.ledger.facts import access_rules, accesses, duties
from node.ledger.facts.access_rules import Verdict
from node.ledger.rules import Refused
from tests.interleavings.play import play
from tests.interleavings.run import run

CHUNKS = 6
PER_CHUNK = 250
MUST_COME = (
    "Release applied",
    "Release access-permit-gone",
    "Release access-expired",
    "Release access-glass-stopped",
    "Release access-not-permitted",
    "Release access-practitioner-invalid",
    "Release access-record-not-custodian",
    "Decide applied",
    "Decide access-decision-disagrees",
    "Glass applied",
    "Glass access-glass-refused",
    "Grant applied",
    "Amend applied",
    "Revoke applied",
)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_release_without_a_permit_that_lives_at_its_block(chunk: int) -> None:
    counts = run(1 + chunk * PER_CHUNK, PER_CHUNK, every=10)
    assert [name for name in MUST_COME if not counts[name]] == []


def test_a_seed_plays_the_same_interleaving_again() -> None:
    one, two = play(7), play(7)
    assert one.bench.state == two.bench.state
    assert one.counts == two.counts
    assert one.bench.state != play(8).bench.state


# --- planted mistakes ------------------------------------------------------------------------


def _first_failure() -> str:
    """Play until the judge complains; return what it says."""
    for seed in range(1, 400):
        try:
            play(seed)
        except AssertionError as error:
            return str(error)
    return "nothing was noticed"


def test_a_release_that_trusts_the_old_decision_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = access_rules.verdict

    def trusting(context: Any, row: accesses.AccessRow) -> Verdict:
        found = right(context, row)
        trusted = row.status == accesses.PERMITTED and row.events
        return replace(found, permit=True) if trusted else found

    monkeypatch.setattr(access_rules, "verdict", trusting)
    assert "a release without a permit" in _first_failure()


def test_a_consent_that_never_expires_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = access_rules.verdict_at

    def timeless(read: Any, row: accesses.AccessRow, *, time_ms: int, height: int) -> Verdict:
        return right(read, row, time_ms=row.time_ms, height=height)

    monkeypatch.setattr(access_rules, "verdict_at", timeless)
    assert _first_failure() != "nothing was noticed"


def test_a_decision_that_nobody_recomputes_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Verdict, "essence", _Anything())
    assert "a decision that the consents do not give" in _first_failure()


class _Anything:
    """Equal to whatever a custodian says."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def test_records_that_nobody_anchored_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_rules, "check_anchored", lambda *_: None)
    assert "never anchored" in _first_failure()


def test_a_duty_that_is_forgotten_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "done", lambda *_: None)
    assert _first_failure() != "nothing was noticed"


def test_an_event_that_is_not_noted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = accesses.note

    def careless(moment: Any, subject: bytes, happened: accesses.Event) -> int:
        return 0 if happened.event == "receipt" else right(moment, subject, happened)

    monkeypatch.setattr(accesses, "note", careless)
    assert _first_failure() != "nothing was noticed"


def test_a_glass_that_nobody_may_break_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = access_rules.verdict

    def strict(context: Any, row: accesses.AccessRow) -> Verdict:
        if row.glass is not None and not row.events:
            raise Refused(access_rules.DENIED_GLASS)
        return right(context, row)

    monkeypatch.setattr(access_rules, "verdict", strict)
    assert "access-glass-refused" in _first_failure()


def test_results_are_counted_by_act() -> None:
    assert isinstance(play(1).counts, Counter)
    assert sum(play(1).counts.values()) == sum(len(codes) for _, _, codes in play(1).blocks)
