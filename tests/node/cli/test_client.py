"""The command line's HTTP client against a real server on a real socket."""

import datetime
import ipaddress
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from node import errors
from node.cli.client import Client, Event, parse_events
from node.errors import ChartsealError
from node.keys import write_secret


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, *arguments):
        """Tests read what the client saw."""

    def _answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, *parts, status=200):
        self.send_response(status)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self._chunk(part)
        self._chunk(b"")

    def _chunk(self, part):
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.flush()

    def do_GET(self):
        path = self.path.partition("?")[0]
        if path == "/echo":
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(200, json.dumps({"path": self.path, "headers": headers}).encode())
        elif path == "/problem":
            self._answer(503, json.dumps(errors.problem("mempool-full", "100 wait")).encode())
        elif path == "/html":
            self._answer(502, b"<html>proxy</html>")
        elif path == "/redirect":
            self._answer(302, b"")
        elif path == "/broken":
            self._answer(200, b"{")
        elif path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx")
            self.close_connection = True
        elif path == "/nonsense":
            self.wfile.write(b"SSH-2.0-x\r\n\r\n")
            self.close_connection = True
        elif path == "/silent":
            self.server.released.wait(10)
            self.close_connection = True
        elif path == "/lines":
            self._stream(b'{"n":1}\n\n{"n"', b":2}\n", b'{"n":3}')
        elif path == "/events":
            seen = self.headers.get("Last-Event-ID", "none")
            self._stream(b": hello\n\n", f"id: 7.1\nevent: tx\ndata: {seen}\n\n".encode(),
                         b"data: a\ndata: b\n\n", b"data: unfinished")  # fmt: skip
        elif path == "/cut-lines":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            self._chunk(b"a\n")
            self.close_connection = True
        else:
            self._answer(404, json.dumps(errors.problem("not-found")).encode())

    def _incoming(self):
        while True:
            size = int(self.rfile.readline(), 16)
            part = self.rfile.read(size)
            self.rfile.readline()
            if not size:
                return
            yield part

    def do_POST(self):
        if self.path == "/silent":
            self.server.released.wait(10)
            self.close_connection = True
        elif self.path == "/json":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(202, body)
        elif self.path == "/refuse":
            self._answer(413, json.dumps(errors.problem("body-too-large")).encode())
            self.close_connection = True
        elif self.path == "/bulk":
            # Answers each part at once: a client that only writes would wait for ever.
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for number, part in enumerate(self._incoming()):
                self._chunk(b'{"line":%d,"size":%d}\n' % (number, len(part)) * 50)
            self._chunk(b"")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Clients of these tests leave early on purpose."""


@pytest.fixture
def server():
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.released = threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def client(server):
    return Client(f"http://127.0.0.1:{server.server_port}", timeout_s=5.0)


def _refusal(call, *arguments, **named):
    with pytest.raises(ChartsealError) as caught:
        call(*arguments, **named)
    return caught.value


def test_a_token_and_parameters_reach_the_node(server, tmp_path):
    write_secret(tmp_path / "token", b"secret-token\n")
    endpoint = f"http://127.0.0.1:{server.server_port}/base/"
    client = Client.with_token_file(endpoint, tmp_path / "token")
    error = _refusal(client.get, "/echo")  # nothing is served below /base
    assert error.code == "not-found"
    client = Client.with_token_file(endpoint.removesuffix("/base/"), tmp_path / "token")
    answer = client.get("/echo", limit=5, q="a b")
    assert answer["path"] == "/echo?limit=5&q=a+b"
    assert answer["headers"]["authorization"] == "Bearer secret-token"


def test_without_a_token_nothing_claims_to_have_one(client):
    assert "authorization" not in client.get("/echo")["headers"]


def test_json_goes_there_and_back(client):
    assert client.post("/json", {"a": [1]}) == {"a": [1]}
    answer = client.request("POST", "/json", body=b"[]")
    assert (answer.status, answer.headers["content-type"]) == (202, "application/json")


def test_a_problem_becomes_its_condition(client):
    error = _refusal(client.get, "/problem")
    assert (error.code, error.detail, error.exit_code) == ("mempool-full", "100 wait", 12)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/html", "internal"),
        ("/redirect", "answer-malformed"),
        ("/broken", "answer-malformed"),
        ("/cut", "node-unreachable"),
        ("/nonsense", "node-unreachable"),
        ("/unknown", "not-found"),
    ],
)
def test_whatever_answers_only_typed_errors_leave(client, path, code):
    assert _refusal(client.get, path).code == code


def test_silence_means_unreachable_for_a_question_and_unknown_for_a_change(server):
    client = Client(f"http://127.0.0.1:{server.server_port}", timeout_s=0.2)
    assert _refusal(client.get, "/silent").exit_code == 6
    error = _refusal(client.post, "/silent", {})
    assert (error.code, error.exit_code) == ("timeout-outcome-unknown", 7)
    assert "no answer in time" in error.detail


def test_nobody_listening_is_unreachable_even_for_a_change():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{held.getsockname()[1]}"
        error = _refusal(Client(endpoint).post, "/json", {})
    assert (error.code, error.exit_code) == ("node-unreachable", 6)
    assert endpoint in error.detail


@pytest.mark.parametrize(
    "endpoint",
    ["", "localhost:1", "ftp://x", "http://", "http://x:99999", "http://x?y", "h://u@x"],
)
def test_an_endpoint_that_is_none_is_a_usage_error(endpoint):
    assert _refusal(Client, endpoint).exit_code == 2


def test_a_token_is_not_sent_in_clear_to_another_machine(tmp_path):
    write_secret(tmp_path / "token", b"t")
    error = _refusal(Client.with_token_file, "http://ledger.example:1", tmp_path / "token")
    assert error.code == "tls-failed"


@pytest.mark.parametrize(("raw", "mode", "code"), [
    (b"t", 0o644, "keystore-permissions"),
    (b"", 0o600, "unauthorized"),
    (b"a\r\nX-Evil: 1", 0o600, "unauthorized"),
])  # fmt: skip
def test_a_token_file_must_be_private_and_hold_one_token(tmp_path, raw, mode, code):
    path = tmp_path / "token"
    path.write_bytes(raw)
    path.chmod(mode)
    assert _refusal(Client.with_token_file, "http://127.0.0.1:1", path).code == code


def test_lines_of_a_stream_come_one_by_one(client):
    assert [json.loads(line)["n"] for line in client.lines("GET", "/lines")] == [1, 2, 3]


def test_a_stream_that_is_cut_is_not_taken_for_the_whole(client):
    lines = client.lines("GET", "/cut-lines")
    assert next(lines) == b"a"
    assert _refusal(next, lines).code == "node-unreachable"


def test_a_stream_up_and_a_stream_down_run_at_the_same_time(client):
    parts = [b"x" * 60_000] * 100
    sizes = [json.loads(line)["size"] for line in client.lines("POST", "/bulk", chunks=parts)]
    assert sizes == [60_000] * 5000


def test_an_upload_that_is_refused_ends_with_the_reason(client):
    endless = iter(lambda: b"x" * 60_000, None)
    with pytest.raises(ChartsealError) as caught:
        list(client.lines("POST", "/refuse", chunks=endless))
    assert caught.value.code in ("body-too-large", "timeout-outcome-unknown")


def test_a_reader_who_leaves_early_leaves_no_thread(client):
    before = threading.active_count()
    endless = iter(lambda: b"x" * 60_000, None)
    lines = client.lines("POST", "/bulk", chunks=endless)
    assert next(lines)
    lines.close()
    assert not any(item.name == "upload" for item in threading.enumerate())
    assert threading.active_count() <= before + 2  # the server's own


def test_a_fault_in_what_is_sent_is_told(client):
    def parts():
        yield b"x"
        raise ChartsealError("file-unreadable", "gone")

    assert (
        _refusal(list, client.lines("POST", "/bulk", chunks=parts())).code == "file-unreadable"
    )


def test_events_are_read_and_resumed_by_their_id(client):
    events = list(client.events("/events", last_id="6.9"))
    assert events == [Event("7.1", "tx", "6.9"), Event("7.1", "message", "a\nb")]


def test_event_lines_follow_the_standard():
    lines = [b"data:x", b":c", b"id", b"", b"", b"event: e", b"", b"data", b"retry: 1", b""]
    assert list(parse_events(lines)) == [Event("", "message", "x"), Event("", "message", "")]


# --- TLS ------------------------------------------------------------------------------------


def _certificate(path, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    loopback = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([loopback]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (path / f"{name}.crt").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (path / f"{name}.key").write_bytes(private)
    return path / f"{name}.crt", path / f"{name}.key"


@pytest.fixture
def tls(server, tmp_path):
    certificate, key = _certificate(tmp_path, "node")
    mine, my_key = _certificate(tmp_path, "client")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(mine)
    context.verify_mode = ssl.CERT_REQUIRED
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    endpoint = f"https://127.0.0.1:{server.server_port}"
    return endpoint, certificate, mine, my_key


def test_a_client_certificate_and_the_authority_open_the_way(tls):
    endpoint, ca, mine, my_key = tls
    client = Client(endpoint, token="t", ca_file=ca, cert_file=mine, key_file=my_key)
    assert client.get("/echo")["headers"]["authorization"] == "Bearer t"


def test_an_unknown_authority_is_refused(tls):
    endpoint, _, mine, my_key = tls
    error = _refusal(Client(endpoint, cert_file=mine, key_file=my_key).get, "/echo")
    assert (error.code, error.exit_code) == ("tls-failed", 6)


def test_without_the_client_certificate_the_node_does_not_answer(tls):
    endpoint, ca, _, _ = tls
    error = _refusal(Client(endpoint, ca_file=ca).get, "/echo")
    assert error.code in ("tls-failed", "node-unreachable")


def test_certificate_files_that_are_none_are_told(tmp_path):
    (tmp_path / "x").write_text("x")
    error = _refusal(Client, "https://127.0.0.1:1", ca_file=tmp_path / "x")
    assert error.code == "tls-failed"
