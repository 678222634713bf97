"""Backups as this node makes them and as anybody can verify them without a node.

Owns: who signs a backup, what goes with it besides the ledger, and the verdict on one: every
byte against the signed manifest, the chain of blocks, the log's and the state's roots from the
rows, the certified checkpoint; with ``full`` every block is executed again.
Refuses: private keys, marks, local secrets: they are never read here.  Trusts the genesis that
the caller brings, nothing in the backup.
Invariant: a backup without findings gives back a directory that ``chartseal check`` passes.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

from node import roots
from node.check import check_ledger
from node.config import Config, sources
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger import crypto
from node.ledger.genesis import Genesis, GenesisInvalid
from node.ledger.lineage import LineageInvalid, follow
from node.ledger.state import SignerRow, load_from, signer_key
from node.lineage_keeping import lineage_of
from node.trust import quorum
from storage import backup, manifest
from storage.backup import Made, Origin, Progress
from storage.check import Code, Finding, check
from storage.errors import StorageFailure
from storage.manifest import BackupInvalid, Found
from storage.restore import restore
from storage.store import Store

BYTES: Final = "bytes"  # every byte and the signature
ROOTS: Final = "roots"  # and everything that hashes tell
FULL: Final = "full"  # and every block executed again
DEPTHS: Final = (BYTES, ROOTS, FULL)
GENESIS_NAME: Final = "genesis.bin"
SETTINGS_NAME: Final = "settings.json"
KEYS_NAME: Final = "public-keys.json"


def nothing(_what: str, _done: int, _total: int) -> None:
    """Tell nobody how far it is."""


def origin_of(config: Config, genesis: bytes, keys: NodeKeys) -> Origin:
    """Return who signs and what goes along: genesis, settings (they name files, they hold no
    secret), public keys."""
    settings = {item.name: item.value for item in sources(config)}
    public = {"node": keys.node, **keys.public.plain()}
    return Origin(
        node=keys.node,
        software=version("chartseal"),
        key=keys.identity.public_key,
        sign=keys.identity.sign,
        documents={
            GENESIS_NAME: genesis,
            SETTINGS_NAME: json.dumps(settings, indent=2).encode() + b"\n",
            KEYS_NAME: json.dumps(public, indent=2).encode() + b"\n",
        },
    )


def create(
    store: Store,
    directory: Path,
    origin: Origin,
    *,
    network: bytes,
    link: bool = False,
    progress: Progress = nothing,
) -> Made:
    """Add a backup of ``store`` to ``directory``; see ``storage.backup.create``."""
    now_ms = time.time_ns() // 1_000_000
    try:
        return backup.create(
            store,
            directory,
            origin,
            network=network,
            now_ms=now_ms,
            link=link,
            progress=progress,
        )
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{directory}: {error.strerror}") from error


def choose(directory: Path, name: str | None) -> Found:
    """Return the backup of that name, the newest without one.

    Raises ``ChartsealError`` (not-found), ``BackupInvalid``.
    """
    paths = manifest.paths(directory)
    if name is not None:
        paths = [path for path in paths if path.name == name + manifest.SUFFIX]
    if not paths:
        raise ChartsealError("not-found", f"no backup {name or ''} in {directory}")
    return manifest.read(paths[-1], verify=crypto.verify)


def own_genesis(directory: Path, found: Found) -> Genesis:
    """Return the genesis that lies in the backup; it proves nothing until compared."""
    try:
        return Genesis.decode(backup.document(directory, found.manifest, GENESIS_NAME))
    except GenesisInvalid as error:
        raise BackupInvalid(GENESIS_NAME, str(error)) from error


# --- the verdict --------------------------------------------------------------------------


def verify(
    directory: Path,
    found: Found,
    genesis: Genesis,
    *,
    depth: str = ROOTS,
    scratch_dir: Path | None = None,
    progress: Progress = nothing,
) -> list[Finding]:
    """Return what is wrong with a backup of the network that ``genesis`` founds.

    ``scratch_dir`` needs room for the restored directory unless ``depth`` is ``bytes``.
    Raises ``ChartsealError`` (foreign-data-dir) for another network's backup.
    """
    made = found.manifest
    if made.network != genesis.network:
        detail = (
            f"backup of network {made.network.hex()[:16]}, not {genesis.network.hex()[:16]}"
        )
        raise ChartsealError("foreign-data-dir", detail)
    wrong = [
        Finding(Code.BYTES_WRONG, str(item.path), f"{item.what}; it holds {item.belongs}")
        for item in backup.damages(directory, made, progress=progress)
    ]
    if wrong or depth == BYTES:
        return [*wrong, *_signer(found, genesis, None)]
    with tempfile.TemporaryDirectory(prefix="chartseal-verify-", dir=scratch_dir) as where:
        to = Path(where) / "data"
        restore(directory, found, to, now_ms=made.created_ms, progress=progress)
        return check_restored(to, found, genesis, full=depth == FULL, scratch_dir=scratch_dir)


def check_restored(
    to: Path, found: Found, genesis: Genesis, *, full: bool, scratch_dir: Path | None
) -> list[Finding]:
    """Return what is wrong with a directory that was restored from ``found``."""
    try:
        with Store.open(to, network=genesis.network) as store:
            wrong = [*_signer(found, genesis, store), *_claims(found, store)]
            wrong += _lineage(store, genesis)
            if not full:
                policy = roots.policy_at(genesis, store)
                report = check(store, verifiers=roots.verifiers(policy, scratch_dir))
                return [*wrong, *report.findings]
    except StorageFailure as failure:
        return [Finding(Code.KV_UNREADABLE, found.manifest.name, str(failure))]
    return [*wrong, *check_ledger(to, genesis, scratch_dir=scratch_dir).findings]


def _signer(found: Found, genesis: Genesis, store: Store | None) -> Iterator[Finding]:
    """Yield a finding unless the key that signed speaks for the node that made the backup."""
    made = found.manifest
    founder = next((item for item in genesis.institutions if item.id == made.node), None)
    if founder is not None and founder.identity_key == found.key:
        return
    if store is not None:
        row = load_from(store.state_get, SignerRow, signer_key(found.key))
        if row is not None and row.org == made.node:
            return
    detail = f"signed by {found.key.hex()[:16]}, which is no key of {made.node}"
    yield Finding(Code.SIGNER_WRONG, str(found.path), detail)


def _lineage(store: Store, genesis: Genesis) -> Iterator[Finding]:
    """Yield a finding unless later eras are proven from the founders on."""
    known = lineage_of(store)
    if known is None:
        yield Finding(Code.LEDGER_WRONG, "lineage", "the end of an era is not certified here")
        return
    try:
        follow(genesis, known.links, quorum=quorum)
    except LineageInvalid as error:
        yield Finding(Code.LEDGER_WRONG, f"lineage of epoch {error.epoch}", str(error))


def _claims(found: Found, store: Store) -> Iterator[Finding]:
    """Compare what the manifest says of the ledger with what is in it."""
    made, applied, newest = found.manifest, store.applied(), store.latest_checkpoint()
    if applied is None:
        if made.height:
            yield Finding(Code.APPLIED_WRONG, made.name, "it says a height and holds no block")
        return
    held = (
        applied.height,
        applied.digest,
        applied.log_size,
        applied.log_root,
        applied.state_height,
        applied.state_root,
        store.lowest_body(),
        (0, b"") if newest is None else newest,
    )
    said = (
        made.height,
        made.block,
        made.log_size,
        made.log_root,
        made.state_height,
        made.state_root,
        made.lowest_body,
        (made.checkpoint_height, made.checkpoint),
    )
    if held != said:
        yield Finding(Code.APPLIED_WRONG, made.name, "the manifest says another height or root")
