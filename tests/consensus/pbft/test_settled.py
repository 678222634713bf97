"""After every input there is nothing left to do: a tick before the deadline may be skipped."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from consensus.pbft import timers
from consensus.pbft.engine import PbftEngine
from tests.sim.plan import MS, draw
from tests.sim.world import World

INPUTS = ("step", "tick", "propose", "persisted", "applied", "synced", "work", "read", "stable")


def settled(honest: Callable[..., Any]) -> Callable[..., Any]:
    def call(engine: PbftEngine, *arguments: Any, **named: Any) -> Any:
        result = honest(engine, *arguments, **named)
        before = engine.fingerprint()
        engine._settle()
        assert engine.fingerprint() == before, honest.__name__
        assert engine.deadline_ms == timers.deadline_ms(engine._state), honest.__name__
        return result

    return call


@pytest.mark.parametrize("seed", range(4))
def test_no_input_leaves_a_rule_with_a_step_to_take(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in INPUTS:
        monkeypatch.setattr(PbftEngine, name, settled(getattr(PbftEngine, name)))
    plan = replace(
        draw(seed, "pbft"),
        members=4,
        spares=1,
        byzantine=(),
        faults_us=1000 * MS,
        member_changes=4,
        reads_us=50 * MS,
        cosign_blocks=2,
    )
    World(plan).run()
