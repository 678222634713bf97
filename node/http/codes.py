"""Conditions that only the HTTP interface can name, and the ledger's outcomes as conditions.

Owns: their entries in the registry of ``node.errors``, made when this module loads.  Every
result number of every ledger family becomes a code too, so that ``/v1/problems`` explains each
outcome that a transaction can have.
"""

from typing import Final

from node.error_codes import Code, Exit
from node.errors import lookup, register
from node.ledger.registry import RESULTS

_ONCE: Final = False  # repeating the same request cannot succeed
_AGAIN: Final = True

CODES: Final = (
    Code(
        "json-syntax",
        "the text is not JSON",
        400,
        Exit.USAGE,
        _ONCE,
        "check commas, quotes and brackets; the text must end where the value ends",
    ),
    Code(
        "json-encoding",
        "the text is not clean UTF-8",
        400,
        Exit.USAGE,
        _ONCE,
        "send UTF-8 without byte order mark and without lone surrogates",
    ),
    Code(
        "json-duplicate-key",
        "an object has two members of one name",
        400,
        Exit.USAGE,
        _ONCE,
        "name each member once; readers disagree which of two counts",
    ),
    Code(
        "json-number",
        "a number is not an integer of 64 bits",
        400,
        Exit.USAGE,
        _ONCE,
        "send integers; fractions, NaN and Infinity have no place in this interface",
    ),
    Code(
        "json-depth",
        "the JSON is nested too deeply",
        400,
        Exit.USAGE,
        _ONCE,
        "nest at most 32 levels",
    ),
    Code(
        "frame-malformed",
        "the stream does not end at the end of a frame",
        400,
        Exit.USAGE,
        _ONCE,
        "send each transaction as its length (4 bytes, big-endian) and its bytes",
    ),
    Code(
        "request-timeout",
        "the request did not arrive in time",
        408,
        Exit.USAGE,
        _AGAIN,
        "send the body without pauses, or in smaller parts",
    ),
    Code(
        "idempotency-key-reused",
        "the idempotency key belongs to another request",
        422,
        Exit.CONFLICT,
        _ONCE,
        "use a fresh key for each operation, and the same one only to repeat it",
    ),
)

register(*CODES)
for _result in RESULTS.values():
    if _result.number and lookup(_result.code) is None:
        register(
            Code(
                _result.code,
                _result.say.rstrip(".").lower(),
                409,
                Exit.CONFLICT,
                _ONCE,
                "look at the present state of the record and decide again",
            )
        )
