"""init, key, config, token: real files, real rights, every refusal with its exit code."""

import json
import os
import pty
import stat
import subprocess
import sys
import tomllib

import pytest
from click.testing import CliRunner

from node import config, keys, settings, tokens
from node.cli.main import cli
from node.keys import FOR_RANDOM_PASSPHRASE, NodeKeys


def _run(*arguments, env=None, **options):
    environment = {"CHARTSEAL_PASSPHRASE_FILE": ""} | (env or {})
    return CliRunner().invoke(
        cli, [str(item) for item in arguments], env=environment, **options
    )


def _secret(path, text="horse\n", mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "node.key"
    NodeKeys.generate("hosp1").save(path, b"horse", kdf=FOR_RANDOM_PASSPHRASE)
    return path


@pytest.fixture
def made(tmp_path):
    result = _run("init", tmp_path / "n", "--id", "hosp1", "--dev")
    assert result.exit_code == 0, result.output
    return tmp_path / "n"


# --- init -----------------------------------------------------------------------------------


def test_init_makes_a_directory_that_opens_and_prints_the_public_card(made, tmp_path):
    again = _run("init", tmp_path / "m", "--id", "st-mary", "--name", "St. Mary", "--dev",
                 "--role", "custodian", "--role", "author", "--no-validator")  # fmt: skip
    card = json.loads(again.stdout)
    assert list(card) == [
        "format", "id", "name", "roles", "identity_key", "consensus_key", "cosigner_key",
        "encryption_key", "validator",
    ]  # fmt: skip
    assert card["format"] == "chartseal/join-card/v1"
    assert (card["id"], card["name"], card["validator"]) == ("st-mary", "St. Mary", False)
    assert card["roles"] == ["author", "custodian"]
    loaded = config.load(tmp_path / "m" / "config.toml", environment={})
    passphrase = keys.read_passphrase(loaded.keystore.passphrase_file, environment={})
    opened = keys.load(loaded.keystore.path, passphrase)
    assert opened.node == loaded.node.id == "st-mary"
    assert opened.public.identity.hex() == card["identity_key"]


def test_init_keeps_secrets_from_others_and_out_of_what_it_prints(made):
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    for name in ("node.key", "passphrase"):
        assert stat.S_IMODE((made / name).stat().st_mode) == 0o600
    assert (made / "passphrase").read_text().strip() not in (made / "config.toml").read_text()


def test_the_written_configuration_explains_every_setting_and_defaults_are_true(made):
    text = (made / "config.toml").read_text()
    for setting in settings.SETTINGS.values():
        assert setting.about.meaning in text
        assert setting.environment in text
    loaded = config.load(made / "config.toml", environment={})
    uncommented = "\n".join(
        line.removeprefix("# ") if " = " in line and '""' not in line and ": id" not in line
        else line
        for line in text.splitlines()[2:]
    )  # fmt: skip
    document = tomllib.loads(uncommented)
    for name, setting in settings.SETTINGS.items():
        if setting.default is not None:
            assert setting.key in document[setting.section], name
    (made / "all.toml").write_text(uncommented)
    assert config.load(made / "all.toml", environment={}).limits == loaded.limits


def test_init_never_touches_existing_keys(made):
    before = (made / "node.key").read_bytes()
    result = _run("init", made, "--id", "hosp1", "--dev")
    assert result.exit_code == 4
    assert "keystore-exists" in result.stderr
    assert (made / "node.key").read_bytes() == before


def test_init_with_a_passphrase_file_refers_to_it(tmp_path):
    secret = _secret(tmp_path / "secret")
    result = _run("init", tmp_path / "n", "--id", "hosp1", "--passphrase-file", secret)
    assert result.exit_code == 0
    loaded = config.load(tmp_path / "n" / "config.toml", environment={})
    assert loaded.keystore.passphrase_file == secret
    assert keys.load(loaded.keystore.path, b"horse").node == "hosp1"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["--id", "St Mary", "--dev"], 2, "an id matches"),
        (["--dev"], 2, "--id"),
        (["--id", "a", "--dev", "--passphrase-file", "x"], 2, "--dev"),
        (["--id", "a", "--dev", "--p2p-listen", "x"], 2, "host:port"),
        (["--id", "a", "--dev", "--role", "king"], 2, "king"),
        (["--id", "a"], 79, "keystore-passphrase-missing"),
        (["--id", "a", "--passphrase-file", "/nowhere/x"], 79, "keystore-passphrase-missing"),
    ],
    ids=range(7),
)
def test_init_refuses(tmp_path, arguments, exit_code, told):
    result = _run("init", tmp_path / "n", *arguments)
    assert result.exit_code == exit_code
    assert told in result.stderr
    assert not (tmp_path / "n" / "node.key").exists()


# --- key ------------------------------------------------------------------------------------


def test_key_show_prints_public_keys_without_passphrase(key_file):
    shown = json.loads(_run("-o", "json", "key", "show", key_file).stdout)
    assert list(shown) == ["node", "identity", "consensus", "cosigner", "encryption"]
    assert shown["node"] == "hosp1"
    table = _run("key", "show", key_file).stdout
    assert f"identity    {shown['identity']}\n" in table


def test_key_generate_then_verify(tmp_path):
    secret, path = _secret(tmp_path / "secret"), tmp_path / "k"
    made = _run("-o", "json", "key", "generate", path, "--id", "a", "--passphrase-file", secret)
    assert made.exit_code == 0
    checked = _run("-o", "json", "key", "verify", path, "--passphrase-file", secret)
    assert checked.exit_code == 0
    assert checked.stdout == made.stdout
    again = _run("key", "generate", path, "--id", "a", "--passphrase-file", secret)
    assert (again.exit_code, "keystore-exists" in again.stderr) == (4, True)


def test_key_change_passphrase_keeps_the_keys(tmp_path, key_file):
    old, new = _secret(tmp_path / "old"), _secret(tmp_path / "new", "stable\n")
    before = _run("key", "show", key_file).stdout
    result = _run("key", "change-passphrase", key_file, "--passphrase-file", old,
                  "--new-passphrase-file", new)  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert _run("key", "show", key_file).stdout == before
    assert _run("key", "verify", key_file, "--passphrase-file", new).exit_code == 0
    refused = _run("key", "verify", key_file, "--passphrase-file", old)
    assert (refused.exit_code, "keystore-passphrase-wrong" in refused.stderr) == (79, True)


def test_key_verify_tells_loose_rights_of_either_file(tmp_path, key_file):
    loose = _secret(tmp_path / "loose", mode=0o644)
    result = _run("key", "verify", key_file, "--passphrase-file", loose)
    assert result.exit_code == 79
    assert f"chmod 600 {loose}" in result.stderr
    loose.chmod(0o600)
    key_file.chmod(0o660)
    result = _run("key", "verify", key_file, "--passphrase-file", loose)
    assert result.exit_code == 79
    assert f"chmod 600 {key_file}" in result.stderr


def test_the_passphrase_file_can_come_from_the_variable(tmp_path, key_file):
    variable = {"CHARTSEAL_PASSPHRASE_FILE": str(_secret(tmp_path / "secret"))}
    assert _run("key", "verify", key_file, env=variable).exit_code == 0


def test_a_terminal_is_asked_and_does_not_show_the_answer(key_file):
    main, side = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CHARTSEAL")}
    command = [sys.executable, "-m", "node", "key", "verify", str(key_file)]
    with subprocess.Popen(
        command, stdin=side, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            talk = b""
            while b"Passphrase: " not in talk:  # asking throws away what was typed before
                talk += os.read(process.stderr.fileno(), 100)
            os.write(main, b"horse\n")
            out, rest = process.communicate(timeout=30)
        finally:
            process.kill()
    os.close(side)
    os.close(main)
    assert process.returncode == 0, rest
    assert b"horse" not in out + talk + rest


# --- config ---------------------------------------------------------------------------------


def test_config_show_says_where_each_value_came_from(made):
    path = made / "config.toml"
    result = _run("-o", "json", "config", "show", "--config", path, "--set", "log.level=debug",
                  env={"CHARTSEAL_LIMITS_API_BURST": "7"})  # fmt: skip
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert all(list(row) == ["name", "value", "source", "meaning"] for row in rows.values())
    assert set(rows) == set(settings.SETTINGS)
    assert rows["log.level"] | {"meaning": ""} == {
        "name": "log.level", "value": "debug", "source": "flag log.level", "meaning": "",
    }  # fmt: skip
    assert rows["limits.api_burst"]["source"] == "env CHARTSEAL_LIMITS_API_BURST"
    assert rows["node.id"]["source"].startswith(f"file {path}, line ")
    assert rows["ops.listen"]["value"] == "127.0.0.1:7652"
    table = _run("config", "show", "--config", path).stdout.splitlines()
    assert table[0].split() == ["NAME", "VALUE", "SOURCE"]
    assert "MEANING" in _run("config", "show", "--all", "--config", path).stdout


def test_config_validate_is_content_or_names_what_is_missing(made):
    path = made / "config.toml"
    result = _run("config", "validate", "--config", path)
    assert result.exit_code == 78
    assert f"network.genesis: {made}/genesis.bin: No such file" in result.stderr
    (made / "genesis.bin").write_bytes(b"g")
    assert _run("config", "validate", "--config", path).exit_code == 0
    assert _run("config", "validate", env={"CHARTSEAL_CONFIG": str(path)}).exit_code == 0


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("config_version = 1\n[node]\nidd = 'a'\n", "config-unknown-key"),
        ("config_version = 1\n[node]\nid = 'A B'\n", "config-invalid"),
        ("config_version = 9\n", "config-version"),
        ("config_version = 1\n[node]\nid='a'\n[api]\nlisten='0.0.0.0:1'\n", "config-insecure"),
    ],
    ids=range(4),
)
@pytest.mark.parametrize(
    "command", [["config", "validate"], ["config", "show"], ["run"]], ids=str
)
def test_a_bad_configuration_is_exit_code_78_everywhere(tmp_path, text, code, command):
    path = tmp_path / "config.toml"
    path.write_text(text)
    result = _run(*command, "--config", path)
    assert result.exit_code == 78
    assert code in result.stderr


def test_settings_on_the_command_line_need_a_value(made):
    result = _run("config", "show", "--config", made / "config.toml", "--set", "log.level")
    assert result.exit_code == 2
    wrong = _run("config", "show", "--config", made / "config.toml", "--set", "log.levle=x")
    assert wrong.exit_code == 78


# --- run ------------------------------------------------------------------------------------


def test_run_without_a_way_to_unlock_the_keys_is_exit_code_79(made):
    (made / "passphrase").unlink()
    result = _run("run", "--config", made / "config.toml")
    assert result.exit_code == 79
    assert "keystore-passphrase-missing" in result.stderr


# --- token ----------------------------------------------------------------------------------


def test_a_token_is_shown_once_listed_by_hash_and_revoked(tmp_path):
    path = tmp_path / "tokens.jsonl"
    made = _run("token", "create", path, "--scope", "tx:read", "--expires-days", "2")
    text = made.stdout.strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text.rpartition("_")[2] not in path.read_text()
    now_ms = (tokens.read_file(path)[text.split("_")[1]].expires_ms) - 86_400_000
    assert tokens.TokenFile(path).check(text, now_ms=now_ms).scopes == {"tx:read"}
    second = json.loads(
        _run("-o", "json", "token", "create", path, "--scope", "tx:read").stdout
    )
    assert list(second) == ["token", "id", "scopes", "expires_ms", "hash"]
    rows = json.loads(_run("-o", "json", "token", "list", path).stdout)
    assert [list(row) for row in rows] == [["id", "scopes", "expires_ms", "hash"]] * 2
    assert _run("token", "revoke", path, second["id"]).exit_code == 0
    assert tokens.TokenFile(path).check(second["token"], now_ms=now_ms) is None
    assert tokens.TokenFile(path).check(text, now_ms=now_ms) is not None


def test_token_refusals(tmp_path):
    path = tmp_path / "tokens.jsonl"
    assert _run("token", "create", path, "--scope", "all").exit_code == 2
    assert _run("token", "create", path).exit_code == 2
    assert _run("token", "list", path).exit_code == 3
    _run("token", "create", path, "--scope", "tx:read")
    assert _run("token", "revoke", path, "nobody00").exit_code == 3
    path.write_text("not a row\n")
    assert _run("token", "list", path).exit_code == 78
