"""Snapshots without a network: made from a chain, opened, put into a store of their own."""

from pathlib import Path

from node.ledger.genesis import Genesis
from node.ledger.snapshot import Chunks, Evidence, Manifest, check_evidence, open_manifest
from node.publish import policy_of
from node.snapshot_load import Verified, load
from node.snapshotting import make
from storage.foundation import Foundation, adopt
from storage.snapshots import EVIDENCE, MANIFEST, Snapshots, chunk_name, read_part
from storage.store import Store
from tests.support.ledger import Chain


def snapshot_of(chain: Chain) -> Path:
    """Certify the tip, make its snapshot, return its directory."""
    note = chain.certify()
    snapshots = Snapshots(chain.directory)
    with chain.store.snapshot() as view:
        return snapshots.path(make(view, snapshots, note))


def opened(directory: Path, genesis: Genesis) -> Verified:
    """Verify everything in ``directory`` as a receiver does; raises what that raises."""
    manifest = Manifest.decode(read_part(directory, MANIFEST) or b"")
    evidence = Evidence.decode(read_part(directory, EVIDENCE) or b"")
    contents = open_manifest(manifest, genesis.network, body_bytes_max=1 << 21)
    check_evidence(manifest, evidence, policy_of(genesis))
    chunks = Chunks(manifest, contents.seal.state_root)
    for number in range(manifest.chunks):
        chunks.check(number, read_part(directory, chunk_name(number)) or b"")
    return Verified(directory, manifest, evidence, contents, manifest.height)


def installed(verified: Verified, genesis: Genesis, data_dir: Path) -> Store:
    """Return a store in ``data_dir`` that began with the snapshot."""
    with Store.open(data_dir, network=genesis.network, create=True) as old:
        foundation = Foundation(data_dir, genesis.network, segment_bytes_max=1 << 26)
        load(verified, foundation)
        foundation.close()
        adopt(data_dir, old, [])
    return Store.open(data_dir, network=genesis.network)
