"""What the network remembers of each member: last heard, last failure, its clock."""

import errno
import socket
import ssl
from types import SimpleNamespace

import pytest

from node.net.faults import HandshakeFault, LinkLost
from node.net.inbound import Penalties
from node.net.limits import NetLimits
from node.net.outbound import dial_code
from node.net.statistics import Statistics


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


def test_a_jump_of_our_wall_clock_shows_in_what_was_told_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wall_ms, hour_ms = 1_800_000_000_000, 3_600_000
    for jump_ms in (0, hour_ms, -hour_ms):
        clock = SimpleNamespace(
            time_ns=lambda jump_ms=jump_ms: (wall_ms + jump_ms) * 1_000_000,
            monotonic_ns=lambda: 5_000 * 1_000_000,
        )
        monkeypatch.setattr("node.net.statistics.time", clock)
        stats = Statistics(clock_from_ms={"birch": (wall_ms - 5_000.0, 0.5)})
        assert stats.clock_ahead_ms() == {"birch": (-jump_ms, 0.5)}
