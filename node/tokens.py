"""Access tokens of clients: made once, kept as hashes, checked in constant time.

A token is ``chartseal_<id>_<secret>``: the id names its row, the secret is 256 random bits in
hexadecimal.  The file holds one JSON object a line, ``{"id", "hash", "scopes", "expires_ms"}``;
the hash is keyed BLAKE2b-256 of id and secret, so a leaked file opens nothing and a row copied
under another id is dead.

Owns: the text form, the file, its reload when it changes.  Refuses: a file with one line that
it cannot read; then no token counts until it is repaired, because a lost revocation is worse
than a refused client.  Bounded: ``FILE_BYTES_MAX``, ``TOKENS_MAX``.
"""

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from node.errors import ChartsealError

SCOPES: Final = (
    "tx:submit",
    "tx:sign",
    "tx:read",
    "record:read",
    "ledger:ask",
    "events:read",
    "member:read",
    "fhir:read",
    "fhir:write",
    "node:operate",
)
FILE_BYTES_MAX: Final = 4 << 20
TOKENS_MAX: Final = 10_000
TEXT_CHARACTERS_MAX: Final = 128

_TEXT: Final = re.compile(r"chartseal_([a-z0-9]{8,32})_([0-9a-f]{64})", re.ASCII)
_ID: Final = re.compile(r"[a-z0-9]{8,32}", re.ASCII)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HASH_KEY: Final = b"chartseal/token/v1"
_MEMBERS: Final = {"id", "hash", "scopes", "expires_ms"}


@dataclass(frozen=True, slots=True)
class Token:
    """A row of the file.  ``expires_ms`` is Unix time; from then on it opens nothing."""

    id: str
    hash: str  # 64 hexadecimal digits
    scopes: frozenset[str]
    expires_ms: int

    def line(self) -> str:
        """Return the row as it stands in the file, without the line end."""
        fields = {
            "id": self.id,
            "hash": self.hash,
            "scopes": sorted(self.scopes),
            "expires_ms": self.expires_ms,
        }
        return json.dumps(fields, separators=(",", ":"))


def create(scopes: Iterable[str], *, expires_ms: int) -> tuple[str, Token]:
    """Return a new token's text, shown once, and its row.  Raises ``ValueError``."""
    wanted = frozenset(scopes)
    unknown = sorted(wanted - set(SCOPES))
    if unknown or not wanted:
        raise ValueError(f"scopes must be some of {', '.join(SCOPES)}")
    name, secret = secrets.token_hex(6), secrets.token_hex(32)
    return f"chartseal_{name}_{secret}", Token(name, hash_of(name, secret), wanted, expires_ms)


def hash_of(name: str, secret: str) -> str:
    """Return the hash that the file keeps."""
    data = f"{name}_{secret}".encode()
    return hashlib.blake2b(data, digest_size=32, key=_HASH_KEY).hexdigest()


def parse(text: str) -> tuple[str, str] | None:
    """Return (id, secret) of a token's text, or None when it is not one."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return None
    match = _TEXT.fullmatch(text)
    return None if match is None else (match[1], match[2])


# --- the file -----------------------------------------------------------------------------


def read_file(path: Path) -> dict[str, Token]:
    """Return the rows by id; raises ``ChartsealError`` (file-unreadable, config-invalid)."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error
    if len(raw) > FILE_BYTES_MAX:
        raise ChartsealError("config-invalid", f"{path}: larger than {FILE_BYTES_MAX} bytes")
    rows: dict[str, Token] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        if not line.strip():
            continue
        token = _row(line)
        if token is None or token.id in rows or len(rows) == TOKENS_MAX:
            # The line itself stays out of the message: logs are read by more people.
            raise ChartsealError("config-invalid", f"{path}, line {number}: not a token row")
        rows[token.id] = token
    return rows


def _row(line: bytes) -> Token | None:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if type(value) is not dict or value.keys() != _MEMBERS:
        return None
    name, digest, scopes, expires = (value[k] for k in ("id", "hash", "scopes", "expires_ms"))
    if type(name) is not str or type(digest) is not str or type(expires) is not int:
        return None
    if not _ID.fullmatch(name) or not _HASH.fullmatch(digest) or type(scopes) is not list:
        return None
    if not all(type(scope) is str and scope in SCOPES for scope in scopes):
        return None
    return Token(name, digest, frozenset(scopes), expires)


def write_file(path: Path, tokens: Sequence[Token]) -> None:
    """Replace the file by ``tokens``, mode 0600.

    Crash on the way: readers see the old file or the new one, never a part.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.writelines(f"{token.line()}\n" for token in tokens)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{path}: {error.strerror}") from error


class TokenFile:
    """The rows in force; looks at most once a second whether the file has changed."""

    LOOK_EVERY_MS: Final = 1000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._looked_ms: int | None = None
        self._rows: dict[str, Token] = {}
        self.failure: ChartsealError | None = None
        self.expired_ms: int | None = None
        """When a token that is over was shown last; the client is not told."""

    def check(self, text: str, *, now_ms: int) -> Token | None:
        """Return the row that ``text`` opens at ``now_ms`` (Unix time), or None."""
        parsed = parse(text)
        if parsed is None:
            return None
        self._refresh(now_ms)
        name, secret = parsed
        token = self._rows.get(name)
        given = hash_of(name, secret)
        # Hash and compare also for unknown ids: the time must not tell which exist.
        known = hmac.compare_digest(given, token.hash if token is not None else "0" * 64)
        if token is None or not known:
            return None
        if token.expires_ms <= now_ms:
            self.expired_ms = now_ms
            return None
        return token

    def look(self, *, now_ms: int) -> None:
        """Read the file again if it changed, though nobody shows a token now."""
        self._refresh(now_ms)

    def _refresh(self, now_ms: int) -> None:
        if self._looked_ms is not None and 0 <= now_ms - self._looked_ms < self.LOOK_EVERY_MS:
            return
        self._looked_ms = now_ms
        try:
            stat = self._path.stat()
        except OSError as error:
            self._rows, self._seen = {}, None
            self.failure = ChartsealError("file-unreadable", f"{self._path}: {error.strerror}")
            return
        mark = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if mark == self._seen:
            return
        try:
            self._rows, self.failure = read_file(self._path), None
        except ChartsealError as error:
            self._rows, self.failure = {}, error
        self._seen = mark
