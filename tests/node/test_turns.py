"""Members store the pages of their state trees, and tables, at different blocks."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from node import config
from node.cli.cluster import CONFIG_NAME, Cluster
from node.signing import open_store
from storage.layout import KV_NAME
from storage.pagelog import PAGES_MAX
from storage.store import Store
from tests.support.nodes import genesis_of, keys_of


def founders(directory: Path) -> Iterator[tuple[Store, Path]]:
    """Yield each of four founders' stores, opened as a daemon does, and where its rows are."""
    cluster = Cluster.create(directory / "net", members=4, engine="pbft")
    for at in range(4):
        settings = config.load(cluster.node_dir(at) / CONFIG_NAME, environment={})
        with open_store(settings, genesis_of(cluster), keys_of(cluster, at)) as store:
            yield store, settings.node.data_dir / KV_NAME


def test_no_two_of_four_founders_settle_after_the_same_share(tmp_path: Path) -> None:
    shares = {store._blocks.log.pages_max * 4 // PAGES_MAX for store, _ in founders(tmp_path)}
    assert shares == {1, 2, 3, 4}


def test_no_two_of_four_founders_fill_a_buffer_with_as_many_bytes(tmp_path: Path) -> None:
    written = set()
    for store, rows in founders(tmp_path):
        first = set(rows.glob("*.log"))
        for mib in count(1):
            store.mend([(b"x" + mib.to_bytes(2, "big"), bytes(1 << 20))])
            if set(rows.glob("*.log")) - first:  # the buffer is full: it becomes a table
                break
        written.add(mib // 3)
    assert len(written) == 4
    assert max(written) == 33 // 3
