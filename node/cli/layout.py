"""A node's directory: what `init` and `dev cluster init` put where.

    config.toml    every setting, explained; those at their default are commented out
    node.key       the four secret keys, encrypted, mode 0600
    node.key.mark  how far they have signed, made and kept by the node itself
    last-end.json  how the node's last run ended, made by the node itself
    passphrase     only with `--dev` and in dev clusters: opens node.key, mode 0600
    tokens.jsonl   hashes of access tokens, mode 0600
    data/          the ledger, made by the node itself

Refuses: to touch a directory that holds keys already.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from consensus import wire
from node import settings
from node.config import VERSION, plain
from node.errors import ChartsealError
from node.keys import (
    FOR_RANDOM_PASSPHRASE,
    INTERACTIVE,
    NodeKeys,
    random_passphrase,
    write_secret,
)
from node.ledger.genesis import Institution
from node.settings import SECTIONS, SETTINGS

CARD_FORMAT: Final = "chartseal/join-card/v1"
CONFIG_NAME: Final = "config.toml"
KEY_NAME: Final = "node.key"
UNLOCK_NAME: Final = "passphrase"
TOKENS_NAME: Final = "tokens.jsonl"


def make_directory(
    directory: Path,
    node: str,
    *,
    values: Mapping[str, str | int],
    peers: Mapping[str, str],
    passphrase: bytes | None,
) -> NodeKeys:
    """Make a node's directory and return its new keys; ``passphrase`` None: a random one,
    kept in a file beside them.

    Raises ``ChartsealError``: keystore-exists, exists-already, keystore-failure.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ChartsealError("file-unreadable", f"{directory}: {error.strerror}") from error
    for name in (KEY_NAME, CONFIG_NAME, UNLOCK_NAME):
        if (directory / name).exists():
            code = "keystore-exists" if name == KEY_NAME else "exists-already"
            raise ChartsealError(code, str(directory / name))
    keys = NodeKeys.generate(node)
    given = dict(values)
    if passphrase is None:
        random = random_passphrase()
        write_secret(directory / UNLOCK_NAME, random + b"\n")
        given["keystore.passphrase_file"] = UNLOCK_NAME
        keys.save(directory / KEY_NAME, random, kdf=FOR_RANDOM_PASSPHRASE)
    else:
        keys.save(directory / KEY_NAME, passphrase, kdf=INTERACTIVE)
    text = config_text(given | {"node.id": node}, peers)
    (directory / CONFIG_NAME).write_text(text, encoding="utf-8")
    return keys


def institution(
    keys: NodeKeys, *, name: str, roles: tuple[str, ...], validator: bool
) -> Institution:
    """Return the public side of ``keys`` as genesis lists it."""
    public = keys.public
    return Institution(
        id=keys.node,
        name=name,
        roles=tuple(sorted(set(roles))),
        identity_key=public.identity,
        consensus_key=public.consensus,
        cosigner_key=public.cosigner,
        encryption_key=public.encryption,
        validator=validator,
    )


def join_card(founder: Institution) -> dict[str, Any]:
    """Return what an institution hands to the others so that they can list it."""
    return {"format": CARD_FORMAT, **wire.to_plain(founder)}


def config_text(values: Mapping[str, str | int], peers: Mapping[str, str]) -> str:
    """Return a configuration file with every setting explained; ``values`` by section.key."""
    lines = [
        "# A Chartseal node.  Lines that are commented out show the default.",
        "# A flag beats a variable, a variable beats this file.  Unknown names are refused.",
        f"config_version = {VERSION}",
    ]
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for setting in SETTINGS.values():
            if setting.section == section:
                lines += [f"# {setting.about.meaning} ({setting.environment})"]
                lines += [_assignment(setting, values.get(setting.name))]
        if section == "p2p":
            lines += ["", '# the other members: id = "host:port"', "[peers]"]
            lines += [
                f"{peer} = {json.dumps(address)}" for peer, address in sorted(peers.items())
            ]
    return "\n".join(lines) + "\n"


def _assignment(setting: settings.Setting, value: str | int | None) -> str:
    if value is not None:
        return f"{setting.key} = {json.dumps(value)}"
    if setting.default is None:
        return f'# {setting.key} = ""'
    assert not setting.required, f"{setting.name} must be given"
    return f"# {setting.key} = {json.dumps(plain(setting.default))}"
