"""GS1 identifiers: EPC URIs and Digital Link URIs in their one constrained canonical form.

Owns the conversion that the EPCIS event hash asks for (CBV 2.0, rules 17 and 18): one form,
under https://id.gs1.org, with the finest level of identification and nothing else.  Refuses
EPC schemes that it does not know and codes whose parts do not have the lengths that the Tag
Data Standard gives them: a wrong form would be a wrong hash.  A web address that is no Digital
Link is returned as it is.
Invariant: what it returns is a fixed point of ``canonical_link``.
"""

import re
from collections.abc import Callable
from typing import Final

HOST: Final = "https://id.gs1.org"
_ESCAPES: Final = str.maketrans({mark: f"%{ord(mark):02X}" for mark in "!()*+,:"})
_PREFIX: Final = re.compile(r"[0-9]{6,12}")
_SERIAL: Final = re.compile(r"(?:%[0-9A-Fa-f]{2}|[!'()*+,\-.0-9:;=A-Z_a-z]){1,30}")


class Unknown(ValueError):
    """An identifier that this module cannot bring into canonical form."""


def check_digit(digits: str) -> str:
    """Return the GS1 check digit (General Specifications 7.9): weights 3, 1, 3 ... from the
    right, and what is missing to a multiple of ten."""
    weighted = (int(digit) * (1 if at % 2 else 3) for at, digit in enumerate(reversed(digits)))
    return str(-sum(weighted) % 10)


def _checked(digits: str) -> str:
    return digits + check_digit(digits)


def _joined(prefix: str, reference: str, length: int) -> str:
    """Return company prefix and reference as one number of ``length`` digits."""
    number = prefix + reference
    if len(number) != length or not number.isdigit() or not number.isascii():
        raise Unknown("company prefix and reference have the wrong length")
    return number


def _turned(prefix: str, reference: str, length: int) -> str:
    """Like ``_joined``, with the indicator or extension digit moved to the front."""
    _joined(prefix, reference, length)
    return reference[0] + prefix + reference[1:]


def _serial(text: str) -> str:
    if _SERIAL.fullmatch(text) is None:
        raise Unknown("a serial number has a character that EPC URIs do not allow")
    return text.translate(_ESCAPES)


def _gtin(prefix: str, reference: str) -> str:
    return f"/01/{_checked(_turned(prefix, reference, 13))}"


def _sgln(prefix: str, reference: str, extension: str) -> str:
    place = f"/414/{_checked(_joined(prefix, reference, 12))}"
    return place if extension == "0" else f"{place}/254/{_serial(extension)}"


def _grai(prefix: str, reference: str) -> str:
    return f"/8003/0{_checked(_joined(prefix, reference, 12))}"


def _gdti(prefix: str, reference: str) -> str:
    return f"/253/{_checked(_joined(prefix, reference, 12))}"


# scheme -> how many parts follow it, and how they are written (Tag Data Standard 1.13, 6.3)
_SCHEMES: Final[dict[str, tuple[int, Callable[..., str]]]] = {
    "id:sgtin": (3, lambda a, b, c: f"{_gtin(a, b)}/21/{_serial(c)}"),
    "id:sscc": (2, lambda a, b: f"/00/{_checked(_turned(a, b, 17))}"),
    "id:sgln": (3, _sgln),
    "id:pgln": (2, lambda a, b: f"/417/{_checked(_joined(a, b, 12))}"),
    "id:grai": (3, lambda a, b, c: f"{_grai(a, b)}{_serial(c)}"),
    "id:giai": (2, lambda a, b: f"/8004/{a}{_serial(b)}"),
    "id:gsrn": (2, lambda a, b: f"/8018/{_checked(_joined(a, b, 17))}"),
    "id:gsrnp": (2, lambda a, b: f"/8017/{_checked(_joined(a, b, 17))}"),
    "id:gdti": (3, lambda a, b, c: f"{_gdti(a, b)}{_serial(c)}"),
    "class:lgtin": (3, lambda a, b, c: f"{_gtin(a, b)}/10/{_serial(c)}"),
    "idpat:sgtin": (3, lambda a, b, _any: _gtin(a, b)),
    "idpat:grai": (3, lambda a, b, _any: _grai(a, b)),
    "idpat:gdti": (3, lambda a, b, _any: _gdti(a, b)),
}


def from_epc(uri: str) -> str:
    """Return the Digital Link URI of ``urn:epc:...``; raises ``Unknown``."""
    _, _, rest = uri.partition("urn:epc:")
    kind, _, tail = rest.partition(":")
    scheme, _, body = tail.partition(":")
    name = f"{kind}:{scheme}"
    if name not in _SCHEMES:
        raise Unknown("an EPC scheme that is not supported")
    count, write = _SCHEMES[name]
    parts = body.split(".", count - 1)
    if len(parts) != count or _PREFIX.fullmatch(parts[0]) is None:
        raise Unknown("an EPC URI without its parts")
    if kind == "idpat" and parts[2] != "*":
        raise Unknown("a pattern of several items ends with an asterisk")
    return HOST + write(*parts)


# key -> how its value looks, and the qualifiers after it, the finest first, then those to drop
_VALUE_30: Final = r"[!-~]{1,30}"
_KEYS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "00": (r"[0-9]{18}", (), ()),
    "01": (r"[0-9]{8}|[0-9]{12,14}", ("21", "10", "235"), ("22",)),
    "253": (r"[0-9]{13}[!-~]{0,17}", (), ()),
    "255": (r"[0-9]{13,25}", (), ()),
    "401": (_VALUE_30, (), ()),
    "402": (r"[0-9]{17}", (), ()),
    "414": (r"[0-9]{13}", ("254",), ()),
    "417": (r"[0-9]{13}", (), ()),
    "8003": (r"[0-9]{14}[!-~]{0,16}", (), ()),
    "8004": (r"[0-9]{4}[!-~]{0,26}", (), ()),
    "8006": (r"[0-9]{18}", ("21", "10"), ("22",)),
    "8010": (_VALUE_30, ("8011",), ()),
    "8017": (r"[0-9]{18}", (), ()),
    "8018": (r"[0-9]{18}", (), ()),
}
_WORDS: Final = frozenset({"gtin", "itip", "sscc", "gln", "party", "grai", "giai", "gsrn"})
_LINK: Final = re.compile(r"https?://[^/?#]+(/[^?#]*)?(?:[?#].*)?")


def canonical_link(uri: str) -> str:
    """Return a Digital Link URI constrained and canonical; another web address as it is.

    Raises ``Unknown`` for links that write their keys as words (``/gtin/...``), which older
    releases of the standard allowed.
    """
    match = _LINK.fullmatch(uri)
    if match is None or not match[1]:
        return uri
    parts = match[1].strip("/").split("/")
    for at, part in enumerate(parts[:-1]):
        value = parts[at + 1]
        if part in _WORDS and value[:1].isdigit():
            raise Unknown("a Digital Link with a key in words")
        if part in _KEYS and re.fullmatch(_KEYS[part][0], value):
            return _constrained(part, value, parts[at + 2 :]) or uri
    return uri


def _constrained(key: str, value: str, rest: list[str]) -> str | None:
    """Return the link with its finest qualifier; None when ``rest`` is not qualifiers."""
    _, kept, dropped = _KEYS[key]
    found = dict(zip(rest[::2], rest[1::2], strict=False))
    if len(rest) % 2 or not set(found).issubset((*kept, *dropped)):
        return None
    link = f"{HOST}/{key}/{value.zfill(14) if key == '01' else value}"
    finest = next((name for name in kept if name in found), None)
    return link if finest is None else f"{link}/{finest}/{found[finest]}"
