"""Who asks: a bearer token or a client certificate; everything else is refused.

Owns: turning a request into a ``Principal`` with scopes.  Refuses: a request whose header names
a token that does not count, even when it also has a certificate; a caller must notice.

A client certificate, verified by TLS against ``api.client_ca_file``, names its holder in
exactly one URI ``spiffe://<network name>/<institution>/<name>`` and has the fixed scopes
``CERTIFICATE_SCOPES``: everything but ``tx:sign``, which lends out the institution's own key,
and ``node:operate``, which steers the node; both are given to single tokens only.  Holders from
other institutions have no ``fhir:`` scopes: posting speaks for this institution, and searching
asks about its patients.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from node.errors import ChartsealError
from node.ledger.genesis import Genesis
from node.tokens import SCOPES, TokenFile

CERTIFICATE_SCOPES: Final = frozenset(SCOPES) - {"tx:sign", "node:operate"}
GUEST_SCOPES: Final = CERTIFICATE_SCOPES - {"fhir:read", "fhir:write"}
_SPIFFE: Final = re.compile(
    r"spiffe://([a-z0-9][a-z0-9-]{0,62})/([a-z0-9][a-z0-9-]{0,62})/([A-Za-z0-9._-]{1,63})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: ``name`` is for logs and limits, never a secret."""

    name: str
    scopes: frozenset[str]


class Authenticator:
    """``own``: this node's institution; ``acts``: whether one belongs to the network and is
    not suspended."""

    def __init__(
        self,
        genesis: Genesis,
        tokens: TokenFile | None,
        *,
        own: str,
        acts: Callable[[str], bool],
    ) -> None:
        self._network = genesis.name
        self._own = own
        self._acts = acts
        self._tokens = tokens

    def principal(self, request: web.Request) -> Principal:
        """Return who asks; raises ``ChartsealError`` (unauthorized)."""
        header = request.headers.get("Authorization")
        if header is not None:
            return self._by_token(header)
        transport = request.transport
        certificate = None if transport is None else transport.get_extra_info("peercert")
        if certificate:
            return self._by_certificate(certificate)
        raise ChartsealError("unauthorized", "neither a token nor a client certificate")

    def _by_token(self, header: str) -> Principal:
        scheme, _, text = header.partition(" ")
        if scheme.lower() != "bearer" or self._tokens is None:
            raise ChartsealError("unauthorized", "not a token that this node takes")
        token = self._tokens.check(text.strip(), now_ms=time.time_ns() // 1_000_000)
        if token is None:
            # One text for all reasons: unknown, wrong and expired look the same from outside.
            raise ChartsealError("unauthorized", "not a token that this node takes")
        return Principal(f"token/{token.id}", token.scopes)

    def _by_certificate(self, certificate: Any) -> Principal:
        names = certificate.get("subjectAltName", ())
        uris = [value for kind, value in names if kind == "URI"]
        match = _SPIFFE.fullmatch(uris[0]) if len(uris) == 1 else None
        if match is None or match[1] != self._network or not self._acts(match[2]):
            raise ChartsealError(
                "unauthorized", "the client certificate names nobody of this network"
            )
        scopes = CERTIFICATE_SCOPES if match[2] == self._own else GUEST_SCOPES
        return Principal(f"certificate/{match[2]}/{match[3]}", scopes)


def require(principal: Principal, scope: str) -> None:
    """Raise ``ChartsealError`` (forbidden) unless the caller has ``scope``."""
    if scope not in principal.scopes:
        raise ChartsealError("forbidden", f"scope {scope} is needed")
