"""Settings: one table, four sources in a fixed order, and nothing ignored in silence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import config, settings
from node.config import ConfigError
from node.settings import Address

SMALLEST = 'config_version = 1\n[node]\nid = "hosp1"\n'


def _load(tmp_path, text=SMALLEST, *, environment=None, flags=None):
    path = tmp_path / "config.toml"
    path.write_text(text)
    return config.load(path, environment=environment or {}, flags=flags)


def _refusal(tmp_path, text=SMALLEST, **sources):
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text, **sources)
    assert caught.value.exit_code == 78
    return caught.value


def test_the_smallest_file_gives_a_complete_configuration(tmp_path):
    loaded = _load(tmp_path)
    assert loaded.node.id == "hosp1"
    assert loaded.node.data_dir == tmp_path / "data"
    assert loaded.api.listen == Address("127.0.0.1", 7651)
    assert loaded.api.tls_cert_file is None
    assert loaded.storage.segment_bytes_max == 64 << 20
    assert loaded.peers == {}


def test_paths_are_relative_to_the_file_so_that_a_directory_can_be_moved(tmp_path):
    text = SMALLEST + 'data_dir = "../d"\n[keystore]\npath = "/etc/k"\n'
    loaded = _load(tmp_path, text)
    assert loaded.node.data_dir == tmp_path / "../d"
    assert loaded.keystore.path == Path("/etc/k")


def test_flag_beats_environment_beats_file_beats_built_in(tmp_path):
    text = SMALLEST + '[log]\nlevel = "error"\n'
    environment = {"CHARTSEAL_LOG_LEVEL": "warning"}
    assert _load(tmp_path).log.level == "info"
    assert _load(tmp_path, text).log.level == "error"
    assert _load(tmp_path, text, environment=environment).log.level == "warning"
    both = _load(tmp_path, text, environment=environment, flags={"log.level": "debug"})
    assert both.log.level == "debug"


def test_every_value_tells_where_it_came_from(tmp_path):
    text = SMALLEST + '[log]\nlevel = "error"\n[peers]\nhosp2 = "10.0.0.2:7650"\n'
    loaded = _load(
        tmp_path,
        text,
        environment={"CHARTSEAL_STORAGE_MIN_FREE_BYTES": "5GiB"},
        flags={"ops.listen": "127.0.0.1:0"},
    )
    rows = {row.name: row for row in config.sources(loaded)}
    assert set(rows) == {*settings.SETTINGS, "peers.hosp2"}
    assert rows["log.level"].source == f"file {tmp_path}/config.toml, line 5"
    assert rows["storage.min_free_bytes"].source == "env CHARTSEAL_STORAGE_MIN_FREE_BYTES"
    assert rows["storage.min_free_bytes"].value == 5 << 30
    assert rows["ops.listen"].source == "flag ops.listen"
    assert rows["api.listen"].source == "built-in"
    assert rows["peers.hosp2"].value == "10.0.0.2:7650"
    assert rows["api.tls_cert_file"].value is None


@pytest.mark.parametrize("name", sorted(settings.SETTINGS))
def test_every_setting_can_be_set_by_environment_and_flag(tmp_path, name):
    setting = settings.SETTINGS[name]
    text = {
        "id": "hosp9",
        "path": str(tmp_path / "there"),
        "directory": str(tmp_path / "there"),
        "url": "https://archive.example/ledger",
        "address": "127.0.0.1:4321",
        "size": f"{max(setting.about.low, 1 << 20) >> 20}MiB",
        "count": str(min(setting.about.high, 77)),
        "choice": (setting.about.choices or ("",))[-1],
    }[setting.about.kind]
    if name.startswith("api.tls") or name == "api.client_ca_file":
        pair = {"api.tls_cert_file": "c", "api.tls_key_file": "k"}
    else:
        pair = {}
    by_flag = _load(tmp_path, flags=pair | {name: text})
    variables = {settings.SETTINGS[key].environment: value for key, value in pair.items()}
    by_variable = _load(tmp_path, environment=variables | {setting.environment: text})
    expected = settings.typed(setting.about, text)
    assert by_flag.value(name) == by_variable.value(name) == expected
    assert setting.about.meaning


def test_peers_can_be_given_by_environment(tmp_path):
    text = SMALLEST + '[peers]\nhosp2 = "a:1"\n'
    environment = {"CHARTSEAL_PEERS": "hosp3=b:2, hosp4=[::1]:3"}
    loaded = _load(tmp_path, text, environment=environment)
    assert loaded.peers == {"hosp3": Address("b", 2), "hosp4": Address("::1", 3)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SMALLEST + '[log]\nlevle = "info"\n',
         "line 5: [log] levle is unknown; did you mean level?"),
        (SMALLEST + '[stroage]\nx = 1\n', "line 4: stroage is unknown; did you mean storage"),
        (SMALLEST + 'log.levle = "info"\n', "[node] log is unknown"),
        ("config_version = 1\nnode.idd = 'x'\n", "[node] idd is unknown; did you mean id"),
        (SMALLEST + "[api]\npassword = 'x'\n", "[api] password is unknown"),
    ],
    ids=range(5),
)  # fmt: skip
def test_an_unknown_key_is_refused_with_place_and_advice(tmp_path, text, told):
    error = _refusal(tmp_path, text)
    assert error.code == "config-unknown-key"
    assert told in error.detail


def test_unknown_variables_and_flags_of_our_sections_are_refused(tmp_path):
    error = _refusal(tmp_path, environment={"CHARTSEAL_LOG_LEVLE": "info"})
    assert error.code == "config-unknown-key"
    assert "did you mean CHARTSEAL_LOG_LEVEL" in error.detail
    assert _refusal(tmp_path, flags={"log.levle": "x"}).code == "config-unknown-key"
    # Variables of the commands (endpoint, token file) are not settings of the node.
    assert _load(tmp_path, environment={"CHARTSEAL_ENDPOINT": "http://x"}).node.id == "hosp1"


@pytest.mark.parametrize(
    ("section", "line", "told"),
    [
        ("p2p", 'listen = "nowhere"', "expected host:port"),
        ("p2p", 'listen = "::1:7650"', "brackets"),
        ("p2p", 'listen = "[zz]:1"', "listen"),
        ("p2p", 'listen = "h:99999"', "0 to 65535"),
        ("p2p", "listen = 7650", "expected host:port"),
        ("storage", 'segment_bytes_max = "64MB"', "32MiB"),
        ("storage", 'segment_bytes_max = "1KiB"', "is not within"),
        ("storage", "segment_bytes_max = 1.5", "expected bytes"),
        ("limits", "api_burst = true", "expected a number"),
        ("limits", "api_burst = 0", "is not within"),
        ("limits", "api_burst = -1", "is not within"),
        ("limits", 'api_burst = "1KiB"', "expected a number"),
        ("log", 'level = "loud"', "one of debug, info"),
        ("log", "level = 3", "one of debug, info"),
        ("keystore", "path = 3", "expected a path"),
        ("keystore", 'path = ""', "expected a path"),
        ("peers", 'UPPER = "h:1"', "member id"),
        ("peers", 'hosp2 = "h"', "expected host:port"),
        ("peers", "hosp2 = 1", "expected host:port"),
        ("peers", 'hosp1 = "h:1"', "this node itself"),
        ("api", 'tls_cert_file = "c"', "go together"),
        ("api", 'client_ca_file = "c"', "needs api.tls_cert_file"),
        ("ops", 'listen = "127.0.0.1:7651"', "must differ"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path, section, line, told):
    error = _refusal(tmp_path, f"{SMALLEST}[{section}]\n{line}\n")
    assert error.code == "config-invalid"
    assert told in error.detail
    assert line.split(" ")[0] in error.detail or section == "ops"


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "ledger.example", "[::]"])
def test_plain_http_is_served_on_loopback_only(tmp_path, host):
    exposed = f'{SMALLEST}[api]\nlisten = "{host}:7651"\n'
    assert _refusal(tmp_path, exposed).code == "config-insecure"
    with_tls = exposed + 'tls_cert_file = "c.pem"\ntls_key_file = "k.pem"\n'
    assert _load(tmp_path, with_tls).api.tls_cert_file == tmp_path / "c.pem"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "[::1]"])
def test_loopback_needs_no_certificate(tmp_path, host):
    assert _load(tmp_path, f'{SMALLEST}[api]\nlisten = "{host}:7651"\n').api.listen.is_loopback


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('[node]\nid = "hosp1"\n', "config-version"),
        ('config_version = 2\n[node]\nid = "hosp1"\n', "config-version"),
        ('config_version = true\n[node]\nid = "hosp1"\n', "config-version"),
        ("config_version = 1\n", "config-invalid"),
        ("config_version = 1\nnode = 3\n", "config-invalid"),
        ('config_version = 1\n[node]\nid = "St Mary"\n', "config-invalid"),
        ("this is not toml", "config-invalid"),
        ('config_version = 1\n[node]\nid = "a"\nid = "b"\n', "config-invalid"),
    ],
    ids=range(8),
)
def test_a_file_that_is_not_ours_is_refused(tmp_path, text, code):
    assert _refusal(tmp_path, text).code == code


def test_a_missing_file_is_told_by_its_path(tmp_path):
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "none.toml", environment={})
    assert caught.value.code == "config-missing"
    assert str(tmp_path / "none.toml") in caught.value.detail


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError) as caught:
        config.load(path, environment={})
    assert caught.value.code == "config-invalid"


def test_without_a_file_environment_and_flags_are_enough():
    loaded = config.load(None, environment={"CHARTSEAL_NODE_ID": "hosp1"})
    assert loaded.file is None
    assert loaded.node.data_dir == Path.cwd() / "data"


def test_files_that_are_not_there_are_listed(tmp_path):
    (tmp_path / "genesis.bin").write_bytes(b"g")
    lines = config.missing_files(_load(tmp_path, SMALLEST + '[api]\ntokens_file = "t"\n'))
    assert [line.split(":")[0] for line in lines] == ["api.tokens_file", "keystore.path"]


def test_no_setting_holds_a_secret():
    for name in settings.SETTINGS:
        last = name.rpartition(".")[2]
        if any(word in last for word in ("passphrase", "token", "tls_key", "secret")):
            assert last.endswith("_file")


@given(st.text(max_size=30))
def test_addresses_and_sizes_refuse_with_one_error_only(text):
    for setting in settings.SETTINGS.values():
        try:
            settings.typed(setting.about, text)
        except ValueError:
            continue


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_reads_what_it_writes(host, port):
    address = Address(str(host), port)
    assert Address.parse(str(address)) == address
