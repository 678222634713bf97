"""What a stopped node owes after a load: all that was acknowledged, once, and no damage."""

from consensus import wire
from node.book import TxRow
from node.check import check_ledger
from node.cli.cluster import Cluster
from node.ledger.families import record
from node.ledger.genesis import Genesis
from storage.store import Store
from tests.support.load import Load


def promises_kept(cluster: Cluster, at: int, load: Load) -> None:
    """Assert it of the stopped node ``at``: executed again, and looked up row by row."""
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    data_dir = cluster.node_dir(at) / "data"
    report = check_ledger(data_dir, genesis)
    assert report.clean, list(report.findings)
    with Store.open(data_dir, network=genesis.network) as store:
        for tx_id, commitments in load.acknowledged.items():
            raw = store.tx_row(bytes.fromhex(tx_id))
            assert raw is not None, f"acknowledged {tx_id} is lost on node {at}"
            assert wire.decode(TxRow, raw, size_max=256).code == 0
            for name in commitments:
                prefix = record.commitment_prefix(bytes.fromhex(name))
                places = list(store.index_scan(prefix, prefix + b"\xff"))
                assert len(places) == 1, f"{name} stands {len(places)} times on node {at}"
