"""Logs: one event a line on stderr, stable event names, no content of records ever.

``event(name, **fields)`` is the only way the node logs; names are documented in
``deploy/docs/operations.md``.  Fields are ids, counts, codes, durations.
"""

import json
import logging
import sys
import time
from typing import Any, Final

_LOGGER: Final = logging.getLogger("chartseal")


class JsonLines(logging.Formatter):
    """One JSON object a line: ``ts`` (RFC 3339, UTC), ``level``, ``event`` and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "ts": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        return json.dumps(line, default=str)


class TextLines(logging.Formatter):
    """The same for people: time, level, event, ``key=value`` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = getattr(record, "fields", {})
        pairs = " ".join(f"{key}={value}" for key, value in fields.items())
        return f"{moment} {record.levelname:7} {record.getMessage()} {pairs}".rstrip()


def setup(*, level: str, form: str) -> None:
    """Send events of ``level`` and above to stderr as ``json`` or ``text`` lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    _LOGGER.handlers = [handler]
    _LOGGER.propagate = False
    _LOGGER.setLevel(level.upper())


def event(name: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Log one event; costs nothing when the level is off."""
    if _LOGGER.isEnabledFor(level):
        _LOGGER.log(level, name, extra={"fields": fields})
