"""Each way of lying, by itself: it happens, it breaks nothing, and what can be proven is."""

import dataclasses
import random
from typing import Any

import pytest

from tests.sim import ledger, oneleader, scripts
from tests.sim.byzantine import mutate
from tests.sim.liars import LIARS
from tests.sim.plan import CALM, MS, Plan, draw, load
from tests.sim.world import World

pytestmark = pytest.mark.sim


def with_liar(script: str, seed: int, **changes: Any) -> Plan:
    """Four members of whom one lies, and leaders that fall often enough to change views."""
    plan = dataclasses.replace(
        draw(seed, "pbft"), seed=seed, members=4, spares=0, member_changes=0,
        faults_us=700 * MS, transactions=14, block_transactions_max=1, window=1,
        rotation_blocks=0, patience=0.5, latency_us=500, latency_spread_us=500, sync_us=200,
        apply_us=0, cosign_blocks=1, reads_us=0, drift_ppm=0, strict=False, real_keys=False,
        checkpoint_lag_max=0, ordered_links=False,
        byzantine=((1, script),), **CALM,
    )  # fmt: skip
    return dataclasses.replace(plan, **changes)


FALLING: dict[str, Any] = {
    "depose": 0.9, "partition_stability_us": 150 * MS, "down_us": 60 * MS, "loss": 0.1,
}  # fmt: skip


@pytest.mark.parametrize("script", scripts.BYZANTINE_SCRIPTS)
def test_a_liar_lies_and_breaks_nothing(script: str) -> None:
    lies = 0
    for seed in range(12):
        changes = FALLING if seed % 2 else {}
        if script == scripts.OLD_PROOFS:  # needs an epoch that is over
            changes = {**FALLING, "spares": 1, "member_changes": 3}
        first = {"byzantine": ((0, script),)} if seed % 4 < 2 else {}
        world = World(with_liar(script, seed, **changes, **first))
        world.run()
        lies += world.counts[f"lie {script}"]
        if lies and seed >= 2:
            break
    assert lies, "the script never had its chance"


@pytest.mark.parametrize(
    "script", [scripts.DOUBLE_PREPARE, scripts.DOUBLE_COMMIT, scripts.WRONG_CHOICE]
)
def test_a_contradiction_that_honest_members_see_becomes_evidence(script: str) -> None:
    accused: set[str] = set()
    for seed in range(10):
        changes = FALLING if script == scripts.WRONG_CHOICE else {}
        world = World(with_liar(script, seed, **changes))
        world.run()
        accused |= {member for _, member, *_ in world.judge.accused}
        if accused:
            break
    assert accused == {"m1"}


def test_a_primary_with_two_faces_is_proven_to_have_them() -> None:
    accused: set[str] = set()
    for seed in range(10):
        plan = with_liar(scripts.EQUIVOCATOR, seed, byzantine=((0, scripts.EQUIVOCATOR),))
        world = World(plan)
        world.run()
        accused |= {member for _, member, *_ in world.judge.accused}
    assert accused == {"m0"}


def test_every_script_of_the_list_has_a_liar() -> None:
    assert set(LIARS) == {*scripts.BYZANTINE_SCRIPTS, scripts.BOASTER}
    assert len(scripts.BYZANTINE_SCRIPTS) == 25  # 24 by name, and one that tries anything


def test_boasting_of_eras_and_heights_makes_nobody_skip_or_wait() -> None:
    lies = 0
    for seed in range(6):
        plan = dataclasses.replace(
            draw(seed, "eras"), seed=seed, members=4, spares=1, founders="pbft",
            byzantine=((seed % 4, scripts.BOASTER),), transactions=14, member_changes=4,
        )  # fmt: skip
        world = World(plan)
        world.run()
        lies += world.counts[f"lie {scripts.BOASTER}"]
    assert lies


def test_a_censor_cannot_hold_a_transaction_back_for_ever() -> None:
    world = World(with_liar(scripts.CENSOR, 3, byzantine=((0, scripts.CENSOR),)))
    world.run()
    held_back = [txid for txid in world.submitted if txid[0] >= 128]
    assert held_back
    assert all(txid in world.judge.tx_height for txid in held_back)
    assert world.judge.top_round > 0, "somebody else had to propose them"


def test_a_forger_changes_messages_but_keeps_their_shape() -> None:
    message = oneleader.Append(
        ledger.build(1, ledger.NETWORK, time_ms=1, proposer="m0", txids=[bytes(32)]), 4
    )
    rng = random.Random(1)
    forged = [mutate(message, rng, depth=0) for _ in range(300)]
    assert all(type(other) is oneleader.Append for other in forged)
    assert sum(1 for other in forged if other != message) > 200
    for other in forged:
        raw = oneleader.DIALECT.encode(other)
        assert oneleader.DIALECT.decode(raw, size_max=1 << 16) == other


def test_a_plan_is_the_same_when_it_comes_back_from_its_file() -> None:
    from tests.sim.plan import dump

    for seed in range(200):
        plan = draw(seed, "pbft")
        assert load(dump(plan)) == plan
