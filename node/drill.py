"""A rehearsal: a backup restored into a sandbox, checked, and compared with the living network.

Owns: the order (restore, open, check, compare), the clock around it, and what would be lost.
Refuses: to leave anything behind; the sandbox goes away whatever happens.
Invariant: nothing outside the sandbox is written, and no key is read.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from node import roots
from node.backups import check_restored
from node.ledger import block as blocks
from node.ledger import checkpoint, merkle
from node.ledger.checkpoint import CheckpointMalformed, Policy
from node.ledger.genesis import Genesis
from storage.backup import Progress
from storage.check import Code, Finding
from storage.manifest import Found
from storage.restore import restore
from storage.store import Store

_LIVE: Final = "live network"


@dataclass(frozen=True, slots=True)
class Live:
    """What a member says now: certified note, its height, its block's time or None."""

    note: bytes
    height: int
    time_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """``lost_*``: between the backup and the live head; None where nobody was asked."""

    backup: str
    height: int
    restore_s: float
    check_s: float
    live_height: int | None
    lost_blocks: int | None
    lost_leaves: int | None
    lost_s: float | None
    findings: tuple[Finding, ...]

    @property
    def recovery_s(self) -> float:
        """Seconds from nothing to a directory that was checked."""
        return self.restore_s + self.check_s


def drill(
    directory: Path,
    found: Found,
    genesis: Genesis,
    *,
    scratch_dir: Path | None,
    full: bool,
    live: Callable[[], Live] | None,
    path: Callable[[int, int], list[bytes]],
    progress: Progress,
) -> Outcome:
    """Restore ``found`` into a sandbox and return what came of it.

    ``live`` asks a member; ``path(old, new)`` gets a consistency path of the log from it.
    """
    sandbox = Path(tempfile.mkdtemp(prefix="chartseal-drill-", dir=scratch_dir))
    try:
        to, began = sandbox / "data", time.monotonic()
        restore(directory, found, to, now_ms=time.time_ns() // 1_000_000, progress=progress)
        restored = time.monotonic()
        findings = check_restored(to, found, genesis, full=full, scratch_dir=sandbox)
        checked = time.monotonic()
        head = None if live is None else live()
        tip_ms = genesis.created_ms
        with Store.open(to, network=genesis.network) as store:
            policy = roots.policy_at(genesis, store)
            row = store.block(found.manifest.height)
            if row is not None:
                tip_ms = blocks.decode_header(row.header).time_ms
            if head is not None:
                findings += _compare(found, head, policy(head.height), path)
    finally:
        shutil.rmtree(sandbox, ignore_errors=True)
    made = found.manifest
    end_ms = None
    if head is not None:
        end_ms = time.time_ns() // 1_000_000 if head.time_ms is None else head.time_ms
    return Outcome(
        backup=made.name,
        height=made.height,
        restore_s=restored - began,
        check_s=checked - restored,
        live_height=None if head is None else head.height,
        lost_blocks=None if head is None else max(0, head.height - made.height),
        lost_leaves=None if head is None else _leaves_behind(head, made.log_size),
        lost_s=None if end_ms is None else max(0.0, (end_ms - tip_ms) / 1000),
        findings=tuple(findings),
    )


def _leaves_behind(head: Live, log_size: int) -> int | None:
    try:
        return max(0, checkpoint.parse_note(head.note)[0].size - log_size)
    except CheckpointMalformed:
        return None


def _compare(
    found: Found, head: Live, policy: Policy, path: Callable[[int, int], list[bytes]]
) -> list[Finding]:
    """Return a finding unless the backup's log is a beginning of the live one."""
    made = found.manifest
    try:
        live, _ = checkpoint.parse_note(head.note)
        signers = checkpoint.count_valid(head.note, policy)
    except CheckpointMalformed as error:
        return [Finding(Code.LEDGER_WRONG, _LIVE, f"its checkpoint is malformed: {error}")]
    if len(signers) < policy.quorum:
        detail = f"{len(signers)} valid cosignatures, {policy.quorum} needed"
        return [Finding(Code.LEDGER_WRONG, _LIVE, detail)]
    old, new = (made.log_size, made.log_root), (live.size, live.root)
    if new[0] < old[0]:
        old, new = new, old  # the member asked is behind the backup
    steps = path(old[0], new[0]) if old[0] not in (0, new[0]) else []
    consistent = old[0] == 0 or merkle.verify_consistency(
        old_size=old[0], new_size=new[0], old_root=old[1], new_root=new[1], path=steps
    )
    if consistent:
        return []
    return [Finding(Code.LEDGER_WRONG, _LIVE, "the backup is not a beginning of its log")]
