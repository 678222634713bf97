"""TLS 1.3 with a throw-away certificate.

Owns the certificate made at start, the two contexts and the channel binding.  Decides nothing
about identity: names, issuers and expiry are not looked at, because who is on the other side is
proven by the member key over the channel binding (``handshake.py``).  What TLS gives here is
secrecy, integrity and one value, the hash of the server certificate, that a man in the middle
cannot reproduce without the server's throw-away private key.
"""

import datetime
import hashlib
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.net import versions

_LIFETIME = datetime.timedelta(days=3650)  # never checked by members
_EARLIER = datetime.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """What one process needs for TLS; lives exactly as long as the process."""

    server_context: ssl.SSLContext
    client_context: ssl.SSLContext
    certificate: bytes  # DER


def make_identity(
    spoken: versions.Range = versions.OURS, *, lifetime: datetime.timedelta = _LIFETIME
) -> TlsIdentity:
    """Make a P-256 key, a self-signed certificate and both contexts, which name ``spoken``.

    The key touches a private temporary folder for the moment in which OpenSSL reads it
    (Python's ``ssl`` loads keys from files only) and is gone when this returns.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chartseal member")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER + min(lifetime, datetime.timedelta(0)))
        .not_valid_after(now + lifetime)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    server = _context(ssl.PROTOCOL_TLS_SERVER, spoken)
    server.num_tickets = 0  # no resumption: every connection shows its certificate
    with tempfile.TemporaryDirectory(prefix="chartseal-tls-") as folder:
        path = Path(folder) / "identity.pem"
        path.touch(mode=0o600)
        path.write_bytes(pem)
        server.load_cert_chain(path)
    return TlsIdentity(
        server_context=server,
        client_context=_context(ssl.PROTOCOL_TLS_CLIENT, spoken),
        certificate=certificate.public_bytes(serialization.Encoding.DER),
    )


def _context(protocol: int, spoken: versions.Range) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.set_alpn_protocols(spoken.names())
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def channel_binding(
    ssl_object: ssl.SSLObject | ssl.SSLSocket,
    *,
    server_side: bool,
    own_certificate: bytes,
) -> bytes:
    """Return the ``tls-server-end-point`` binding of RFC 5929 section 4: 32 bytes.

    The certificate is signed with SHA-256, so the binding is SHA-256 of its DER on both sides.
    ``own_certificate`` is what a server uses, since ``ssl`` tells it only of the peer's.
    """
    certificate = own_certificate if server_side else ssl_object.getpeercert(binary_form=True)
    assert certificate, "a TLS server always shows a certificate"
    return hashlib.sha256(certificate).digest()
