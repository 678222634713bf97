"""Oracle for the Ed25519 edge cases of C2SP/CCTV, on which verifiers disagree.

The file says what is odd about each signature, not whether to accept it.  Our answer is the
ZIP 215 one, pinned as a digest over the numbers accepted: a backend that answers one case
differently splits the network, and fails here.
"""

import hashlib
from types import ModuleType
from typing import Any

from node.ledger.accel import native, pure

CASES = 914
ACCEPTED = 826
ACCEPTED_DIGEST = "18978faa79d943d43207ac9e01ac0b2f4372e86ed691db989e149769b132b609"

BACKENDS = [pure] if native.unusable() else [pure, native]

_FIELDS = {"number", "key", "sig", "msg", "flags"}


def recognises(content: Any) -> bool:
    """Return whether parsed JSON is a list of CCTV cases."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(case, dict) and case.keys() >= _FIELDS for case in content)
    )


def items(cases: list[dict[str, Any]]) -> list[tuple[bytes, bytes, bytes]]:
    """Return (key, message, signature) of each case."""
    return [
        (bytes.fromhex(case["key"]), case["msg"].encode(), bytes.fromhex(case["sig"]))
        for case in cases
    ]


def accepted_numbers(cases: list[dict[str, Any]], backend: ModuleType) -> list[int]:
    """Return the numbers of the cases that ``backend`` accepts, in ascending order."""
    verdicts = backend.verify_batch(items(cases))
    return sorted(case["number"] for case, good in zip(cases, verdicts, strict=True) if good)


def digest(numbers: list[int]) -> str:
    """Return SHA-256 in hex over the numbers in decimal, joined by newlines."""
    return hashlib.sha256("\n".join(map(str, numbers)).encode()).hexdigest()


def check(cases: list[dict[str, Any]]) -> str | None:
    """Return None when each backend there is accepts exactly the pinned cases.

    Else what differs.
    """
    for backend in BACKENDS:
        numbers = accepted_numbers(cases, backend)
        if digest(numbers) != ACCEPTED_DIGEST:
            pinned = f"not the pinned {ACCEPTED} of {CASES}"
            return f"{backend.NAME} accepted {len(numbers)} of {len(cases)}, {pinned}"
    return None
