"""A cluster made for measuring, with real processes; and the lie that its liar tells."""

import os
from pathlib import Path

import pytest

from consensus import certs
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import PrePrepare
from consensus.types import Proposal
from node.keys import NodeKeys
from node.ledger import accel
from node.ledger import block as blocks
from storage.level import LevelKV
from tests.bench import keyspace, liar
from tests.bench.loads import Content
from tests.bench.measure import Bench, Feed, Load, Plan
from tests.bench.net import Net, Setup


def test_the_lie_is_another_block_of_the_same_height_truly_signed():
    keys, network = NodeKeys.generate("hosp1"), os.urandom(32)
    ids = [os.urandom(32)]
    header = blocks.Header(
        blocks.VERSION, network, 0, 7, os.urandom(32), 1000, "hosp1", blocks.txids_root(ids)
    ).encode()
    proposal = Proposal(7, bytes(32), blocks.body_digest(header), header, b"".join(ids))
    truth = PrePrepare(0, 3, proposal, "hosp1", bytes(64))
    lie = liar.other(truth, network, keys.consensus.sign)
    assert (lie.view, lie.proposal.height, lie.proposal.txids) == (3, 7, proposal.txids)
    assert lie.proposal.digest == blocks.body_digest(lie.proposal.header) != proposal.digest
    content = certs.proposal_hash(lie.proposal)
    said = certs.prepare_bytes(network, epoch=0, view=3, height=7, content=content)
    assert accel.verify_batch([(keys.public.consensus, said, lie.signature)]) == [True]
    assert DIALECT.decode(DIALECT.encode(lie), size_max=1 << 20) == lie


@pytest.mark.cluster
def test_a_step_counts_what_was_applied_and_what_it_cost(tmp_path: Path):
    """One member that begins with keys in its state, and signers that are no members."""
    per_block = keyspace.ANCHORS * keyspace.PER_BLOCK
    setup = Setup("raft", 1, signers=3, keys=per_block + 1)
    with Net(tmp_path, setup) as net, Feed() as feed:
        net.up()
        assert net.height() == 2, "two blocks of keys"
        bench = Bench(net, feed, Plan())
        first = bench.first_commit_s()
        assert first is not None
        figures = bench.step(Load(Content("anchors", 2)), 60, 0.5)
        assert figures["drained"], figures
        assert (figures["accepted"], figures["refused"], figures["failed"]) == (30, 0, 0)
        assert 0 < figures["tx_per_s"] <= (30 + 3) / 0.5
        assert figures["latency_ms"]["count"] >= 2, "probes were committed"
        assert figures["syncs_per_block"] >= 1
        assert figures["cpu_us_per_tx_node"] > 0
        assert figures["rss_mb_max"] > 20
        assert figures["loop_lag_p99_ms"] > 0
        assert {author.org for author in net.authors} == {f"clinic0000{at}" for at in range(3)}
        lines = bench.step(Load(Content("anchors", 1), mode="lines"), 60, 0.3, probes=False)
        single = bench.step(Load(Content("anchors", 1), mode="single"), 60, 0.3, probes=False)
        assert (lines["accepted"], single["accepted"]) == (18, 18)


def test_what_a_compaction_left_unfinished_is_not_copied(tmp_path: Path):
    kv = LevelKV(tmp_path / "kv", create=True)
    kv.write([(b"a", b"1")], sync=True)
    kv.close()
    LevelKV(tmp_path / "kv", create=False).close()  # the row is in a table now
    tables = set((tmp_path / "kv").glob("*.ldb"))
    (tmp_path / "kv" / "000999.ldb").write_bytes(b"half a table")
    keyspace.drop_unfinished(tmp_path / "kv")
    assert set((tmp_path / "kv").glob("*.ldb")) == tables != set()
    kv = LevelKV(tmp_path / "kv", create=False)
    assert kv.get(b"a") == b"1"
    kv.close()
