"""The send queue: urgent first, nothing starves, and bounds that hold."""

from hypothesis import given
from hypothesis import strategies as st

from node.net.frame import PRIORITIES, FrameType
from node.net.limits import NetLimits
from node.net.queue import SendQueue
from node.net.statistics import Statistics


def make(**limits: int) -> tuple[SendQueue, Statistics]:
    statistics = Statistics()
    return SendQueue(NetLimits(**limits), statistics), statistics


def test_consensus_overtakes_and_bulk_still_moves() -> None:
    queue, _ = make()
    queue.offer(FrameType.SYNC_RESPONSE, b"b" * 90, now_ms=0)
    for _ in range(5):
        queue.offer(FrameType.TRANSACTIONS, b"g" * 50, now_ms=0)
    queue.offer(FrameType.CONSENSUS, b"c" * 10, now_ms=0)
    batch = queue.take(115)
    assert [frame.type.name for frame in batch] == [
        "CONSENSUS",
        "TRANSACTIONS",
        "TRANSACTIONS",
        "SYNC_RESPONSE",
    ]


def test_a_full_class_refuses_and_counts_while_others_take() -> None:
    queue, statistics = make(gossip_queue_bytes_max=100)
    assert queue.offer(FrameType.TRANSACTIONS, b"g" * 300, now_ms=0)  # alone: always fits
    assert not queue.offer(FrameType.INVENTORY, b"g", now_ms=0)
    assert queue.offer(FrameType.CONSENSUS, b"c", now_ms=0)
    assert statistics.dropped == {"full": 1}


def test_stale_frames_make_room_and_do_not_meet_a_new_connection() -> None:
    queue, statistics = make(queue_frames_max=1, queue_stale_ms=1000)
    assert queue.offer(FrameType.CONSENSUS, b"old", now_ms=0)
    assert not queue.offer(FrameType.CONSENSUS, b"new", now_ms=1000)
    assert queue.offer(FrameType.CONSENSUS, b"new", now_ms=1001)
    queue.drop_stale(1001)
    assert [frame.encoded for frame in queue.take(10)] == [b"new"]
    assert statistics.dropped == {"full": 1, "stale": 1}


sendable = st.sampled_from(sorted(PRIORITIES))


@given(st.lists(st.tuples(sendable, st.integers(1, 60)), max_size=60), st.integers(1, 200))
def test_what_goes_in_comes_out_once_in_order_within_its_class(
    offered: list[tuple[FrameType, int]], write_max: int
) -> None:
    queue, statistics = make(
        queue_frames_max=10, gossip_queue_bytes_max=150, consensus_queue_bytes_max=200
    )
    taken_in = [
        (kind, bytes([number]) * size)
        for number, (kind, size) in enumerate(offered)
        if queue.offer(kind, bytes([number]) * size, now_ms=0)
    ]
    assert queue.waiting_bytes == sum(len(encoded) for _, encoded in taken_in)
    out = []
    while batch := queue.take(write_max):
        out += batch
    assert queue.waiting_bytes == 0
    assert statistics.dropped["full"] == len(offered) - len(taken_in)
    for priority in set(PRIORITIES.values()):
        assert [f.encoded for f in out if PRIORITIES[f.type] is priority] == [
            encoded for kind, encoded in taken_in if PRIORITIES[kind] is priority
        ]
