"""person: keys that stay here, and signatures that are given with open eyes."""

import json

import pytest

from tests.support.served_ledger import ServedLedger, run

BODY = ["--commitment", "new", "--tag", "new", "--canon", "2"]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    with ServedLedger(tmp_path_factory.mktemp("node")) as served:
        yield served


@pytest.fixture
def patient(tmp_path):
    path = tmp_path / "patient.key"
    return path, json.loads(run("-o", "json", "person", "new", path).stdout)


def test_a_key_is_made_once_and_shown_again(patient):
    path, made = patient
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(run("-o", "json", "person", "show", path).stdout) == made
    assert len(made["sign_key"]) == len(made["seal_key"]) == 64
    assert "keystore-exists" in run("person", "new", path, exit_code=4).stderr
    assert json.loads(run("-o", "json", "person", "show", path).stdout) == made


def test_a_file_that_is_no_key_is_refused(tmp_path):
    path = tmp_path / "no.key"
    path.write_text("not hexadecimal")
    path.chmod(0o600)
    assert "keystore-malformed" in run("person", "show", path, exit_code=79).stderr
    path.write_text("abcd")
    assert "keystore-malformed" in run("person", "show", path, exit_code=79).stderr
