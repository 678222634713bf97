"""The accelerator's wheel carries the licences of what is linked into it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

NATIVE = Path(__file__).resolve().parents[1] / "native"


def test_the_wheel_takes_the_notices_along() -> None:
    project = tomllib.loads((NATIVE / "pyproject.toml").read_text())["project"]
    for name in project["license-files"]:
        assert "Apache License" in (NATIVE / name).read_text(encoding="utf-8")


def test_the_notices_name_every_crate_that_is_linked() -> None:
    command = [sys.executable, str(NATIVE / "notices.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip(f"not run: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
