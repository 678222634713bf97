"""What PBFT keeps on disk, and how a restart reads it back.

Keys: ``pbft/`` be64(epoch) ``/`` name [``/`` be64(height)].  Every value is a canonical record.
Each is written in the same synced batch as the first message that relies on it, so a restart
knows everything this member ever put its name to and repeats it byte for byte.
Invariant: records of applied heights are ignored on restart; they are deleted only after the
ledger has applied the block, because a crash between deciding and applying needs them again.
"""

from collections.abc import Iterable
from dataclasses import field
from typing import Any, Final

from consensus import wire
from consensus.certs import PreparedCert
from consensus.frozen import dataclass
from consensus.pbft.messages import NewView, ViewChange
from consensus.types import Applied, DeleteRange, Proposal, Put, Record

PREFIX: Final = b"pbft/"
_RECORD_BYTES_MAX: Final = 1 << 28

_START: Final = b"start"
_VIEW: Final = b"view"
_VIEW_CHANGE: Final = b"view-change"
_OWN_NEW_VIEW: Final = b"own-new-view"
_NEW_VIEW: Final = b"new-view"
_ACCEPTED: Final = b"accepted/"
_PREPARED: Final = b"prepared/"
_CERTIFICATE: Final = b"certificate/"


@dataclass(frozen=True, slots=True)
class ViewRecord:
    view: int
    active: bool


@dataclass(frozen=True, slots=True)
class Accepted:
    """A proposal this member accepted in ``view``: it signed its Prepare and no other there.

    ``fresh``: it came as a PrePrepare, not carried over by a NewView.
    """

    view: int
    proposal: Proposal
    fresh: bool


@dataclass(slots=True)
class Restored:
    """Everything a restart finds for one epoch."""

    start: Applied | None = None
    view: ViewRecord = field(default_factory=lambda: ViewRecord(0, active=True))
    view_change: ViewChange | None = None
    own_new_view: NewView | None = None
    new_view: NewView | None = None
    accepted: dict[int, Accepted] = field(default_factory=dict)
    prepared: dict[int, PreparedCert] = field(default_factory=dict)
    certificates: dict[int, bytes] = field(default_factory=dict)
    other_epochs: bool = False


class Keys:
    """Record builders for one epoch."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._base = PREFIX + epoch.to_bytes(8, "big") + b"/"

    def _put(self, name: bytes, record: Any, height: int | None = None) -> Put:
        place = b"" if height is None else height.to_bytes(8, "big")
        return Put(self._base + name + place, wire.encode(record))

    def start(self, applied: Applied) -> Put:
        return self._put(_START, applied)

    def view(self, view: int, *, active: bool) -> Put:
        return self._put(_VIEW, ViewRecord(view, active))

    def view_change(self, message: ViewChange) -> Put:
        return self._put(_VIEW_CHANGE, message)

    def own_new_view(self, message: NewView) -> Put:
        return self._put(_OWN_NEW_VIEW, message)

    def new_view(self, message: NewView) -> Put:
        return self._put(_NEW_VIEW, message)

    def accepted(self, accepted: Accepted) -> Put:
        return self._put(_ACCEPTED, accepted, accepted.proposal.height)

    def prepared(self, certificate: PreparedCert) -> Put:
        return self._put(_PREPARED, certificate, certificate.proposal.height)

    def certificate(self, height: int, certificate: bytes) -> Put:
        return Put(self._base + _CERTIFICATE + height.to_bytes(8, "big"), certificate)

    def _below(self, name: bytes, height: int) -> DeleteRange:
        return DeleteRange(
            self._base + name + bytes(8), self._base + name + height.to_bytes(8, "big")
        )

    def forget(self, applied: int) -> tuple[Record, ...]:
        """Delete what an applied height no longer needs; its own certificate stays, because
        a view change must show it."""
        return (
            self._below(_ACCEPTED, applied + 1),
            self._below(_PREPARED, applied + 1),
            self._below(_CERTIFICATE, applied),
        )

    def forget_older_epochs(self) -> DeleteRange:
        return DeleteRange(PREFIX, self._base)

    def restore(self, pairs: Iterable[tuple[bytes, bytes]]) -> Restored:
        """Return what ``pairs`` hold for this epoch.

        ``ValueError`` when there are records of a later epoch: the ledger lost blocks that it
        had applied.  ``Malformed`` escapes: own records that do not parse mean a damaged disk,
        and a member that guesses what it said may contradict itself.
        """
        found = Restored()
        for key, value in pairs:
            if key.startswith(self._base):
                self._load(found, key[len(self._base) :], value)
            elif key.startswith(PREFIX):
                if key[: len(self._base)] > self._base:
                    raise ValueError("the ledger is older than what this member signed")
                found.other_epochs = True
        return found

    def _load(self, found: Restored, name: bytes, value: bytes) -> None:
        def read(kind: Any) -> Any:
            return wire.decode(kind, value, size_max=_RECORD_BYTES_MAX)

        if name == _START:
            found.start = read(Applied)
        elif name == _VIEW:
            found.view = read(ViewRecord)
        elif name == _VIEW_CHANGE:
            found.view_change = read(ViewChange)
        elif name == _OWN_NEW_VIEW:
            found.own_new_view = read(NewView)
        elif name == _NEW_VIEW:
            found.new_view = read(NewView)
        elif name.startswith(_ACCEPTED):
            found.accepted[int.from_bytes(name[len(_ACCEPTED) :], "big")] = read(Accepted)
        elif name.startswith(_PREPARED):
            found.prepared[int.from_bytes(name[len(_PREPARED) :], "big")] = read(PreparedCert)
        elif name.startswith(_CERTIFICATE):
            found.certificates[int.from_bytes(name[len(_CERTIFICATE) :], "big")] = value
