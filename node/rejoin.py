"""A member that forgot what it signed comes back under new voting keys, never under the old.

Theory of operation.  A ledger that is lost, older than the mark beside the key, or put back
from a copy says nothing certain about what its member signed.  So that member's consensus and
cosigner keys are retired here, before anything runs: fresh ones take their place in the key
file, whatever the engine and the sign guard had on disk is deleted, and a new mark begins.  The
committee knows the old key, so the node only observes; it catches up, asks the ledger to put
its new keys in place of the old (``membership.rotate``, signed by the identity key, which is
untouched), and votes from the era on that names them.  Whoever still holds the old key, a twin
on another machine for instance, then holds nobody's key: no two votes of one member can stand
against each other.

Order on disk: the old key file gets a second name, the new one replaces it, engine records go,
the mark goes.  Crash before the replacement: nothing happened.  Crash after it: the mark is of
a retired key, which the next start recognises and finishes.

Owns: that order.  Refuses: members that are alone (nobody could take their new keys), keys that
another process uses, and everything when ``recovery.on_lost_state`` is ``refuse``.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from consensus.types import DeleteRange
from node import keys as keystore
from node.config import Config
from node.errors import ChartsealError
from node.keys import NodeKeys
from node.ledger.genesis import Genesis
from node.log import event
from node.signing import open_mark, open_store
from storage import mark as marks
from storage.errors import Corrupt
from storage.fence import FENCE_NAME
from storage.layout import set_aside
from storage.mark import MarkRefused, SignMark, mark_path
from storage.store import Store

RETIRED: Final = ".retired-"
# Doubts about what was signed; a key in use or a foreign mark is another matter.
DOUBTS: Final = frozenset(
    {
        "data-dir-restored",
        "sign-mark-behind",
        "sign-mark-damaged",
        "sign-mark-missing",
        "sign-state-behind",
    }
)
_ALL_RECORDS: Final = DeleteRange(b"", b"\xff" * 64)


@dataclass(frozen=True, slots=True)
class Opened:
    """What a node runs with.  ``retired``: the consensus key that this start gave up."""

    keys: NodeKeys
    store: Store
    mark: SignMark
    retired: bytes | None = None


def open_node(config: Config, genesis: Genesis, keys: NodeKeys, passphrase: bytes) -> Opened:
    """Open ledger and mark under ``keys``, or under fresh ones where the old may not sign.

    Raises ``MarkRefused`` where a person has to decide, ``KeystoreError``, or what
    ``Store.open`` raises; then nothing was changed.
    """
    path = config.keystore.path
    if _was_interrupted(path, genesis, keys):
        _forget(config, genesis)
    try:
        store = open_store(config, genesis, keys)
        try:
            return Opened(keys, store, open_mark(config, genesis, keys, store))
        except BaseException:
            store.close()
            raise
    except (MarkRefused, ChartsealError) as refused:
        if refused.code not in DOUBTS or not may_rejoin(config, genesis):
            raise
        return _fenced(config, genesis, keys, passphrase, refused.code)
    except Corrupt as damage:
        if not may_rejoin(config, genesis):
            raise
        start_over(config, damage)
        return _fenced(config, genesis, keys, passphrase, damage.code)


def may_rejoin(config: Config, genesis: Genesis) -> bool:
    """Return whether a node that lost its ledger may come back by itself."""
    return len(genesis.validators) > 1 and config.recovery.on_lost_state == "rejoin"


def start_over(config: Config, damage: Corrupt) -> None:
    """Set the damaged ledger aside; the next start gets it anew from the other members.

    LevelDB's own files are not mended in place: what a repair of theirs leaves out nobody
    would miss.  The store must be closed.
    """
    aside = set_aside(config.node.data_dir)
    event("node.starts-over", level=logging.ERROR, where=damage.where, aside=str(aside))


def retired_keys(path: Path) -> Iterator[bytes]:
    """Yield the consensus keys that were given up and whose files still lie beside ``path``."""
    for found in sorted(path.parent.glob(path.name + RETIRED + "*")):
        with suppress(ChartsealError):
            yield keystore.load_public(found)[1].consensus


def retire(config: Config, genesis: Genesis, keys: NodeKeys, passphrase: bytes) -> NodeKeys:
    """Give up the voting keys of a node that is stopped; return the fresh ones in their place.

    Raises ``MarkRefused`` (key-in-use) before anything is changed.
    """
    path, old = config.keystore.path, keys.public.consensus
    with marks.held(mark_path(path)):
        retired = path.with_name(f"{path.name}{RETIRED}{old.hex()[:16]}")
        with suppress(FileExistsError):
            retired.hardlink_to(path)
        fresh = keys.renewed()
        # From here on the old key signs nothing on this machine.
        fresh.save(path, passphrase, kdf=keystore.kdf_of(path), replace=True)
    _forget(config, genesis)
    return fresh


def _fenced(
    config: Config, genesis: Genesis, keys: NodeKeys, passphrase: bytes, why: str
) -> Opened:
    old, fresh = keys.public.consensus, retire(config, genesis, keys, passphrase)
    event(
        "node.fenced",
        reason=why,
        retired=old.hex()[:16],
        consensus=fresh.public.consensus.hex()[:16],
    )
    store = open_store(config, genesis, fresh)
    try:
        return Opened(fresh, store, open_mark(config, genesis, fresh, store), old)
    except BaseException:
        store.close()
        raise


def _forget(config: Config, genesis: Genesis) -> None:
    """Delete what was signed under the retired key from the ledger, then its mark.

    The other order would let a crash leave records that look as if the new key had made them.
    """
    with Store.open(
        config.node.data_dir,
        network=genesis.network,
        create=True,
        segment_bytes_max=config.storage.segment_bytes_max,
    ) as store:
        store.save([_ALL_RECORDS], sync=True)
        # A copy's fence has done its part: what it kept from voting is no key of ours now.
        store.meta_put(FENCE_NAME, None)
    path = mark_path(config.keystore.path)
    marks.reset(path, network=genesis.network, key=b"", stored=None)


def _was_interrupted(path: Path, genesis: Genesis, keys: NodeKeys) -> bool:
    """Return whether the mark is of a key that was retired here: the fence was not finished."""
    mark = mark_path(path)
    with suppress(MarkRefused):
        marks.read(mark, network=genesis.network, key=keys.public.consensus)
        return False
    for key in retired_keys(path):
        with suppress(MarkRefused):
            return marks.read(mark, network=genesis.network, key=key) is not None
    return False
