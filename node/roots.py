"""Roots recomputed from what they are roots of: log, state, checkpoints; nothing is executed.

Owns: the verifiers that need the ledger's hashes and no history.  They say of a directory, also
of one whose old bodies were pruned, that its rows are the ones that a quorum cosigned.
Refuses: outcomes; that the rules give these results only ``node.check`` can say, by executing.
Invariant: with no finding here and in ``storage.check``, every row of log and state is under
the newest certified checkpoint, up to what was applied after it.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from node.ledger import accel, checkpoint, merkle
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.genesis import Genesis
from node.ledger.tiles import TILE_BYTES, TileLog, TileMissing
from node.regrown import Regrown, Rest, in_a_hurry
from node.roster import StoredRules
from storage import keys
from storage.blocks import BlockRow
from storage.check import Code, Finding, Verifier
from storage.errors import Corrupt
from storage.reader import Reader
from storage.slots import NoPage
from storage.store import Store

DIRTY_PREFIX: Final = b"dirty/"
LEAF_PREFIX: Final = b"leaf/"


def verifiers(policy_at: Callable[[int], Policy], scratch_dir: Path | None) -> list[Verifier]:
    """Return the checks of this module; ``policy_at(height)`` says whose cosignatures count."""
    return [
        log_findings,
        lambda store: _of_a_view(store, scratch_dir),
        lambda store: checkpoint_findings(store, policy_at),
    ]


def _of_a_view(store: Store, scratch_dir: Path | None) -> Iterator[Finding]:
    with store.snapshot() as view:  # which reads once what the pages' patches make of them
        yield from state_findings(view, scratch_dir)


# --- the log ------------------------------------------------------------------------------


def log_findings(store: Reader, *, rest: Rest = in_a_hurry) -> Iterator[Finding]:
    """Yield each leaf that is not its block's, each tile that its leaves do not give.

    ``rest`` is called between small pieces of the work.
    """
    applied = store.applied()
    if applied is None:
        return
    try:
        yield from _leaves(store, applied.height, rest)
        yield from tile_findings(store, applied.log_size, rest)
        root = TileLog(applied.log_size, store.tile).root()
    except TileMissing as missing:
        yield Finding(Code.TILE_WRONG, "log", str(missing))
        return
    except Corrupt as damage:
        yield Finding(Code.BLOCK_UNREADABLE, damage.where, damage.what)
        return
    if root != applied.log_root:
        detail = f"tiles give {root.hex()[:16]}, the ledger says {applied.log_root.hex()[:16]}"
        yield Finding(Code.TILE_WRONG, "log root", detail)


def _leaves(store: Reader, top: int, rest: Rest) -> Iterator[Finding]:
    """Compare each leaf hash with the block that put it there."""
    tiles = _Tiles(store)
    for height in range(store.lowest(), top + 1):
        rest()
        row, seal = store.block(height), store.seal(height)
        if row is None or seal is None:
            continue  # storage.check has named it
        ids = {row.txids[at : at + 32] for at in range(0, len(row.txids), 32)}
        last = row.first_index + row.count
        named = dict(store.index_scan(_leaf_key(row.first_index), _leaf_key(last)))
        for index in range(row.first_index, last):
            leaf = tiles.leaf(index)
            if leaf not in ids:
                where = f"tile 0/{index // 256}"
                yield Finding(Code.TILE_WRONG, where, f"leaf {index} is not of block {height}")
            if named.get(_leaf_key(index)) != leaf:
                where = f"index row of leaf {index}"
                yield Finding(Code.LEDGER_WRONG, where, "names another transaction")
        if tiles.leaf(last) != merkle.leaf_hash(seal):
            where = f"tile 0/{last // 256}"
            yield Finding(Code.TILE_WRONG, where, f"leaf {last} is not the seal of {height}")


def _leaf_key(index: int) -> bytes:
    return LEAF_PREFIX + index.to_bytes(8, "big")


class _Tiles:
    """Reads ascending leaves through one tile at a time."""

    def __init__(self, store: Reader) -> None:
        self._store = store
        self._number = -1
        self._tile = b""

    def leaf(self, index: int) -> bytes:
        number, at = divmod(index, 256)
        if number != self._number:
            self._number, self._tile = number, self._store.tile(0, number) or b""
        return self._tile[at * 32 : at * 32 + 32]


def tile_findings(store: Reader, log_size: int, rest: Rest = in_a_hurry) -> Iterator[Finding]:
    """Yield each entry above level 0 that is not the root of the full tile below it."""
    level, entries = 0, log_size
    while entries >= 256:
        full = entries // 256
        for number in range(full):
            rest()
            below = store.tile(level, number) or b""
            above = store.tile(level + 1, number // 256) or b""
            at = (number % 256) * 32
            root = accel.row_root(below) if len(below) == TILE_BYTES else b""
            if above[at : at + 32] != root:
                where = f"tile {level + 1}/{number // 256}"
                yield Finding(Code.TILE_WRONG, where, f"not the root of tile {level}/{number}")
        level, entries = level + 1, full


# --- the state ----------------------------------------------------------------------------


def state_findings(
    store: Reader, scratch_dir: Path | None, *, rest: Rest = in_a_hurry
) -> Iterator[Finding]:
    """Grow the state tree from the pairs alone and compare root and pages.

    ``store`` stands still: a view, or one that nobody writes to.  A root that speaks of an
    older height than the pairs (``state_root_every``) is compared with its pages only.
    """
    applied = store.applied()
    if applied is None or applied.state_height == 0:
        return
    lo = DIRTY_PREFIX
    if next(store.index_scan(lo, keys.after(lo), limit=1), None) is not None:
        return
    tree = Regrown(store.iter_state(), scratch_dir=scratch_dir, rest=rest)
    try:
        for key, how in page_differences(store, tree):
            yield Finding(Code.LEDGER_WRONG, f"state page {key.hex()}", how)
    except NoPage as damage:
        yield Finding(Code.LEDGER_WRONG, f"state {damage.where}", damage.what)
        return
    if tree.root != applied.state_root:
        said = applied.state_root.hex()[:16]
        detail = f"pairs give {tree.root.hex()[:16]}, not {said}"
        yield Finding(Code.LEDGER_WRONG, "state root", detail)


def page_differences(store: Reader, tree: Regrown) -> Iterator[tuple[bytes, str]]:
    """Walk ``tree``; yield each page of ``store`` that is not its, and each that it lacks.

    Raises ``NoPage`` for rows that are no page.
    """
    for share in tree.shares():
        for first, end in share.spans:
            built = share.within(first, end)
            yield from differences(store.iter_pages(first, end), iter(built))


def differences(
    stored: Iterator[tuple[bytes, bytes]], built: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, str]]:
    """Merge two ascending walks and yield each key at which they differ, and how."""
    ours, theirs = next(stored, None), next(built, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours[0] < theirs[0]):
            assert ours is not None
            yield ours[0], "not expected"
            ours = next(stored, None)
        elif ours is None or theirs[0] < ours[0]:
            yield theirs[0], "missing"
            theirs = next(built, None)
        else:
            if ours[1] != theirs[1]:
                yield ours[0], "another value"
            ours, theirs = next(stored, None), next(built, None)


# --- checkpoints --------------------------------------------------------------------------


def checkpoint_findings(store: Reader, policy_at: Callable[[int], Policy]) -> Iterator[Finding]:
    """Yield each kept checkpoint that a quorum did not cosign, or that is not its block's."""
    applied = store.applied()
    top = 0 if applied is None else applied.height
    newest = store.latest_checkpoint()
    if newest is not None and newest[0] > top:
        detail = f"above the applied height {top}"
        yield Finding(Code.LEDGER_WRONG, f"checkpoint {newest[0]}", detail)
    for height in range(store.lowest(), top + 1):
        note = store.checkpoint(height)
        if note is None:
            continue
        try:
            why = refusal(note, store.block(height), policy_at(height))
        except Corrupt as damage:
            why = str(damage)
        if why is not None:
            yield Finding(Code.LEDGER_WRONG, f"checkpoint {height}", why)


def refusal(note: bytes, row: BlockRow | None, policy: Policy) -> str | None:
    """Return why ``note`` does not certify the log after ``row``; None when it does."""
    try:
        head, _ = checkpoint.parse_note(note)
        signers = checkpoint.count_valid(note, policy)
    except CheckpointMalformed as error:
        return str(error)
    if row is None or (head.size, head.root) != (row.log_size, row.log_root):
        return f"size {head.size} or its root is not the block's"
    if len(signers) < policy.quorum:
        return f"{len(signers)} valid cosignatures, {policy.quorum} needed"
    return None


def policy_at(genesis: Genesis, store: Reader) -> Callable[[int], Policy]:
    """Return whose cosignatures count at which height: founders', later eras' from the state.

    What the state says of later eras is proven by the lineage, which others check.
    """
    rules = StoredRules(genesis, store)
    return lambda height: rules.at(height).policy
