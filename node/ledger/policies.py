"""How a topic is decided: who must say yes, and how long everybody waits.

Owns: the closed list of topics, the record that a vote or the founders set one by, its bounds.
The defaults are in ``facts.governance``.
"""

from dataclasses import dataclass
from typing import Final

ENGINE: Final = "engine"
FEATURES: Final = "features"
INSTITUTION: Final = "institution"
INCIDENT_POLICY: Final = "incident-policy"
KEYS: Final = "keys"
LEGAL: Final = "legal"
MEMBERSHIP: Final = "membership"
PARAMETERS: Final = "parameters"
RULES: Final = "rules"
TOPICS: Final = (
    ENGINE,
    FEATURES,
    INCIDENT_POLICY,
    INSTITUTION,
    KEYS,
    LEGAL,
    MEMBERSHIP,
    PARAMETERS,
    RULES,
)
HOUR_MS: Final = 3_600_000
SPAN_MS_MAX: Final = 90 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Policy:
    """How ``topic`` is decided: share of voters in basis points, times in ms."""

    topic: str
    threshold_bp: int
    wait_ms: int
    window_ms: int
    execute_ms: int

    def __post_init__(self) -> None:
        if self.topic not in TOPICS:
            raise ValueError(f"topic must be one of {', '.join(TOPICS)}")
        if not 5_000 <= self.threshold_bp <= 10_000:
            raise ValueError("threshold_bp must be 5000 to 10000")
        if self.wait_ms > SPAN_MS_MAX:
            raise ValueError("wait_ms is at most 90 days")
        for span in (self.window_ms, self.execute_ms):
            if not HOUR_MS <= span <= SPAN_MS_MAX:
                raise ValueError("window_ms and execute_ms must be 1 hour to 90 days")
