"""The simulator's own parts: disk, network, keys, clocks, and the smallest engine on them."""

import dataclasses
import random
from typing import Any

import pytest

from consensus.types import Check, Put
from tests.sim.disk import Disk, DiskFailed, from_records, put
from tests.sim.keys import Keys
from tests.sim.net import SHAPES, Network
from tests.sim.plan import CALM, MS, Plan, draw
from tests.sim.world import World, play

pytestmark = pytest.mark.sim

IDS = ("m0", "m1", "m2", "m3", "m4")


@pytest.mark.parametrize("seed", range(25))
def test_the_smallest_engine_survives_seed(seed: int) -> None:
    assert play(seed, "oneleader").blocks > 0


def test_one_seed_is_one_story() -> None:
    stories: list[list[str]] = [[], []]
    outcomes = [play(3, "oneleader", story=story.append) for story in stories]
    assert stories[0] == stories[1]
    assert outcomes[0] == outcomes[1]
    assert play(4, "oneleader").fingerprint != outcomes[0].fingerprint


# --- disk -------------------------------------------------------------------------------------


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


def test_a_torn_batch_is_dropped_whole() -> None:
    torn = 0
    for seed in range(50):
        disk = Disk()
        disk.write([put(b"x", 1), put(b"y", 2), put(b"z", 3)])
        disk.crash(random.Random(seed), power_loss=True, torn=True)
        torn += disk.recover()
        assert sorted(disk.live) in ([], [b"x", b"y", b"z"])
        assert not disk.recover(), "once is enough"
    assert torn > 10


def test_a_process_that_dies_without_power_loss_loses_no_write() -> None:
    disk = Disk()
    disk.write(from_records(b"e/", (Put(b"k", b"v"),)))
    disk.crash(random.Random(1), power_loss=False)
    assert disk.pairs(b"e/") == [(b"k", b"v")]


def test_a_full_disk_takes_nothing() -> None:
    disk = Disk()
    disk.full = True
    with pytest.raises(DiskFailed):
        disk.write([put(b"k", 1)])
    assert disk.live == {}


def test_a_wiped_disk_is_empty_and_works() -> None:
    disk = Disk()
    disk.sync(disk.write([put(b"k", 1)]))
    disk.write([put(b"l", 1)])
    disk.wipe()
    disk.sync(disk.write([put(b"m", 1)]))
    disk.crash(random.Random(1), power_loss=True)
    assert disk.live == {b"m": 1}


# --- network ----------------------------------------------------------------------------------


def network(**changes: Any) -> Network:
    quiet = {**CALM, "ordered_links": False, "latency_us": 100, "latency_spread_us": 0}
    plan = dataclasses.replace(draw(1, "pbft"), **{**quiet, **changes})
    return Network(plan, random.Random(1), IDS)


def test_a_healed_network_loses_nothing() -> None:
    net = network(loss=0.5, duplication=0.5)
    net.split()
    net.heal()
    assert all(len(net.fates(("m0", "m1"), 0)) == 1 for _ in range(200))


@pytest.mark.parametrize("deaf", [False, True])
def test_a_healed_core_is_alone(deaf: bool) -> None:
    net = network()
    net.heal(core=["m0", "m1", "m2"], deaf=deaf)
    assert net.fates(("m0", "m2"), 0)
    assert net.fates(("m0", "m3"), 0) == ()
    assert bool(net.fates(("m3", "m0"), 0)) is deaf


def test_links_lose_and_repeat_messages() -> None:
    net = network(loss=0.3, duplication=0.4)
    copies = [len(net.fates(("m0", "m1"), 0)) for _ in range(500)]
    assert {0, 1, 2} == set(copies)
    assert 80 < copies.count(0) < 220


def test_a_link_has_room_for_so_many_messages() -> None:
    net = network(capacity=3, service_us=1000)
    delays = [net.fates(("m0", "m1"), 0) for _ in range(10)]
    assert len([each for each in delays if each]) == 4, "three wait, one is on its way"
    assert net.fates(("m1", "m0"), 0), "the other direction is another link"
    assert net.fates(("m0", "m1"), 5000), "served by then"


def test_an_ordered_link_never_overtakes_itself() -> None:
    def arrivals(*, ordered: bool) -> list[int]:
        net = network(ordered_links=ordered, latency_spread_us=5000)
        return [at + net.fates(("m0", "m1"), at)[0] for at in range(0, 20_000, 100)]

    assert arrivals(ordered=True) == sorted(arrivals(ordered=True))
    assert arrivals(ordered=False) != sorted(arrivals(ordered=False))


def test_what_a_clogged_link_carries_arrives_late() -> None:
    net = network(clog_us=1, clogged_us=100 * MS)
    link = net.clog(0)
    assert net.fates(link, 0)[0] > 200
    other = next((a, b) for a in IDS for b in IDS if a != b and (a, b) != link)
    assert net.fates(other, 0)[0] < 10_000


@pytest.mark.parametrize("shape", SHAPES)
def test_a_partition_of_every_shape_cuts_some_links_and_not_all(shape: str) -> None:
    for seed in range(20):
        cut = set(SHAPES[shape](list(IDS), random.Random(seed)))
        assert cut
        assert len(cut) < len(IDS) * (len(IDS) - 1)
        assert all(one != other for one, other in cut)
    both_ways = all((other, one) in cut for one, other in cut)
    assert both_ways is (shape not in ("one-way", "deaf", "scattered"))


# --- keys and clocks --------------------------------------------------------------------------


@pytest.mark.parametrize("real", [False, True])
def test_a_signature_holds_for_its_own_key_and_message_only(real: bool) -> None:
    keys = Keys(("m0", "m1"), real=real)
    signature = keys.sign("m0", b"this")
    assert keys.holds(Check(keys.public["m0"], b"this", signature))
    assert not keys.holds(Check(keys.public["m0"], b"that", signature))
    assert not keys.holds(Check(keys.public["m1"], b"this", signature))
    assert not keys.holds(Check(keys.public["m0"], b"this", bytes(64)))
    assert not keys.holds(Check(bytes(32), b"this", signature))


def quiet(**changes: Any) -> Plan:
    plan = dataclasses.replace(draw(1, "oneleader"), **CALM, members=3, transactions=3)
    return dataclasses.replace(plan, **changes)


def test_clocks_drift_and_jump_but_only_the_wall_goes_back() -> None:
    world = World(quiet(drift_ppm=20_000))
    for node in world.nodes:
        node.boot()
    before = [node.now_ms() for node in world.nodes]
    world.now += 100_000 * MS
    passed = [node.now_ms() - at for node, at in zip(world.nodes, before, strict=True)]
    assert len(set(passed)) == 3
    assert all(98_000 <= each <= 102_000 for each in passed)
    wall = world.nodes[0].wall_ms()
    world.nodes[0].wall_offset_ms = -5000
    assert world.nodes[0].wall_ms() == wall - 5000
    assert world.nodes[0].now_ms() - before[0] == passed[0]


def test_a_paused_process_does_everything_later() -> None:
    world = World(quiet())
    for node in world.nodes:
        node.boot()
    world.nodes[1].pause(300 * MS)
    world.nodes[1].receive("m0", "need", [])
    world.run_until(200 * MS)
    assert world.nodes[1].inbox
    assert world.nodes[0].inbox == []
    world.run_until(400 * MS)
    assert world.nodes[1].inbox == []


def test_what_a_dead_process_planned_never_happens() -> None:
    world = World(quiet())
    world.nodes[0].boot()
    done: list[int] = []
    world.nodes[0].after(50 * MS, done.append, 1)
    world.nodes[0].crash(power_loss=False)
    world.nodes[0].boot()
    world.nodes[0].after(60 * MS, done.append, 2)
    world.run_until(100 * MS)
    assert done == [2]
