"""Members store the pages of their state trees, and tables, at different blocks."""

from itertools import count
from pathlib import Path

from node import config
from node.cli.cluster import CONFIG_NAME, Cluster
from node.signing import open_store
from storage.pagelog import PAGES_MAX
from tests.support.nodes import genesis_of, keys_of


def test_no_two_of_four_founders_settle_after_the_same_share(tmp_path: Path) -> None:
    cluster = Cluster.create(tmp_path / "net", members=4, engine="pbft")
    shares = set()
    for at in range(4):
        settings = config.load(cluster.node_dir(at) / CONFIG_NAME, environment={})
        with open_store(settings, genesis_of(cluster), keys_of(cluster, at)) as store:
            shares.add(store._blocks.log.pages_max * 4 // PAGES_MAX)
    assert shares == {1, 2, 3, 4}


def test_no_two_of_four_founders_fill_a_buffer_with_as_many_bytes(tmp_path: Path) -> None:
    cluster = Cluster.create(tmp_path / "net", members=4, engine="pbft")
    written = set()
    for at in range(4):
        settings = config.load(cluster.node_dir(at) / CONFIG_NAME, environment={})
        with open_store(settings, genesis_of(cluster), keys_of(cluster, at)) as store:
            logs = settings.node.data_dir / "kv"
            first = set(logs.glob("*.log"))
            for mib in count(1):
                store.mend([(b"x" + mib.to_bytes(2, "big"), bytes(1 << 20))])
                if set(logs.glob("*.log")) - first:  # the buffer is full: it becomes a table
                    break
        written.add(mib // 3)
    assert len(written) == 4
    assert max(written) == 33 // 3
