"""Feeding a cluster with a population, through every interface that people use, well and badly.

FHIR at two members, ``chartseal record anchor`` beside one, ``POST /v1/operations`` of every
kind, whole stories by institutions without a node, reads, and requests that are refused.  All
of it carries words of the population wherever there is room for words.
"""

import http.client
import json
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from consensus import wire
from consensus.codec import Malformed
from node.cli.cluster import Cluster
from node.ledger import transaction
from node.ledger.crypto import Signer
from node.ledger.genesis import Genesis, Institution
from node.ledger.registry import OPERATIONS, QUESTIONS
from node.ledger.transaction import Op, Payload
from node.publish import policy_of
from tests.support.fhir import FHIR_JSON, bundle
from tests.support.hostile import configure
from tests.support.population import MRN_SYSTEM, Population
from tests.support.served_ledger import run
from tests.support.story import Rules, Story, institution, person

STORIES: Final = sorted((Path(__file__).parents[1] / "stories").glob("*.story"))
# They change members and keys, so nobody could act after them.
LAST: Final = ("governance", "governance_incident", "identity-keys")
NOT_PLAYED: Final = {"membership", "membership_keys"}  # of networks of their own
JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
_PLAYED_AT_ONCE: Final = 12


def lines_of(path: Path) -> Iterator[str]:
    """Yield what is done and asked in a story, without what was answered."""
    for block in path.read_text(encoding="utf-8").strip("\n").split("\n\n"):
        for line in block.split("\n----", maxsplit=1)[0].splitlines():
            if line and not line.startswith("#"):
                yield line


class Recording(Rules):
    """Rules that keep the operations which went through them."""

    def __init__(self) -> None:
        super().__init__()
        self.ops: dict[str, list[Any]] = {}

    def act(
        self, org: str, op: Op, cosigners: Sequence[Signer], author: Signer | None = None
    ) -> str:
        code = super().act(org, op, cosigners, author)
        if op.kind not in self.ops or code == "applied":
            self.ops[op.kind] = op.body
        return code


def bodies() -> dict[str, Any]:
    """Return a body of every kind of operation, an applied one where a story has it, with
    handles that nobody has seen before; evidence, which no story has, is made up."""
    found: dict[str, Any] = {
        "evidence.votes": [secrets.token_bytes(64)],
        "evidence.heads": ["hosp1", 0, secrets.token_bytes(64), secrets.token_bytes(64)],
    }
    for path in STORIES:
        world = Recording()
        story = Story(world)
        for line in lines_of(path):
            story.line(line)
        found |= world.ops
    fresh: dict[bytes, bytes] = {}
    return {kind: _freshened(kind, body, fresh) for kind, body in found.items()}


def _freshened(kind: str, body: Any, fresh: dict[bytes, bytes]) -> Any:
    def new(value: Any) -> Any:
        if isinstance(value, list):
            return [new(item) for item in value]
        if isinstance(value, bytes) and len(value) in (16, 32):
            return fresh.setdefault(value, secrets.token_bytes(len(value)))
        return value

    made = new(body)
    try:
        wire.from_value(OPERATIONS[kind].body, made)
    except Malformed:  # handles in an order, or a root over leaves
        return body
    return made


def cast_of_stories() -> list[Institution]:
    """Return the institutions of all stories, each with every role it has in one."""
    roles: dict[str, set[str]] = {}
    for path in STORIES:
        for word in next(iter(lines_of(path))).split()[1:]:
            name, _, given = word.partition(":")
            roles.setdefault(name, set()).update(given.split(","))
    return [institution(name, sorted(given), validator=False) for name, given in roles.items()]


def admit(cluster: Cluster, more: Sequence[Institution]) -> Genesis:
    """Add institutions without a node to the genesis of a cluster that has not started."""
    genesis = Genesis.decode(cluster.genesis_path.read_bytes())
    everybody = sorted((*genesis.institutions, *more), key=lambda item: item.id)
    genesis = replace(genesis, institutions=tuple(everybody))
    cluster.genesis_path.write_bytes(genesis.encode())
    cluster.policy_path.write_text(policy_of(genesis).to_text())
    return genesis


class Player:
    """The world of a story on real nodes: its institutions have keys but no node, so any
    member carries what they sign.  Time passes by itself; nothing is asked."""

    def __init__(self, feeder: "Feeder", at: int) -> None:
        self._feeder = feeder
        self._at = at
        self.applied = ("", 0)

    @property
    def height(self) -> int:
        _, answer = self._feeder.send(self._at, "GET", "/v1/status")
        return int(json.loads(answer)["height"])

    @property
    def time_ms(self) -> int:
        return time.time_ns() // 1_000_000

    @property
    def start_ms(self) -> int:
        return self._feeder.genesis.created_ms

    def found(self, genesis: Genesis) -> None:
        """The network is there."""

    def later(self, span_ms: int) -> None:
        """No clock is moved."""

    def ask(self, name: str, params: Mapping[str, Any]) -> Any:
        return {}

    def institution_key(self, org: str) -> Signer:
        return person(f"{org}/identity")

    def act(
        self, org: str, op: Op, cosigners: Sequence[Signer], author: Signer | None = None
    ) -> str:
        signers = [author or self.institution_key(org), *cosigners]
        network = self._feeder.genesis.network
        payload = Payload(network, org, 50_000, secrets.token_bytes(8), (op,))
        raw = transaction.sign(payload, *signers)
        status, answer = self._feeder.send(
            self._at, "POST", "/v1/transactions", raw, Content_Type=OCTETS, Prefer="wait=20"
        )
        self._feeder.note(op.kind, status, answer)
        said = json.loads(answer)
        if said["code"] == "applied":
            self.applied = (said["tx_id"], said["height"])
        return str(said["code"])


def _refused_for_sure() -> dict[str, Any]:
    """Return an operation about a proposal that nobody made."""
    return {"kind": "governance.withdraw", "body": {"proposal": bytes(32).hex()}}


class Feeder:
    """Sends; ``outcomes`` counts (kind, code) of operations that were decided on."""

    def __init__(self, cluster: Cluster, genesis: Genesis, people: Population) -> None:
        self.cluster = cluster
        self.genesis = genesis
        self.people = people
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.fhir: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()  # what was not put on the ledger, by code
        self.sent: list[tuple[Any, bytes]] = []  # resources and their exact octets
        self._turn = threading.Lock()

    # --- requests ----------------------------------------------------------------------------

    def send(
        self, at: int, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        port = self.cluster.members[at].api_port
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            token = {"Authorization": f"Bearer {self.cluster.token}"}
            connection.request(method, path, body=body, headers={**token, **named})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def note(self, kind: str, status: int, answer: bytes) -> None:
        """Count an operation; refused ones count where they are on the ledger all the same."""
        document = json.loads(answer)
        code = str(document["code"])
        with self._turn:
            if status < 300 or document.get("tx_height") is not None:
                self.outcomes[kind, code] += 1
            else:
                self.refused[code] += 1

    def _refused(self, status: int, answer: bytes) -> None:
        assert 400 <= status < 500, (status, answer)
        document = json.loads(answer)
        assert document.get("tx_height") is None, document
        if "code" in document:
            self.refused[str(document["code"])] += 1
        else:
            self.refused[str(document["issue"][0]["details"]["coding"][0]["code"])] += 1

    # --- FHIR --------------------------------------------------------------------------------

    def post_resources(self) -> None:
        """Post everything about every patient: at two members, in Bundles and alone."""
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(self._post_patient, range(len(self.people.patients))))

    def _post_patient(self, at: int) -> None:
        found, who, member = self.people.resources(at), self.people.patients[at], at % 2
        kind = ("transaction", "batch")[at // 2 % 2]
        self._enrol(member, found[0])
        if at < 16:
            sent = bundle(kind, *found, ifNoneExist=f"identifier={MRN_SYSTEM}|{who.mrn}")
            sent["entry"][0]["fullUrl"] = f"https://{who.city.lower()}.example/{who.mrn}"
            for entry in sent["entry"]:
                entry["request"]["ifNoneExist"] += f"&_type={entry['resource']['resourceType']}"
            self._fhir(member, "/fhir", sent, Idempotency_Key=who.mrn)
        else:
            for item in found:
                name = f"{item['resourceType']}?identifier={who.mrn}"
                self._fhir(member, f"/fhir/{item['resourceType']}", item, If_None_Exist=name)
        for item in found:
            self.sent.append((item, json.dumps(item).encode()))

    def _enrol(self, member: int, patient: Any) -> None:
        """Register a patient on a node and bind the subject to the key of a phone."""
        raw = json.dumps(patient).encode()
        status, answer = self.send(member, "POST", "/fhir/Patient", raw, Content_Type=FHIR_JSON)
        assert status == 201, answer
        phone = Signer(secrets.token_bytes(32))
        body = {
            "subject": json.loads(answer)["id"],
            "sign_key": phone.public_key.hex(),
            "seal_key": secrets.token_hex(32),
            "level": 2,
        }
        asked = {
            "ops": [{"kind": "identity.patient.bind", "body": body}],
            "cosigners": [phone.public_key.hex()],
        }
        prepared = self._json(member, "/v1/operations:prepare", asked)
        signature = phone.sign(bytes.fromhex(prepared["message"])).hex()
        rows = [{"key": phone.public_key.hex(), "signature": signature}]
        signed = {"payload": prepared["payload"], "cosigners": rows}
        done = self._json(member, "/v1/operations:cosigned", signed)
        self.note("identity.patient.bind", 201, json.dumps(done).encode())

    def _json(self, at: int, path: str, document: Any) -> Any:
        raw = json.dumps(document).encode()
        status, answer = self.send(at, "POST", path, raw, Content_Type=JSON, Prefer="wait=30")
        assert status in (200, 201), answer
        return json.loads(answer)

    def _fhir(self, at: int, path: str, body: Any, **headers: str) -> None:
        raw = json.dumps(body).encode()
        status, answer = self.send(
            at, "POST", path, raw, Content_Type=FHIR_JSON, Prefer="wait=30", **headers
        )
        assert status in (200, 201, 202), answer
        for item in [body] if "entry" not in body else [it["resource"] for it in body["entry"]]:
            with self._turn:
                self.fhir[item["resourceType"]] += 1
        for entry in json.loads(answer).get("entry", ()):
            assert entry["response"]["status"][0] == "2", entry

    def read(self) -> None:
        """Ask about every patient by identifier, as a portal and a clinician would."""
        for at, who in enumerate(self.people.patients):
            token = {"patient.identifier": f"{MRN_SYSTEM}|{who.mrn}"}
            query = urlencode(token)
            for path in ("Consent", "AuditEvent", "$access-report"):
                assert self.send(at % 2, "GET", f"/fhir/{path}?{query}")[0] == 200
            asked = urlencode(token | {"requester": "hosp2", "purpose": "TREAT"})
            assert self.send(at % 2, "GET", f"/fhir/$evaluate-consent?{asked}")[0] == 200
            form = "application/x-www-form-urlencoded"
            path = "/fhir/Consent/_search"
            status, _ = self.send(at % 2, "POST", path, query.encode(), Content_Type=form)
            assert status == 200
            self._verify(at, "0" * 64)

    def _verify(self, at: int, commitment: str) -> None:
        parameters = [
            {"name": "commitment", "valueString": commitment},
            {"name": "resource", "resource": self.people.observation(at)},
        ]
        body = json.dumps({"resourceType": "Parameters", "parameter": parameters}).encode()
        status, said = self.send(at % 2, "POST", "/fhir/$verify", body, Content_Type=FHIR_JSON)
        assert status == 200, said

    # --- the command line --------------------------------------------------------------------

    def anchor_files(self, desk: Path) -> None:
        """Anchor letters and resources from a desk beside member 0; openings stay there."""
        letters, exports = desk / "letters", desk / "exports"
        letters.mkdir(parents=True)
        exports.mkdir()
        for at in range(len(self.people.patients)):
            (letters / f"{at}.txt").write_bytes(self.people.letter(at))
            made = bundle("collection", *self.people.resources(at))
            (exports / f"{at}.json").write_text(json.dumps(made))
        node = ("--endpoint", self.cluster.endpoint(0), "--token-file", self.cluster.token_path)
        for arguments in (
            (letters,),
            (letters / "0.txt",),
            (exports, "--split-bundle", "--out", desk / "exports.openings"),
        ):
            run(*node, "record", "anchor", *arguments)

    # --- operations --------------------------------------------------------------------------

    def operate(self, given: Mapping[str, Any]) -> None:
        """Post an operation of every kind at the first member that has the role for it."""
        for kind, body in given.items():
            roles = OPERATIONS[kind].roles
            orgs = {item.id: set(item.roles) for item in self.genesis.institutions}
            places = range(len(self.cluster.members))
            able = [at for at in places if roles & orgs[self.cluster.members[at].id]]
            plain = wire.to_plain(wire.from_value(OPERATIONS[kind].body, body))
            ops = [{"kind": kind, "body": plain}]
            if kind == "membership.leave":
                # Ordered like the others, and undone with what is refused after it: a network
                # whose first member left would answer nothing more.
                ops.append(_refused_for_sure())
            raw = json.dumps({"ops": ops}).encode()
            at = able[0] if able else 0
            status, answer = self.send(
                at, "POST", "/v1/operations", raw, Content_Type=JSON, Prefer="wait=20"
            )
            self.note(kind, status, answer)

    def play_stories(self) -> None:
        """Play every story with handles of its own; those that change members come last."""
        first = [path for path in STORIES if path.stem not in {*LAST, *NOT_PLAYED}]
        with ThreadPoolExecutor(_PLAYED_AT_ONCE) as pool:
            list(pool.map(self._play, first))
        for path in STORIES:
            if path.stem in LAST:
                self._play(path)

    def _play(self, path: Path) -> None:
        world, salt = Player(self, STORIES.index(path) % 4), f"{secrets.token_hex(6)}/"
        story = Story(world, salt=salt)
        for line in lines_of(path):
            if not line.startswith("ask "):
                story.line(line)

    # --- what is refused ---------------------------------------------------------------------

    def misuse(self, given: Mapping[str, Any]) -> None:
        """Send what is malformed and full of words; nothing of it may be kept anywhere."""
        self._bad_fhir()
        self._bad_addresses()
        self._bad_operations(given)
        self._bad_transactions()
        self._not_http()

    def _bad_fhir(self) -> None:
        who, other = self.people.patients[:2]
        good = json.dumps(self.people.patient(0)).encode()
        twice = {**self.people.patient(0), "identifier": [who.identifiers[0]]}
        twice["identifier"].append({"system": MRN_SYSTEM, "value": self.people.patients[2].mrn})
        stranger = self.people.consent(0)
        stranger["patient"] = {"identifier": {"value": who.diagnosis}}
        unsure = self.people.consent(0)
        unsure["provision"]["type"] = who.note
        event = {**self.people.audit_event(0), "recorded": who.born}
        cases: tuple[tuple[str, Any], ...] = (
            ("/fhir/Patient", good[:-2]),
            ("/fhir/Patient", good.replace(b'"gender"', b'"birthDate"')),
            ("/fhir/Patient", good + who.note.encode("utf-16-le")),
            ("/fhir/Patient", twice),
            ("/fhir/Patient", {**self.people.patient(0), "identifier": who.note}),
            (f"/fhir/{who.family}", {"resourceType": who.family}),
            ("/fhir/Observation", self.people.patient(0)),
            ("/fhir/Consent", stranger),
            ("/fhir/Consent", unsure),
            ("/fhir/AuditEvent", event),
            ("/fhir", {**bundle("transaction", event), "type": who.note}),
            ("/fhir", bundle("transaction", self.people.observation(0), url=who.mrn)),
            ("/fhir", bundle("transaction", self.people.observation(0), method=who.family)),
            ("/fhir/$verify", self.people.patient(0)),
            ("/fhir/$evaluate-consent", self.people.patient(0)),
        )
        for path, body in cases:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self._refused(*self.send(0, "POST", path, raw, Content_Type=FHIR_JSON))
        reused = {"If_None_Exist": f"Observation?identifier={self.people.patients[16].mrn}"}
        raw = json.dumps(self.people.observation(1)).encode()
        answer = self.send(
            0, "POST", "/fhir/Observation", raw, Content_Type=FHIR_JSON, **reused
        )
        self._refused(*answer)
        self._refused(*self.send(0, "POST", "/fhir/Patient", raw, Content_Type=other.given))

    def _bad_addresses(self) -> None:
        for at, who in enumerate(self.people.patients):
            name, mrn = quote(f"{who.given} {who.family}"), quote(who.mrn)
            for path in (
                f"/fhir/Consent?patient.identifier={quote(who.diagnosis)}",
                f"/fhir/Consent?{name}={mrn}",
                f"/fhir/Patient/{mrn}",
                f"/fhir/Provenance/{mrn}",
                f"/fhir/$access-report?patient=Patient/{name}",
                f"/v1/records/{mrn}",
                f"/v1/transactions/{name}",
                f"/v1/ask/{name}",
                f"/v1/ask/consent.list?subject={mrn}",
                f"/{name}/{mrn}",
            ):
                self._refused(*self.send(at % 4, "GET", path))
            for headers in (
                {"Authorization": f"Bearer {who.family}"},
                {"Authorization": f"Basic {who.family}", "X-Request-Id": who.family},
            ):
                self._refused(*self.send(at % 4, "GET", "/v1/status", **headers))
            with suppress(ConnectionError, http.client.HTTPException):
                self.send(at % 4, who.family.upper(), f"/v1/{name}")
        for question in QUESTIONS:
            path = f"/v1/ask/{question}?{quote(self.people.patients[3].family)}=1"
            self._refused(*self.send(3, "GET", path))

    def _bad_operations(self, given: Mapping[str, Any]) -> None:
        """Put words into each member of each operation's body in turn."""
        for number, (kind, body) in enumerate(given.items()):
            if kind.startswith("evidence."):
                continue  # proofs are octets of any kind; see the threat model
            who = self.people.patients[number % len(self.people.patients)]
            plain = wire.to_plain(wire.from_value(OPERATIONS[kind].body, body))
            for name in plain:
                if (kind, name) == ("governance.propose", "name"):
                    continue
                for word in (who.note, who.mrn, f"{who.born} {who.family}"):
                    bent = {"ops": [{"kind": kind, "body": {**plain, name: word}}]}
                    self._bad_json(number % 4, bent)
            for word in (who.note, who.mrn):
                self._bad_json(0, {"ops": [{"kind": kind, "body": {**plain, word: word}}]})

    def _bad_json(self, at: int, document: Any) -> None:
        raw = json.dumps(document).encode()
        status, answer = self.send(at, "POST", "/v1/operations", raw, Content_Type=JSON)
        assert status >= 400, document
        self._refused(status, answer)

    def _bad_transactions(self) -> None:
        """Sign bodies that no family reads, and bring them as octets: alone and in a stream."""
        signer, raws = person("hospital-a/identity"), []
        for at, who in enumerate(self.people.patients):
            words = [who.family, who.note.encode(), [who.mrn, who.born]]
            for kind in ("record.anchor", who.family.lower()):
                op = Op(kind, words)
                payload = Payload(
                    self.genesis.network, "hospital-a", 50_000, secrets.token_bytes(8), (op,)
                )
                raw = transaction.sign(payload, signer)
                path = "/v1/transactions"
                answer = self.send(at % 4, "POST", path, raw, Content_Type=OCTETS)
                self._refused(*answer)
                raws.append(raw)
        stream = b"".join(len(raw).to_bytes(4, "big") + raw for raw in raws)
        path = "/v1/transactions:batch"
        status, answer = self.send(0, "POST", path, stream, Content_Type=OCTETS)
        assert status == 200, answer
        lines = [json.loads(line) for line in answer.splitlines()]
        assert len(lines) == len(raws), lines
        for line in lines:
            assert line["code"] in ("op-malformed", "op-unknown", "transaction-malformed"), line
            self.refused[line["code"]] += 1

    def _not_http(self) -> None:
        """Say words to every port, the members' own too."""
        for member in self.cluster.members:
            for port in (member.api_port, member.ops_port, member.p2p_port):
                who = self.people.patients[0]
                with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
                    link.settimeout(2)
                    with suppress(OSError):
                        link.sendall(f"{who.family} {who.mrn}\r\n{who.note}\r\n\r\n".encode())
                        while link.recv(4096):
                            pass

    def everywhere(self) -> None:
        """Return once all members have applied the same height."""
        for _ in range(400):
            heights = {
                json.loads(self.send(at, "GET", "/v1/status")[1])["height"]
                for at in range(len(self.cluster.members))
            }
            if len(heights) == 1:
                return
            time.sleep(0.05)
        raise AssertionError(f"members stay at {heights}")


@contextmanager
def hungry(directory: Path, people: Population) -> Iterator[Feeder]:
    """Return the feeder of four nodes that run, log everything and limit nobody."""
    with Cluster.create(directory) as cluster:
        genesis = admit(cluster, cast_of_stories())
        for at in range(len(cluster.members)):
            configure(cluster, at, 'level = "debug"', section="log")
            configure(cluster, at, "api_requests_per_second = 100000", section="limits")
            configure(cluster, at, "api_burst = 100000", section="limits")
        cluster.up()
        yield Feeder(cluster, genesis, people)
