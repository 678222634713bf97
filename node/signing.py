"""Ledger and mark opened together: a member starts only when it remembers what it signed.

Owns: the order of opening (mark read, ledger opened, mark taken), so that a refusal leaves
everything as it was; and where the two places are.  Refuses: to make an empty ledger under a
key that has signed.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from consensus import wire
from consensus.guard import MARK_KEY, decode_mark
from consensus.mark import NOTHING, Mark, Standing, compare
from consensus.types import Put
from node.config import Config
from node.errors import ChartsealError
from node.keys import NodeKeys, load_public
from node.ledger.genesis import Genesis
from node.log import event
from storage import mark as marks
from storage.check import Code, Finding
from storage.errors import DataDirMissing, SchemaMismatch
from storage.fence import restored_from
from storage.mark import MarkRefused, SignMark, mark_path
from storage.migrate import migrate
from storage.store import Store

_SOUND: Final = (Standing.LEVEL, Standing.ONE_SHORT)


def stored_mark(store: Store) -> Mark:
    """Return how far the ledger in ``store`` says that its member's promises have come."""
    raw = store.consensus_value(MARK_KEY)
    return NOTHING if raw is None else decode_mark(raw)


def _turn(genesis: Genesis, node_id: str) -> int:
    """Return the founder's number among the founders, another member's from its name."""
    founders = [founder.id for founder in genesis.institutions]
    return founders.index(node_id) if node_id in founders else zlib.crc32(node_id.encode())


def open_store(config: Config, genesis: Genesis, keys: NodeKeys) -> Store:
    """Open the ledger, and make it if nothing was ever signed with ``keys``.

    An older layout is brought to ours first, after a snapshot.  Raises ``MarkRefused``,
    ``ChartsealError`` (data-dir-restored) or what ``Store.open`` and ``migrate`` raise; then
    nothing was changed.
    """
    path = mark_path(config.keystore.path)
    marked = marks.read(path, network=genesis.network, key=keys.public.consensus)
    fresh = marked is None or marked == NOTHING

    def opened() -> Store:
        return Store.open(
            config.node.data_dir,
            network=genesis.network,
            create=fresh,
            segment_bytes_max=config.storage.segment_bytes_max,
            turn=_turn(genesis, config.node.id),
        )

    try:
        store = opened()
    except DataDirMissing as error:
        detail = f"{path} is at {marked}, and {error}"
        raise MarkRefused("sign-state-behind", detail) from error
    except SchemaMismatch as other:
        if other.found is None or other.found >= other.expected:
            raise
        done = migrate(config.node.data_dir, network=genesis.network)
        event("store.migrated", source=done.found, target=done.target, snapshot=done.snapshot)
        store = opened()
    try:
        refuse_copy(store)
    except BaseException:
        store.close()
        raise
    return store


def refuse_copy(store: Store) -> None:
    """Raise ``ChartsealError`` (data-dir-restored) for a directory that came from a copy.

    What its key signed after the copy was made is not in it, and its twin may still run.
    """
    fact = restored_from(store)
    if fact is not None:
        detail = f"restored from {fact.source} at height {fact.height}"
        raise ChartsealError("data-dir-restored", detail)


def open_mark(config: Config, genesis: Genesis, keys: NodeKeys, store: Store) -> SignMark:
    """Take the mark of ``keys`` over the opened ledger; raises ``MarkRefused``."""
    stored = stored_mark(store)
    if stored != NOTHING:
        # What a killed process wrote may have been read back and not be durable yet; a mark
        # raised to it would be ahead after the next power cut.
        store.save([Put(MARK_KEY, wire.encode(stored))], sync=True)
    return SignMark.open(
        mark_path(config.keystore.path),
        network=genesis.network,
        key=keys.public.consensus,
        stored=stored,
    )


def check_mark(store: Store, genesis: Genesis, key_path: Path) -> Iterator[Finding]:
    """Yield what keeps the member whose key is at ``key_path`` from starting on ``store``.

    Raises ``KeystoreError`` when the key file's public part cannot be read.
    """
    path, stored = mark_path(key_path), stored_mark(store)
    _, public = load_public(key_path)
    try:
        marked = marks.read(path, network=genesis.network, key=public.consensus)
    except MarkRefused as refused:
        yield Finding(Code.SIGN_MARK_WRONG, refused.code, str(refused))
        return
    if marked is None:
        if stored != NOTHING:
            detail = f"{path} is gone, the ledger is at {stored}"
            yield Finding(Code.SIGN_MARK_WRONG, "sign-mark-missing", detail)
        return
    standing = compare(stored=stored, marked=marked)
    if standing not in _SOUND:
        code = "sign-mark-behind" if standing is Standing.MARK_BEHIND else "sign-state-behind"
        yield Finding(Code.SIGN_MARK_WRONG, code, f"mark at {marked}, ledger at {stored}")
