"""How the last run of a node ended, for whoever asks when it is down.

Owns: the file ``last-end.json`` beside the key file: code, detail and time of the end.  It is
gone while the node runs, so that its absence when it is down means: killed, or power lost.
Refuses: to matter; a file that cannot be written changes nothing about the end itself.
Details are those of registered conditions: places, sizes, codes, never content.
"""

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from node.config import Config
from node.errors import from_exception

NAME: Final = "last-end.json"
STOPPED: Final = "stopped"  # an orderly end
_BYTES_MAX: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class End:
    """``code`` is a registered condition, or ``stopped``; ``at_ms`` Unix time."""

    code: str
    detail: str
    at_ms: int


class Ending:
    """Use as ``with`` around the whole life of a node: notes what ends it, and lets it pass."""

    def __init__(self, config: Config) -> None:
        self._path = path_of(config)

    def __enter__(self) -> Self:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        code, detail = STOPPED, ""
        if error is not None:
            found = from_exception(error)
            code, detail = found.code, found.detail
        end = End(code, detail[:2_000], time.time_ns() // 1_000_000)
        with contextlib.suppress(OSError):
            self._path.write_text(json.dumps(asdict(end)) + "\n", encoding="utf-8")
            self._path.chmod(0o600)


def path_of(config: Config) -> Path:
    return config.keystore.path.parent / NAME


def read(config: Config) -> End | None:
    """Return how the last run ended; None: it runs, was killed, or never ran."""
    try:
        with path_of(config).open("rb") as file:
            value = json.loads(file.read(_BYTES_MAX))
        return End(str(value["code"]), str(value["detail"]), int(value["at_ms"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
