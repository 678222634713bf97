"""The judge can say no: each rule of the table in README.md is broken here once."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from consensus.effects import Contradiction, Decided, ReadReady, WantPayload
from consensus.guard import GuardRefused, SignGuard
from consensus.pbft.messages import Commit
from consensus.raft.log import Entry
from consensus.raft.membership import Change
from consensus.types import Applied, NodeId, Proposal
from tests.sim import ledger, node, oneleader
from tests.sim.checks import RECORDS_MAX, Judge, Violation
from tests.sim.disk import Disk
from tests.sim.node import SimNode
from tests.sim.phases import Phases
from tests.sim.plan import CALM, Plan, draw
from tests.sim.process import Process
from tests.sim.world import World

pytestmark = pytest.mark.sim


def calm(engine: str = "oneleader", **changes: Any) -> Plan:
    """A plan without faults."""
    members = 4 if engine == "pbft" else 3
    quiet = dataclasses.replace(
        draw(1, engine), members=members, spares=0, member_changes=0, byzantine=(),
        power_loss=1.0, torn=1.0, cosign_blocks=1, reads_us=0, patience=1.0,
        latency_us=200, latency_spread_us=0, batch_us=0, drift_ppm=0,
        transactions=6, sync_us=500, apply_us=0, strict=False, **CALM,
    )  # fmt: skip
    return dataclasses.replace(quiet, **changes)


@pytest.fixture
def world() -> World:
    """A PBFT cluster that has delivered some blocks and is at rest."""
    played = World(calm("pbft"))
    played.run()
    assert max(played.judge.chain) >= 2
    return played


class Case:
    """Shorthand over a world at rest: its first node, the newest block, what comes next."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.judge: Judge = world.judge
        self.node: SimNode = world.nodes[0]
        self.top = max(world.judge.chain)

    def final(self, height: int) -> Decided:
        proposal, certificate = self.node.chain.blocks[height]
        return Decided(proposal, certificate, height)

    def again(self, **changes: Any) -> None:
        """Deliver the first block once more, changed, to a node that has nothing."""
        self.judge.delivered[self.node.id] = 0
        self.judge.deliver(self.node, dataclasses.replace(self.final(1), **changes))

    def further(self, txids: list[bytes], **changes: Any) -> None:
        """Deliver one more block."""
        proposal = ledger.build(
            self.top + 1, self.judge.chain[self.top], time_ms=1, proposer="m0", txids=txids
        )
        proposal = dataclasses.replace(proposal, **changes)
        self.judge.deliver(self.node, Decided(proposal, b"", self.top + 1))

    def fresh(self) -> bytes:
        transaction = ledger.numbered(500)
        self.world.transactions[transaction.txid] = transaction
        return transaction.txid

    def flipped(self) -> bytes:
        certificate = self.final(1).certificate
        return certificate[:-1] + bytes([certificate[-1] ^ 1])

    def forget_applied(self) -> None:
        self.judge._applied.clear()

    def accusation(self, member: str) -> Contradiction:
        return Contradiction("prepare", NodeId(member), 1, 0, 1, b"one", b"other")


def other_block() -> Proposal:
    return ledger.build(1, ledger.NETWORK, time_ms=1, proposer="m0", txids=[])


def lead_twice(case: Case) -> None:
    for leader in case.world.nodes[:2]:
        case.judge.leader(leader, 99)


def come_back_to(case: Case, applied: Applied) -> None:
    case.judge.booted(case.node, applied, 0)


def come_back_elsewhere(case: Case) -> None:
    case.forget_applied()
    come_back_to(case, Applied(1, bytes(32), 1))


def come_back_in_an_old_round(case: Case) -> None:
    case.judge.promised(case.node, (1, 1))
    proposal = case.final(case.top).proposal
    come_back_to(case, Applied(case.top, proposal.digest, case.top))


def go_back(case: Case) -> None:
    case.judge.promised(case.node, (1, 1))
    case.judge.promised(case.node, (1, 0))


def run_ahead(case: Case) -> None:
    case.judge.promised(case.node, (1, 1))
    case.judge.promised(case.node, (1, 2))


def commit_to_both(case: Case) -> None:
    """Two quorums of commits, for two blocks of one height."""
    for digest in (bytes(32), bytes([1] * 32)):
        for each in case.world.nodes:
            case.judge.committed(each, Commit(1, 0, case.top + 1, digest, each.id))


def apply_another_state(case: Case) -> None:
    case.judge._applied[case.node.id] -= 1
    case.judge.applied(case.node, case.top, bytes(32))


def read_too_little(case: Case) -> None:
    case.judge.asked(case.node, 7, floor=case.top)
    case.judge.answered(case.node, ReadReady(7, case.top - 1))


def accuse_without_proof(case: Case) -> None:
    case.world.trusted.discard("m3")
    case.judge.evidence(case.node, case.accusation("m3"))


def fall_behind(case: Case) -> None:
    case.node.chain.executed -= 1
    case.judge.finished()


def hoard(case: Case) -> None:
    for number in range(RECORDS_MAX + 10_000):
        case.node.disk.live[b"e/%d" % number] = b""
    case.judge.finished()


def say_too_much(case: Case) -> None:
    case.world.network.sent = 1 << 30
    Phases(case.world)._check_messages()


def change_leaders_for_nothing(case: Case) -> None:
    case.judge.top_round = 50
    Phases(case.world)._check_messages()


def fill_the_inbox(case: Case) -> None:
    case.node.paused_until = case.world.now + 1
    for _ in range(node.INBOX_MAX + 1):
        case.node.receive("m1", "need", [])


def hoard_cosignatures(case: Case) -> None:
    case.node.chain._cosigned.update({f"x{n}": (1, b"") for n in range(99)})
    case.node.check()


BROKEN: list[tuple[str, Callable[[Case], None]]] = [
    ("in-order-once", lambda case: case.judge.deliver(case.node, case.final(case.top))),
    ("parent", lambda case: case.further([], parent=bytes(32))),
    ("agreement", lambda case: case.again(proposal=other_block())),
    ("validity", lambda case: case.further([], digest=bytes(32))),
    ("validity", lambda case: case.further([bytes(32)])),
    ("validity", lambda case: case.further([], barrier=True)),
    ("transaction-once", lambda case: case.further([next(iter(case.judge.tx_height))])),
    ("durable", lambda case: case.further([case.fresh()])),
    ("certificate", lambda case: case.again(certificate=b"no")),
    ("certificate", lambda case: case.again(certificate=case.flipped())),
    ("one-leader", lead_twice),
    ("applied-lost", lambda case: come_back_to(case, ledger.GENESIS)),
    ("applied-foreign", come_back_elsewhere),
    ("round-forgotten", come_back_in_an_old_round),
    ("round-back", go_back),
    ("lone-mover", run_ahead),
    ("two-certificates", commit_to_both),
    ("applied-gap", lambda case: case.judge.applied(case.node, case.top + 2, bytes(32))),
    ("state-root", apply_another_state),
    ("state-root", lambda case: case.judge.cosigned(case.node, case.top, bytes(32))),
    ("read-token", lambda case: case.judge.answered(case.node, ReadReady(999, 1))),
    ("stale-read", read_too_little),
    ("evidence", lambda case: case.judge.evidence(case.node, case.accusation("m1"))),
    ("evidence-proof", accuse_without_proof),
    ("progress", fall_behind),
    ("bounded", hoard),
    ("bounded", fill_the_inbox),
    ("bounded", hoard_cosignatures),
    ("messages", say_too_much),
    ("messages", change_leaders_for_nothing),
    ("honest-refused", lambda case: case.world.refused("m0", "nonsense")),
    ("honest-refused", lambda case: case.world.untimely("m0")),
]


@pytest.mark.parametrize(
    ("rule", "broken"), BROKEN, ids=[f"{at} {rule}" for at, (rule, _) in enumerate(BROKEN)]
)
def test_the_judge_notices(world: World, rule: str, broken: Callable[[Case], None]) -> None:
    with pytest.raises(Violation) as caught:
        broken(Case(world))
    assert caught.value.rule == rule


# --- rules that only a run can break: the smallest engine is bent -----------------------------


def rule_broken(plan: Plan) -> str:
    with pytest.raises(Violation) as caught:
        World(plan).run()
    return caught.value.rule


def bend_effects(monkeypatch: pytest.MonkeyPatch, bend: Callable[[Any], Any]) -> None:
    honest = oneleader.OneLeaderEngine.drain
    monkeypatch.setattr(oneleader.OneLeaderEngine, "drain", lambda engine: bend(honest(engine)))


def test_a_calm_cluster_delivers_every_transaction() -> None:
    world = World(calm())
    world.run()
    assert set(world.judge.tx_height) == set(world.submitted)


def test_a_block_delivered_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    bend_effects(monkeypatch, lambda fx: dataclasses.replace(fx, deliver=fx.deliver * 2))
    assert rule_broken(calm()) == "in-order-once"


def test_a_block_kept_only_by_the_leader_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(engine: oneleader.OneLeaderEngine) -> None:
        if engine._me == engine._leader and engine._stored:
            engine._finish()

    monkeypatch.setattr(oneleader.OneLeaderEngine, "_count_stored", count)
    assert rule_broken(calm()) == "durable"


def test_a_cluster_that_stops_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneleader.OneLeaderEngine, "want", lambda _: None)
    assert rule_broken(calm()) == "liveness"


def test_a_message_storm_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneleader, "RESEND_MS", 2)
    assert rule_broken(calm(seed=8)) in ("storm", "messages")


def test_endless_work_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.sim.world.EVENTS_MAX", 50)
    assert rule_broken(calm()) == "storm"


def test_a_promise_without_its_body_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    stray = ledger.build(1, ledger.NETWORK, time_ms=1, proposer="m0", txids=[bytes(32)])
    bend_effects(monkeypatch, lambda fx: dataclasses.replace(fx, bodies=(stray,)))
    assert rule_broken(calm()) == "body"


def test_a_wish_to_build_on_nothing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oneleader.OneLeaderEngine, "want", lambda _: WantPayload(5, bytes(32)))
    assert rule_broken(calm()) == "want"


def test_an_engine_that_the_guard_refuses_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise GuardRefused("prepare of round 0 already signed")

    monkeypatch.setattr(SignGuard, "admit", refuse)
    assert rule_broken(calm()) == "guard"


def test_a_database_behind_its_mark_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(process: Process, **_: Any) -> None:
        process.up = False
        process.disk.wipe()

    monkeypatch.setattr(Process, "crash", crash)
    assert rule_broken(calm(crash_us=60_000)) == "mark"


def fails(plan: Plan) -> bool:
    try:
        World(plan).run()
    except Exception:
        return True
    return False


def test_a_torn_batch_that_nobody_checks_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(seed: int) -> Plan:
        return calm("pbft", seed=seed, crash_point=0.05, sync_us=4000, transactions=20)

    with monkeypatch.context() as careless:
        careless.setattr(Disk, "whole", staticmethod(lambda *_: True))
        found = next(seed for seed in range(60) if fails(plan(seed)))
    assert not fails(plan(found))


def test_engines_that_depend_on_more_than_their_inputs_are_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tests.sim.run import repeats

    assert repeats(calm())
    salts = iter(range(1 << 30))
    honest = oneleader.OneLeaderEngine.fingerprint
    monkeypatch.setattr(
        oneleader.OneLeaderEngine,
        "fingerprint",
        lambda engine: honest(engine) + bytes([next(salts) % 251]),
    )
    assert not repeats(calm())


@pytest.fixture
def raft() -> Case:
    """A Raft cluster at rest, as its leader sees it."""
    world = World(calm("raft"))
    world.run()
    case = Case(world)
    case.node = next(node for node in world.nodes if node.status().role == "leader")
    return case


def test_a_leader_that_takes_back_an_acknowledgement_is_noticed(raft: Case) -> None:
    round_now = raft.node.status().round
    raft.judge.leader(raft.node, round_now)
    raft.judge.leader(raft.node, round_now)
    peers = raft.node.driver.engine._core.tracker.progress  # type: ignore[attr-defined]
    next(at for peer, at in peers.items() if peer != raft.node.id).match -= 1
    with pytest.raises(Violation, match="match-back"):
        raft.judge.leader(raft.node, round_now)


def test_two_changes_of_members_under_way_are_noticed(raft: Case) -> None:
    raft.judge.changes(raft.node)
    core = raft.node.driver.engine._core  # type: ignore[attr-defined]
    core.log.append([Entry(core.term, core.log.last + 1, None, Change())])
    raft.judge.changes(raft.node)
    core.log.append([Entry(core.term, core.log.last + 1, None, Change())])
    with pytest.raises(Violation, match="one-change"):
        raft.judge.changes(raft.node)


def test_two_pasts_of_one_entry_are_noticed(raft: Case) -> None:
    raft.judge.logs()
    logs = [node.driver.engine._core.log for node in raft.world.nodes[:2]]  # type: ignore[attr-defined]
    term, at = logs[0].last_term, logs[0].last + 1
    assert logs[1].last == logs[0].last
    for log, other in zip(logs, (term, term + 1), strict=True):
        log.append([Entry(other, at, None), Entry(term + 2, at + 1, None)])
    with pytest.raises(Violation, match=f"log-matching.* at {at}"):
        raft.judge.logs()


def test_a_final_block_that_is_in_no_log_is_noticed_before_it_is_lost(raft: Case) -> None:
    txids = [raft.fresh()]
    proposal = ledger.build(
        raft.top + 1, raft.judge.chain[raft.top], time_ms=1, proposer="m0", txids=txids
    )
    for each in raft.world.nodes:
        each.disk.synced[b"b/" + proposal.digest] = proposal
    with pytest.raises(Violation, match="electable"):
        raft.judge.deliver(raft.node, Decided(proposal, b"", raft.top + 1))
