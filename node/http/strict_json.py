"""Reading JSON from clients the one way that every strict reader shares.

Owns: refusing what two honest readers may understand differently (duplicate keys, lone
surrogates, a byte order mark, NaN) or what only hurts (fractions, numbers beyond 64 bits,
nesting beyond ``JSON_DEPTH_MAX``), each with a stable code.  Refuses: meaning, but for
``typed``, which gives a tree the type of a request.
Invariant: nothing but ``ChartsealError`` escapes, and no error text quotes the content.
"""

import json
from typing import Any, Final, TypeVar

import msgspec

from node.errors import ChartsealError
from node.http.limits import JSON_DEPTH_MAX

T = TypeVar("T")
_DIGITS_MAX: Final = 20  # of 2^64 - 1
# msgspec quotes what it was given for these; then only the place may be told.
_QUOTING: Final = ("unknown field", "Invalid enum", "Invalid value")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ChartsealError("json-duplicate-key")
    return members


def _integer(lexeme: str) -> int:
    if len(lexeme) > _DIGITS_MAX or not lexeme.isascii() or lexeme == "-0":
        raise ChartsealError("json-number")
    return int(lexeme)


def _no_number(_lexeme: str) -> Any:
    raise ChartsealError("json-number")


_DECODER: Final = json.JSONDecoder(
    parse_int=_integer,
    parse_float=_no_number,
    parse_constant=_no_number,
    object_pairs_hook=_unique,
    strict=True,
)


def read(raw: bytes) -> Any:
    """Return the value that ``raw`` writes; raises ``ChartsealError`` with a json- code."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ChartsealError("json-encoding", "not UTF-8") from None
    if text.startswith("\ufeff"):
        raise ChartsealError("json-encoding", "starts with a byte order mark")
    try:
        tree = _DECODER.decode(text)
    except ValueError:
        # The cause holds the whole text: it must not travel into a log.
        raise ChartsealError("json-syntax") from None
    except RecursionError:
        raise ChartsealError("json-depth", f"at most {JSON_DEPTH_MAX} levels") from None
    _inspect(tree)
    return tree


def _inspect(tree: Any) -> None:
    level, depth = [tree], 0
    while level:
        below: list[Any] = []
        texts: list[str] = []
        for node in level:
            if type(node) is dict:
                texts.extend(node)
                below.extend(node.values())
            elif type(node) is list:
                below.extend(node)
            elif type(node) is str:
                texts.append(node)
        try:
            "".join(texts).encode("utf-8")  # joining does not pair two lone halves
        except UnicodeEncodeError:
            raise ChartsealError("json-encoding", "a lone surrogate") from None
        nested = any(type(node) is dict or type(node) is list for node in level)
        if nested and depth == JSON_DEPTH_MAX:
            raise ChartsealError("json-depth", f"at most {JSON_DEPTH_MAX} levels")
        level, depth = below, depth + 1


def typed(kind: type[T], tree: Any) -> T:
    """Return ``tree`` as a ``kind``; raises ``ChartsealError`` (bad-request) saying where."""
    try:
        return msgspec.convert(tree, kind, strict=True)
    except msgspec.ValidationError as error:
        text = str(error)
        if any(mark in text for mark in _QUOTING):
            text = f"a value or member that is not expected{_place(text)}"
        raise ChartsealError("bad-request", text) from None


def _place(text: str) -> str:
    _before, found, place = text.rpartition(" - at `")
    return f" at {place.rstrip('`')}" if found else ""
