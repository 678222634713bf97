"""The deployment files: they parse, fit the code, and say what the manual says."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from node import config, errors, settings
from tests.support.manual import DOCS, ROOT, facts

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "chartseal.service"
VECTORS = ROOT / "tests" / "vectors"
HARDENING = {
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "ProtectProc": "invisible",
    "ProcSubset": "pid",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectControlGroups": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateUsers": "yes",
    "PrivateIPC": "yes",
    "DevicePolicy": "closed",
    "MemoryDenyWriteExecute": "yes",
    "LockPersonality": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX",
    "RemoveIPC": "yes",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
    "StateDirectoryMode": "0700",
    "LimitCORE": "0",
}


def unit() -> dict[str, dict[str, list[str]]]:
    """Return the unit's values by section and name; a name may stand several times."""
    sections: dict[str, dict[str, list[str]]] = {}
    section = ""
    for line in UNIT.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
            sections[section] = {}
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            sections[section].setdefault(name, []).append(value)
    return sections


# --- systemd -------------------------------------------------------------------------------


def test_the_unit_is_hardened():
    service = unit()["Service"]
    assert {name: service.get(name) for name in HARDENING} == {
        name: [value] for name, value in HARDENING.items()
    }
    assert service["SystemCallFilter"][0] == "@system-service"
    assert service["SystemCallFilter"][1].startswith("~@privileged")


def test_the_unit_does_not_restart_what_a_restart_cannot_cure():
    service = unit()["Service"]
    assert service["Restart"] == ["on-failure"]
    (listed,) = service["RestartPreventExitStatus"]
    assert [int(code) for code in listed.split()] == sorted(
        map(int, errors.EXIT_DO_NOT_RESTART)
    )


def test_the_unit_starts_a_command_that_exists_as_an_unprivileged_user():
    service = unit()["Service"]
    program, *words = shlex.split(service["ExecStart"][0])
    assert Path(program).name == "chartseal"
    assert (words[0],) in dict(facts.commands())
    assert words[1:] == ["--config", "/etc/chartseal/node.toml"]
    assert service["User"] == ["chartseal"]
    assert unit()["Install"]["WantedBy"] == ["multi-user.target"]


def test_systemd_rates_the_unit_as_well_protected():
    tool = shutil.which("systemd-analyze")
    if tool is None:
        pytest.skip("systemd-analyze is not on this machine")
    done = subprocess.run(
        [tool, "security", "--offline=true", "--threshold=20", "--no-pager", str(UNIT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


# --- the example configuration -------------------------------------------------------------


def test_the_example_configuration_loads():
    loaded = config.load(DEPLOY / "config" / "node.toml", environment={})
    assert loaded.node.id == "hospital-a"
    assert len(loaded.peers) == 3
    assert loaded.log.format == "json"
    assert loaded.ops.listen.is_loopback


def test_the_example_configuration_shows_every_setting_with_its_meaning():
    text = (DEPLOY / "config" / "node.toml").read_text()
    for item in settings.SETTINGS.values():
        assert re.search(rf"^(?:# )?{item.key} = ", text, re.MULTILINE), item.name
        assert f"# {item.about.meaning} ({item.environment})" in text


def test_its_defaults_are_the_built_in_ones():
    text = (DEPLOY / "config" / "node.toml").read_text()
    plain = re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    for section, values in tomllib.loads(plain).items():
        for key, value in values.items() if isinstance(values, dict) else ():
            item = settings.SETTINGS.get(f"{section}.{key}")
            if item is None or f"\n{key} = " in text:
                continue
            assert value == ("" if item.default is None else config.plain(item.default))


def test_unit_and_example_configuration_agree_on_places():
    loaded = config.load(DEPLOY / "config" / "node.toml", environment={})
    service = unit()["Service"]
    state, etc = f"/var/lib/{service['StateDirectory'][0]}", "/etc/chartseal"
    assert str(loaded.node.data_dir).startswith(state)
    assert str(loaded.keystore.path).startswith(state)
    assert str(loaded.network.genesis).startswith(etc)
    assert service["ConfigurationDirectory"] == ["chartseal"]


# --- containers ----------------------------------------------------------------------------


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    return loaded


def test_compose_has_the_shape_that_its_tools_read():
    document = compose()
    assert set(document) == {"name", "services", "networks", "volumes"}
    for service in document["services"].values():
        assert ("image" in service) or ("build" in service)
        assert set(service["networks"]) <= set(document["networks"])
        for volume in service["volumes"]:
            source, target, *_mode = volume.split(":")
            assert target.startswith("/")
            assert source.startswith(".") or source in document["volumes"]
        for port in service["ports"]:
            assert re.fullmatch(r"(?:[\d.]+:)?\d+:\d+", port)


def test_containers_have_no_privileges():
    for service in compose()["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_container_publishes_no_operators_port():
    published = [port.split(":")[-1] for port in compose()["services"]["node"]["ports"]]
    assert published == ["7650", "7651"]


def test_the_containers_variables_are_settings_that_load_together(tmp_path):
    environment = compose()["services"]["node"]["environment"]
    loaded = config.load(DEPLOY / "config" / "node.toml", environment=environment)
    assert str(loaded.api.listen) == "0.0.0.0:7651"
    assert loaded.api.tls_cert_file is not None
    known = {item.environment for item in settings.SETTINGS.values()}
    assert set(environment) <= known


def test_the_containerfile_runs_the_node_unprivileged():
    lines = re.sub(r"\\\n\s*", " ", (DEPLOY / "compose" / "Containerfile").read_text())
    steps = [
        tuple(line.split(" ", 1)) for line in lines.splitlines() if line and line[0] != "#"
    ]
    words = dict(steps)
    assert words["USER"] == "10001:10001"
    assert json.loads(words["ENTRYPOINT"]) == ["chartseal"]
    assert tuple(json.loads(words["CMD"])[:1]) in dict(facts.commands())
    assert words["EXPOSE"].split() == ["7650", "7651", "7652"]
    for name, value in steps:
        if name == "COPY" and "--from" not in value:
            assert all((ROOT / item).exists() for item in value.split()[:-1])


# --- prometheus ----------------------------------------------------------------------------


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((DEPLOY / "prometheus" / "rules.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_prometheus_reads_the_rules_and_the_operators_port():
    document = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    assert document["rule_files"] == ["rules.yml"]
    (job,) = document["scrape_configs"]
    assert ("GET", job["metrics_path"]) in facts.ops_routes()
    assert job["static_configs"] == [{"targets": ["node:7652"]}]


def test_every_metric_and_label_in_a_rule_exists():
    families = facts.metric_families()
    for rule in rules():
        expression = rule["expr"]
        names = re.findall(r"\bchartseal_[a-z_]+", expression)
        assert names or "up{" in expression
        assert set(names) <= set(families), rule["alert"]
        for name, labels in re.findall(r"\b(chartseal_[a-z_]+)\{([^}]*)\}", expression):
            used = set(re.findall(r"([a-z_]+)\s*=", labels))
            assert used <= set(families[name][2])
        shown = set(re.findall(r"\$labels\.([a-z_]+)", rule["annotations"]["summary"]))
        known = {label for name in names for label in families[name][2]} | {"instance"}
        assert shown <= known


def test_every_alert_names_its_section_of_the_manual():
    anchors = {
        re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(
            r"^#+ (.+)$", (DOCS / "operations.md").read_text(), re.MULTILINE
        )
    }
    for rule in rules():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "operations.md"
        assert anchor in anchors, rule["alert"]
        assert rule["labels"]["severity"] in ("warning", "critical")


def test_counters_are_looked_at_as_changes():
    families = facts.metric_families()
    for rule in rules():
        for name in re.findall(r"\bchartseal_[a-z_]+", rule["expr"]):
            if families[name][0] == "counter":
                assert re.search(rf"(?:rate|increase)\({name}(?:{{[^}}]*}})?\[", rule["expr"])


# --- what the manual tells people to run -----------------------------------------------------


def snippet(document: Path, mark: str) -> str:
    match = re.search(
        rf"{re.escape(mark)}\n+```python\n(.*?)```", document.read_text(), re.DOTALL
    )
    assert match is not None, f"{document.name} has no block after {mark!r}"
    return match[1]


def run_snippet(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=directory, capture_output=True, text=True, check=False
    )


@pytest.fixture
def evidence(tmp_path):
    for name in ("receipt.tlog-proof", "policy.json"):
        shutil.copy(VECTORS / name, tmp_path)
    policy = json.loads((VECTORS / "policy.json").read_text())
    (tmp_path / "vkeys.txt").write_text("".join(f"{m['vkey']}\n" for m in policy["members"]))
    receipt = json.loads((VECTORS / "receipt.json").read_text())
    (tmp_path / "transaction.bin").write_bytes(bytes.fromhex(receipt["transaction"]))
    return tmp_path


SNIPPETS = {
    "tlog-scales": (DOCS / "verification.md", "<!-- tested: tlog-scales -->"),
    "by-hand": (DOCS / "verification.md", "<!-- tested: by-hand -->"),
    "readme": (ROOT / "README.md", "## Verify a receipt without us"),
}
SAYS = {"tlog-scales": "included", "by-hand": "4 signers", "readme": "4 members cosigned"}


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_manuals_verifiers_accept_a_golden_receipt(name, evidence):
    done = run_snippet(snippet(*SNIPPETS[name]), evidence)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout


@pytest.mark.parametrize("name", SNIPPETS)
def test_the_manuals_verifiers_refuse_a_changed_inclusion_path(name, evidence):
    lines = (evidence / "receipt.tlog-proof").read_text().split("\n")
    lines[3], lines[4] = lines[4], lines[3]
    (evidence / "receipt.tlog-proof").write_text("\n".join(lines))
    assert run_snippet(snippet(*SNIPPETS[name]), evidence).returncode != 0


@pytest.mark.parametrize("name", ["tlog-scales", "by-hand"])
def test_the_manuals_verifiers_want_a_quorum(name, evidence):
    text = (evidence / "receipt.tlog-proof").read_text()
    head, dash, rest = text.partition("\u2014")
    (evidence / "receipt.tlog-proof").write_text(head + dash + rest.split("\n")[0] + "\n")
    assert run_snippet(snippet(*SNIPPETS[name]), evidence).returncode != 0


LINEAGE_BREAKS = {
    "": lambda link: link,
    "note": lambda link: (
        link | {"note": link["note"].replace(b"golden".hex(), b"goldin".hex(), 1)}
    ),
    "seal": lambda link: link | {"seal": link["seal"][:-2] + "00"},
    "path": lambda link: link | {"path": link["path"][1:]},
    "engine": lambda link: link | {"era": link["era"] | {"engine": "raft"}},
    "members": lambda link: (
        link | {"era": link["era"] | {"members": link["era"]["members"][1:]}}
    ),
    "epoch": lambda link: link | {"era": link["era"] | {"epoch": 3}},
}


@pytest.mark.parametrize("change", LINEAGE_BREAKS)
def test_the_manuals_verifier_of_a_lineage_accepts_the_golden_one_only(tmp_path, change):
    shutil.copy(VECTORS / "lineage-policy.json", tmp_path / "policy.json")
    told = json.loads((VECTORS / "lineage.json").read_text())
    broken = LINEAGE_BREAKS[change](told["links"][1])
    assert (broken == told["links"][1]) == (not change)
    told["links"][1] = broken
    (tmp_path / "lineage.json").write_text(json.dumps(told))
    mark = "<!-- tested: lineage-by-hand -->"
    done = run_snippet(snippet(DOCS / "lineage.md", mark), tmp_path)
    assert (done.returncode == 0) == (not change), done.stderr
    assert ("epoch 2 from height 4: 4 of 5, pbft" in done.stdout) == (not change)


@pytest.mark.parametrize("name", ["tlog-scales", "by-hand"])
def test_the_manuals_verifiers_accept_a_receipt_with_a_lineage_by_the_policy_of_its_era(
    name, evidence
):
    from tests.vectors import make_lineage

    (evidence / "policy.json").write_text(make_lineage.golden().policy(2).to_text())
    shutil.copy(VECTORS / "receipt-v2.tlog-proof", evidence / "receipt.tlog-proof")
    done = run_snippet(snippet(*SNIPPETS[name]), evidence)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("change", ["", "value", "key", "siblings", "absent"])
def test_the_manuals_reader_of_rows_accepts_what_stands_under_the_root_only(tmp_path, change):
    answer = json.loads((VECTORS / "answer.json").read_text())
    row = next(item for item in answer["rows"] if item["proof"]["siblings"])
    if change == "absent":
        row["value"] = None
    elif change == "siblings":
        row["proof"]["siblings"][-1] = "00" * 31 + "01"
    elif change:
        row[change] = row[change][:-2] + ("00" if row[change][-2:] != "00" else "01")
    (tmp_path / "answer.json").write_text(json.dumps(answer))
    mark = "<!-- tested: rows-by-hand -->"
    done = run_snippet(snippet(DOCS / "verification.md", mark), tmp_path)
    assert (done.returncode == 0) == (not change), done.stderr
    assert ("7 rows lie under" in done.stdout) == (not change)


def test_the_readme_starts_with_the_two_commands_that_a_newcomer_needs():
    text = (ROOT / "README.md").read_text()
    assert re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)[:2] == ["demo", "test"]
    assert {"demo", "test"} <= set(facts.make_targets())


def test_numbers_of_the_threat_model_are_those_of_the_code():
    from consensus import quorum

    rows = re.findall(
        r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$",
        (DOCS / "threat-model.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) > 5
    for members, liars, byzantine, stopped, majority in (map(int, row) for row in rows):
        assert liars == quorum.byzantine_faults_max(members)
        assert byzantine == quorum.byzantine_quorum(members)
        assert stopped == members - quorum.majority(members)
        assert majority == quorum.majority(members)


def test_decisions_are_numbered_without_gaps_and_listed():
    pages = sorted((DOCS / "adr").glob("[0-9]*.md"))
    numbers = [int(path.name[:4]) for path in pages]
    assert all(after - before == 1 for before, after in pairwise(numbers))
    index = (DOCS / "adr" / "README.md").read_text()
    assert all(f"({path.name})" in index for path in pages)


def test_the_unit_is_also_read_by_a_second_parser():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read_string(UNIT.read_text())
    assert parser.sections() == ["Unit", "Service", "Install"]
