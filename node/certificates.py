"""The client port's certificate: renewed without a restart, watched long before it expires.

    files change   looked at once a second (inode, size, time), on SIGHUP, or when told
    new ones load  served from the next handshake on; who is connected stays connected
    new ones fail  the old ones stay in force, one event says why
    90, 30, 7, 0 days before the end of one: an event, then one a day

Owns: which files are in force and when each certificate ends.  Refuses: to end or to hinder
anything because a certificate ended; clients judge that for themselves, members never look.
Invariant: what is in force was loaded completely, key and chain together.
"""

import logging
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from node.config import Config
from node.errors import ChartsealError
from node.http.tls import ssl_context
from node.log import event

WARN_DAYS: Final = (90, 30, 7, 0)
_DAY_S: Final = 86_400
FILE_BYTES_MAX: Final = 1 << 20
_Signature = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Expiry:
    """``name`` is ``api``, ``api-chain`` or ``client-ca``; Unix seconds."""

    name: str
    file: str
    subject: str
    not_after_s: float

    def left_s(self, now_s: float) -> float:
        """Return the seconds until it ends; negative once it has."""
        return self.not_after_s - now_s


def read_certificates(path: Path) -> list[x509.Certificate]:
    """Return what a PEM file holds; raises ``ChartsealError`` (certificate-refused)."""
    try:
        raw = path.read_bytes()[: FILE_BYTES_MAX + 1]
        if len(raw) > FILE_BYTES_MAX:
            raise ValueError(f"more than {FILE_BYTES_MAX} bytes")
        return x509.load_pem_x509_certificates(raw)
    except (OSError, ValueError) as error:
        raise ChartsealError("certificate-refused", f"{path}: {error}") from error


def expiries(config: Config) -> list[Expiry]:
    """Return when the certificates of the client port end; of several in one file the first
    that does.  Raises ``ChartsealError`` (certificate-refused)."""
    found: list[Expiry] = []
    if config.api.tls_cert_file is not None:
        leaf, *chain = read_certificates(config.api.tls_cert_file)
        found.append(_earliest("api", config.api.tls_cert_file, [leaf]))
        if chain:
            found.append(_earliest("api-chain", config.api.tls_cert_file, chain))
        if config.api.client_ca_file is not None:
            authorities = read_certificates(config.api.client_ca_file)
            found.append(_earliest("client-ca", config.api.client_ca_file, authorities))
    return found


def _earliest(name: str, path: Path, items: Sequence[x509.Certificate]) -> Expiry:
    first = min(items, key=lambda item: item.not_valid_after_utc)
    ends = first.not_valid_after_utc.timestamp()
    return Expiry(name, str(path), first.subject.rfc4514_string(), ends)


class ApiCertificates:
    """``context`` is what the client port listens with; None: plain HTTP, nothing to watch.

    Raises ``ChartsealError`` (config-invalid, certificate-refused) when the files do not load.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.context = ssl_context(config)
        self._in_force = self.context
        self.expiries: list[Expiry] = []
        self.reloads = {"loaded": 0, "refused": 0}
        self._seen = self._signature()
        self._warned: dict[str, tuple[int, float]] = {}
        if self.context is not None:
            self.expiries = expiries(config)
            # Each handshake takes the newest: loading a new chain into the same context would
            # leave the old one beside it when the kind of key changes.
            self.context.sni_callback = self._choose

    def _choose(self, shown: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        if self._in_force is not self.context:
            shown.context = self._in_force

    def _signature(self) -> _Signature:
        api = self._config.api
        found: list[tuple[int, int, int] | None] = []
        for path in (api.tls_cert_file, api.tls_key_file, api.client_ca_file):
            try:
                stat = None if path is None else path.stat()
            except OSError:
                stat = None
            found.append(
                None if stat is None else (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            )
        return tuple(found)

    def look(self) -> None:
        """Load the files again if they changed; warn of what will end."""
        if self.context is None:
            return
        if self._signature() != self._seen:
            with suppress(ChartsealError):  # said already; the old ones stay in force
                self.reload()
        self._warn(time.time())

    def reload(self) -> list[Expiry]:
        """Load the files now; raises ``ChartsealError`` and keeps the old ones if they fail."""
        if self.context is None:
            return []
        self._seen = self._signature()
        try:
            fresh, ends = ssl_context(self._config), expiries(self._config)
        except ChartsealError as error:
            self.reloads["refused"] += 1
            event("certificate.refused", level=logging.ERROR, detail=error.detail)
            raise ChartsealError("certificate-refused", error.detail) from error
        self._in_force, self.expiries = fresh, ends
        self.reloads["loaded"] += 1
        self._warned.clear()
        for item in ends:
            event("certificate.loaded", certificate=item.name, days=_days(item, time.time()))
        return ends

    def _warn(self, now_s: float) -> None:
        for item in self.expiries:
            days = _days(item, now_s)
            passed = [step for step in WARN_DAYS if days < step]
            if not passed:
                continue
            step, said_s = self._warned.get(item.name, (WARN_DAYS[0] + 1, 0.0))
            if passed[-1] < step or abs(now_s - said_s) >= _DAY_S:
                self._warned[item.name] = (passed[-1], now_s)
                event(
                    "certificate.expires",
                    level=logging.WARNING,
                    certificate=item.name,
                    days=days,
                )

    def say(self) -> str:
        """Return one line for health: the first that ends."""
        if not self.expiries:
            return "none: plain HTTP"
        first = min(self.expiries, key=lambda item: item.not_after_s)
        days = _days(first, time.time())
        return f"{first.name} ends in {days} days" if days >= 0 else f"{first.name} has expired"


def _days(item: Expiry, now_s: float) -> int:
    return int(item.left_s(now_s) // _DAY_S)
