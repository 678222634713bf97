"""The local settings of one node: from file, environment and flags to typed values, once.

Owns: precedence (flag > environment ``CHARTSEAL_<SECTION>_<KEY>`` > file > built-in) and the
memory of where each value came from.  Refuses: unknown names (nothing is ignored in silence),
secrets (only paths to them), and plain HTTP to clients on any address but loopback.
Invariant: a ``Config`` that exists is complete, typed and free of contradictions; relative
paths of the file are resolved against its directory, so that a node directory can be moved.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from node.errors import ChartsealError
from node.settings import (
    ENVIRONMENT_PREFIX,
    HOST_PATTERN,
    ID_PATTERN,
    P2P,
    SECTIONS,
    SETTINGS,
    Address,
    Api,
    Archive,
    Backup,
    Consensus,
    Keystore,
    Limits,
    Log,
    Network,
    Node,
    Ops,
    Recovery,
    Setting,
    Snapshots,
    Storage,
    address,
    typed,
)

VERSION: Final = 1


class ConfigError(ChartsealError):
    """Settings that cannot be used; the daemon ends with exit code 78."""


@dataclass(frozen=True, slots=True)
class Config:
    """Every local setting of a node.  ``origins`` maps "section.key" to where it came from."""

    node: Node
    network: Network
    p2p: P2P
    peers: Mapping[str, Address]  # other members' ids and where to dial them
    api: Api
    ops: Ops
    keystore: Keystore
    storage: Storage
    snapshots: Snapshots
    recovery: Recovery
    backup: Backup
    archive: Archive
    consensus: Consensus
    limits: Limits
    log: Log
    file: Path | None
    origins: Mapping[str, str]

    def value(self, name: str) -> Any:
        """Return the value of the setting ``section.key``."""
        section, _, key = name.partition(".")
        return getattr(getattr(self, section), key)


@dataclass(frozen=True, slots=True)
class Sourced:
    """A setting as it is in force; ``source`` names flag, variable, file or built-in."""

    name: str
    value: str | int | None
    source: str
    meaning: str


def sources(config: Config) -> list[Sourced]:
    """Return every setting in force, in the order of the table, peers after p2p."""
    rows = []
    for section in ("node", "network", "p2p", "peers", *list(SECTIONS)[3:]):
        if section == "peers":
            rows += [
                Sourced(
                    f"peers.{peer}", str(address), config.origins["peers"], "where to dial it"
                )
                for peer, address in sorted(config.peers.items())
            ]
            continue
        for item in fields(SECTIONS[section]):
            setting = SETTINGS[f"{section}.{item.name}"]
            origin = config.origins.get(setting.name, "built-in")
            shown = plain(config.value(setting.name))
            rows.append(Sourced(setting.name, shown, origin, setting.about.meaning))
    return rows


def plain(value: Any) -> str | int | None:
    """Return a setting's value as JSON and TOML can carry it."""
    return value if value is None or isinstance(value, str | int) else str(value)


# --- reading ------------------------------------------------------------------------------


def load(
    path: Path | None,
    *,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Config:
    """Return the settings from file, environment (default: the process's) and ``flags``.

    ``flags`` maps "section.key" to text.  Raises ``ConfigError`` (config-missing,
    config-invalid, config-unknown-key, config-version, config-insecure).
    """
    variables = os.environ if environment is None else environment
    return _Reader(path, variables, {} if flags is None else flags).read()


class _Reader:
    """Collects one raw value and its origin per setting, then types and checks them."""

    def __init__(
        self, path: Path | None, environment: Mapping[str, str], flags: Mapping[str, str]
    ) -> None:
        self._path = path
        self._text = ""
        self._base = Path.cwd() if path is None else path.absolute().parent
        self._environment = environment
        self._flags = flags
        self._values: dict[str, Any] = {}
        self._peers: dict[str, Address] = {}
        self._origins: dict[str, str] = {}

    def read(self) -> Config:
        if self._path is not None:
            self._read_file(self._path)
        self._read_environment()
        for name, text in self._flags.items():
            if name not in SETTINGS:
                raise ConfigError("config-unknown-key", _unknown("flag", name, SETTINGS))
            self._take(SETTINGS[name], text, f"flag {name}", base=Path.cwd())
        missing = [item.name for item in SETTINGS.values() if self._lacks(item)]
        if missing:
            raise ConfigError("config-invalid", f"{', '.join(missing)} must be set")
        config = Config(
            peers=self._peers,
            file=self._path,
            origins=self._origins | {"peers": self._origins.get("peers", "built-in")},
            **{section: self._section(section) for section in SECTIONS},
        )
        _check(config)
        return config

    def _lacks(self, setting: Setting) -> bool:
        return setting.required and setting.name not in self._values

    def _section(self, section: str) -> Any:
        kind = SECTIONS[section]
        given = {}
        for item in fields(kind):
            name = f"{section}.{item.name}"
            value = self._values.get(name, item.default)
            # Built-in paths live beside the file too, like those written in it.
            given[item.name] = self._base / value if isinstance(value, Path) else value
        return kind(**given)

    def _read_file(self, path: Path) -> None:
        try:
            self._text = path.read_text(encoding="utf-8")
            document = tomllib.loads(self._text)
        except OSError as error:
            raise ConfigError("config-missing", f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("config-invalid", f"{path}: not TOML: {error}") from error
        version = document.pop("config_version", None)
        if type(version) is not int or version != VERSION:
            raise ConfigError(
                "config-version", f"{path}: config_version is {version!r}, expected {VERSION}"
            )
        for section, table in document.items():
            where = self._where(section, None)
            if section not in SECTIONS and section != "peers":
                known = [*SECTIONS, "peers", "config_version"]
                raise ConfigError(
                    "config-unknown-key", f"{where}: {_unknown('', section, known)}"
                )
            if not isinstance(table, dict):
                raise ConfigError("config-invalid", f"{where}: [{section}] must be a table")
            self._read_table(section, table)

    def _read_table(self, section: str, table: dict[str, Any]) -> None:
        for key, value in table.items():
            where = self._where(section, key)
            if section == "peers":
                self._take_peer(key, value, where)
                self._origins["peers"] = f"file {self._path}"
                continue
            setting = SETTINGS.get(f"{section}.{key}")
            if setting is None:
                known = [item.key for item in SETTINGS.values() if item.section == section]
                text = _unknown(f"[{section}]", key, known)
                raise ConfigError("config-unknown-key", f"{where}: {text}")
            self._take(setting, value, where, base=self._base)
            self._origins[setting.name] = f"file {where}"

    def _read_environment(self) -> None:
        by_variable = {item.environment: item for item in SETTINGS.values()}
        prefixes = tuple(f"{ENVIRONMENT_PREFIX}{section}_".upper() for section in SECTIONS)
        for variable, text in sorted(self._environment.items()):
            if variable in by_variable:
                where = f"env {variable}"
                self._take(by_variable[variable], text, where, base=Path.cwd())
            elif variable == f"{ENVIRONMENT_PREFIX}PEERS":
                self._peers.clear()
                for part in filter(None, text.split(",")):
                    peer, _, address = part.partition("=")
                    self._take_peer(peer.strip(), address.strip(), f"env {variable}")
                self._origins["peers"] = f"env {variable}"
            elif variable.startswith(prefixes):
                raise ConfigError("config-unknown-key", _unknown("env", variable, by_variable))

    def _take(self, setting: Setting, raw: Any, where: str, *, base: Path) -> None:
        try:
            value = typed(setting.about, raw)
        except ValueError as error:
            raise ConfigError("config-invalid", f"{where}: {setting.name}: {error}") from error
        self._values[setting.name] = base / value if isinstance(value, Path) else value
        self._origins[setting.name] = where

    def _take_peer(self, peer: str, raw: Any, where: str) -> None:
        try:
            if not ID_PATTERN.fullmatch(peer):
                raise ValueError("a member id matches [a-z0-9][a-z0-9-]{0,62}")
            self._peers[peer] = address(raw)
        except ValueError as error:
            raise ConfigError("config-invalid", f"{where}: peers.{peer}: {error}") from error

    def _where(self, section: str, key: str | None) -> str:
        """Name file and line of a setting; tomllib keeps no lines, so look again."""
        current = ""
        for number, line in enumerate(self._text.splitlines(), start=1):
            header = re.match(r"\s*\[\s*([^\]]+?)\s*\]", line)
            if header:
                current = header[1].strip("\"'")
            found = current == section if key is None else False
            if key is not None and current == section:
                found = re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line) is not None
            if found or re.match(rf"\s*[\"']?{re.escape(section)}[\"']?\s*[.=]", line):
                return f"{self._path}, line {number}"
        return str(self._path)


def _unknown(where: str, name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    prefix = f"{where} " if where else ""
    return f"{prefix}{name} is unknown" + (f"; did you mean {close[0]}?" if close else "")


def _check(config: Config) -> None:
    """Refuse settings that contradict one another or would expose the node."""
    api = config.api
    if (api.tls_cert_file is None) != (api.tls_key_file is None):
        raise ConfigError(
            "config-invalid", "api.tls_cert_file and api.tls_key_file go together"
        )
    if api.client_ca_file is not None and api.tls_cert_file is None:
        raise ConfigError("config-invalid", "api.client_ca_file needs api.tls_cert_file")
    if api.tls_cert_file is None and not api.listen.is_loopback:
        raise ConfigError(
            "config-insecure", f"api.listen is {api.listen} without TLS; loopback only"
        )
    advertised = config.p2p.advertise
    if advertised is not None and not HOST_PATTERN.fullmatch(advertised.host):
        raise ConfigError("config-invalid", f"p2p.advertise: no host {advertised.host!r}")
    if config.node.id in config.peers:
        raise ConfigError("config-invalid", f"peers.{config.node.id} is this node itself")
    taken = [
        str(a) for a in (config.p2p.listen, config.api.listen, config.ops.listen) if a.port
    ]
    if len(set(taken)) != len(taken):
        raise ConfigError("config-invalid", "p2p.listen, api.listen and ops.listen must differ")


def missing_files(config: Config) -> list[str]:
    """Return a line for each file that the settings name and that is not there."""
    lines = []
    for setting in SETTINGS.values():
        value = config.value(setting.name)
        if (
            setting.about.kind == "path"
            and value is not None
            and setting.name != "node.data_dir"
        ):
            try:
                with value.open("rb"):
                    pass
            except OSError as error:
                lines.append(f"{setting.name}: {value}: {error.strerror}")
    return lines
