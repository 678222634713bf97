"""The durable fact that a directory came from a copy: whoever runs on it must not vote.

Owns: the local row ``restored`` and its encoding.  A copy of a ledger does not know what the
key has signed since it was made, and its twin may still be running; so the copy carries no
consensus records and this row instead.  Refuses: to take the row away; that is for whoever has
made sure that the old consensus key votes no more.
Invariant: the row is written in the batch that makes a restored directory openable.
"""

from dataclasses import dataclass
from typing import Final

from consensus import wire
from storage import keys
from storage.blocks import decode_row
from storage.reader import Reader

FENCE_NAME: Final = b"restored"


@dataclass(frozen=True, slots=True)
class Restored:
    """``source``: the backup's name, or what else the directory was made from."""

    source: str
    digest: bytes  # SHA-256 of the manifest; empty when there was none
    height: int  # where the copy stood
    restored_ms: int


def fence_row(fact: Restored) -> tuple[bytes, bytes]:
    """Return the pair that fences a directory."""
    return keys.LOCAL + FENCE_NAME, wire.encode(fact)


def restored_from(store: Reader) -> Restored | None:
    """Return what the directory was restored from; None when it grew here.

    An unreadable row raises ``Corrupt``: in doubt nobody votes.
    """
    raw = store.meta_get(FENCE_NAME)
    return None if raw is None else decode_row(Restored, raw, where="the fence of a copy")


def is_fenced(store: Reader) -> bool:
    """Return whether the directory came from a copy, so that its old key must not vote."""
    return store.meta_get(FENCE_NAME) is not None
