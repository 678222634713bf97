"""FHIR date and dateTime as half-open periods in ms, and back (R4, 2.24.0.1 and Period).

A date without a zone is read as UTC.  ``Period.end`` is inclusive in FHIR to its precision: an
end of 2016-01-01 lasts until the 2nd begins, one with seconds until the next second, one with
milliseconds until the next millisecond.  Written are milliseconds, always.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_FORM: Final = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})"
    r"(?:T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2}))?)?)?"
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


def span_of(text: str) -> tuple[int, int]:
    """Return the ms since 1970 that ``text`` covers, end excluded; may be negative.

    Raises ``ValueError`` for what is no FHIR date or dateTime.
    """
    found = _FORM.fullmatch(text)
    if not found:
        raise ValueError("no FHIR date or dateTime")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    start = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
    if month is None:
        end = start.replace(year=start.year + 1)
    elif day is None:
        end = (start + timedelta(days=31)).replace(day=1)
    elif hour is None:
        end = start + timedelta(days=1)
    else:
        start = start.replace(hour=int(hour), minute=int(minute), second=int(second))
        start -= _offset(zone)
        end = start + timedelta(seconds=1)
        if fraction is not None:
            start += int(fraction[:3].ljust(3, "0")) * _MS
            end = start + _MS
    return (start - _EPOCH) // _MS, (end - _EPOCH) // _MS


def _offset(zone: str) -> timedelta:
    if zone == "Z":
        return timedelta(0)
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("no such time zone")
    ahead = timedelta(hours=hours, minutes=minutes)
    return -ahead if zone[0] == "-" else ahead


def instant(time_ms: int) -> str:
    """Return a time as a FHIR instant in UTC with milliseconds."""
    return (_EPOCH + time_ms * _MS).isoformat(timespec="milliseconds").replace("+00:00", "Z")
