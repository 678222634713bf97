"""What PBFT members say to each other, as frozen records under small tags.

Owns shapes and their size limits.  Who may say what, and whether signatures hold, is the
dialect's business; what it means is the engine's.  ``signer`` is the author: a message may be
relayed by others, so the sender of a frame proves nothing about it.  ``signature`` is empty on
a message that its author has not signed yet; ``Dialect.checks`` refuses such a message.
"""

from dataclasses import dataclass
from typing import Final

from consensus.certs import SIGNATURE_BYTES_MAX, PreparedCert, SuspectCert, check_limits
from consensus.types import Proposal
from consensus.wire import Tagged

WINDOW_MAX: Final = 1  # blocks in flight; see the package docstring
SIGNER_BYTES_MAX: Final = 63
CERTIFICATE_BYTES_MAX: Final = 128 * 1024


def _check_author(signer: str, signature: bytes) -> None:
    if not 1 <= len(signer) <= SIGNER_BYTES_MAX:
        raise ValueError("signer id length out of range")
    if len(signature) > SIGNATURE_BYTES_MAX:
        raise ValueError("signature too long")


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
class Status:
    """An unsigned hint from whoever sends it; never believed, only a reason to ask."""

    epoch: int
    view: int
    active: bool
    height: int

    def __post_init__(self) -> None:
        check_limits(self.epoch, self.view, self.height)


Message = PrePrepare | Prepare | Commit | Suspect | ViewChange | NewView | Status
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
    }
)
