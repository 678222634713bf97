"""Deny by default: who may do what, by token and by client certificate."""

import datetime
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consensus import wire
from node import tokens
from node.errors import ChartsealError
from node.http import api as http
from node.http.answers import Api
from node.http.limits import HttpLimits
from node.ledger.facts.governance_bodies import Propose
from node.ledger.families.governance import Name, Vote
from node.ledger.transaction import Op
from tests.node.http.conftest import Client, serving, settings
from tests.support.ledger_fixture import Ledger

PUBLIC = {
    "/livez",
    "/readyz",
    "/readyz/write",
    "/v1/openapi.json",
    "/v1/problems",
    "/v1/problems/{code}",
    "/v1/checkpoint",
    "/v1/checkpoint/consistency",
    "/v1/policy",
    "/v1/lineage",
    "/fhir/metadata",
}
NOW_MS = time.time_ns() // 1_000_000


def path_of(route: http.Route) -> str:
    given = {"tx_id": "ab" * 32, "commitment": "ab" * 32, "height": "1", "key": "00"}
    return route.path.format(code="not-found", type="Observation", id="ab" * 32, **given)


async def refusal(answer: aiohttp.ClientResponse) -> tuple[str, str]:
    """Return code and detail of a problem, or of the OperationOutcome that FHIR has for it."""
    shown = await answer.json(content_type=None)
    if "issue" in shown:
        (issue,) = shown["issue"]
        return issue["details"]["coding"][0]["code"], issue["diagnostics"]
    return shown["code"], shown["detail"]


async def test_without_a_token_only_the_public_routes_answer(
    client: Client, ledger: Ledger
) -> None:
    routes = http.api_routes(Api(ledger.service, HttpLimits()))
    assert {route.path for route in routes if route.scope is None} == PUBLIC
    for route in routes:
        async with client.request(route.method, path_of(route), token=None) as answer:
            assert (answer.status == 401) == (route.scope is not None), route.path
            if route.scope is not None:
                assert (await refusal(answer))[0] == "unauthorized"
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_each_route_needs_its_own_scope_and_no_other(
    client: Client, ledger: Ledger, tokens_path: Path
) -> None:
    made = {}
    for scope in tokens.SCOPES:
        made[scope] = tokens.create([scope], expires_ms=NOW_MS + 86_400_000)
    tokens.write_file(tokens_path, [row for _, row in made.values()])
    for route in http.api_routes(Api(ledger.service, HttpLimits())):
        if route.scope is None or route.stream:
            continue
        for scope, (text, _) in made.items():
            async with client.request(route.method, path_of(route), token=text) as answer:
                assert (answer.status == 403) == (scope != route.scope), (route.path, scope)
                if answer.status == 403:
                    assert route.scope in (await refusal(answer))[1]


async def test_wrong_expired_and_garbled_tokens_look_the_same(
    client: Client, tokens_path: Path, token: str
) -> None:
    expired, row = tokens.create(["tx:read"], expires_ms=NOW_MS - 1)
    good = tokens.read_file(tokens_path)
    tokens.write_file(tokens_path, [*good.values(), row])
    wrong = token[:-1] + ("0" if token[-1] != "0" else "1")
    details = set()
    for text in (wrong, expired, "chartseal_x", "", "a" * 5000, token.upper()):
        body = await client.json("/v1/status", status=401, token=text or "none")
        details.add(body["detail"])
    assert len(details) == 1
    async with client.get(
        "/v1/status", token=None, headers={"Authorization": f"Basic {token}"}
    ) as answer:
        assert answer.status == 401
    assert (await client.json("/v1/status"))["node"] == "alder"


# --- client certificates --------------------------------------------------------------------


@dataclass(frozen=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> "Authority":
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, _certificate("authority", key.public_key(), "authority", key, None))

    def issue(self, path: Path, uri: str) -> Path:
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(uri),
            x509.DNSName("localhost"),
        ]
        made = _certificate("holder", key.public_key(), "authority", self.key, names)
        plain = serialization.NoEncryption()
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        path.write_bytes(key.private_bytes(pem, pkcs8, plain) + made.public_bytes(pem))
        return path

    def write(self, path: Path) -> Path:
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def _certificate(
    subject: str,
    public: ec.EllipticCurvePublicKey,
    issuer: str,
    signer: ec.EllipticCurvePrivateKey,
    names: list[x509.GeneralName] | None,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), True)
    )
    if names is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(signer, hashes.SHA256())


@asynccontextmanager
async def tls_server(
    ledger: Ledger, tokens_path: Path, tmp_path: Path, authority: Authority
) -> AsyncIterator[str]:
    server = str(authority.issue(tmp_path / "server.pem", "spiffe://fixture/alder/server"))
    config = settings(
        tokens_path,
        **{
            "api.tls_cert_file": server,
            "api.tls_key_file": server,
            "api.client_ca_file": str(authority.write(tmp_path / "ca.pem")),
        },
    )
    application = http.build_api(ledger.service, config=config, metrics=bytes)
    async with serving(application, ssl_context=http.ssl_context(config)) as port:
        yield f"https://localhost:{port}"


async def ask(base: str, trust: Path, own: Path | None, path: str) -> int:
    context = ssl.create_default_context(cafile=str(trust))
    if own is not None:
        context.load_cert_chain(own)
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(base + path) as answer,
    ):
        return answer.status


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        ("spiffe://fixture/birch/lab-1", 200),
        ("spiffe://elsewhere/birch/lab-1", 401),
        ("spiffe://fixture/stranger/lab-1", 401),
        ("https://fixture/birch/lab-1", 401),
    ],
)
async def test_a_certificate_of_our_authority_names_its_holder(
    ledger: Ledger, tokens_path: Path, tmp_path: Path, uri: str, status: int
) -> None:
    authority = Authority.make()
    own = authority.issue(tmp_path / "client.pem", uri)
    async with tls_server(ledger, tokens_path, tmp_path, authority) as base:
        assert await ask(base, tmp_path / "ca.pem", own, "/v1/status") == status
        assert await ask(base, tmp_path / "ca.pem", None, "/v1/status") == 401
        assert await ask(base, tmp_path / "ca.pem", None, "/v1/policy") == 200


async def test_certificates_of_others_neither_post_nor_search_in_fhir(
    ledger: Ledger, tokens_path: Path, tmp_path: Path
) -> None:
    authority = Authority.make()
    own = authority.issue(tmp_path / "own.pem", "spiffe://fixture/alder/ehr")
    guest = authority.issue(tmp_path / "guest.pem", "spiffe://fixture/birch/lab-1")
    async with tls_server(ledger, tokens_path, tmp_path, authority) as base:
        trust = tmp_path / "ca.pem"
        assert await ask(base, trust, own, "/fhir/AuditEvent") == 200
        assert await ask(base, trust, guest, "/fhir/AuditEvent") == 403
        assert await ask(base, trust, guest, "/fhir/metadata") == 200


async def test_a_certificate_of_a_suspended_institution_opens_nothing(
    ledger: Ledger, tokens_path: Path, tmp_path: Path
) -> None:
    authority = Authority.make()
    own = authority.issue(tmp_path / "own.pem", "spiffe://fixture/cedar/lab-1")
    stop = bytes(32)

    def act(org: str, kind: str, body: object) -> None:
        ledger.commit(ledger.sign(Op(f"governance.{kind}", wire.to_value(body)), org=org))

    async with tls_server(ledger, tokens_path, tmp_path, authority) as base:
        assert await ask(base, tmp_path / "ca.pem", own, "/v1/status") == 200
        act("alder", "propose", Propose(stop, suspend="cedar"))
        act("alder", "vote", Vote(stop, yes=True))
        act("birch", "vote", Vote(stop, yes=True))
        act("birch", "execute", Name(stop))
        assert await ask(base, tmp_path / "ca.pem", own, "/v1/status") == 401


async def test_a_certificate_lends_nobody_the_nodes_own_key(
    ledger: Ledger, tokens_path: Path, tmp_path: Path
) -> None:
    authority = Authority.make()
    own = authority.issue(tmp_path / "client.pem", "spiffe://fixture/alder/his")
    async with tls_server(ledger, tokens_path, tmp_path, authority) as base:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        context.load_cert_chain(own)
        async with aiohttp.ClientSession() as session:
            url = f"{base}/v1/operations"
            async with session.post(url, json={}, ssl=context) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "forbidden")


async def test_a_certificate_of_another_authority_ends_the_handshake(
    ledger: Ledger, tokens_path: Path, tmp_path: Path
) -> None:
    authority, foreign = Authority.make(), Authority.make()
    own = foreign.issue(tmp_path / "client.pem", "spiffe://fixture/birch/lab-1")
    async with tls_server(ledger, tokens_path, tmp_path, authority) as base:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
            await ask(base, tmp_path / "ca.pem", own, "/v1/status")
        assert len(ledger.mempool) == 0


def test_tls_files_that_cannot_be_read_are_named(tokens_path: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("not a certificate")
    flags = {"api.tls_cert_file": str(bad), "api.tls_key_file": str(bad)}
    with pytest.raises(ChartsealError, match="config-invalid"):
        http.ssl_context(settings(tokens_path, **flags))
    assert http.ssl_context(settings(tokens_path)) is None
