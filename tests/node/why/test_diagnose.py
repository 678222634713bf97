"""A diagnosis names the cause first that explains the others, with whom and since when."""

from dataclasses import replace
from typing import Any

import pytest

from node.why.causes import KINDS, MANUAL, Severity
from node.why.diagnose import CAUSES_MAX, diagnose
from node.why.lately import Memory, Refusals
from node.why.observation import (
    PEERS_MAX,
    Certificate,
    Evidence,
    Observation,
    PeerFacts,
)

NOW_MS = 1_800_000_000_000
VOTERS = ("alder", "birch", "cedar", "doug")


def peer(member: str, **facts: Any) -> PeerFacts:
    """Return a member that is there and well, but for ``facts``."""
    given: dict[str, Any] = {
        "address": f"{member}.example:7650",
        "sending": True,
        "receiving": True,
        "linked_ago_ms": 900_000,
        "heard_ago_ms": 500,
        "rtt_ms": 3,
        "clock_ahead_ms": 20,
        "kinds_ago_ms": (("consensus", 500), ("cosignatures", 500)),
    }
    return PeerFacts(id=member, **given | facts)


def gone(member: str, dial: str, ago_ms: int, **facts: Any) -> PeerFacts:
    return peer(
        member,
        sending=False,
        receiving=False,
        dial=dial,
        parted_ago_ms=ago_ms,
        heard_ago_ms=ago_ms,
        **facts,
    )


def seen(*peers: PeerFacts, **facts: Any) -> Observation:
    """Return what alder sees of four voters; peers that are not given are well."""
    given = {item.id: item for item in peers}
    others = tuple(given.pop(member, peer(member)) for member in VOTERS[1:])
    plain: dict[str, Any] = {
        "node": "alder",
        "voters": VOTERS,
        "quorum": 3,
        "leader": "birch",
        "height": 100,
        "committed": 100,
        "certified": 100,
        "applied_ago_ms": 1_000,
        "pool_max": 1_000,
        "pool_bytes_max": 1 << 20,
    }
    peers = (*others, *given.values())
    return Observation(now_ms=NOW_MS, **plain | {"peers": peers} | facts)


def first(o: Observation) -> str | None:
    found = diagnose(o)
    return found[0].id if found else None


def test_nothing_is_wrong_with_a_node_that_is_well() -> None:
    assert diagnose(seen()) == ()


def test_one_lost_member_is_named_with_what_is_left_to_lose() -> None:
    (found,) = diagnose(seen(gone("doug", "refused", 40_000)))
    assert (found.id, found.member) == ("member-down", "doug")
    assert found.severity is Severity.DEGRADED
    assert found.since_ms == NOW_MS - 40_000
    assert "3 of 4 voters are there, 3 are needed, 0 more may be lost" in found.say
    assert found.docs == f"{MANUAL}#member-down"


def test_a_lost_quorum_comes_first_and_dates_from_the_loss_that_broke_it() -> None:
    found = diagnose(seen(gone("doug", "refused", 90_000), gone("cedar", "silent", 30_000)))
    assert [item.id for item in found] == ["no-quorum", "member-down", "member-unreachable"]
    assert found[0].since_ms == NOW_MS - 30_000
    assert dict(found[0].facts)["missing"].keys() == {"cedar", "doug"}
    assert "2 of 4 voters are there, 3 are needed" in found[0].say


@pytest.mark.parametrize(
    ("dial", "facts", "cause"),
    [
        ("refused", {}, "member-down"),
        ("silent", {}, "member-unreachable"),
        ("no-route", {}, "member-unreachable"),
        ("unknown-name", {}, "member-name"),
        ("stuck", {}, "member-unresponsive"),
        ("ping-timeout", {}, "member-unresponsive"),
        ("hung-up", {}, "member-hangs-up"),
        ("wrong-peer", {}, "member-address"),
        ("reflected", {}, "member-address"),
        ("bad-proof", {}, "member-wrong-key"),
        ("hung-up", {"refused": "wrong-network", "refused_ago_ms": 9}, "member-wrong-network"),
        ("hung-up", {"refused": "version", "refused_ago_ms": 9}, "member-version"),
        ("refused", {"refused": "bad-proof", "refused_ago_ms": 9}, "member-wrong-key"),
        ("hung-up", {"refused": "version", "refused_ago_ms": 99_999}, "member-hangs-up"),
        ("whatever-comes", {}, "member-hangs-up"),
    ],
)
def test_a_members_absence_has_the_reason_that_says_most(
    dial: str, facts: dict[str, Any], cause: str
) -> None:
    assert first(seen(gone("doug", dial, 5_000, **facts))) == cause


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"sending": False, "dial": "hung-up"}, "member-address"),
        ({"sending": False, "dial": "silent"}, "member-path"),
        ({"sending": False, "dial": "refused"}, "member-path"),
        ({"heard_ago_ms": 20_000}, "member-unresponsive"),
        ({"receiving": False}, "member-one-way"),
        ({"sending": False, "receiving": False, "address": None}, "member-unset"),
        ({"kinds_ago_ms": (("consensus", 20_000),)}, "member-mute"),
        ({"rtt_ms": 900}, "slow-link"),
        ({"clock_ahead_ms": 3_600_000}, "clock-member"),
        ({"evidence": 1}, "member-equivocated"),
        ({"fault": "bad-message", "fault_ago_ms": 50, "faults": 2}, "member-lies"),
        ({"paused_left_ms": 4_000, "fault": "malformed", "faults": 5}, "member-lies"),
    ],
)
def test_a_member_that_is_there_is_judged_by_what_it_does(
    facts: dict[str, Any], cause: str
) -> None:
    found = diagnose(seen(peer("doug", **facts)))
    assert (found[0].id, found[0].member) == (cause, "doug")


def test_who_is_alone_is_told_to_look_at_itself() -> None:
    alone = [gone(member, "silent", 9_000) for member in VOTERS[1:]]
    assert first(seen(*alone)) == "isolated"
    for refused, cause in (("wrong-network", "wrong-network"), ("version", "version-here")):
        told = [
            gone(member, "hung-up", 9_000, refused=refused, refused_ago_ms=10)
            for member in VOTERS[1:]
        ]
        assert first(seen(*told)) == cause


def test_a_node_that_has_just_started_is_not_alarmed() -> None:
    fresh = tuple(gone(member, "refused", 1_000, linked_ago_ms=None) for member in VOTERS[1:])
    (found,) = diagnose(seen(up_ms=2_000, peers=fresh))
    assert (found.id, found.severity) == ("starting", Severity.NOTE)
    assert first(seen(up_ms=20_000, peers=fresh)) == "isolated"
    was_there = gone("doug", "refused", 1_000)
    assert first(seen(was_there, up_ms=2_000)) == "member-down"


@pytest.mark.parametrize(
    ("facts", "cause"),
    [
        ({"store_failure": "storage-failure"}, "store-failed"),
        ({"disk_free_bytes": 1_000, "disk_low": True}, "disk-full"),
        ({"disk_low": True, "disk_free_bytes": 5 << 20}, "disk-low"),
        ({"slow_write_ms": 700}, "slow-disk"),
        ({"loop_late_ms": 2_500, "loop_late_ago_ms": 100}, "event-loop-blocked"),
        ({"descriptors": 1_000, "descriptors_max": 1_024}, "descriptors-low"),
        ({"memory_left_bytes": 1 << 20}, "memory-low"),
        ({"certificates": (Certificate(name="c", left_ms=-5),)}, "certificate-expired"),
        ({"certificates": (Certificate(name="c", left_ms=9 * 86_400_000),)},
         "certificate-expires"),
        ({"suspended": True}, "institution-suspended"),
        ({"signer_known": False}, "signer-unknown"),
        ({"pool": 1_000}, "mempool-full"),
        ({"refused": (("mempool-full", 3, 10),)}, "mempool-full"),
        ({"refused": (("unknown-signer", 3, 10),)}, "transactions-refused"),
        ({"token_expired_ago_ms": 5}, "token-expired"),
        ({"tokens_unreadable": True}, "tokens-unreadable"),
        ({"frames_dropped": 12}, "frames-dropped"),
        ({"voters": ("birch", "cedar", "doug", "elm")}, "not-a-member"),
        ({"institution": False}, "not-a-member"),
        ({"epoch": 1, "ledger_epoch": 2}, "epoch-behind"),
        ({"keys_taken": False}, "rejoining"),
        ({"transfer_to": "doug"}, "leader-transfer"),
        ({"stopping": True}, "stopping"),
        ({"committed": 400}, "catching-up"),
        ({"backlog": 40}, "catching-up"),
        ({"committed": 130, "asked_blocks_ago_ms": 500, "applied_ago_ms": 60_000},
         "stuck-behind"),
        ({"certified": 40}, "cosignatures-missing"),
        ({"certified": 99, "applied_ago_ms": 60_000}, "cosignatures-missing"),
        ({"oldest_ms": 9_000, "applied_ago_ms": 9_000, "leader": None}, "no-leader"),
        ({"oldest_ms": 9_000, "applied_ago_ms": 9_000, "role": "view-change"}, "no-leader"),
        ({"oldest_ms": 9_000, "applied_ago_ms": 9_000}, "no-progress"),
        ({"oldest_ms": 9_000, "applied_ago_ms": 9_000, "height": 5_000, "committed": 5_000,
          "certified": 800}, "window-full"),
    ],
)  # fmt: skip
def test_each_fact_that_is_out_of_order_has_its_cause(
    facts: dict[str, Any], cause: str
) -> None:
    assert first(seen(**facts)) == cause


def test_where_most_clocks_differ_from_ours_it_is_ours() -> None:
    ahead = [peer(member, clock_ahead_ms=-10_800_000) for member in VOTERS[1:]]
    (found,) = diagnose(seen(*ahead))
    assert found.id == "clock-here"
    assert "3 h ahead of" in found.say


def test_the_last_evidence_is_told_with_its_member() -> None:
    last = Evidence(member="doug", kind="heads", height=7, ago_ms=2_000)
    (found,) = diagnose(seen(peer("doug", evidence=2), evidence=last))
    assert "doug contradicted itself 2 times, the last at height 7 (heads)" in found.say
    assert found.since_ms == NOW_MS - 2_000


def test_observers_and_removed_members_are_no_loss_of_quorum() -> None:
    observer = gone("elm", "refused", 9_000, voter=False)
    (found,) = diagnose(seen(observer))
    assert (found.id, found.severity) == ("member-down", Severity.WARNING)


def test_causes_and_facts_are_bounded() -> None:
    with pytest.raises(ValueError, match="at most"):
        seen(peers=tuple(peer(f"m{at}") for at in range(PEERS_MAX + 1)))
    crowd = tuple(gone(f"m{at}", "refused", 9_000) for at in range(PEERS_MAX))
    assert len(diagnose(seen(peers=crowd))) == CAUSES_MAX


def test_every_row_of_the_table_says_what_to_do() -> None:
    assert len({kind.id for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert kind.title, kind.id
        assert kind.next, kind.id


def test_a_cause_lasts_from_when_it_was_first_seen_and_is_forgotten_with_it() -> None:
    memory, low = Memory(), diagnose(seen(disk_low=True))
    assert memory.lasting(low, 1_000)[0].since_ms == 1_000
    assert memory.lasting(low, 9_000)[0].since_ms == 1_000
    assert memory.lasting((), 10_000) == ()
    assert memory.lasting(low, 11_000)[0].since_ms == 11_000
    dated = replace(low[0], since_ms=500)
    assert memory.lasting((dated,), 12_000)[0].since_ms == 500


def test_refusals_count_for_a_minute_and_are_bounded() -> None:
    refusals = Refusals()
    for at in range(40):
        refusals.note(f"code-{at}", 10.0)
    assert len(refusals.lately(10.0)) == 32
    refusals.note("code-1", 20.0)
    assert ("code-1", 2, 0) in refusals.lately(20.0)
    assert refusals.lately(200.0) == ()
    refusals.note("code-1", 200.0)
    assert refusals.lately(200.0) == (("code-1", 1, 0),)
