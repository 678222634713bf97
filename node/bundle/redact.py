"""What may leave the institution: ids become pseudonyms, free text stays at home.

A bundle has a random salt of its own, which is thrown away.  A run of 32 or more hexadecimal
digits (handles of patients, commitments, transaction ids) becomes a keyed BLAKE2b of it: the
same id is the same word within one bundle, and nobody can test a guess.  Public values that the
network publishes anyway are let through by name.
Owns: the rules.  Refuses: to pass on text that is not of a closed form: a log line whose event
or field is unknown, an error's message, a value with a space in it.
"""

import hashlib
import json
import re
import secrets
from collections.abc import Iterable
from typing import Any, Final

RULES: Final = (
    "hexadecimal of 32 digits or more: keyed BLAKE2b, salt of this bundle, not kept",
    "access tokens, PEM blocks, base64 of 40 characters or more: left out",
    "log lines: known form only; values of closed form only; request ids as pseudonyms",
    "tracebacks: files, lines and functions; never messages",
    "private keys, passphrases, token files, the vault, block bodies and state: never read",
)
TEXT: Final = "<text>"
_HEX: Final = re.compile(r"[0-9a-fA-F]{32,}")
_TOKEN: Final = re.compile(r"chartseal_[a-z0-9]{8,32}_[0-9a-f]{16,}")
_BASE64: Final = re.compile(r"(?<![\w+/.-])[A-Za-z0-9+/_]{40,}={0,2}")
_PEM: Final = re.compile(r"-----BEGIN [^-]*-----.*?(-----END [^-]*-----|\Z)", re.DOTALL)
_CLOSED: Final = re.compile(
    r"[a-z0-9][A-Za-z0-9._:\[\]/%+-]{0,127}|-?\d+(\.\d+)?|True|False|None"
)
# What this software's own log says: first words of events, and fields whose values are ids of
# members, counts, codes, digests.  Everything else in a line is somebody's text.
_EVENT: Final = re.compile(
    r"(?:archive|audit|backup|disk|drain|era|evidence|keys|member|membership|node|peer|recovery"
    r"|request|scrub|snapshot|sync|upgrade|why)(?:[.-][a-z]+)+"
)
_FIELDS: Final = frozenset(
    {
        "ts",
        "level",
        "event",
        "accel",
        "bytes",
        "cause",
        "code",
        "count",
        "digest",
        "engine",
        "epoch",
        "height",
        "kind",
        "loop",
        "member",
        "network",
        "node",
        "peer",
        "position",
        "reason",
        "reportable",
        "reporter",
        "role",
        "round",
        "segment",
        "severity",
        "size",
        "state",
        "torn_bytes",
        "version",
    }
)
_PSEUDONYMS: Final = frozenset(
    {"request", "tx", "tx_id", "instance", "path", "address", "peername"}
)
_TEXT_LINE: Final = re.compile(
    r"(\d\d:\d\d:\d\d) (DEBUG|INFO|WARNING|ERROR|CRITICAL) +([a-z.-]+)((?: [a-z_]+=\S*)*)"
)
_FRAME: Final = re.compile(r'  File "([^"\n]+)", line (\d+), in ([\w<>.]+)')


class Redactor:
    """``public``: hexadecimal values that everybody may know: keys of members, the network."""

    def __init__(self, public: Iterable[str] = ()) -> None:
        self._salt = secrets.token_bytes(32)
        self._public = frozenset(item.lower() for item in public)

    def name(self, raw: str) -> str:
        """Return the pseudonym of ``raw`` in this bundle."""
        digest = hashlib.blake2b(raw.encode(), digest_size=8, key=self._salt)
        return f"id-{digest.hexdigest()}"

    def text(self, raw: str) -> str:
        """Return text of our own making without ids and secrets."""
        raw = _PEM.sub("<pem>", raw)
        raw = _TOKEN.sub("<token>", raw)
        raw = _HEX.sub(self._hex, raw)
        return _BASE64.sub("<base64>", raw)

    def _hex(self, found: re.Match[str]) -> str:
        value = found[0].lower()
        return value if value in self._public else self.name(value)

    def value(self, raw: Any) -> Any:
        """Return a JSON value with ``text`` over every string, keys of objects too."""
        if isinstance(raw, str):
            return self.text(raw)
        if isinstance(raw, dict):
            return {self.text(str(name)): self.value(item) for name, item in raw.items()}
        if isinstance(raw, list | tuple):
            return [self.value(item) for item in raw]
        return raw

    # --- logs --------------------------------------------------------------------------------

    def line(self, raw: str) -> dict[str, Any] | None:
        """Return a log line's closed parts; None for what is no line of ours."""
        raw = raw.rstrip("\n")
        if raw.startswith("{"):
            return self._json_line(raw)
        if frame := _FRAME.fullmatch(raw):
            where = "/".join(frame[1].split("/")[-3:])
            return {"frame": f"{where}:{frame[2]} {frame[3]}"}
        match = _TEXT_LINE.fullmatch(raw)
        if match is None or not _EVENT.fullmatch(match[3]):
            return None
        pairs = [pair.partition("=") for pair in match[4].split()]
        fields = {name: self._field(name, value) for name, _, value in pairs if _known(name)}
        return {"ts": match[1], "level": match[2].lower(), "event": match[3], **fields}

    def _json_line(self, raw: str) -> dict[str, Any] | None:
        try:
            line = json.loads(raw)
        except ValueError:
            return None
        if not isinstance(line, dict) or not _EVENT.fullmatch(str(line.get("event", ""))):
            return None
        return {name: self._field(name, value) for name, value in line.items() if _known(name)}

    def _field(self, name: str, value: Any) -> Any:
        if isinstance(value, bool | int | float) or value is None:
            return value
        text = str(value)
        if name in _PSEUDONYMS:
            return self.name(text)
        return self.text(text) if _CLOSED.fullmatch(text) else TEXT


def _known(name: str) -> bool:
    return name in _FIELDS or name in _PSEUDONYMS
