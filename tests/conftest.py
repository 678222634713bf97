"""Property tests search anew on a developer's machine and replay the same cases in CI.

A new failure belongs to whoever finds it, with its example, not to the next change.
Tests of the accelerator run on each backend there is; the last lines say which those were.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from node.ledger import accel
from node.ledger.accel import native
from storage import pagelog

settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")
accel.choose(os.environ.get("CHARTSEAL_ACCEL", "auto"))


@pytest.fixture(scope="module", params=["pure", "native"])
def each_backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run every test of a module on one backend after the other."""
    if request.param == "native" and (reason := native.unusable()):
        pytest.skip(f"not run on the native accelerator: {reason}")
    before = accel.backend()
    accel.choose(request.param)
    yield request.param
    accel.choose(before)


@pytest.fixture(params=[1, 4], ids=["every block", "now and then"])
def settling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pages of the state tree stored with every block, or after a few of them."""
    monkeypatch.setattr(pagelog, "PAGES_MAX", request.param)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reason = native.unusable()
    both = f"pure only, {reason}" if reason else f"pure and native {native.version()}"
    others = accel.backend()
    terminalreporter.write_line(f"accelerator: its tests ran on {both}; others on {others}")
