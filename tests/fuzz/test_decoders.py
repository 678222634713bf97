"""The short form of the decoders' fuzzer; ``make fuzz`` runs the long one."""

import random
from dataclasses import replace

import pytest

from node.ledger.transaction import TransactionMalformed
from tests.fuzz import decoders
from tests.fuzz.decoders import Target, fuzz, targets

FRAMES = 9_000


def test_no_decoder_lets_another_exception_out_or_takes_a_second_encoding() -> None:
    found = fuzz(seed=random.randrange(1 << 30), frames=FRAMES)
    assert len(found) > 20
    for name, counts in found.items():
        assert counts["refused"], f"{name} takes everything"
    assert sum(counts["accepted"] for counts in found.values()) > FRAMES // 50


def test_the_seeds_themselves_are_accepted() -> None:
    for target in targets():
        for raw in target.seeds:
            assert decoders._take(target, raw) == "accepted", target.name


def target(name: str) -> Target:
    return next(item for item in targets() if item.name == name)


def test_an_undeclared_exception_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = replace(target("transaction"), refuses=(KeyError,))
    monkeypatch.setattr(decoders, "targets", lambda: [careless])
    with pytest.raises(TransactionMalformed):
        fuzz(seed=1, frames=200)


def test_a_second_encoding_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    careless = replace(target("Proof"), decode=lambda raw: raw, again=lambda _value: b"one")
    monkeypatch.setattr(decoders, "targets", lambda: [careless])
    with pytest.raises(AssertionError, match="not the value's encoding"):
        fuzz(seed=1, frames=50)
