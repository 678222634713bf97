"""Amounts of FHIR's Money and SimpleQuantity: decimal text to integers and back, no floats.

FHIR decimals arrive as the number was written (``node.ledger.canon.Number``).  An amount is
whole in the currency's minor units or it is refused; rounding happens only where the caller
asks for it, half to even.  ``written`` puts a resource into JSON with its decimals verbatim.
"""

import json
import re
from typing import Any, Final

from node.ledger.canon import Number
from node.ledger.facts import money

_DECIMAL: Final = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,3}))?")
_DIGITS_MAX: Final = 40
_EXPONENT_MAX: Final = 40


class AmountRefused(Exception):
    """A number cannot be an amount; ``code`` is stable, the message quotes no value."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _scaled(lexeme: Any) -> tuple[int, int]:
    """Return (digits, exponent of ten) of a number that is not negative."""
    if type(lexeme) is int:
        lexeme = Number(lexeme)
    match = _DECIMAL.fullmatch(lexeme) if isinstance(lexeme, Number) else None
    if match is None:
        raise AmountRefused("not-a-decimal")
    sign, whole, fraction, exponent = match[1], match[2], match[3] or "", int(match[4] or 0)
    if len(whole) + len(fraction) > _DIGITS_MAX or abs(exponent) > _EXPONENT_MAX:
        raise AmountRefused("amount-too-large")
    digits = int(whole + fraction)
    if sign and digits:
        raise AmountRefused("amount-negative")
    return digits, exponent - len(fraction)


def _power(exponent: int) -> int:
    return int("1" + "0" * exponent)


def _bounded(value: int) -> int:
    if value > money.AMOUNT_MAX:
        raise AmountRefused("amount-too-large")
    return value


def exact(currency: str, *factors: Any) -> int:
    """Return the product of decimals in minor units; refuses one that is not whole."""
    digits, exponent = 1, money.DIGITS[currency]
    for factor in factors:
        more, by = _scaled(factor)
        digits, exponent = digits * more, exponent + by
    if exponent >= 0:
        return _bounded(digits * _power(exponent))
    whole, rest = divmod(digits, _power(-exponent))
    if rest:
        raise AmountRefused("amount-precision")
    return _bounded(whole)


def rounded(currency: str, value: Any) -> int:
    """Return a decimal in minor units, half to even: for numbers of other people's floats."""
    digits, exponent = _scaled(value)
    exponent += money.DIGITS[currency]
    if exponent >= 0:
        return _bounded(digits * _power(exponent))
    return _bounded(money.half_even(digits, _power(-exponent)))


def whole(value: Any) -> int:
    """Return a decimal without fraction as an integer; refuses others."""
    digits, exponent = _scaled(value)
    if exponent >= 0:
        return digits * _power(exponent)
    result, rest = divmod(digits, _power(-exponent))
    if rest:
        raise AmountRefused("quantity-not-whole")
    return result


def text(currency: str, minor_units: int) -> Number:
    """Return minor units as a decimal with all digits of the currency: 1234 is ``12.34``."""
    digits = money.DIGITS[currency]
    if not digits:
        return Number(minor_units)
    units, rest = divmod(minor_units, 10**digits)
    return Number(f"{units}.{rest:0{digits}}")


def money_of(currency: str, minor_units: int) -> dict[str, Any]:
    """Return a FHIR Money."""
    return {"value": text(currency, minor_units), "currency": currency}


def written(tree: Any) -> str:
    """Return a resource as JSON; a ``Number`` stands as it was written."""
    if isinstance(tree, dict):
        members = (f"{json.dumps(key)}:{written(value)}" for key, value in tree.items())
        return "{" + ",".join(members) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(written, tree)) + "]"
    return str(tree) if isinstance(tree, Number) else json.dumps(tree)
