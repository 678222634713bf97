"""An anchored resource as FHIR R4 Provenance: who anchored it, when, and where the proof is.

Owns what this interface adds to ``node.fhir.provenance``: the resource's type and its id here,
which is its commitment, and answers about what waits to be ordered.
"""

from dataclasses import dataclass
from typing import Final

from node.fhir import provenance as written
from node.fhir.provenance import Act, Resource, Seal

# Occurrence of a commitment on the ledger -> kind of operation.
_KINDS: Final = {
    "anchor": written.ANCHOR,
    "item": written.ANCHOR,
    "amend": written.AMEND,
    "retract": written.RETRACT,
    "erase": written.ERASE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchoring:
    """What happened to one commitment; ``txid`` None: no transaction yet, ``height`` None:
    it waits to be ordered.  ``receipt``: C2SP tlog-proof text."""

    commitment: bytes
    type: str | None  # resource type, where this node knows it
    kind: str  # anchor, item, amend, retract, erase
    org: str
    txid: bytes | None
    height: int | None
    time_ms: int
    previous: bytes | None = None
    receipt: str | None = None


def local_id(commitment: bytes) -> str:
    """Return the id that a resource has on this interface: an R4 id of 64 characters."""
    return commitment.hex()


def provenance(item: Anchoring) -> Resource:
    seal = None if item.receipt is None else Seal("text/plain", item.receipt.encode())
    kind = _KINDS[item.kind]
    act = Act(
        kind=kind,
        targets=(item.commitment,),
        org=item.org,
        txid=item.txid or bytes(32),
        height=item.height or 0,
        time_ms=item.time_ms,
        previous=item.previous if kind == written.AMEND else None,
        seal=seal,
    )
    found = written.write_provenance(act) | {"id": local_id(item.commitment)}
    if item.type is not None:
        found["target"][0]["reference"] = f"{item.type}/{local_id(item.commitment)}"
        found["target"][0]["type"] = item.type
    if item.txid is None:
        del found["entity"]
    elif item.height is None:
        found["entity"][-1]["what"]["display"] = "pending"
    return found
