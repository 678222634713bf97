"""The harness's smaller parts: loads that nodes accept, the HTTP client, stacks, the lie."""

import json
from pathlib import Path

import pytest

from node.keys import NodeKeys
from node.ledger import accel, merkle, transaction
from tests.bench import drive, flame, loads, machine, micro, run, wire
from tests.bench.feeder import Feeder, Job, read
from tests.bench.loads import Author, Content
from tests.bench.micro import Size, compare
from tests.bench.scenarios import LOADS, scenarios

NETWORK = bytes(range(32))


def authors(count: int) -> list[Author]:
    made = [NodeKeys.generate(f"hosp{at}") for at in range(count)]
    return [Author(keys.node, keys.identity) for keys in made]


@pytest.mark.parametrize(
    "content",
    [Content("anchors", 1), Content("anchors", 16), Content("batch", 20),
     Content("batch", 1000, inline=False)],
)  # fmt: skip
def test_loads_are_transactions_that_nodes_accept_and_no_two_alike(content: Content):
    raws = list(loads.make(NETWORK, authors(3), content, 7, expires_height=900))
    assert len({transaction.txid_of(raw) for raw in raws}) == 7
    orgs, commitments = [], set()
    for raw in raws:
        frame = transaction.slice_frame(raw)
        assert all(accel.verify_batch(frame.checks))
        payload = transaction.parse(raw).payload
        assert (payload.network, payload.expires_height) == (NETWORK, 900)
        assert len(payload.ops) == content.ops
        orgs.append(payload.org)
        commitments |= {bytes(op.body[0]) for op in payload.ops}
    assert orgs[:4] == ["hosp0", "hosp1", "hosp2", "hosp0"], "authors in turn"
    assert len(commitments) == 7 * content.ops


def test_a_batch_with_its_items_has_their_root():
    (raw,) = loads.make(NETWORK, authors(1), Content("batch", 5), 1, expires_height=9)
    root, count, leaves = transaction.parse(raw).payload.ops[0].body
    items = [leaves[at : at + 32] for at in range(0, len(leaves), 32)]
    assert (count, len(set(items))) == (5, 5)
    assert merkle.root([merkle.leaf_hash(item) for item in items]) == root


def test_files_of_loads_come_back_whole(tmp_path: Path):
    path = tmp_path / "load"
    many = loads.PARALLEL_FROM + 5  # by several processes
    loads.write(path, NETWORK, authors(2), Content("anchors", 1), many, expires_height=9)
    frames = loads.split_frames(path.read_bytes())
    assert len({transaction.txid_of(frame[4:]) for frame in frames}) == many
    loads.write(
        path, NETWORK, authors(2), Content("anchors", 1), 3, expires_height=9, lines=True
    )
    job = Job([1], "t", "lines", str(path), 1, 1, 0)
    items, probes = read(job)
    assert [list(json.loads(item)) for item in items] == [["transaction"]] * 3
    assert probes == []
    assert Feeder(job)._chunk() > 1


# --- HTTP -----------------------------------------------------------------------------------


def test_answers_are_whole_or_nothing():
    plain = b"HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n\r\nhello"
    assert wire.parse(plain) == wire.Answer(202, b"hello")
    assert all(wire.parse(plain[:cut]) is None for cut in range(len(plain)))
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nab0\r\n5\r\n\r\n0\r\n\r\n0\r\n\r\n"
    )
    assert wire.parse(chunked) == wire.Answer(200, b"ab0\r\n0\r\n")
    assert all(wire.parse(chunked[:cut]) is None for cut in range(len(chunked)))


def test_requests_go_to_loopback_with_their_length():
    head = wire.head("POST", "/v1/transactions", length=7, headers={"A": "b"})
    assert head.startswith(b"POST /v1/transactions HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert b"\r\nContent-Length: 7\r\nA: b\r\n\r\n" in head


def test_etcd_requests_are_the_protobuf_that_its_interface_says():
    assert drive.put(b"k", b"v" * 200) == b"\x0a\x01k\x12\xc8\x01" + b"v" * 200
    one = drive.put(b"k", b"v")
    assert drive.txn([one]) == b"\x12\x08\x12\x06" + one


# --- comparing and profiling ----------------------------------------------------------------


def test_work_is_compared_with_the_limit_around_it():
    """The limit doubles its cost from round to round, as a drifting machine would."""
    now, cost = [0.0], [1.0]

    def limit() -> None:
        now[0] += cost[0]

    def work() -> None:
        now[0] += 3 * cost[0]
        cost[0] *= 2

    row = compare(1, work, limit, named="x", rounds=3, clock=lambda: now[0])
    assert row["over_limit"] == pytest.approx(2.0), "3 over the mean of 1 and 2"
    assert row["us"] == pytest.approx(6e6)
    assert Size().rounds >= 3


STACKS = {
    ("asyncio/base_events.py:run", "node/net/link.py:read", "node/intake.py:submit",
     "node/ledger/accel/__init__.py:verify_batch"): 50.0,
    ("asyncio/base_events.py:run", "node/replica.py:on_frame",
     "node/ledger/accel/__init__.py:verify_batch"): 20.0,
    ("threading.py:run", "node/book.py:apply", "node/ledger/smt.py:update"): 20.0,
    ("asyncio/base_events.py:run", "selectors.py:select"): 10.0,
}  # fmt: skip


def test_folded_stacks_are_read_back():
    text = "".join(f"{';'.join(stack)} {int(weight)}\n" for stack, weight in STACKS.items())
    assert flame.parse(text) == STACKS


def test_a_flame_graph_is_as_wide_as_the_weights():
    picture = flame.svg(STACKS, "a <title>")
    assert "a &lt;title&gt;" in picture
    assert "<title>asyncio/base_events.py:run 80.0%</title>" in picture
    assert 'width="960.0"' in picture
    assert "<svg" in flame.svg({}, "empty")


# --- the list and the command line ------------------------------------------------------------


def test_every_cell_has_one_name_and_goals_find_theirs():
    listed = scenarios((10_000, 1_000_000))
    names = [
        f"{item.name}-{load}" if load else item.name for item in listed for load in item.loads
    ]
    names += [f"{item.name}-dead" for item in listed if item.bury]
    assert len(names) == len(set(names))
    assert {"pbft-4", "raft-3", "pbft-16", "pbft-4-root", "pbft-4-batch", "pbft-4-dead"} <= {
        *names
    }
    assert all(load in LOADS for item in listed for load in item.loads)
    quick = {item.group for item in listed if item.quick}
    assert quick == {item.group for item in listed}, "quick covers one of everything"


def test_options_of_the_command_line():
    line = ["--quick", "--only", "pbft-4", "etcd", "--seconds", "2", "--keys", "10", "20"]
    options = run.parse(line)
    assert (options.quick, options.only, options.seconds) == (True, ["pbft-4", "etcd"], 2)
    assert options.keys == [10, 20]
    assert run.parse(["--soak", "5"]).soak == 5


def test_a_name_that_picks_nothing_ends_the_run_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ["micro", "keys", "pbft-4", "pbft-4-one", "raft-3-dead", "pbft-16", "etcd", "peers"]
    assert run.parse(["--only", *names]).only == names
    assert run.parse(["--keys", "77", "--only", "pbft-4-keys-77"]).keys == [77]
    with pytest.raises(SystemExit):
        run.parse(["--only", "micro", "etcd-3", "pbft-4-ten"])
    assert "nothing is named etcd-3, pbft-4-ten" in capsys.readouterr().err


def test_loads_of_a_cluster_are_picked_by_name():
    (scenario,) = [item for item in scenarios((10,)) if item.name == "pbft-4"]
    assert scenario.picked(["pbft-4-one", "pbft-4-dead", "raft-3-one"]) == ["one", "dead"]
    assert scenario.picked(["pbft-4-batch"]) == ["batch"]
    assert scenario.picked(["pbft-4", "pbft-4-distinct"]) == []


def test_the_way_from_bytes_to_disk_is_measured_beside_the_same_rows_alone(tmp_path: Path):
    size = Size(rounds=1, batches=1, blocks=2, filler_rows=100)
    found = micro.pipeline(micro.ground(), size, tmp_path)
    assert found["intake"]["us"] > 0
    commit = found["block_commit"]
    assert commit["over_limit"] == pytest.approx(commit["us"] / commit["limit_us"])


def test_a_probe_beside_other_work_counts_as_what_it_was_before():
    alone = machine.verify_us()
    assert 0 < alone < 10_000
    assert machine.verify_us(alone / 1_000) == alone / 1_000
    assert machine.verify_us(before=1e9) < 1e9
