"""Canonical MessagePack: one value, one encoding, everywhere in the product.

Lowest room of the house, so that votes, transactions, receipts and disk records share it.
Allowed: None, booleans, integers of -2^63 .. 2^64-1, byte strings, text, arrays, and maps
with text keys in strictly ascending order of their UTF-8 bytes.  Refused: floats, extension
types, timestamps, non-shortest forms, duplicate keys, trailing bytes, depth beyond
``DEPTH_MAX``.  Every MessagePack decoder we know accepts non-shortest integers, which would
let a relay change a transaction's bytes without breaking its signature; hence decode,
encode again, compare.
"""

from collections.abc import Callable
from typing import Any, Final

import msgpack

DEPTH_MAX: Final = 16

Value = None | bool | int | bytes | str | list[Any] | dict[str, Any]


class Malformed(Exception):
    """Bytes from outside are not what their format promises.  Carries no content."""


def _refuse_extension(code: int, _payload: bytes) -> Any:
    raise Malformed(f"extension type {code} is not allowed")


# With its default options, which keep bytes and text apart: naming them costs half the call.
_packed: Final[Callable[[Any], bytes]] = msgpack.packb
_SCALARS: Final = frozenset({bytes, int, str, bool, type(None)})


def _check(value: Any, depth: int) -> None:
    """Raise ``Malformed`` unless ``value`` is of the allowed shapes.  Calls only for nests."""
    kind = type(value)
    if kind in _SCALARS:
        return
    if depth >= DEPTH_MAX:
        raise Malformed(f"nested deeper than {DEPTH_MAX}")
    if kind is list:
        for item in value:
            if type(item) not in _SCALARS:
                _check(item, depth + 1)
    elif kind is dict:
        _check_map(value, depth)
    else:
        raise Malformed(f"type {kind.__name__} is not allowed")


def _check_map(value: dict[Any, Any], depth: int) -> None:
    previous: bytes | None = None
    for key, item in value.items():
        if type(key) is not str:
            raise Malformed("map keys must be text")
        current = key.encode("utf-8", "surrogatepass")
        if previous is not None and current <= previous:
            raise Malformed("map keys must be unique and ascending")
        previous = current
        _check(item, depth + 1)


def encode(value: Value) -> bytes:
    """Return the canonical bytes of ``value``; maps are sorted here.

    Raises ``Malformed`` for a value outside the allowed shapes (a programming error or a
    value that came from outside; either way nothing was produced).
    """
    prepared = _sorted_maps(value)
    _check(prepared, 0)
    try:
        return _packed(prepared)
    except (ValueError, OverflowError, TypeError) as error:
        raise Malformed("value has no canonical encoding") from error


def encode_typed(value: Value) -> bytes:
    """Like ``encode`` for arrays that typed records became: no maps or floats can be inside.

    Raises ``Malformed`` when a number is out of range.
    """
    try:
        return _packed(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise Malformed("value has no canonical encoding") from error


def _sorted_maps(value: Any) -> Any:
    if type(value) in (list, tuple):
        return [_sorted_maps(item) for item in value]
    if type(value) is dict:
        if not all(type(key) is str for key in value):
            raise Malformed("map keys must be text")
        ordered = sorted(
            value.items(), key=lambda pair: pair[0].encode("utf-8", "surrogatepass")
        )
        return {key: _sorted_maps(item) for key, item in ordered}
    return value


def decode(raw: bytes, *, size_max: int) -> Any:
    """Return the value that ``raw`` canonically encodes.

    Raises ``Malformed`` for anything else, including input longer than ``size_max`` bytes;
    no other exception escapes, whatever the bytes are.
    """
    if len(raw) > size_max:
        raise Malformed(f"{len(raw)} bytes, at most {size_max} allowed")
    duplicates = False

    def pairs(items: list[tuple[Any, Any]]) -> dict[Any, Any]:
        nonlocal duplicates
        result = dict(items)
        duplicates = duplicates or len(result) != len(items)
        return result

    try:
        value = msgpack.unpackb(
            raw,
            raw=False,
            strict_map_key=True,
            ext_hook=_refuse_extension,
            object_pairs_hook=pairs,
        )
    except Malformed:
        raise
    except (
        ValueError,
        TypeError,
        msgpack.UnpackException,
        RecursionError,
        OverflowError,
    ) as error:
        raise Malformed("not MessagePack, or trailing bytes") from error
    if duplicates:
        raise Malformed("duplicate map key")
    _check(value, 0)
    try:
        again = _packed(value)
    except (ValueError, OverflowError, TypeError) as error:
        raise Malformed("value has no canonical encoding") from error
    if again != raw:
        raise Malformed("not the canonical encoding")
    return value
