"""`chartseal cert`: when the client port's certificates end, and new ones.

Members' own connections need no certificates that anybody keeps: they prove themselves by their
member keys, and what TLS wants is made afresh at every start.
"""

import datetime
import ipaddress
import os
import re
import time
from pathlib import Path
from typing import Any, Final

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node.cli.main import Group
from node.cli.output import Session
from node.cli.remote import Remote, curl_option, pick, rows_of
from node.errors import ChartsealError, Exit
from node.keys import write_secret

_COLUMNS: Final = ("name", "subject", "file", "not_after", "days_left")
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_DAYS_MAX: Final = 825


class Days(click.ParamType[int]):
    """A number of days, like 30d."""

    name = "days"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        match = re.fullmatch(r"(\d{1,5})d?", str(value), re.ASCII)
        if match is None:
            self.fail("a number of days, like 30d", param, ctx)
        return int(match[1])


@click.group(cls=Group)
def cert() -> None:
    """Show, renew and make certificates of the client port."""


@cert.command()
@curl_option
@click.pass_obj
def show(session: Session, curl: bool) -> None:
    """Show the certificates in force at a running node."""
    session.show_list(_rows(Remote(session, curl=curl), "GET", "/v1/certificates"), _COLUMNS)


@cert.command()
@click.option(
    "--within", type=Days(), default="30d", show_default=True, help="Days from now, like 30d."
)
@click.option("--file", "file", type=_FILE, help="Of this PEM file; no node is asked.")
@curl_option
@click.pass_obj
def expiry(session: Session, within: int, file: Path | None, curl: bool) -> None:
    """Show what ends within some days; exit code 9 when something does."""
    if file is None:
        rows = _rows(Remote(session, curl=curl), "GET", "/v1/certificates")
    else:
        rows = [_row(item, file) for item in _read(file)]
    near = [row for row in rows if row["days_left"] < within]
    session.show_list(near, _COLUMNS)
    if near:
        raise click.exceptions.Exit(Exit.UNHEALTHY)


@cert.command()
@curl_option
@click.pass_obj
def reload(session: Session, curl: bool) -> None:
    """Let a node read its certificate files now.

    It looks once a second by itself, and SIGHUP says the same.  Files that do not load change
    nothing.
    """
    rows = _rows(Remote(session, curl=curl), "POST", "/v1/certificates:reload")
    session.show_list(rows, _COLUMNS)


@cert.command("self-signed")
@click.option("--host", "hosts", multiple=True, required=True, help="Name or address in it.")
@click.option(
    "--days",
    type=click.IntRange(1, _DAYS_MAX),
    default=90,
    show_default=True,
    help="How long it holds.",
)
@click.option("--cert", "cert_file", type=_FILE, required=True, help="Where it goes (PEM).")
@click.option("--key", "key_file", type=_FILE, required=True, help="Where its key goes (PEM).")
@click.pass_obj
def self_signed(
    session: Session, hosts: tuple[str, ...], days: int, cert_file: Path, key_file: Path
) -> None:
    """Make a P-256 certificate that signs itself, for a closed network or a first test.

    Clients must be given it as their authority (`--ca-file`).  A key that is there is used
    again; the certificate takes its place in one step, so that a running node may look at any
    time.
    """
    key = _key(key_file)
    made = _sign(key, hosts, days)
    part = cert_file.with_name(f".{cert_file.name}.part")
    try:
        part.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        os.replace(part, cert_file)  # noqa: PTH105 - one step, whatever is there
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{cert_file}: {error.strerror}") from error
    session.show(_row(made, cert_file))


def _key(path: Path) -> ec.EllipticCurvePrivateKey:
    if path.exists():
        try:
            known = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ChartsealError("file-unreadable", f"{path}: no key of this kind") from error
        if not isinstance(known, ec.EllipticCurvePrivateKey):
            raise ChartsealError("file-unreadable", f"{path}: not an elliptic curve key")
        return known
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_secret(path, pem)
    return key


def _sign(
    key: ec.EllipticCurvePrivateKey, hosts: tuple[str, ...], days: int
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([_host(h) for h in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _read(path: Path) -> list[x509.Certificate]:
    from node.certificates import read_certificates

    return read_certificates(path)


def _row(item: x509.Certificate, path: Path) -> dict[str, Any]:
    ends = item.not_valid_after_utc
    return {
        "name": "file",
        "subject": item.subject.rfc4514_string(),
        "file": str(path),
        "not_after": ends.isoformat(),
        "days_left": int((ends.timestamp() - time.time()) // 86_400),
    }


def _rows(remote: Remote, method: str, path: str) -> list[dict[str, Any]]:
    answer = remote.request(method, path).json()
    return [pick(item, _COLUMNS) for item in rows_of(answer, "certificates")]
