"""Every bound of the HTTP interface in one place, with its unit last.

Owns: the numbers and where they come from (the settings, or fixed here because nobody should
have to tune them).  Invariant: whatever a client sends, memory and time spent on it are bounded
by one of these.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

from node.settings import Limits

WAIT_S_MAX: Final = 30
PAGE_DEFAULT: Final = 50
PAGE_MAX: Final = 500
BATCH_MAX: Final = 256  # transactions handed to the service in one call
TAGS_MAX: Final = 100
STATE_KEY_BYTES_MAX: Final = 256
IDEMPOTENCY_KEYS_MAX: Final = 10_000
IDEMPOTENCY_BYTES_MAX: Final = 32 << 20  # of the transactions they stand for
CALLERS_MAX: Final = 10_000  # token buckets kept
JSON_DEPTH_MAX: Final = 32
EXPIRES_IN_MAX: Final = 100_000  # blocks

# Of aiohttp's protocol.  Its keep-alive timer also runs until the first header is complete, so
# it is what ends connections that trickle headers.  Compressed bodies are refused: a small one
# may unpack to any size.
HANDLER_ARGUMENTS: Final[dict[str, Any]] = {
    "keepalive_timeout": 30,
    "lingering_time": 2,
    "max_line_size": 8190,
    "max_field_size": 8190,
    "max_headers": 64,
    "auto_decompress": False,
    "access_log": None,  # it would write paths and queries; our own log names what matters
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Bounds that a node's settings or a test may choose."""

    body_bytes_max: int = 8 << 20
    line_bytes_max: int = 1 << 20
    streams_max: int = 64
    requests_per_second: float = 500
    burst: int = 1000
    in_flight_max: int = 2048  # requests being answered, streams apart
    stream_bytes_max: int = 4 << 30  # of one bulk request
    body_s: float = 30  # for the whole of a bounded body
    idle_s: float = 60  # without a byte of a bulk stream moving, either way
    stall_s: float = 10  # that a bulk stream waits for room in the pool
    heartbeat_s: float = 15  # between comments on a silent event stream

    @classmethod
    def of(cls, settings: Limits) -> Self:
        return cls(
            body_bytes_max=settings.api_body_bytes_max,
            line_bytes_max=settings.api_line_bytes_max,
            streams_max=settings.api_streams_max,
            requests_per_second=settings.api_requests_per_second,
            burst=settings.api_burst,
        )
