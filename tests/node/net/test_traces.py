"""What the network remembers of each member: last heard, last failure, its clock."""

import errno
import socket
import ssl

import pytest

from node.net.faults import HandshakeFault, LinkLost
from node.net.inbound import Penalties
from node.net.limits import NetLimits
from node.net.outbound import PING_BYTES, clock_ahead_ms, dial_code, ping_body
from node.net.statistics import Statistics


def test_a_ping_tells_its_senders_clock_and_keeps_its_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_ms = 1_800_000_000_000
    monkeypatch.setattr("node.net.outbound._wall_ms", lambda: now_ms)
    for ahead_ms in (0, 250, -86_400_000, 86_400_000):
        body = ping_body(7, wall_ms=now_ms + ahead_ms)
        assert len(body) == PING_BYTES
        assert clock_ahead_ms(body) == ahead_ms
    assert ping_body(7, wall_ms=now_ms) != ping_body(8, wall_ms=now_ms)


def test_a_bare_number_as_older_members_send_it_tells_no_clock() -> None:
    for number in (1, 2, 1 << 30):
        assert clock_ahead_ms(number.to_bytes(PING_BYTES, "big")) is None


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionRefusedError(), "refused"),
        (ConnectionAbortedError(), "stuck"),
        (TimeoutError(), "silent"),
        (socket.gaierror(), "unknown-name"),
        (ssl.SSLError(), "tls"),
        (OSError(errno.EMFILE, "x"), "descriptors"),
        (OSError(errno.EHOSTUNREACH, "x"), "no-route"),
        (ConnectionResetError(), "closed"),
        (LinkLost("closed"), "closed"),
        (HandshakeFault("bad-proof"), "bad-proof"),
    ],
)
def test_every_way_of_not_reaching_a_member_has_its_word(error: Exception, code: str) -> None:
    assert dial_code(error) == code


def test_a_fault_is_remembered_with_its_code_and_the_pause_it_led_to() -> None:
    statistics, limits = Statistics(), NetLimits(faults_max=2, pause_ms=500)
    penalties = Penalties(limits, statistics)
    penalties.record("birch", now_ms=1_000, code="bad-block")
    trace = statistics.trace("birch")
    assert trace.fault is not None
    assert (trace.fault.code, trace.fault.at_ms, trace.faults) == ("bad-block", 1_000, 1)
    assert trace.paused_until_ms == 0
    penalties.record("birch", now_ms=1_100, code="malformed")
    assert (trace.faults, trace.paused_until_ms) == (2, 1_600)
