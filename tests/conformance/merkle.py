"""Oracle for the RFC 6962 probes of transparency-dev/merkle: one JSON file, one verdict."""

import base64
from typing import Any

from node.ledger import merkle

_INCLUSION = {"leafIdx", "treeSize", "root", "leafHash", "proof", "wantErr"}
_CONSISTENCY = {"size1", "size2", "root1", "root2", "proof", "wantErr"}


def recognises(content: Any) -> bool:
    """Return whether parsed JSON has the fields of an inclusion or consistency probe."""
    return isinstance(content, dict) and (
        content.keys() >= _INCLUSION or content.keys() >= _CONSISTENCY
    )


def _raw(text: str | None) -> bytes:
    return base64.b64decode(text or "", validate=True)


def verdict(probe: dict[str, Any]) -> bool:
    """Return whether our verifier accepts the probe's proof."""
    path = [_raw(node) for node in probe["proof"] or []]
    if "leafIdx" in probe:
        return merkle.verify_inclusion(
            _raw(probe["leafHash"]),
            index=probe["leafIdx"],
            size=probe["treeSize"],
            path=path,
            root=_raw(probe["root"]),
        )
    return merkle.verify_consistency(
        old_size=probe["size1"],
        new_size=probe["size2"],
        old_root=_raw(probe["root1"]),
        new_root=_raw(probe["root2"]),
        path=path,
    )


def check(probe: dict[str, Any]) -> str | None:
    """Return None when our verdict is the probe's, else what differs."""
    accepted = verdict(probe)
    if accepted is not probe["wantErr"]:
        return None
    return f"{'accepted' if accepted else 'refused'} ({probe.get('desc', 'no description')})"
