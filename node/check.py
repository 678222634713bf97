"""Check a data directory against the ledger's own rules: execute everything again, compare.

Owns: the second opinion.  ``storage.check`` reads every byte and link; here the chain is
applied again from genesis into a scratch directory, and every row that an applied ledger
holds must be what that gives: block rows, seals, log tiles, state, state pages, transaction
and index rows, and what each block replaced as far back as that is kept.  Ordering
certificates and cosigned checkpoints are verified, and the state tree is built once more from
nothing but its pairs.  Refuses: to repair, and to trust a stored result.
Invariant: memory is bounded by one block and ``FINDINGS_MAX`` findings; the scratch directory
grows to about the size of ``kv`` and is removed, whatever happens.

The directory is opened as a start would open it: its lock is taken and a torn tail is cut.
Nothing else is written to it.  A crash here leaves only scratch files behind.
"""

import tempfile
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Final

from consensus.codec import Malformed
from consensus.types import Proposal
from node.bodies import Body, BodyRefused, check_proposal, holds_barrier
from node.book import Book
from node.engines import dialects
from node.ledger import accel, transaction
from node.ledger import block as blocks
from node.ledger.block import BlockMalformed
from node.ledger.eras import Era
from node.ledger.genesis import Genesis
from node.ledger.transaction import TransactionMalformed
from node.lineage_check import check_links
from node.regrown import Regrown
from node.roots import (
    checkpoint_findings,
    differences,
    page_differences,
    policy_at,
    verifiers,
)
from node.roster import Rules, founding_rules
from node.signing import check_mark
from storage import keys, tables
from storage.blocks import BlockRow
from storage.check import CheckReport, Code, Finding, Progress, check
from storage.errors import Corrupt, StorageFailure
from storage.history import History
from storage.kv import KV
from storage.layout import KV_NAME
from storage.level import LevelKV
from storage.segments import Segments
from storage.slots import NoPage
from storage.store import Store

FINDINGS_MAX: Final = 1000

_WORDS: Final[dict[bytes, tuple[Code, str]]] = {
    keys.BLOCK: (Code.LEDGER_WRONG, "block row"),
    keys.HEIGHT_OF: (Code.LEDGER_WRONG, "height of digest"),
    keys.SEAL: (Code.SEAL_WRONG, "seal"),
    keys.TILE: (Code.TILE_WRONG, "tile"),
    keys.STATE: (Code.LEDGER_WRONG, "state value"),
    keys.NODE: (Code.LEDGER_WRONG, "state page"),
    keys.PAGE_LOG: (Code.LEDGER_WRONG, "patches of state pages"),
    keys.TRANSACTION: (Code.LEDGER_WRONG, "transaction row"),
    keys.INDEX: (Code.LEDGER_WRONG, "index row"),
    keys.STATE_WAS: (Code.LEDGER_WRONG, "older state value"),
    keys.PAGES_WERE: (Code.LEDGER_WRONG, "older state pages"),
    keys.WAS_AT: (Code.LEDGER_WRONG, "list of older rows"),
    keys.APPLIED[:1]: (Code.APPLIED_WRONG, "applied record"),
}
# What blocks replaced.
_HISTORY: Final = frozenset({keys.STATE_WAS, keys.PAGES_WERE, keys.WAS_AT})
# Rows that one block writes and no later one changes: comparable after half a replay.
_SETTLED: Final = frozenset({keys.BLOCK, keys.HEIGHT_OF, keys.SEAL, keys.TRANSACTION})

Pairs = Iterator[tuple[bytes, bytes]]


def check_ledger(
    data_dir: Path,
    genesis: Genesis,
    *,
    progress: Progress = lambda _stage, _done, _total: None,
    scratch_dir: Path | None = None,
    key_path: Path | None = None,
) -> CheckReport:
    """Return everything that is wrong with the stopped node's directory ``data_dir``.

    ``scratch_dir`` is where the second copy is built (default: the system's temporary
    directory); it needs about as much room as ``data_dir/kv``.  ``progress`` is told (stage,
    done, total).  With ``key_path`` the mark beside that key is compared as a start would do it
    (``KeystoreError`` when the key file cannot be read).  Damage is a finding; its ``code`` is
    ``storage.check.Code`` and, for ``LEDGER_WRONG``, ``where`` begins with what differs.
    Raises ``DataDirMissing``, ``DataDirLocked``, ``SchemaMismatch``, and ``ForeignDataDir`` for
    another network's
    directory.
    """

    def verify(store: Store) -> Iterable[Finding]:
        marked = [] if key_path is None else list(check_mark(store, genesis, key_path))
        if store.lowest_body() > 1:
            # What was pruned cannot be executed again: everything else is compared with roots.
            held = (v(store) for v in verifiers(policy_at(genesis, store), scratch_dir))
            rest = chain(chain.from_iterable(held), check_links(store, genesis))
            return [*marked, *islice(rest, FINDINGS_MAX)]
        with tempfile.TemporaryDirectory(prefix="chartseal-check-", dir=scratch_dir) as where:
            audit = _Audit(store, genesis, Path(where), progress)
            with closing(audit.run()) as findings:
                return [*marked, *islice(findings, FINDINGS_MAX)]

    try:
        store = Store.open(data_dir, network=genesis.network)
    except StorageFailure as failure:
        finding = Finding(Code.KV_UNREADABLE, str(data_dir), str(failure))
        return CheckReport(0, 0, 0, 0, (finding, *_located(data_dir, deep=True)))
    with store:
        report = check(store, verifiers=[verify], progress=progress)
    deep = any(item.code is Code.KV_UNREADABLE for item in report.findings)
    return replace(report, findings=(*report.findings, *_located(data_dir, deep=deep)))


def _located(data_dir: Path, *, deep: bool) -> Iterator[Finding]:
    """Yield where LevelDB's files are damaged; ``deep``: also what it reads all the time."""
    kv_dir = data_dir / KV_NAME
    if not kv_dir.is_dir():
        return
    for item in tables.locate(kv_dir, deep=deep):
        where = f"{KV_NAME}/{item.path.name}:{item.offset}"
        yield Finding(Code.KV_DAMAGED, where, f"{item.what}, {item.size} bytes")


class _ScratchKV(LevelKV):
    """A LevelDB nobody will miss: losing it costs a repeat, so nothing is synced."""

    def write(self, puts: Iterable[tuple[bytes, bytes | None]], *, sync: bool) -> None:  # noqa: ARG002
        super().write(puts, sync=False)


class _Scratch:
    """The second copy: a book over rows of its own.  Bodies stay in the first copy."""

    def __init__(
        self,
        genesis: Genesis,
        directory: Path,
        history: History | None,
        settles: Callable[[int], bool],
    ) -> None:
        (directory / "segments").mkdir()
        self._kv: KV = _ScratchKV(directory / "kv", create=True)
        self.store = Store(
            self._kv,
            Segments(directory / "segments"),
            network=genesis.network,
            create=True,
            settles=settles,
        )
        if history is None:
            self.book = Book(self.store, genesis, history_blocks=0)
        else:
            self.book = Book(
                self.store, genesis, history_blocks=keys.HEIGHT_MAX, history_above=history.floor
            )

    def apply(self, body: Body, row: BlockRow, certificate: bytes) -> None:
        """Execute one block; ``row`` lends only the engine's position, which no rule reads."""
        digest = blocks.body_digest(body.header.encode())
        self._kv.write([(keys.BODY + digest, b"in the first copy")], sync=False)
        self.book.apply(body, digest=digest, certificate=certificate, position=row.position)


class _Stopped(Exception):
    """The replay cannot go on; ``finding`` says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.where)
        self.finding = finding


class _Audit:
    def __init__(
        self, store: Store, genesis: Genesis, directory: Path, progress: Progress
    ) -> None:
        self._store = store
        self._genesis = genesis
        self._directory = directory
        self._progress = progress
        # What the replay finds: certificates and checkpoints are of the era of their height.
        self._eras: list[Rules] = [founding_rules(genesis)]
        self._dialects = dialects(genesis)
        applied = store.applied()
        self._top = 0 if applied is None else applied.height
        self._state_height = 0 if applied is None else applied.state_height
        self._history: History | None = None

    def run(self) -> Generator[Finding]:
        yield from self._read_history()
        scratch = _Scratch(self._genesis, self._directory, self._history, self._settled)
        with scratch.store:
            whole = True
            try:
                yield from self._replay(scratch)
            except _Stopped as stopped:
                whole = False
                yield stopped.finding
            yield from self._compare(scratch.store, whole=whole)
        yield from checkpoint_findings(self._store, lambda at: self._rules(at).policy)
        yield from check_links(self._store, self._genesis)

    def _read_history(self) -> Iterator[Finding]:
        """Find out from where on what blocks replaced must be there and complete."""
        try:
            history = self._store.history()
        except Corrupt as damage:
            yield _wrong("bounds of the history", damage.what)
            return
        if history is not None and history.last > self._top:
            yield _wrong("bounds of the history", f"above the applied height {self._top}")
        elif history is not None and history.last == self._top:
            self._history = history

    def _settled(self, height: int) -> bool:
        """Return whether the stored pages stood as of ``height`` once it was applied: so says
        its row, and so it was with every block that has none any more."""
        try:
            return self._store.pages_base(height) == height
        except Corrupt:
            return True  # the row differs from the replay's, and is named for that

    # --- the replay --------------------------------------------------------------------------

    def _replay(self, scratch: _Scratch) -> Iterator[Finding]:
        for height in range(1, self._top + 1):
            self._progress("replay", height, self._top)
            row, body, certificate = self._block(height)
            proposal = self._proposal(row, body)
            if not self._certified(proposal, certificate):
                yield _wrong(f"certificate of block {height}", "does not prove the block")
            scratch.apply(body, row, certificate)
            self._follow(scratch.book.era)
            if height == self._state_height:
                yield from self._state_from_nothing(scratch.store, row)

    def _follow(self, era: Era) -> None:
        if era.epoch != self._eras[-1].era.epoch:
            origin, network = self._genesis.origin, self._genesis.network
            self._eras.append(Rules.of(era, origin=origin, network=network))

    def _rules(self, height: int) -> Rules:
        at = bisect_right(self._eras, height, key=lambda rules: rules.era.from_height)
        return self._eras[at - 1]

    def _block(self, height: int) -> tuple[BlockRow, Body, bytes]:
        """Return a block with every signature in it verified, or stop the replay."""
        where = f"block {height}"
        try:
            (stored,) = self._store.iter_blocks(height, height + 1)
            header, raws = blocks.decode_body(
                stored.body, size_max=self._genesis.parameters.block_bytes_max
            )
            opened = transaction.open_all(raws)
        except Corrupt as damage:
            raise _Stopped(_wrong(where, f"replay stops here: {damage}")) from damage
        except ValueError as error:  # nothing to unpack: storage.check has named the gap
            raise _Stopped(_wrong(where, "replay stops here: no row")) from error
        except (BlockMalformed, TransactionMalformed) as error:
            raise _Stopped(_wrong(where, f"replay stops here: {error}")) from error
        if not all(accel.verify_batch([item for _, checks in opened for item in checks])):
            raise _Stopped(_wrong(where, "replay stops here: a signature does not hold"))
        parsed = tuple(item for item, _ in opened)
        return stored.row, Body(header, parsed, stored.body), stored.certificate

    def _proposal(self, row: BlockRow, body: Body) -> Proposal:
        """Return what was ordered, after the rules that every member checked before voting."""
        header = body.header.encode()
        ids = b"".join(item.txid for item in body.transactions)
        try:
            proposal = Proposal(
                row.height,
                body.header.parent,
                blocks.body_digest(header),
                header,
                ids,
                holds_barrier(body.transactions),
            )
            check_proposal(
                proposal,
                network=self._genesis.network,
                parameters=self._genesis.parameters,
                committee=self._rules(row.height).committee,
            )
            above = self._store.block(row.height - 1)
            parent = self._genesis.network if above is None else above.digest
            if proposal.parent != parent or proposal.digest != row.digest:
                raise BodyRefused("body of another block")
        except (BodyRefused, ValueError) as error:
            detail = f"replay stops here: {error}"
            raise _Stopped(_wrong(f"block {row.height}", detail)) from error
        return proposal

    def _certified(self, proposal: Proposal, certificate: bytes) -> bool:
        rules = self._rules(proposal.height)
        try:
            checks = self._dialects[rules.era.engine].certificate_checks(
                certificate,
                proposal=proposal,
                committee=rules.committee,
                network=self._genesis.network,
            )
        except Malformed:
            return False
        return all(accel.verify_batch([(c.key, c.message, c.signature) for c in checks]))

    def _state_from_nothing(self, scratch: Store, row: BlockRow) -> Iterator[Finding]:
        """Build the tree from the pairs alone: the stored root must not depend on history."""
        tree = Regrown(scratch.iter_state(), scratch_dir=self._directory)
        try:
            with self._store.snapshot() as view:
                for key, how in page_differences(view, tree):
                    yield _wrong(f"state page {key.hex()}", f"built from its pairs: {how}")
        except NoPage as damage:
            yield _wrong(f"state {damage.where}", damage.what)
            return
        if tree.root != row.state_root:
            detail = (
                f"pairs give {tree.root.hex()[:16]}, block says {row.state_root.hex()[:16]}"
            )
            yield _wrong(f"state root of block {row.height}", detail)

    # --- comparison --------------------------------------------------------------------------

    def _compare(self, scratch: Store, *, whole: bool) -> Iterator[Finding]:
        """Compare every row of the ledger; after half a replay only what is settled by then."""
        self._progress("compare", 0, 0)
        letters = frozenset(_WORDS) if whole else _SETTLED
        if self._history is None:
            letters -= _HISTORY
            floor, patched_from = 0, self._store.pages_base()
        else:
            floor = self._history.floor
            patched_from = self._store.pages_base(floor)
        stored = _rows(self._store, letters, floor, patched_from)
        again = _rows(scratch, letters, floor, patched_from)
        for key, how in differences(stored, again):
            if how == "not expected" and not whole:
                continue
            code, word = _WORDS[key[:1]]
            yield Finding(code, f"{word} {key[1:].hex()[:80]}", f"executed again: {how}")


def _height(key: bytes) -> int:
    """Return the height in a key of what blocks replaced or patched."""
    return int.from_bytes(key[1:9] if key[:1] == keys.PAGES_WERE else key[-8:], "big")


def _wrong(where: str, detail: str) -> Finding:
    return Finding(Code.LEDGER_WRONG, where, detail)


def _rows(store: Store, letters: frozenset[bytes], floor: int, patched_from: int) -> Pairs:
    """Yield the rows of the ledger proper in key order; schema and tail are storage's own.

    What blocks up to ``floor`` replaced waits for its end and is passed over; so are patches up
    to ``patched_from``, and rows of blocks that stored pages, which older layouts did without.
    """
    own = (keys.SCHEMA, keys.TAIL, keys.HISTORY, keys.LOWEST, keys.PAGES, keys.PRUNED)
    ended = dict.fromkeys(_HISTORY, floor) | {keys.PAGE_LOG: patched_from}
    return (
        (key, value)
        for key, value in store.scan_all()
        if key[:1] in letters
        and key not in own
        and (key[:1] not in ended or _height(key) > ended[key[:1]])
        and not (key[:1] == keys.PAGE_LOG and len(value) == len(keys.be64(0)))
    )
