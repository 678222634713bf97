"""Business days on ledger time: deterministic, in UTC, without holidays.

A business day is 24 hours of business time.  Business time runs from Monday 00:00 to Saturday
00:00 UTC and stands still on Saturdays and Sundays, so a term of three business days is 72
hours of business time after its beginning.  Public holidays count as business days: they
differ from place to place, and a rule that all nodes must agree on cannot know them.
"""

from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
_WEEK_MS: Final = 7 * DAY_MS
_MONDAY_MS: Final = 4 * DAY_MS  # 1970-01-05, the first Monday
_WORK_MS: Final = 5 * DAY_MS


def business_deadline(start_ms: int, days: int) -> int:
    """Return when ``days`` business days have run since ``start_ms`` (ms since 1970, UTC).

    A term that ends with the last hour of a Friday ends on Saturday 00:00.  Works for every
    time from 1970-01-05 on; earlier ones count as that Monday.
    """
    week, within = divmod(max(start_ms, _MONDAY_MS) - _MONDAY_MS, _WEEK_MS)
    worked = week * _WORK_MS + min(within, _WORK_MS) + days * DAY_MS
    weeks, rest = divmod(worked, _WORK_MS)
    if rest == 0 and days:  # the end of a Friday rather than the beginning of a Monday
        weeks, rest = weeks - 1, _WORK_MS
    return _MONDAY_MS + weeks * _WEEK_MS + rest
