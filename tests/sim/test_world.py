"""The simulator itself, tried on the smallest engine: faults strike, and faults are found."""

import dataclasses
import random
from collections import Counter
from typing import Any

import pytest

from consensus.types import Put
from tests.sim import ledger, oneleader
from tests.sim.byzantine import mutate
from tests.sim.checks import Violation
from tests.sim.disk import Disk, from_records, put
from tests.sim.keys import Keys
from tests.sim.net import Network
from tests.sim.plan import SIZES, Plan, draw
from tests.sim.world import World, play

pytestmark = pytest.mark.sim


@pytest.mark.parametrize("seed", range(25))
def test_the_smallest_engine_survives_seed(seed: int) -> None:
    assert play(seed, "oneleader").blocks > 0


def test_one_seed_is_one_story() -> None:
    stories: list[list[str]] = [[], []]
    outcomes = [play(3, "oneleader", story=story.append) for story in stories]
    assert stories[0] == stories[1]
    assert outcomes[0] == outcomes[1]
    assert play(4, "oneleader").fingerprint != outcomes[0].fingerprint


def test_over_many_seeds_every_fault_strikes() -> None:
    told: Counter[str] = Counter()
    for seed in range(60):
        play(seed, "oneleader", story=lambda line: told.update(kinds_in(line)))
    assert all(told[kind] > 3 for kind in STORY_MARKS), told


STORY_MARKS = {
    "partition": "partition:",
    "crash": " crashes, ",
    "torn turn": " dies ",
    "lost write": " 1 write(s) lost",
    "stall": " stalls until",
    "lost message": "(lost)",
    "fetched or appended": " delivers ",
}


def kinds_in(line: str) -> list[str]:
    return [kind for kind, mark in STORY_MARKS.items() if mark in line]


def test_seeds_differ_in_size_and_in_faults() -> None:
    plans = [draw(seed, "pbft") for seed in range(300)]
    assert {plan.members for plan in plans} == set(SIZES["pbft"])
    for name in ("loss", "crash_us", "partition_us", "pause_us", "crash_point", "byzantine"):
        shares = sum(1 for plan in plans if getattr(plan, name)) / len(plans)
        assert 0.1 < shares < 0.9, name
    for plan in plans:
        assert len(plan.byzantine) <= (plan.members - 1) // 3


def calm(**changes: Any) -> Plan:
    """A plan without faults."""
    quiet = dataclasses.replace(
        draw(1, "oneleader"),
        members=3,
        loss=0.0,
        duplication=0.0,
        slow_message=0.0,
        partition_us=0,
        crash_us=0,
        crash_point=0.0,
        pause_us=0,
        slow_sync=0.0,
    )
    return dataclasses.replace(quiet, **changes)


def rule_broken(plan: Plan) -> str:
    with pytest.raises(Violation) as caught:
        World(plan).run()
    return caught.value.rule


def test_a_calm_cluster_delivers_every_transaction() -> None:
    world = World(calm())
    world.run()
    assert set(world.judge.tx_height) == world.submitted


def test_a_block_delivered_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = oneleader.OneLeaderEngine._finish

    def finish(engine: oneleader.OneLeaderEngine) -> None:
        honest(engine)
        engine._deliver.append(engine._deliver[-1])

    monkeypatch.setattr(oneleader.OneLeaderEngine, "_finish", finish)
    assert rule_broken(calm()) == "in-order-once"


def test_a_block_kept_only_by_the_leader_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(engine: oneleader.OneLeaderEngine) -> None:
        if engine._me == engine._leader and engine._stored:
            engine._finish()

    monkeypatch.setattr(oneleader.OneLeaderEngine, "_count_stored", count)
    assert rule_broken(calm()) == "durable"


def test_a_wrong_certificate_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = oneleader.OneLeaderEngine.drain

    def drain(engine: oneleader.OneLeaderEngine) -> Any:
        effects = honest(engine)
        bent = tuple(dataclasses.replace(d, certificate=b"no") for d in effects.deliver)
        return dataclasses.replace(effects, deliver=bent)

    monkeypatch.setattr(oneleader.OneLeaderEngine, "drain", drain)
    assert rule_broken(calm()) == "certificate"


def test_two_blocks_at_one_height_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = oneleader.OneLeaderEngine._finish

    def finish(engine: oneleader.OneLeaderEngine) -> None:
        honest(engine)
        decided = engine._deliver[-1]
        if engine._me == "m2" and decided.proposal.height == 2:
            other = ledger.build(2, decided.proposal.parent, time_ms=1, proposer="m2", txids=[])
            engine._deliver[-1] = dataclasses.replace(decided, proposal=other)

    monkeypatch.setattr(oneleader.OneLeaderEngine, "_finish", finish)
    assert rule_broken(calm()) == "agreement"


def test_a_cluster_that_stops_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneleader.OneLeaderEngine, "want", lambda _: None)
    assert rule_broken(calm()) == "liveness"


def test_a_message_storm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneleader, "RESEND_MS", 2)
    assert rule_broken(calm()) == "storm"


def test_engines_that_depend_on_more_than_their_inputs_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    salts = iter(range(1 << 30))
    honest = oneleader.OneLeaderEngine.fingerprint
    monkeypatch.setattr(
        oneleader.OneLeaderEngine,
        "fingerprint",
        lambda engine: honest(engine) + bytes([next(salts) % 251]),
    )
    runs = [play(1, "oneleader", fingerprints=True).fingerprint for _ in range(2)]
    assert runs[0] != runs[1]


def test_a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest() -> None:
    seen = set()
    for seed in range(200):
        disk = Disk()
        disk.sync(disk.write([put(b"a", 1)]))
        for batch in range(4):
            disk.write([put(b"x%d" % batch, batch), put(b"y%d" % batch, batch)])
        disk.crash(random.Random(seed), power_loss=True)
        kept = sum(1 for key in disk.live if key.startswith(b"x"))
        assert [key for key in disk.live if key.startswith(b"y")] == [
            b"y%d" % batch for batch in range(kept)
        ], "a batch lands whole, and only after those before it"
        assert disk.live[b"a"] == 1
        seen.add(kept)
    assert seen == {0, 1, 2, 3, 4}


def test_a_process_that_dies_without_power_loss_loses_no_write() -> None:
    disk = Disk()
    disk.write(from_records(b"e/", (Put(b"k", b"v"),)))
    disk.crash(random.Random(1), power_loss=False)
    assert disk.pairs(b"e/") == [(b"k", b"v")]


def test_a_healed_network_loses_nothing() -> None:
    plan = dataclasses.replace(draw(1, "pbft"), loss=0.5, members=4)
    network = Network(plan, random.Random(1), ("m0", "m1", "m2", "m3"))
    network.split()
    network.heal()
    assert all(len(network.fates("m0", "m1")) == 1 for _ in range(200))


@pytest.mark.parametrize("real", [False, True])
def test_a_signature_holds_for_its_own_key_and_message_only(real: bool) -> None:
    from consensus.types import Check

    keys = Keys(1, ("m0", "m1"), real=real)
    signature = keys.sign("m0", b"this")
    assert keys.holds(Check(keys.public["m0"], b"this", signature))
    assert not keys.holds(Check(keys.public["m0"], b"that", signature))
    assert not keys.holds(Check(keys.public["m1"], b"this", signature))
    assert not keys.holds(Check(keys.public["m0"], b"this", bytes(64)))


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
