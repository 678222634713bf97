"""Anchoring many records: openings to disk, operations to the node, outcomes back, in order.

Owns: the order that loses nothing (opening durable, then post), a bounded window of unfinished
transactions, one row per record, the exit code of a bulk run.  Refuses: going on when the node
is gone or will not have us; what was not sent is said so.
If we crash here, the openings on disk say what may be on the ledger: ``--resume`` finishes it.
"""

import time
from collections import deque
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import click
import nacl.utils

from node import records
from node.cli.output import Session
from node.cli.remote import RECEIPT_TEXT, Remote, refused
from node.cli.verdict import from_node
from node.errors import ChartsealError, Exit
from node.keys import write_secret
from node.record_files import OPENING_SUFFIX, OPENINGS_SUFFIX, RECEIPT_SUFFIX
from node.records import Kept

COLUMNS: Final = (
    "name",
    "state",
    "code",
    "commitment",
    "tx_id",
    "height",
    "opening",
    "receipt",
)
DONE: Final = ("committed", "submitted")
WINDOW: Final = 16  # transactions whose outcome is not known yet
RECEIPT_WAIT_S: Final = 20
_BUSY: Final = ("rate-limited", "mempool-full", "overloaded")
_BUSY_WAIT_S: Final = 1.0
_HOPELESS: Final = (Exit.UNREACHABLE, Exit.DENIED, Exit.OUTCOME_UNKNOWN, Exit.NO_QUORUM)
_HOPELESS_DENIALS: Final = ("unauthorized", "forbidden")


@dataclass(frozen=True, slots=True)
class Chunk:
    """The records of one transaction, its operations, and the file that keeps the openings."""

    kept: list[Kept]
    ops: list[dict[str, Any]]
    path: Path

    @property
    def key(self) -> str:
        """The same records give the same key, so that posting them again is harmless."""
        return sha256(b"".join(item.commitment for item in self.kept)).hexdigest()


class Outbox:
    """Sends chunks and collects one row per record."""

    def __init__(
        self, remote: Remote, *, wait: bool, timeout_s: float, receipts: Path | None
    ) -> None:
        self.rows: list[dict[str, Any]] = []
        self.posted = 0
        self._remote = remote
        self._wait = wait
        self._timeout_s = timeout_s
        self._receipts = receipts
        self._open: deque[tuple[Chunk, str]] = deque()
        self._errors: list[ChartsealError] = []
        self._stopped: ChartsealError | None = None

    # --- one chunk ---------------------------------------------------------------------------

    def send(self, chunk: Chunk, *, written: bool = False) -> None:
        """Keep the openings, then post; after a fault of the node only say "not-sent"."""
        if self._stopped is not None:
            self._add(chunk, "not-sent", self._stopped.code)
            return
        if not written:
            # Crash before this line: nothing happened.  After it: --resume posts these again.
            records.write_openings(chunk.path, chunk.kept)
        if self._remote.curl:
            self._print(chunk)
            return
        try:
            status = self._post(chunk)
        except ChartsealError as error:
            self._failed(chunk, error)
            return
        self.posted += 1
        if not self._wait:
            self._add(chunk, "submitted", status["code"], tx_id=status["tx_id"])
            return
        self._open.append((chunk, status["tx_id"]))
        if len(self._open) >= WINDOW:
            self._settle_oldest()

    def present(self, chunk: Chunk, tx_id: str | None, height: int | None) -> None:
        """Take note that the chunk is on the ledger already."""
        self._add(chunk, "committed", "present", tx_id=tx_id, height=height, proof=True)

    def unread(self, name: str, error: ChartsealError) -> None:
        """Take note that a record could not be read."""
        self._errors.append(error)
        self._row(name=name, state="failed", code=error.code)

    def _print(self, chunk: Chunk) -> None:
        import json

        self._remote.print_curl(
            "POST",
            "/v1/operations",
            body=json.dumps({"ops": chunk.ops}).encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": chunk.key},
        )

    def _post(self, chunk: Chunk) -> dict[str, Any]:
        deadline = time.monotonic() + self._timeout_s
        key = chunk.key
        while True:
            try:
                return self._remote.operate(chunk.ops, key=key)
            except ChartsealError as error:
                if error.code == "transaction-expired" and key == chunk.key:
                    # The node remembers what this key became long ago: sign anew.
                    key = f"{chunk.key}-{nacl.utils.random(8).hex()}"
                    continue
                # Busy is no refusal: let what is under way finish, then ask again.
                if error.code not in _BUSY or time.monotonic() >= deadline:
                    raise
                self.settle()
                time.sleep(_BUSY_WAIT_S)

    def settle(self) -> None:
        """Wait for every transaction that is under way."""
        while self._open:
            self._settle_oldest()

    def _settle_oldest(self) -> None:
        chunk, tx_id = self._open.popleft()
        try:
            status = self._remote.follow(tx_id, timeout_s=self._timeout_s)
        except ChartsealError as error:
            # It may be committed all the same: unknown, whatever kept us from seeing it.
            self._errors.append(error)
            self._add(chunk, "unknown", error.code, tx_id=tx_id)
            return
        error_or_none = refused(status)
        if error_or_none is not None:
            self._errors.append(error_or_none)
        self._add(
            chunk,
            status["state"],
            status["code"],
            tx_id=tx_id,
            height=status["height"],
            proof=error_or_none is None,
        )

    def _failed(self, chunk: Chunk, error: ChartsealError) -> None:
        if error.exit_code == Exit.OUTCOME_UNKNOWN:
            # Without an answer there is no id to ask for; the openings know what was sent.
            again = "run it again with --resume: what is on the ledger is left alone"
            error = ChartsealError(error.code, error.detail, hint=again)
        self._errors.append(error)
        hopeless = error.exit_code in _HOPELESS
        if error.exit_code == Exit.DENIED:
            hopeless = error.code in _HOPELESS_DENIALS
        if hopeless:
            self._stopped = error
        unknown = error.exit_code == Exit.OUTCOME_UNKNOWN
        self._add(chunk, "unknown" if unknown else "failed", error.code)

    # --- rows --------------------------------------------------------------------------------

    def _add(
        self,
        chunk: Chunk,
        state: str,
        code: str,
        *,
        tx_id: str | None = None,
        height: int | None = None,
        proof: bool = False,
    ) -> None:
        fetched: bytes | None = None
        for item in chunk.kept:
            receipt, shown = None, code
            if proof and self._receipts is not None and tx_id is not None:
                alone = item.batch_root is None
                try:
                    if fetched is None or not alone:
                        fetched = self._fetch(tx_id, item)
                    receipt = str(self._keep_receipt(chunk, item, fetched))
                except ChartsealError as error:
                    self._errors.append(error)
                    shown = error.code
            self._row(
                name=item.name,
                state=state,
                code=shown,
                commitment=item.commitment.hex(),
                tx_id=tx_id,
                height=height,
                opening=None if state == "not-sent" else str(chunk.path),
                receipt=receipt,
            )

    def _fetch(self, tx_id: str, item: Kept) -> bytes:
        commitment = None if item.batch_root is None else item.commitment.hex()
        return self._remote.receipt(
            tx_id, commitment=commitment, form=RECEIPT_TEXT, wait_s=RECEIPT_WAIT_S
        )

    def _keep_receipt(self, chunk: Chunk, item: Kept, raw: bytes) -> Path:
        assert self._receipts is not None, "receipts were asked for"
        if chunk.path.name.endswith(OPENING_SUFFIX):
            stem = chunk.path.name.removesuffix(OPENING_SUFFIX)
        else:
            stem = item.commitment.hex()
        path = self._receipts / (stem + RECEIPT_SUFFIX)
        write_secret(path, raw, replace=True)
        return path

    def _row(self, **given: Any) -> None:
        self.rows.append({name: given.get(name) for name in COLUMNS})

    # --- the end -----------------------------------------------------------------------------

    def finish(self, session: Session, *, single: bool) -> None:
        """Show every row, then leave with the exit code of the whole."""
        self.settle()
        if self._remote.curl:
            return
        if single and self.rows:
            session.show(self.rows[0])
        else:
            session.show_list(self.rows, COLUMNS)
        if not self._errors:
            return
        done = sum(1 for row in self.rows if row["state"] in DONE)
        if len(self.rows) == 1 or (done == 0 and self._stopped is not None):
            raise self._errors[0]
        bad = len(self.rows) - done
        what = f"{bad} of {len(self.rows)} records" if bad else "some receipts"
        raise ChartsealError(
            "partial-failure",
            f"{what}; first: {self._errors[0].code}",
            hint="run it again with --resume: what is on the ledger is left alone",
        )


# --- resuming -----------------------------------------------------------------------------


def chunks_in(out: Path) -> list[Chunk]:
    """Return the chunks that earlier runs kept in a directory."""
    found = []
    for path in sorted(out.glob(f"*{OPENINGS_SUFFIX}")):
        kept = records.read_openings(path)
        found.append(Chunk(kept, records.operations_of(kept), path))
    return found


def take_up(outbox: Outbox, remote: Remote, chunk: Chunk) -> None:
    """Post a kept chunk again unless the ledger has it; a transaction is all or nothing."""
    if remote.curl:
        outbox.send(chunk, written=True)
        return
    found = from_node(remote, chunk.kept[0].commitment)
    if found is None:
        outbox.send(chunk, written=True)
    else:
        assert found.tx_id is not None, "what is on the ledger has a transaction"
        outbox.present(chunk, found.tx_id.hex(), found.height)


def make_directory(path: Path) -> None:
    """Return once the directory exists; new ones are for the owner only."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error


def progress(session: Session, total: int | None) -> Any:
    """Return a progress bar on a terminal's stderr, else something that shows nothing."""
    import contextlib
    import sys

    if session.quiet or total is None or not sys.stderr.isatty():
        return contextlib.nullcontext()
    return click.progressbar(length=total, label="anchoring", file=sys.stderr)
