"""The directory of a store: what is in it, and the signs that part of it was lost.

Owns: the names, making the directory private and durable, and the refusal to take what is left
of a ledger for a new one.  Refuses: to open anything.
Invariant: a directory that held a ledger is never created a second time.
"""

import shutil
from pathlib import Path
from typing import Final

from storage import keys
from storage.errors import Corrupt, DataDirMissing, StorageFailure
from storage.kv import KV
from storage.segments import Segments, sync_directory

KV_NAME: Final = "kv"
SEGMENTS_NAME: Final = "segments"
DAMAGED_NAME: Final = "damaged"
LEDGER_NAME: Final = "ledger"


def refuse_lost_index(kv_dir: Path, segments_dir: Path) -> None:
    """Raise ``Corrupt`` where a ledger was and LevelDB's pointer to it is gone.

    LevelDB would take such a directory for a new one, delete its files and let this member
    forget what it signed.  Creation cut short by a crash leaves neither tables nor bodies.
    """
    if (kv_dir / "CURRENT").exists():
        return
    left = (kv_dir.glob("*.ldb"), kv_dir.glob("*.log"), segments_dir.glob("*.seg"))
    if any(any(found) for found in left):
        raise Corrupt("the file CURRENT is gone, not what it spoke of", where=str(kv_dir))


def refuse_lost_rows(kv: KV, segments: Segments) -> None:
    """Raise ``Corrupt`` for bodies without any row, for the same reason."""
    if kv.get(keys.SCHEMA) is not None or not segments.numbers():
        return
    if next(kv.scan(b"", b"\xff", limit=1), None) is None:
        raise Corrupt("there is no row beside block bodies", where="LevelDB")


def set_aside(data_dir: Path) -> Path:
    """Move a ledger that does not read back to ``damaged/ledger``; return where it is then.

    Whatever an earlier time left there is deleted.  Nobody may have it open.  A crash in here
    leaves a directory without its index, which is refused as damaged and set aside again.
    Raises ``StorageFailure``.
    """
    aside = data_dir / DAMAGED_NAME / LEDGER_NAME
    try:
        aside.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in (KV_NAME, SEGMENTS_NAME):
            if (data_dir / name).exists():
                shutil.rmtree(aside / name, ignore_errors=True)
                (data_dir / name).rename(aside / name)
        sync_directory(data_dir)
    except OSError as error:
        raise StorageFailure(f"cannot set {data_dir} aside: {error.strerror}") from error
    return aside


def directories(data_dir: Path, *, create: bool) -> Path:
    """Return the segment directory, with ``create`` after making both, private and durable."""
    segments_dir = data_dir / SEGMENTS_NAME
    if not create:
        if not segments_dir.is_dir():
            raise DataDirMissing(data_dir)
        return segments_dir
    try:
        for directory in (data_dir, segments_dir):
            if not directory.is_dir():
                directory.mkdir(mode=0o700, parents=True)
                sync_directory(directory.parent)
    except OSError as error:
        raise StorageFailure(f"cannot create {segments_dir}: {error.strerror}") from error
    return segments_dir
