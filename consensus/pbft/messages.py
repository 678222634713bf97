"""What PBFT members say to each other, as frozen records under small tags.

Owns shapes and their size limits.  Who may say what, and whether signatures hold, is the
dialect's business; what it means is the engine's.  ``signer`` is the author: a message may be
relayed by others, so the sender of a frame proves nothing about it.  ``signature`` is empty on
a message that its author has not signed yet; ``Dialect.checks`` refuses such a message.
"""

from typing import Final

from consensus.certs import (
    SIGNATURE_BYTES_MAX,
    SIGNERS_BYTES_MAX,
    CommitCert,
    PreparedCert,
    PreparedHeight,
    SuspectCert,
    check_limits,
)
from consensus.frozen import dataclass
from consensus.types import Proposal
from consensus.wire import Tagged

WINDOW_MAX: Final = 8  # blocks in flight; what any view may carry over
SIGNER_BYTES_MAX: Final = 63
CERTIFICATE_BYTES_MAX: Final = 128 * 1024


def _check_author(signer: str, signature: bytes) -> None:
    if not 1 <= len(signer) <= SIGNER_BYTES_MAX:
        raise ValueError("signer id length out of range")
    if len(signature) > SIGNATURE_BYTES_MAX:
        raise ValueError("signature too long")


def _check_bitmaps(*bitmaps: bytes) -> None:
    if any(len(bitmap) > SIGNERS_BYTES_MAX or bitmap[-1:] == b"\0" for bitmap in bitmaps):
        raise ValueError("not a bitmap of members")


@dataclass(frozen=True, slots=True)
class PrePrepare:
    """The primary proposes; ``signature`` is its Prepare for the same proposal."""

    epoch: int
    view: int
    proposal: Proposal
    signer: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view)
        _check_author(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class Prepare:
    """``signer`` accepted the proposal whose ``proposal_hash`` is ``content``."""

    epoch: int
    view: int
    height: int
    content: bytes
    signer: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        if len(self.content) != 32:
            raise ValueError("digests are 32 bytes")
        _check_author(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class Commit:
    """``signer`` holds a durable prepared certificate for the block of ``digest``."""

    epoch: int
    view: int
    height: int
    digest: bytes
    signer: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        if len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")
        _check_author(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class Suspect:
    """``signer`` waited too long for ``height`` in ``view``, and still works in it."""

    epoch: int
    view: int
    height: int
    signer: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        _check_author(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class ViewChange:
    """``signer`` left every view below ``view`` and tells what may have committed there.

    ``height`` and ``digest`` name its last final block, ``certificate`` is that block's
    encoded ``CommitCert`` (empty only at the block where this engine's life began).
    ``prepared``: contiguous from ``height + 1``, chained, at most ``WINDOW_MAX``.
    ``suspected`` proves that some view below was left for a reason.
    """

    epoch: int
    view: int
    height: int
    digest: bytes
    certificate: bytes
    prepared: tuple[PreparedCert, ...]
    suspected: SuspectCert
    signer: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        if len(self.digest) != 32:
            raise ValueError("digests are 32 bytes")
        if len(self.certificate) > CERTIFICATE_BYTES_MAX:
            raise ValueError("certificate too long")
        if len(self.prepared) > WINDOW_MAX:
            raise ValueError("more prepared certificates than the window has places")
        _check_author(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class NewView:
    """The primary of ``view`` opens it: a quorum's view changes and what follows from them."""

    epoch: int
    view: int
    view_changes: tuple[ViewChange, ...]
    chosen: tuple[Proposal, ...]
    signer: str
    signature: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view)
        if len(self.chosen) > WINDOW_MAX:
            raise ValueError("more proposals than the window has places")
        _check_author(self.signer, self.signature)


@dataclass(frozen=True, slots=True)
class Held:
    """What a member holds at one open height; see ``Status``.

    ``content``: ``proposal_hash`` of what it accepted in its view, or empty.  ``prepares`` and
    ``commits``: whose votes it holds, for that proposal when there is one.
    """

    height: int
    content: bytes
    prepares: bytes
    commits: bytes

    def __post_init__(self) -> None:
        check_limits(self.height)
        if len(self.content) not in (0, 32):
            raise ValueError("digests are 32 bytes")
        _check_bitmaps(self.prepares, self.commits)


@dataclass(frozen=True, slots=True)
class Status:
    """An unsigned hint from whoever sends it; never believed, only a reason to ask or help.

    Bitmaps are over committee positions, least significant bit first, without trailing zeros.
    ``held``: open heights of ``view``, ascending.  ``suspects``: who suspects ``view`` at
    ``height + 1``.  ``changes``: whose view changes to ``view`` are here.  ``opened``: eight
    bytes that tell the NewView of an active ``view`` from another one; empty in view 0.
    """

    epoch: int
    view: int
    active: bool
    height: int
    held: tuple[Held, ...] = ()
    suspects: bytes = b""
    changes: bytes = b""
    opened: bytes = b""

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)
        if len(self.held) > WINDOW_MAX:
            raise ValueError("more heights than the window has places")
        if len(self.opened) not in (0, 8):
            raise ValueError("the mark of a view is eight bytes")
        _check_bitmaps(self.suspects, self.changes)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """The sender asks what may be final above ``height``; ``round`` is its own counter."""

    epoch: int
    round: int
    height: int

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.round, self.height)


@dataclass(frozen=True, slots=True)
class ReadAnswer:
    """The highest height above the asked one that the sender holds proof of, with the proof.

    Neither proof: nothing above.  Unsigned: it counts for whoever sends it.
    """

    epoch: int
    round: int
    committed: CommitCert | None = None
    prepared: PreparedHeight | None = None

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.round)
        if self.committed is not None and self.prepared is not None:
            raise ValueError("one proof is enough")

    @property
    def height(self) -> int:
        proof = self.committed or self.prepared
        return 0 if proof is None else proof.height


Message = (
    PrePrepare
    | Prepare
    | Commit
    | Suspect
    | ViewChange
    | NewView
    | Status
    | ReadRequest
    | ReadAnswer
)
Signed = PrePrepare | Prepare | Commit | Suspect | ViewChange | NewView

MESSAGES: Final = Tagged(
    {
        1: PrePrepare,
        2: Prepare,
        3: Commit,
        4: Suspect,
        5: ViewChange,
        6: NewView,
        7: Status,
        8: ReadRequest,
        9: ReadAnswer,
    }
)
