"""Canonical forms: which octets of a medical document a commitment speaks about.

Owns the strict reading of JSON from outside, the canonical writers, and the numbers of the
canonical forms and media types (both are hashed, so a number is never reused).  Refuses, with
a ``CanonRefused`` that names the reason and never the content: anything that two honest JSON
readers may understand differently (duplicate keys, lone surrogates, NaN, a byte order mark,
bytes that are not UTF-8), nesting beyond ``DEPTH_MAX`` and documents beyond the size limit.
Invariant: ``canonical`` is a pure function of its bytes and the canon number, on every node,
and applying it to its own output changes nothing.

Why two JSON forms.  RFC 8785 prints numbers as IEEE doubles: 1.00 becomes 1.  In FHIR the
precision of a decimal is part of its meaning, so ``FHIR_LEX`` keeps every number as it was
written and is the default; ``JCS`` is for parties whose tools speak RFC 8785 only.

What ``#static`` leaves out.  FHIR defines it as the resource without ``Resource.meta`` and
``Resource.text``, because servers rewrite both.  Bundle entries, the outcome of a Bundle
response, resources inside Parameters and contained resources are resources too: a server
that stores a Bundle's entries rewrites their ``meta`` as well, so they lose both members
too.  Resources are found by *position*, never by searching for ``resourceType``: elsewhere a
``text`` is clinical content (``CodeableConcept.text``), and no planted member may make it
vanish from the hash.  JSON that is no FHIR resource loses nothing.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

JSON_BYTES_MAX: Final = 8 << 20
DEPTH_MAX: Final = 64  # nested arrays and objects; FHIR documents stay below 20

RAW: Final = 0  # the octets as received
JCS: Final = 1  # jcs#static: RFC 8785, numbers as ECMAScript prints doubles
FHIR_LEX: Final = 2  # fhir-lex#static: RFC 8785 order and strings, numbers as written
EPCIS: Final = 3  # EPCIS 2.0 pre-hash string of one event
DICOM: Final = 4  # DICOM Part 10 octets as received


class Reason(Enum):
    """Why a document has no canonical form; the value is a stable code for integrators."""

    SIZE = "size"
    ENCODING = "encoding"
    BYTE_ORDER_MARK = "byte-order-mark"
    SYNTAX = "syntax"
    DUPLICATE_KEY = "duplicate-key"
    SURROGATE = "surrogate"
    NUMBER = "number"
    DEPTH = "depth"
    CANON_UNKNOWN = "canon-unknown"
    CANON_UNSUPPORTED = "canon-unsupported"
    MEDIA_TYPE = "media-type"


class CanonRefused(Exception):
    """The bytes have no canonical form, for the ``reason`` given.  Carries no content."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.value}: {detail}")
        self.reason = reason


# --- media types --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MediaType:
    id: int  # 1 .. 65535, hashed into every commitment as two big-endian bytes
    name: str  # lower case, without parameters
    canon: int  # the canonical form used when nobody asks for another


MEDIA_TYPES: Final = (
    MediaType(1, "application/fhir+json", FHIR_LEX),
    MediaType(2, "application/json", FHIR_LEX),
    MediaType(3, "application/fhir+xml", RAW),
    MediaType(4, "application/dicom", DICOM),
    MediaType(5, "application/pdf", RAW),
    MediaType(6, "text/plain", RAW),
    MediaType(7, "application/octet-stream", RAW),
    MediaType(8, "application/hl7-v2", RAW),
    MediaType(9, "application/xml", RAW),
    MediaType(10, "application/fhir+ndjson", RAW),
    MediaType(11, "image/jpeg", RAW),
    MediaType(12, "image/png", RAW),
    MediaType(13, "text/csv", RAW),
)
_BY_NAME: Final = {media.name: media for media in MEDIA_TYPES}
_BY_ID: Final = {media.id: media for media in MEDIA_TYPES}


def media_type(name: str) -> MediaType:
    """Return the table row of ``name``; case and parameters (``; charset=``) do not count."""
    found = _BY_NAME.get(name.partition(";")[0].strip().lower())
    if found is None:
        raise CanonRefused(Reason.MEDIA_TYPE, "media type is not in the table")
    return found


def media_type_by_id(number: int) -> MediaType:
    """Return the table row numbered ``number``."""
    found = _BY_ID.get(number)
    if found is None:
        raise CanonRefused(Reason.MEDIA_TYPE, "media type number is not in the table")
    return found


# --- strict reading -----------------------------------------------------------------------


class Number(str):
    """A JSON number exactly as it was written; distinct in type from every JSON string."""

    __slots__ = ()


_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_NUMBER_ONLY: Final = re.compile(_NUMBER)


def _number(lexeme: str) -> Number:
    # The pure-Python scanner of some interpreters takes digits of any script.
    if _NUMBER_ONLY.fullmatch(lexeme) is None:
        raise CanonRefused(Reason.SYNTAX, "not a JSON number")
    return Number(lexeme)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise CanonRefused(Reason.DUPLICATE_KEY, "an object has two members of one name")
    return members


def _refuse_constant(_lexeme: str) -> Any:
    raise CanonRefused(Reason.NUMBER, "NaN and Infinity are not JSON")


def _decoder(number: Callable[[str], Any]) -> json.JSONDecoder:
    return json.JSONDecoder(
        parse_float=number,
        parse_int=number,
        parse_constant=_refuse_constant,
        object_pairs_hook=_unique,
        strict=True,
    )


_EXACT: Final = _decoder(_number)


def _text(raw: bytes, size_max: int) -> str:
    if len(raw) > size_max:
        raise CanonRefused(Reason.SIZE, f"{len(raw)} bytes, at most {size_max} allowed")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CanonRefused(Reason.ENCODING, "not UTF-8") from error
    if text.startswith("\ufeff"):
        raise CanonRefused(Reason.BYTE_ORDER_MARK, "starts with a byte order mark")
    return text


def _parse(decoder: json.JSONDecoder, text: str) -> Any:
    try:
        return decoder.decode(text)
    except ValueError:
        # The cause holds the whole document: it must not travel into a log.
        raise CanonRefused(Reason.SYNTAX, "not JSON") from None
    except RecursionError:
        raise CanonRefused(Reason.DEPTH, f"nested deeper than {DEPTH_MAX}") from None


def _inspect(tree: Any, *, strings: bool) -> None:
    """Refuse nesting beyond ``DEPTH_MAX`` and, if asked, lone surrogates in any string."""
    level, depth = [tree], 0
    while level:
        below: list[Any] = []
        texts: list[str] = []
        nested = False
        for node in level:
            if type(node) is dict:
                nested = True
                texts.extend(node)
                below.extend(node.values())
            elif type(node) is list:
                nested = True
                below.extend(node)
            elif type(node) is str:
                texts.append(node)
        if strings:
            _refuse_surrogates(texts)
        if nested and depth == DEPTH_MAX:
            raise CanonRefused(Reason.DEPTH, f"nested deeper than {DEPTH_MAX}")
        level, depth = below, depth + 1


def _refuse_surrogates(texts: list[str]) -> None:
    try:
        "".join(texts).encode("utf-8")  # joining does not pair two lone halves
    except UnicodeEncodeError:
        raise CanonRefused(Reason.SURROGATE, "a lone surrogate") from None


def read_json(raw: bytes, *, size_max: int = JSON_BYTES_MAX) -> Any:
    """Return the one reading of ``raw`` that every strict reader shares; numbers as ``Number``.

    Raises ``CanonRefused`` for everything else; no other exception escapes.
    """
    text = _text(raw, size_max)
    tree = _parse(_EXACT, text)
    _inspect(tree, strings=True)
    return tree


# --- FHIR #static -------------------------------------------------------------------------

_RESOURCE_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}")


def _members(owner: Any, name: str) -> list[Any]:
    value = owner.get(name) if type(owner) is dict else None
    return value if type(value) is list else []


def _child(owner: Any, name: str) -> Any:
    return owner.get(name) if type(owner) is dict else None


def _strip(resource: Any) -> None:
    """Remove ``meta`` and ``text`` of a resource and of the resources it holds, in place."""
    kind = _child(resource, "resourceType")
    if not isinstance(kind, str) or _RESOURCE_NAME.fullmatch(kind) is None:
        return
    resource.pop("meta", None)
    resource.pop("text", None)
    for contained in _members(resource, "contained"):
        _strip(contained)
    if kind == "Bundle":
        for entry in _members(resource, "entry"):
            _strip(_child(entry, "resource"))
            _strip(_child(_child(entry, "response"), "outcome"))
    elif kind == "Parameters":
        _strip_parameters(_members(resource, "parameter"))


def _strip_parameters(parameters: list[Any]) -> None:
    for parameter in parameters:
        _strip(_child(parameter, "resource"))
        _strip_parameters(_members(parameter, "part"))


# --- writing ------------------------------------------------------------------------------

_quote: Final = json.encoder.encode_basestring  # exactly the escapes of RFC 8785, 3.2.2.2


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be")


def _write(tree: Any, number: Callable[[str], str]) -> str:
    if type(tree) is dict:
        # RFC 8785, 3.2.3: order of UTF-16 code units, in which U+1F600 precedes U+FB33.
        members = [
            f"{_quote(key)}:{_write(tree[key], number)}" for key in sorted(tree, key=_utf16)
        ]
        return "{" + ",".join(members) + "}"
    if type(tree) is list:
        return "[" + ",".join([_write(item, number) for item in tree]) + "]"
    if type(tree) is Number:
        return number(tree)
    if type(tree) is str:
        return _quote(tree)
    return "null" if tree is None else ("true" if tree else "false")


def _verbatim(lexeme: str) -> str:
    return str(lexeme)


def es6_number(lexeme: str) -> str:
    """Return the JSON number ``lexeme`` as ECMAScript prints its double (RFC 8785, 3.2.2.3).

    Refused: a magnitude no double has, and an integer written in digits that would be printed
    as a different integer.  RFC 8785 leaves such numbers to the sender's care; here a long
    identifier with another last digit would count as the same.  They take ``FHIR_LEX``.
    """
    value = float(lexeme)
    if value in (float("inf"), float("-inf")):
        raise CanonRefused(Reason.NUMBER, "magnitude beyond IEEE 754 doubles")
    if value == 0:
        return "0"  # also for -0
    # repr gives the shortest digits that read back as the same double, as ECMAScript asks.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    padded = whole + fraction
    digits = padded.lstrip("0")
    point = len(whole) + int(exponent or "0") - (len(padded) - len(digits))
    digits = digits.rstrip("0")
    written = lexeme.lstrip("-")
    if written.isdigit() and written.rstrip("0") != digits:
        raise CanonRefused(Reason.NUMBER, "integer is not exact as an IEEE 754 double")
    return ("-" if value < 0 else "") + _place(digits, point)


def _place(digits: str, point: int) -> str:
    """Return ``0.digits * 10**point`` by the cases of ECMA-262, Number::toString."""
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"


def _canonical_json(raw: bytes, number: Callable[[str], str], size_max: int) -> bytes:
    tree = read_json(raw, size_max=size_max)
    _strip(tree)
    return _write(tree, number).encode("utf-8")


# --- the fast road of FHIR_LEX ------------------------------------------------------------
# The C encoder sorts by code point and cannot print a number verbatim.  Both are mended when
# the text has no \u escape and no character beyond the BMP: then no string holds NUL (a raw
# NUL is refused), so NUL may mark numbers; there is no lone surrogate; and code points sort
# as UTF-16 units do.  Outside these guards the exact road above is taken.  A quote followed
# by an escaped NUL can come from a marked number only.

_MARK: Final = "\x00"
_MARKING: Final = _decoder(_MARK.__add__)
_SORTING: Final = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, sort_keys=True, separators=(",", ":")
)
_MARKED: Final = re.compile(rf'"\\u0000({_NUMBER})"')


def _fast_lex(text: str) -> bytes | None:
    """Return what the exact road returns, or None where this road cannot promise it."""
    if "\\u" in text:
        return None
    if not text.isascii() and len(text.encode("utf-16-le")) != 2 * len(text):
        return None
    tree = _parse(_MARKING, text)
    if text.count("{") + text.count("[") > DEPTH_MAX:
        _inspect(tree, strings=False)
    _strip(tree)
    printed = _MARKED.sub(r"\1", _SORTING.encode(tree))
    if "\\u0000" in printed:
        return None  # a pure-Python scanner let a digit of another script pass
    return printed.encode("utf-8")


def _canonical_lex(raw: bytes, size_max: int) -> bytes:
    fast = _fast_lex(_text(raw, size_max))
    return _canonical_json(raw, _verbatim, size_max) if fast is None else fast


# --- the one entrance ---------------------------------------------------------------------


def canonical(raw: bytes, canon: int, *, size_max: int = JSON_BYTES_MAX) -> bytes:
    """Return the canonical octets of ``raw`` under the canonical form numbered ``canon``.

    ``size_max`` bounds documents that must be parsed; octet forms (``RAW``, ``DICOM``) are
    returned as they are, whatever their size.  Raises ``CanonRefused`` and nothing else.
    """
    if canon in (RAW, DICOM):
        return raw
    if canon == FHIR_LEX:
        return _canonical_lex(raw, size_max)
    if canon == JCS:
        return _canonical_json(raw, es6_number, size_max)
    if canon == EPCIS:
        from node.ledger import epcis  # reads JSON with this module

        return epcis.prehash(raw, size_max=size_max)
    raise CanonRefused(Reason.CANON_UNKNOWN, "no canonical form of that number")
