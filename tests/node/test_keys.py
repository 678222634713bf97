"""Key files: only their owner reads them, only the passphrase opens them, nothing leaks."""

import json
import pickle
import stat

import pytest
from nacl.public import PublicKey, SealedBox

from node import keys
from node.keys import FOR_RANDOM_PASSPHRASE, KeystoreError, NodeKeys
from node.ledger import crypto

PASSPHRASE = b"correct horse"


@pytest.fixture
def made():
    return NodeKeys.generate("hosp1")


@pytest.fixture
def path(tmp_path, made):
    path = tmp_path / "node.key"
    made.save(path, PASSPHRASE, kdf=FOR_RANDOM_PASSPHRASE)
    return path


def _refusal(call, *arguments, **named):
    with pytest.raises(KeystoreError) as caught:
        call(*arguments, **named)
    return caught.value


def test_saved_keys_come_back_and_sign(path, made):
    opened = keys.load(path, PASSPHRASE)
    assert opened.node == "hosp1"
    assert opened.public == made.public
    for signer in (opened.identity, opened.consensus, opened.cosigner):
        assert crypto.verify(signer.public_key, b"m", signer.sign(b"m"))
    sealed = SealedBox(PublicKey(opened.public.encryption)).encrypt(b"for hosp1")
    assert opened.unseal(sealed) == b"for hosp1"
    bent = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    assert opened.unseal(bent) is None
    assert opened.unseal(b"") is None


def test_the_default_costs_what_a_human_passphrase_needs(tmp_path, made):
    made.save(tmp_path / "k", PASSPHRASE)
    stated = json.loads((tmp_path / "k").read_text())["kdf"]
    assert (stated["name"], stated["operations"], stated["memory_bytes"]) == (
        "argon2id", 2, 64 << 20,
    )  # fmt: skip
    assert keys.load(tmp_path / "k", PASSPHRASE).public == made.public


def test_the_four_keys_differ_and_two_nodes_share_none(made):
    mine = set(made.public.plain().values())
    theirs = set(NodeKeys.generate("hosp2").public.plain().values())
    assert len(mine) == 4
    assert not mine & theirs
    with pytest.raises(ValueError, match="different"):
        NodeKeys("x", (bytes(32),) * 4)


def test_the_file_is_0600_whatever_the_umask_and_no_temporary_file_stays(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in path.parent.iterdir()] == ["node.key"]


def test_keys_are_never_overwritten_unless_told(path, made):
    before = path.read_bytes()
    error = _refusal(made.save, path, PASSPHRASE, kdf=FOR_RANDOM_PASSPHRASE)
    assert (error.code, error.exit_code) == ("keystore-exists", 4)
    assert path.read_bytes() == before
    made.save(path, b"another", kdf=FOR_RANDOM_PASSPHRASE, replace=True)
    assert keys.load(path, b"another").public == made.public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o602])
def test_rights_for_others_are_refused_with_the_command_that_cures(path, mode):
    path.chmod(mode)
    error = _refusal(keys.load, path, PASSPHRASE)
    assert (error.code, error.exit_code) == ("keystore-permissions", 79)
    assert f"chmod 600 {path}" in error.detail
    path.chmod(0o400)
    assert keys.load(path, PASSPHRASE).node == "hosp1"


def test_a_wrong_passphrase_is_told_apart_from_a_broken_file(path):
    error = _refusal(keys.load, path, b"guess")
    assert (error.code, error.exit_code) == ("keystore-passphrase-wrong", 79)
    assert "guess" not in error.detail


def _rewrite(path, field, value):
    envelope = json.loads(path.read_text())
    section, _, key = field.rpartition(".")
    (envelope[section] if section else envelope)[key] = value
    path.write_text(json.dumps(envelope))


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("version", 2, "keystore-version"),
        ("format", "other", "keystore-malformed"),
        ("box", "zz", "keystore-malformed"),
        ("box", "", "keystore-passphrase-wrong"),
        ("cipher", "none", "keystore-malformed"),
        ("kdf", {}, "keystore-malformed"),
        ("kdf", None, "keystore-malformed"),
        ("node", "hosp2", "keystore-malformed"),
        ("public", {}, "keystore-malformed"),
        ("kdf.memory_bytes", 1 << 40, "keystore-malformed"),
        ("kdf.operations", 1 << 20, "keystore-malformed"),
        ("kdf.operations", True, "keystore-malformed"),
        ("kdf.salt", "00", "keystore-malformed"),
    ],
)
def test_a_changed_file_is_refused(path, field, value, code):
    _rewrite(path, field, value)
    assert _refusal(keys.load, path, PASSPHRASE).code == code


def test_any_cut_of_the_file_is_refused(path):
    whole = path.read_bytes()
    for length in range(0, len(whole) - 2, 37):
        path.write_bytes(whole[:length])
        assert _refusal(keys.load, path, PASSPHRASE).code == "keystore-malformed"


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b"x" * 20_000])
def test_a_foreign_file_is_refused(path, raw):
    path.write_bytes(raw)
    assert _refusal(keys.load, path, PASSPHRASE).code == "keystore-malformed"
    assert _refusal(keys.load_public, path).code == "keystore-malformed"


def test_a_missing_file_and_a_directory_are_told(tmp_path):
    assert _refusal(keys.load, tmp_path / "none", PASSPHRASE).code == "keystore-missing"
    assert _refusal(keys.load, tmp_path, PASSPHRASE).code == "keystore-failure"


def test_public_keys_are_read_without_the_passphrase(path, made):
    assert keys.load_public(path) == ("hosp1", made.public)
    _rewrite(path, "public", {"identity": "00"})
    assert _refusal(keys.load_public, path).code == "keystore-malformed"


def test_no_seed_shows_in_any_text(made, path):
    shown = repr(made) + str(made) + repr(made.identity) + path.read_text()
    for seed in made._seeds:
        assert seed.hex() not in shown
        assert repr(seed)[2:-1] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(made)


def test_a_passphrase_comes_from_the_file_then_the_variable_then_the_prompt(tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    keys.write_secret(first, b"from file\n")
    keys.write_secret(second, b"from variable\r\n")
    environment = {"CHARTSEAL_PASSPHRASE_FILE": str(second)}

    def ask():
        return "from prompt"

    assert keys.read_passphrase(first, environment=environment, prompt=ask) == b"from file"
    assert keys.read_passphrase(None, environment=environment, prompt=ask) == b"from variable"
    assert keys.read_passphrase(None, environment={}, prompt=ask) == b"from prompt"


def test_a_missing_empty_or_readable_passphrase_is_refused(tmp_path):
    path = tmp_path / "passphrase"
    missing = "keystore-passphrase-missing"
    assert _refusal(keys.read_passphrase, path, environment={}).code == missing
    assert _refusal(keys.read_passphrase, None, environment={}).code == missing
    assert _refusal(keys.read_passphrase, None, environment={}, prompt=str).code == missing
    keys.write_secret(path, b"\n")
    assert _refusal(keys.read_passphrase, path, environment={}).code == missing
    path.write_bytes(b"secret")
    path.chmod(0o644)
    error = _refusal(keys.read_passphrase, path, environment={})
    assert error.code == "keystore-permissions"
    assert "secret" not in error.detail
    assert _refusal(NodeKeys.generate("x").save, tmp_path / "k", b"").code == missing


def test_random_passphrases_carry_256_bits():
    one, two = keys.random_passphrase(), keys.random_passphrase()
    assert one != two
    assert len(bytes.fromhex(one.decode())) == 32
