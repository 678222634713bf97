"""Money: integer minor units, ISO 4217 codes, and the one way to round.

No float and no decimal type: an amount is an integer count of the currency's smallest unit.
Where a share of an amount is not whole, it is rounded half to even (banker's rounding).
"""

from typing import Final

BASIS: Final = 10_000  # basis points in a whole
AMOUNT_MAX: Final = 10**13  # minor units; 200 of them stay far below 2^64

# ISO 4217: digits after the point -> the currencies in circulation that have so many.
_BY_DIGITS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP "
    "BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL "
    "GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP "
    "LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR "
    "NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP "
    "STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
DIGITS: Final = {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}


def currency(code: str) -> None:
    """Raise ``ValueError`` unless ``code`` is a currency of ISO 4217 in circulation."""
    if code not in DIGITS:
        raise ValueError("currency must be an ISO 4217 code")


def amount(value: int, what: str) -> None:
    """Raise ``ValueError`` unless ``value`` is an amount that sums cannot overflow."""
    if not 0 <= value <= AMOUNT_MAX:
        raise ValueError(f"{what} must be 0 to {AMOUNT_MAX} minor units")


def half_even(numerator: int, denominator: int) -> int:
    """Return ``numerator / denominator`` rounded to the nearest integer, a half to even."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient % 2):
        quotient += 1
    return quotient


def part(value: int, basis_points: int) -> int:
    """Return so many basis points of ``value``, half to even."""
    return half_even(value * basis_points, BASIS)
