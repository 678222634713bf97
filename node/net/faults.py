"""Who is at fault on the members' network, as exceptions.

    NetFault
      FrameFault       bytes that are no frame of ours; the connection ends
      HandshakeFault   the other side did not prove to be the member it claims; nobody is blamed
      PeerFault        a proven member broke the protocol; counted against that member
      LinkLost         the world's fault: connection gone, stalled or silent; dial again

Every fault carries a stable ``code`` for metrics.  No text here holds bytes that a peer sent.
"""


class NetFault(Exception):
    """Root of what can go wrong between two members."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code


class FrameFault(NetFault):
    """The stream is not a sequence of our frames; nothing after this point can be trusted."""


class HandshakeFault(NetFault):
    """The handshake failed.  Not attributable: anybody can claim to be a member.

    ``farewell`` is sent before the connection is dropped; usually nothing.
    """

    def __init__(self, code: str, detail: str = "", *, farewell: bytes = b"") -> None:
        super().__init__(code, detail)
        self.detail = detail
        self.farewell = farewell


class PeerFault(NetFault):
    """A member, proven by its key, broke the protocol.  Frame handlers raise it."""


class LinkLost(NetFault):
    """The connection ended or went silent; no judgement about the member."""
