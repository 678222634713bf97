"""Access tokens: 256 random bits for a client, a hash of them in the node's file.

File: one JSON object per line, ``{"id", "hash", "scopes", "expires_ms"}``; ``hash`` is the
hexadecimal BLAKE2b-256 of the token's text, ``expires_ms`` Unix time in ms or null.
Owns: making, listing and revoking lines.  Refuses: storing a token; who loses it makes another.
A token has full entropy, so a plain hash is enough: there is nothing to guess.
"""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from node.errors import ChartsealError
from node.keys import read_secret, write_secret

SCOPES: Final = ("read", "write", "admin")
PREFIX: Final = "cst_"  # lets scanners for leaked secrets recognise one
FILE_BYTES_MAX: Final = 1 << 20
_HASH_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class TokenLine:
    """What a node keeps of a token."""

    id: str
    hash: str
    scopes: tuple[str, ...]
    expires_ms: int | None


def token_hash(token: str) -> str:
    """Return the hexadecimal BLAKE2b-256 of the token's text."""
    return hashlib.blake2b(token.encode(), digest_size=_HASH_BYTES).hexdigest()


def new_token() -> str:
    """Return a token: a prefix and 64 hexadecimal digits."""
    return PREFIX + secrets.token_hex(32)


def read_tokens(path: Path) -> list[TokenLine]:
    """Return the lines of a tokens file; a missing file has none.

    Raises ``ChartsealError``: config-invalid for a line that is not one, keystore-permissions.
    """
    if not path.exists():
        return []
    text = read_secret(path, bytes_max=FILE_BYTES_MAX).decode("utf-8", "replace")
    return [_parse(line, f"{path}, line {at}") for at, line in enumerate(text.splitlines(), 1)]


def _parse(line: str, where: str) -> TokenLine:
    try:
        fields = json.loads(line)
        token = TokenLine(
            id=fields["id"],
            hash=fields["hash"],
            scopes=tuple(fields["scopes"]),
            expires_ms=fields["expires_ms"],
        )
        if len(bytes.fromhex(token.hash)) != _HASH_BYTES or not set(token.scopes) <= set(
            SCOPES
        ):
            raise ValueError("hash or scope")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ChartsealError("config-invalid", f"{where}: not a token line") from error
    return token


def write_tokens(path: Path, tokens: list[TokenLine]) -> None:
    """Return once the file durably holds ``tokens``, mode 0600."""
    text = "".join(json.dumps(asdict(token)) + "\n" for token in tokens)
    write_secret(path, text.encode(), replace=True)


def create_token(
    path: Path, *, name: str, scopes: tuple[str, ...], expires_ms: int | None = None
) -> str:
    """Add a line to the file and return the new token, which is shown this once.

    Raises ``ChartsealError`` (conflict) when ``name`` is taken.
    """
    tokens = read_tokens(path)
    if any(token.id == name for token in tokens):
        raise ChartsealError("conflict", f"a token with id {name} exists in {path}")
    token = new_token()
    line = TokenLine(name, token_hash(token), scopes, expires_ms)
    write_tokens(path, [*tokens, line])
    return token
