"""The certificate that clients see: does it load, whom does it name, how long is it good."""

import ipaddress
import ssl
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from node.doctor.finding import Check, Said, failure, not_applicable, ok, warning
from node.doctor.scene import Scene

DAYS: Final = 21


def leaf(scene: Scene) -> x509.Certificate | None:
    """Return the certificate of ``api.tls_cert_file``; None: not set, or not one."""
    path = scene.settings.api.tls_cert_file
    if path is None:
        return None
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0]
    except (OSError, ValueError, IndexError):
        return None


def _absent(scene: Scene) -> Said:
    if scene.settings.api.tls_cert_file is None:
        return not_applicable("clients are served without TLS, on loopback")
    return not_applicable("there is no certificate to look at: see tls.chain")


def chain(scene: Scene) -> Said:
    at = scene.settings.api
    if at.tls_cert_file is None:
        return _absent(scene)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(at.tls_cert_file, at.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        return failure(f"{at.tls_cert_file}: {error}")
    return ok("certificate and key belong together")


def host(scene: Scene) -> Said:
    found = leaf(scene)
    if found is None:
        return _absent(scene)
    wanted = scene.settings.api.listen.host
    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return failure("it names nobody (no subjectAltName)")
    shown = [str(item.value) for item in names][:8]
    try:
        address = ipaddress.ip_address(wanted)
    except ValueError:
        listed = wanted in names.get_values_for_type(x509.DNSName)
    else:
        if address.is_unspecified:
            return ok(f"it names {', '.join(shown)}")
        listed = address in names.get_values_for_type(x509.IPAddress)
    if not listed:
        return warning(f"it names {', '.join(shown)}, not {wanted}")
    return ok(f"it names {wanted}")


def days(scene: Scene) -> Said:
    found = leaf(scene)
    if found is None:
        return _absent(scene)
    now = datetime.fromtimestamp(scene.machine.now_ms() / 1000, UTC)
    left = (found.not_valid_after_utc - now).days
    if found.not_valid_after_utc <= now:
        return failure(f"it ended {-left} days ago")
    return warning(f"{left} days are left") if left < DAYS else ok(f"{left} days are left")


def browsers(scene: Scene) -> Said:
    found = leaf(scene)
    if found is None:
        return _absent(scene)
    key = found.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return ok(type(key).__name__.lstrip("_"))
    return failure("browsers refuse this kind of key: use P-256")


def members(_scene: Scene) -> Said:
    return not_applicable("members' TLS certificates are made at each start and never expire")


def crl(_scene: Scene) -> Said:
    return not_applicable("this version reads no revocation lists")


CHECKS = (
    Check(
        "tls.chain",
        "the certificate loads with its key",
        chain,
        "install certificate and key of one pair (PEM)",
    ),
    Check(
        "tls.host",
        "it names the address that clients use",
        host,
        "have it issued with that name in subjectAltName",
    ),
    Check("tls.days", "it is good for weeks", days, "install a new one; consensus goes on"),
    Check(
        "tls.browsers", "browsers take its kind of key", browsers, "have it issued with P-256"
    ),
    Check("tls.members", "members' certificates are good", members, "nothing"),
    Check("tls.crl", "revocation lists are fresh", crl, "nothing"),
)
