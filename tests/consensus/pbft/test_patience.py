"""When a member loses patience, and when it must not."""

from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import NewView, PrePrepare, Suspect, ViewChange
from consensus.pbft.timers import suspect_due_ms
from tests.consensus.pbft.harness import NETWORK, World, block, signed


def suspicions(world: World) -> list[Suspect]:
    return [m for _, m in world.sent if isinstance(m, Suspect)]


def keep_deciding(world: World, ms: int, since_ms: int) -> None:
    """Let blocks flow for ``ms`` while one transaction of ``since_ms`` waits everywhere."""
    end = world.now_ms + ms
    while world.now_ms < end:
        world.height_goal = max(world.heights().values()) + 1
        world.work(since_ms)
        world.run(20)


def test_every_delivered_block_starts_the_request_timer_anew() -> None:
    world = World(4, request_ms=300, patience_ms=1_000_000)
    keep_deciding(world, 3000, world.now_ms)
    assert not suspicions(world)
    assert {node.engine.status().round for node in world.nodes.values()} == {0}


def test_a_primary_that_leaves_one_transaction_out_is_replaced() -> None:
    world = World(4, request_ms=300, patience_ms=1000)
    since = world.now_ms
    keep_deciding(world, 900, since)
    assert not suspicions(world)
    keep_deciding(world, 500, since)
    assert min(node.engine.status().round for node in world.nodes.values()) >= 1


def test_patience_is_ten_request_timers_where_nothing_else_is_said() -> None:
    world = World(4, request_ms=100)
    since = world.now_ms
    keep_deciding(world, 900, since)
    assert not suspicions(world)
    keep_deciding(world, 400, since)
    assert suspicions(world)


def test_one_member_that_waits_for_one_transaction_moves_nobody() -> None:
    world = World(4, request_ms=300, patience_ms=500)
    since = world.now_ms
    for _ in range(150):
        world.height_goal = max(world.heights().values()) + 1
        world.nodes[world.ids[3]].engine.work(since)
        world.run(20)
    assert {m.signer for m in suspicions(world)} == {"m03"}
    assert not [m for _, m in world.sent if isinstance(m, ViewChange)]


def test_the_next_primary_is_given_the_same_patience() -> None:
    world = World(4, request_ms=300, patience_ms=1000)
    since = world.now_ms
    keep_deciding(world, 1200, since)
    entered = world.now_ms
    assert {node.engine.status().round for node in world.nodes.values()} == {1}
    keep_deciding(world, 700, since)
    assert {node.engine.status().round for node in world.nodes.values()} == {1}, entered


def test_a_member_whose_ledger_lags_behind_a_barrier_suspects_nobody() -> None:
    world = World(4, request_ms=300)
    world.barriers = {1: None}
    world.slow_ledgers = set(world.ids)
    world.height_goal = 5
    world.work()
    world.run(20_000)
    assert {node.engine.status().delivered for node in world.nodes.values()} == {1}
    assert not suspicions(world)


def test_the_timer_runs_for_an_accepted_block_too() -> None:
    world = World(4, request_ms=300)
    state = world.nodes[world.ids[1]].engine._state
    assert suspect_due_ms(state) is None
    proposal = signed(PrePrepare(1, 0, block(1, NETWORK), "m00"))
    world.nodes[world.ids[1]].receive("m00", DIALECT.encode(proposal))
    assert suspect_due_ms(state) == world.now_ms + 300


def test_repetitions_are_spread_in_time() -> None:
    world = World(7, resend_ms=400, view_change_ms=10_000_000)
    world.crash(world.ids[0])
    world.drop = lambda _s, _t, message: isinstance(message, NewView)
    world.work()
    world.run(6000)
    repeated = [s for s, m in world.sent if isinstance(m, ViewChange)]
    assert len(repeated) > 3 * 6
    due = {node.engine._state.resend_due_ms for node in world.nodes.values()}
    assert len(due) > 3
