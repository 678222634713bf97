"""A member that equivocates when it leads: the node as it is, with one lie added.

    python tests/bench/liar.py run --config FILE

As primary it sends the first member one block and all others another one of the same height,
both well-formed and truly signed.  Everything else (network, votes, gossip) is the product's,
so the honest members meet a liar that is up, fast and otherwise in order.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from consensus import certs
from consensus.effects import Envelope
from consensus.pbft.dialect import DIALECT
from consensus.pbft.messages import PrePrepare
from node import daemon
from node.cli.main import main
from node.ledger import block as blocks
from node.net.frame import FrameType
from node.switchboard import Switchboard
from node.wiring import Parts

_honest_build = daemon.build
_honest_send = Switchboard.send


def other(message: PrePrepare, network: bytes, sign: Any) -> PrePrepare:
    """Return the same proposal a millisecond later, truly signed: the other story."""
    header = blocks.decode_header(message.proposal.header)
    raw = replace(header, time_ms=header.time_ms + 1).encode()
    proposal = replace(message.proposal, digest=blocks.body_digest(raw), header=raw)
    signed = certs.prepare_bytes(
        network,
        epoch=message.epoch,
        view=message.view,
        height=proposal.height,
        content=certs.proposal_hash(proposal),
    )
    return replace(message, proposal=proposal, signature=sign(signed))


def build(config: Any, genesis: Any, keys: Any, store: Any, mark: Any) -> Parts:
    def send(board: Switchboard, envelope: Envelope) -> None:
        message = envelope.message
        if not isinstance(message, PrePrepare) or envelope.to is not None:
            _honest_send(board, envelope)
            return
        truth = DIALECT.encode(message)
        lie = DIALECT.encode(other(message, genesis.network, keys.consensus.sign))
        for at, peer in enumerate(board.connected()):
            board._peers.enqueue(peer, FrameType.CONSENSUS, lie if at else truth)

    Switchboard.send = send  # type: ignore[method-assign]
    return _honest_build(config, genesis, keys, store, mark)


if __name__ == "__main__":
    daemon.build = build
    main()
